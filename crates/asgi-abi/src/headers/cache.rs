//! The header cache of a thread: it makes it cheaper to build a header map of borrowed headers.
//!
//! A client sends the same headers with each request, and the responses of an app have the same
//! headers. So the cache keeps a [`Template`] of the last ones. To compare borrowed headers with it
//! and to clone it costs a fraction of making new names and values. The cache also reuses the
//! allocations of header maps; see [`recycle`].

use std::cell::Cell;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{Block, BorrowedHeader};

/// The cache does not keep a map with a larger capacity.
const MAX_CAPACITY: usize = 48;
/// The smallest capacity of a new map: a server adds headers to those of an app.
const MIN_CAPACITY: usize = 6;
/// With this many headers or more, the template's map is cloned. With fewer, its headers are
/// appended to a recycled map.
const MIN_CLONED: usize = 4;
/// The most bytes that all values of a template may have together.
const MAX_VALUE_BYTES: usize = 2048;
/// After this many headers with a new value, the template is replaced. To replace it costs as much
/// as it saves in a few requests, and some values, such as a date, are always new.
const MAX_MISSES: u8 = 64;
const NAMES: usize = 64;
/// The cache does not keep longer names.
const MAX_NAME_LEN: usize = 40;

const TOO_MANY: &str = "too many headers";

thread_local! {
    static CACHE: Cell<Option<Box<HeaderCache>>> = const { Cell::new(None) };
}

/// Calls `f` with this thread's cache. A nested call gets a new cache, which is not kept.
pub(super) fn with_cache<R>(f: impl FnOnce(&mut HeaderCache) -> R) -> R {
    // `try_with` fails while the thread ends; then the cache is only for this call.
    let cache = CACHE.try_with(Cell::take);
    let mut cache = cache.ok().flatten().unwrap_or_default();
    let result = f(&mut cache);
    let _ = CACHE.try_with(|place| place.set(Some(cache)));
    result
}

/// Keeps the allocation of a header map that is no longer needed, for the next map that this
/// thread builds.
///
/// The headers of an app's response become those of the next request, and on the server's side the
/// headers of a request become those of its response. So each side gets back the memory that it
/// spends on the copies.
pub(crate) fn recycle(mut headers: HeaderMap) {
    if !(1..=MAX_CAPACITY).contains(&headers.capacity()) {
        return;
    }
    // Cleared before the cache is taken: to drop a value may run any code.
    headers.clear();
    with_cache(|cache| cache.recycled = Some(headers));
}

pub(super) struct HeaderCache {
    /// An empty map.
    recycled: Option<HeaderMap>,
    template: Template,
    /// Names that were used before.
    names: [Option<HeaderName>; NAMES],
}

/// The last headers, without secrets.
#[derive(Default)]
struct Template {
    headers: HeaderMap,
    /// A hash of the name lengths of the headers that were built last. Headers become the template
    /// if this is the same two times in a row.
    last_names: usize,
    /// How many times a value was not that of the template.
    misses: u8,
}

/// How borrowed headers compare with the template.
pub(super) enum TemplateMatch {
    /// The names differ.
    None,
    /// The names are the same, in the same order, and so are the values whose bits are set.
    Names(u64),
    /// All names and values are the same.
    All,
}

impl Default for HeaderCache {
    fn default() -> Self {
        Self {
            recycled: None,
            template: Template::default(),
            names: [const { None }; NAMES],
        }
    }
}

impl HeaderCache {
    #[cfg(test)]
    pub(super) fn template(&self) -> &HeaderMap {
        &self.template.headers
    }

    /// Compares borrowed headers with the template.
    pub(super) fn compare<'a>(
        &self,
        borrowed: impl ExactSizeIterator<Item = BorrowedHeader<'a>>,
    ) -> TemplateMatch {
        let template = &self.template.headers;
        if borrowed.len() != template.len() {
            return TemplateMatch::None;
        }
        let (mut same, mut all) = (0, true);
        for (n, (header, (name, value))) in borrowed.zip(template).enumerate() {
            if name.as_str().as_bytes() != header.name {
                return TemplateMatch::None;
            }
            let is_same = value.as_bytes() == header.value && !header.is_sensitive;
            same |= u64::from(is_same) << n;
            all &= is_same;
        }
        if all {
            TemplateMatch::All
        } else {
            TemplateMatch::Names(same)
        }
    }

    /// A copy of the template, which has `n` headers.
    pub(super) fn copy_template(&mut self, n: usize) -> Result<HeaderMap, &'static str> {
        if n >= MIN_CLONED {
            return Ok(self.template.headers.clone());
        }
        let mut headers = self.empty_map(n)?;
        for (name, value) in &self.template.headers {
            headers
                .try_append(name, value.clone())
                .map_err(|_| TOO_MANY)?;
        }
        Ok(headers)
    }

    /// Builds a map of headers that have the names of the template. `make_value` makes the values
    /// whose bits in `same` are not set.
    pub(super) fn build_from_template<'a>(
        &mut self,
        same: u64,
        borrowed: impl ExactSizeIterator<Item = BorrowedHeader<'a>>,
        mut make_value: impl FnMut(&BorrowedHeader<'a>) -> HeaderValue,
    ) -> Result<HeaderMap, &'static str> {
        let mut headers = self.copy_template(borrowed.len())?;
        for (n, (header, value)) in borrowed.zip(headers.values_mut()).enumerate() {
            if same & (1 << n) == 0 {
                *value = make_value(&header);
            }
        }
        self.template.misses += 1;
        if self.template.misses == MAX_MISSES {
            self.template.replace(&headers);
        }
        Ok(headers)
    }

    /// Builds a map of headers with any names. `make_value` makes all values.
    pub(super) fn build<'a>(
        &mut self,
        borrowed: impl ExactSizeIterator<Item = BorrowedHeader<'a>>,
        mut make_value: impl FnMut(&BorrowedHeader<'a>) -> HeaderValue,
    ) -> Result<HeaderMap, &'static str> {
        let mut headers = self.empty_map(borrowed.len())?;
        let mut names = 0_usize;
        for header in borrowed {
            let name = self.name(header.name)?;
            let value = make_value(&header);
            headers.try_append(name, value).map_err(|_| TOO_MANY)?;
            names = names.wrapping_mul(31) + header.name.len();
        }
        if self.template.last_names == names && !headers.is_empty() {
            self.template.replace(&headers);
        }
        self.template.last_names = names;
        Ok(headers)
    }

    /// An empty map with room for `n` headers.
    fn empty_map(&mut self, n: usize) -> Result<HeaderMap, &'static str> {
        if n == 0 {
            return Ok(HeaderMap::new());
        }
        match self.recycled.take() {
            Some(map) if map.capacity() >= n => Ok(map),
            _ => HeaderMap::try_with_capacity(n.max(MIN_CAPACITY)).map_err(|_| TOO_MANY),
        }
    }

    /// The name with these bytes, from the cache if possible.
    fn name(&mut self, bytes: &[u8]) -> Result<HeaderName, &'static str> {
        let make = || HeaderName::from_bytes(bytes).map_err(|_| "an invalid header name");
        let [first, .., last] = bytes else {
            return make();
        };
        if bytes.len() > MAX_NAME_LEN {
            return make();
        }
        let middle = bytes[bytes.len() / 2];
        let place = bytes.len() * 7 + usize::from(*first) * 5 + usize::from(*last) * 3;
        let cached = &mut self.names[(place + usize::from(middle)) % NAMES];
        match cached {
            Some(name) if name.as_str().as_bytes() == bytes => Ok(name.clone()),
            _ => make().inspect(|name| *cached = Some(name.clone())),
        }
    }
}

impl Template {
    /// Makes these headers the template.
    fn replace(&mut self, headers: &HeaderMap) {
        self.misses = 0;
        self.headers = HeaderMap::new();
        // `TemplateMatch::Names` has one bit for each header.
        if headers.len() > u64::BITS as usize {
            return;
        }
        let values = headers
            .iter()
            .filter(|(name, value)| !is_secret(name, value));
        let values: Vec<_> = values.map(|(_, value)| value.as_bytes()).collect();
        if values.iter().map(|value| value.len()).sum::<usize>() > MAX_VALUE_BYTES {
            return;
        }
        // Copies: the original values share an allocation with the other headers, perhaps with
        // secrets.
        let mut block = Block::new(values.into_iter());
        self.headers = headers.clone();
        for ((name, value), copy) in headers.iter().zip(self.headers.values_mut()) {
            if is_secret(name, value) {
                *copy = HeaderValue::from_static("");
            } else if let Ok(value) = HeaderValue::from_maybe_shared(block.split_to(value.len())) {
                *copy = value;
            }
        }
    }
}

/// Whether the value must not stay in memory after its request.
fn is_secret(name: &HeaderName, value: &HeaderValue) -> bool {
    let secrets = [
        header::AUTHORIZATION,
        header::COOKIE,
        header::PROXY_AUTHORIZATION,
        header::SET_COOKIE,
    ];
    value.is_sensitive() || secrets.contains(name)
}
