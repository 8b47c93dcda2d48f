//! Header fields: lent as an array, rebuilt as a [`HeaderMap`] on the other side.

use std::cell::Cell;
use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::abi;

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
    // SAFETY: the caller's promise; the texts of valid headers are valid.
    let (headers, text) = unsafe { (abi::slice(headers, n), text.as_bytes()) };
    // SAFETY: as above.
    let values = headers.iter().map(|header| unsafe { header.value.as_bytes() });
    let mut block = Block::of(std::iter::once(text).chain(values));
    let text = block.split_to(text.len());
    if !are_values(&block.0) {
        return Err("a header value with control characters");
    }
    let fields = with_kept(|kept| {
        let mut fields = kept.map(headers.len())?;
        for header in headers {
            // SAFETY: as above.
            let name = kept.name(unsafe { header.name.as_bytes() })?;
            let value = block.split_to(header.value.len);
            // SAFETY: all bytes are such as a value may have: that was looked at above.
            let mut value = unsafe { HeaderValue::from_maybe_shared_unchecked(value) };
            value.set_sensitive(header.flags & abi::HEADER_SENSITIVE != 0);
            fields.try_append(name, value).map_err(|_| TOO_MANY)?;
        }
        Ok(fields)
    })?;
    Ok((text, fields))
}

const TOO_MANY: &str = "more header fields than fit";

/// Whether all bytes are such as a field's value may have (RFC 9110 §5.5). Without a branch, so
/// that the compiler looks at many at once.
fn are_values(bytes: &[u8]) -> bool {
    let is_wrong = |byte: u8| ((byte < b' ') & (byte != b'\t')) | (byte == 0x7f);
    !bytes.iter().fold(false, |any, byte| any | is_wrong(*byte))
}

/// Texts one after the other in one allocation, whatever their number.
struct Block(Bytes);

impl Block {
    fn of<'a>(texts: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let len = texts.clone().map(<[u8]>::len).sum();
        Self(match len {
            0 => Bytes::new(),
            1..=128 => Bytes::from_owner(Inline::<128>::of(texts)),
            129..=512 => Bytes::from_owner(Inline::<512>::of(texts)),
            513..=2048 => Bytes::from_owner(Inline::<2048>::of(texts)),
            _ => {
                let mut bytes = BytesMut::with_capacity(len);
                texts.for_each(|text| bytes.extend_from_slice(text));
                bytes.freeze()
            }
        })
    }

    /// The next text of this length.
    fn split_to(&mut self, len: usize) -> Bytes {
        if len == self.0.len() {
            return std::mem::take(&mut self.0);
        }
        self.0.split_to(len)
    }
}

/// Bytes beside the count of those who share them. A vector that is shared costs an allocation
/// more.
struct Inline<const N: usize> {
    bytes: [MaybeUninit<u8>; N],
    len: usize,
}

impl<const N: usize> Inline<N> {
    /// Copies texts which have `N` bytes together at most.
    fn of<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut bytes = [const { MaybeUninit::uninit() }; N];
        let mut len = 0;
        for text in texts {
            // SAFETY: `MaybeUninit<u8>` is as `u8`, and takes what is initialised.
            let text: &[MaybeUninit<u8>] =
                unsafe { std::slice::from_raw_parts(text.as_ptr().cast(), text.len()) };
            bytes[len..len + text.len()].copy_from_slice(text);
            len += text.len();
        }
        Self { bytes, len }
    }
}

impl<const N: usize> AsRef<[u8]> for Inline<N> {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `of` has written the first `len` bytes.
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr().cast(), self.len) }
    }
}

/// Keeps the allocations of fields that are over, for the next ones that this thread rebuilds.
///
/// An app's response becomes the next request's fields, the server's request those of its response:
/// what each side loses to the other's copy comes back to it this way.
pub(crate) fn recycle(mut fields: HeaderMap) {
    if !(1..=KEPT_ROOM).contains(&fields.capacity()) {
        return;
    }
    // Here, since dropping a value may run code of anybody's.
    fields.clear();
    with_kept(|kept| kept.map = Some(fields));
}

/// What a thread keeps from one rebuilding to the next.
struct Kept {
    /// Empty.
    map: Option<HeaderMap>,
    /// Names that were met: the same few come with every request.
    names: [Option<HeaderName>; KEPT_NAMES],
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            map: None,
            names: [const { None }; KEPT_NAMES],
        }
    }
}

/// A map with more room is freed.
const KEPT_ROOM: usize = 48;
/// Room that a map has at least: a server adds fields to those of an app.
const LEAST_ROOM: usize = 6;
const KEPT_NAMES: usize = 64;
/// Longer ones are not kept.
const KEPT_NAME_LEN: usize = 40;

thread_local! {
    static KEPT: Cell<Option<Box<Kept>>> = const { Cell::new(None) };
}

/// Within `call` nothing is kept anew.
fn with_kept<R>(call: impl FnOnce(&mut Kept) -> R) -> R {
    // While the thread ends nothing is kept.
    let kept = KEPT.try_with(Cell::take);
    let mut kept = kept.ok().flatten().unwrap_or_default();
    let result = call(&mut kept);
    let _ = KEPT.try_with(|place| place.set(Some(kept)));
    result
}

impl Kept {
    /// An empty map with room for `n` fields.
    fn map(&mut self, n: usize) -> Result<HeaderMap, &'static str> {
        match self.map.take() {
            _ if n == 0 => Ok(HeaderMap::new()),
            Some(map) if map.capacity() >= n => Ok(map),
            _ => HeaderMap::try_with_capacity(n.max(LEAST_ROOM)).map_err(|_| TOO_MANY),
        }
    }

    /// A name that the other side lent.
    fn name(&mut self, lent: &[u8]) -> Result<HeaderName, &'static str> {
        let make = || HeaderName::from_bytes(lent).map_err(|_| "a header name that is no token");
        let [first, .., last] = lent else {
            return make();
        };
        if lent.len() > KEPT_NAME_LEN {
            return make();
        }
        let middle = lent[lent.len() / 2];
        let place = lent.len() * 7 + usize::from(*first) * 5 + usize::from(*last) * 3;
        let kept = &mut self.names[(place + usize::from(middle)) % KEPT_NAMES];
        match kept {
            Some(name) if name.as_str().as_bytes() == lent => Ok(name.clone()),
            _ => make().inspect(|name| *kept = Some(name.clone())),
        }
    }
}
