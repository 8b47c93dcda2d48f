//! Header fields: lent as an array, rebuilt as a [`HeaderMap`] on the other side.

use std::cell::RefCell;
use std::mem::MaybeUninit;

use bytes::BytesMut;
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
    let headers = unsafe { abi::slice(headers, n) };
    let mut fields =
        HeaderMap::try_with_capacity(headers.len()).map_err(|_| "more header fields than fit")?;
    // All values are slices of one buffer: one allocation, not one for each.
    let mut values = BytesMut::with_capacity(headers.iter().map(|header| header.value.len).sum());
    for header in headers {
        // SAFETY: the caller's promise: the texts of valid headers are valid.
        values.extend_from_slice(unsafe { header.value.as_bytes() });
    }
    // All at once, which takes a fraction of the time of one by one: RFC 9110 §5.5.
    let is_value = |byte: u8| (byte >= b' ' && byte != 0x7f) || byte == b'\t';
    if !values.iter().fold(true, |all, byte| all & is_value(*byte)) {
        return Err("a header value with control characters");
    }
    let mut values = values.freeze();
    for header in headers {
        // SAFETY: as above.
        let name = name(unsafe { header.name.as_bytes() })?;
        let value = if values.len() == header.value.len {
            std::mem::take(&mut values)
        } else {
            values.split_to(header.value.len)
        };
        // SAFETY: all bytes are such as a value may have: that was looked at above.
        let mut value = unsafe { HeaderValue::from_maybe_shared_unchecked(value) };
        value.set_sensitive(header.flags & abi::HEADER_SENSITIVE != 0);
        fields
            .try_append(name, value)
            .map_err(|_| "more header fields than fit")?;
    }
    Ok(fields)
}

thread_local! {
    /// Names that this thread has met: the same few come with every request.
    static MET: RefCell<[Option<HeaderName>; MET_NAMES]> =
        const { RefCell::new([const { None }; MET_NAMES]) };
}

const MET_NAMES: usize = 64;
/// Longer ones are not kept.
const MET_LEN: usize = 40;

/// A name that the other side lent.
fn name(lent: &[u8]) -> Result<HeaderName, &'static str> {
    let make = || HeaderName::from_bytes(lent).map_err(|_| "a header name that is no token");
    let [first, .., last] = lent else {
        return make();
    };
    if lent.len() > MET_LEN {
        return make();
    }
    let middle = lent[lent.len() / 2];
    let place = lent.len() * 7 + usize::from(*first) * 5 + usize::from(*last) * 3;
    let place = (place + usize::from(middle)) % MET_NAMES;
    // While the thread ends there is no table.
    let met = MET.try_with(|met| {
        let met = &mut met.borrow_mut()[place];
        match met {
            Some(name) if name.as_str().as_bytes() == lent => Ok(name.clone()),
            _ => make().inspect(|name| *met = Some(name.clone())),
        }
    });
    met.unwrap_or_else(|_| make())
}
