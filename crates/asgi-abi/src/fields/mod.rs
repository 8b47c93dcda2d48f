//! Header fields: lent as an array, rebuilt as a [`HeaderMap`] on the other side.

mod block;
mod kept;

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use self::block::Block;
use self::kept::{Known, with_kept};
use crate::abi;

pub(crate) use self::kept::recycle;

/// How many fields are lent without an allocation: more than browsers send.
const ON_STACK: usize = 32;

/// Lends `fields` for as long as `call` runs.
pub(crate) fn with_lent<R>(fields: &HeaderMap, call: impl FnOnce(&[abi::Header]) -> R) -> R {
    if fields.len() > ON_STACK {
        return call(&lend(fields));
    }
    let mut lent = [const { MaybeUninit::<abi::Header>::uninit() }; ON_STACK];
    for (place, (name, value)) in lent.iter_mut().zip(fields) {
        place.write(lend_field(name, value));
    }
    // SAFETY: `iter` yields `len` fields, which are no more than there are places, so that many
    // were written.
    call(unsafe { abi::slice(lent.as_ptr().cast(), fields.len()) })
}

/// The array that lends `fields`; it must not outlive them.
pub(crate) fn lend(fields: &HeaderMap) -> Vec<abi::Header> {
    fields
        .iter()
        .map(|(name, value)| lend_field(name, value))
        .collect()
}

/// One element of such an array.
pub(crate) fn lend_field(name: &HeaderName, value: &HeaderValue) -> abi::Header {
    abi::Header {
        name: abi::Str::new(name.as_str()),
        value: abi::Str::from_bytes(value.as_bytes()),
        flags: if value.is_sensitive() {
            abi::HEADER_SENSITIVE
        } else {
            0
        },
    }
}

/// Copies fields that the other side lent. The error says what is wrong with them.
///
/// # Safety
///
/// Unless it is NULL or empty, `headers` must point to `n` valid headers.
pub(crate) unsafe fn rebuild(
    headers: *const abi::Header,
    n: usize,
) -> Result<HeaderMap, &'static str> {
    // SAFETY: the caller's promise.
    let (_, fields) = unsafe { rebuild_beside(abi::Str::NULL, headers, n)? };
    Ok(fields)
}

/// Copies fields, and a text that is kept in the same allocation.
///
/// # Safety
///
/// The text must be valid, and `headers` as for [`rebuild`].
pub(crate) unsafe fn rebuild_beside(
    text: abi::Str,
    headers: *const abi::Header,
    n: usize,
) -> Result<(Bytes, HeaderMap), &'static str> {
    // SAFETY: the caller's promise.
    let (text, headers) = unsafe { (text.as_bytes(), abi::slice(headers, n)) };
    // SAFETY: the caller's promise: the texts of valid headers are valid.
    let headers = headers.iter().map(|header| unsafe { Lent::new(header) });
    with_kept(|kept| {
        let known = match kept.known(headers.clone()) {
            Known::All => return Ok((copy(text), kept.again(headers.len())?)),
            Known::Values(values) => Some(values),
            Known::Nothing => None,
        };
        let is_known = |n: usize| known.is_some_and(|values| values & (1 << n) != 0);
        let fresh = headers.clone().enumerate();
        let fresh = fresh.filter(|(n, _)| !is_known(*n));
        let fresh = fresh.map(|(_, header)| header.value);
        let mut block = Block::of(std::iter::once(text).chain(fresh));
        let text = block.split_to(text.len());
        if !are_values(&block.0) {
            return Err("a header value with control characters");
        }
        let value = |header: &Lent<'_>| {
            let value = block.split_to(header.value.len());
            // SAFETY: all bytes are such as a value may have: that was looked at above.
            let mut value = unsafe { HeaderValue::from_maybe_shared_unchecked(value) };
            value.set_sensitive(header.is_sensitive);
            value
        };
        let fields = match known {
            Some(values) => kept.build_again(values, headers, value)?,
            None => kept.build(headers, value)?,
        };
        Ok((text, fields))
    })
}

/// One text alone.
fn copy(text: &[u8]) -> Bytes {
    match text {
        [] => Bytes::new(),
        b"/" => Bytes::from_static(b"/"),
        text => Bytes::copy_from_slice(text),
    }
}

/// A header that the other side lent.
#[derive(Clone, Copy)]
struct Lent<'a> {
    name: &'a [u8],
    value: &'a [u8],
    is_sensitive: bool,
}

impl Lent<'_> {
    /// # Safety
    ///
    /// The header's texts must be valid during `'a`.
    unsafe fn new(header: &abi::Header) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Self {
                name: header.name.as_bytes(),
                value: header.value.as_bytes(),
                is_sensitive: header.flags & abi::HEADER_SENSITIVE != 0,
            }
        }
    }
}

/// Whether all bytes are such as a field's value may have (RFC 9110 §5.5). Without a branch, so
/// that the compiler looks at many at once.
fn are_values(bytes: &[u8]) -> bool {
    let is_wrong = |byte: u8| ((byte < b' ') & (byte != b'\t')) | (byte == 0x7f);
    !bytes.iter().fold(false, |any, byte| any | is_wrong(*byte))
}
