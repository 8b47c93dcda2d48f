//! Header fields: lent as an array, rebuilt as a [`HeaderMap`] on the other side.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::abi;

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
    for header in headers {
        // SAFETY: the caller's promise: the texts of valid headers are valid.
        let (name, value) = unsafe { (header.name.as_bytes(), header.value.as_bytes()) };
        let name = HeaderName::from_bytes(name).map_err(|_| "a header name that is no token")?;
        let mut value =
            HeaderValue::from_bytes(value).map_err(|_| "a header value with control characters")?;
        value.set_sensitive(header.flags & abi::HEADER_SENSITIVE != 0);
        fields
            .try_append(name, value)
            .map_err(|_| "more header fields than fit")?;
    }
    Ok(fields)
}
