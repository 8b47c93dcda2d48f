//! Passes headers across the boundary: one side borrows them as an array of [`abi::Header`], the
//! other side builds a new [`HeaderMap`] of the array.

mod block;
mod cache;
#[cfg(test)]
mod tests;

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use self::block::Block;
use self::cache::{TemplateMatch, with_cache};
use crate::abi;

pub(crate) use self::cache::recycle;

/// The largest array that is made on the stack. Browsers send fewer headers.
const MAX_ON_STACK: usize = 32;

/// Calls `f` with `headers` as an array of the ABI, which is valid only during `f`.
pub(crate) fn with_abi_headers<R>(headers: &HeaderMap, f: impl FnOnce(&[abi::Header]) -> R) -> R {
    if headers.len() > MAX_ON_STACK {
        return f(&to_abi(headers));
    }
    let mut array = [const { MaybeUninit::<abi::Header>::uninit() }; MAX_ON_STACK];
    for (place, (name, value)) in array.iter_mut().zip(headers) {
        place.write(header_to_abi(name, value));
    }
    // SAFETY: the iterator of a `HeaderMap` yields `len` headers, and the check above says that the
    // array has at least as many places. So the loop has initialised the first `len` of them.
    f(unsafe { abi::slice(array.as_ptr().cast(), headers.len()) })
}

/// An array that borrows `headers`. The caller must not use it after they are gone.
pub(crate) fn to_abi(headers: &HeaderMap) -> Vec<abi::Header> {
    headers
        .iter()
        .map(|(name, value)| header_to_abi(name, value))
        .collect()
}

/// One element of such an array.
pub(crate) fn header_to_abi(name: &HeaderName, value: &HeaderValue) -> abi::Header {
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

/// Copies headers of the other side. The error says which part is invalid.
///
/// # Safety
///
/// Unless `headers` is NULL or `n` is 0, `headers` must point to `n` valid headers.
pub(crate) unsafe fn from_abi(
    headers: *const abi::Header,
    n: usize,
) -> Result<HeaderMap, &'static str> {
    // SAFETY: the caller promises that the headers are valid; an empty text always is.
    let (_, headers) = unsafe { from_abi_with_text(abi::Str::NULL, headers, n)? };
    Ok(headers)
}

/// Copies headers, and a text into the same allocation.
///
/// # Safety
///
/// The text must be valid. For `headers` and `n`, the same as for [`from_abi`].
pub(crate) unsafe fn from_abi_with_text(
    text: abi::Str,
    headers: *const abi::Header,
    n: usize,
) -> Result<(Bytes, HeaderMap), &'static str> {
    // SAFETY: the caller promises that both are valid during this call.
    let (text, headers) = unsafe { (text.as_bytes(), abi::slice(headers, n)) };
    // SAFETY: the caller promises that the headers are valid, which includes their texts.
    let headers = headers
        .iter()
        .map(|header| unsafe { BorrowedHeader::new(header) });
    with_cache(|cache| {
        let same = match cache.compare(headers.clone()) {
            TemplateMatch::All => return Ok((copy(text), cache.copy_template(headers.len())?)),
            TemplateMatch::Names(same) => Some(same),
            TemplateMatch::None => None,
        };
        let is_same = |n: usize| same.is_some_and(|same| same & (1 << n) != 0);
        let new_values = headers.clone().enumerate();
        let new_values = new_values.filter(|(n, _)| !is_same(*n));
        let new_values = new_values.map(|(_, header)| header.value);
        let mut block = Block::new(std::iter::once(text).chain(new_values));
        let text = block.split_to(text.len());
        if !are_valid_values(&block.0) {
            return Err("a header value with control characters");
        }
        let make_value = |header: &BorrowedHeader<'_>| {
            let value = block.split_to(header.value.len());
            // SAFETY: `are_valid_values` has checked all bytes of the block.
            let mut value = unsafe { HeaderValue::from_maybe_shared_unchecked(value) };
            value.set_sensitive(header.is_sensitive);
            value
        };
        let headers = match same {
            Some(same) => cache.build_from_template(same, headers, make_value)?,
            None => cache.build(headers, make_value)?,
        };
        Ok((text, headers))
    })
}

/// Copies one text.
fn copy(text: &[u8]) -> Bytes {
    match text {
        [] => Bytes::new(),
        b"/" => Bytes::from_static(b"/"),
        text => Bytes::copy_from_slice(text),
    }
}

/// A header of the other side, borrowed.
#[derive(Clone, Copy)]
struct BorrowedHeader<'a> {
    name: &'a [u8],
    value: &'a [u8],
    is_sensitive: bool,
}

impl BorrowedHeader<'_> {
    /// # Safety
    ///
    /// The texts of the header must be valid during `'a`.
    unsafe fn new(header: &abi::Header) -> Self {
        // SAFETY: the caller promises that the texts are valid during `'a`.
        unsafe {
            Self {
                name: header.name.as_bytes(),
                value: header.value.as_bytes(),
                is_sensitive: header.flags & abi::HEADER_SENSITIVE != 0,
            }
        }
    }
}

/// Whether a header value may have all these bytes (RFC 9110 §5.5). There is no branch in the loop,
/// so the compiler can check many bytes at once.
fn are_valid_values(bytes: &[u8]) -> bool {
    let is_invalid = |byte: u8| ((byte < b' ') & (byte != b'\t')) | (byte == 0x7f);
    !bytes
        .iter()
        .fold(false, |any, byte| any | is_invalid(*byte))
}
