//! What a thread keeps from one rebuilding of fields to the next.
//!
//! A client sends the same fields with each request, and an app's responses have the same ones: so
//! a [`Template`] of the last fields is compared and cloned, which costs a fraction of making names
//! and values. And the maps themselves are used again, see [`recycle`].

use std::cell::Cell;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{Block, Lent};

/// A map with more room is not kept.
const MOST_ROOM: usize = 48;
/// Room that a map has at least: a server adds fields to those of an app.
const LEAST_ROOM: usize = 6;
/// How many fields a template is cloned for whole; fewer are appended to a map that is there.
const CLONED: usize = 4;
/// A template has values of no more bytes than that, all together.
const MOST_VALUES: usize = 2048;
/// How often some value may be another one until the template is made anew: that costs what it saves
/// in a few requests, and a value such as a date is always another one.
const MOST_STALE: u8 = 64;
const NAMES: usize = 64;
/// Longer names are not kept.
const MOST_NAME: usize = 40;

const TOO_MANY: &str = "more header fields than fit";

thread_local! {
    static KEPT: Cell<Option<Box<Kept>>> = const { Cell::new(None) };
}

/// Within `call` nothing is kept anew.
pub(super) fn with_cache<R>(call: impl FnOnce(&mut Kept) -> R) -> R {
    // While the thread ends nothing is kept.
    let kept = KEPT.try_with(Cell::take);
    let mut kept = kept.ok().flatten().unwrap_or_default();
    let result = call(&mut kept);
    let _ = KEPT.try_with(|place| place.set(Some(kept)));
    result
}

/// Keeps the allocations of fields that are over, for the next ones that this thread rebuilds.
///
/// An app's response becomes the next request's fields, the server's request those of its response:
/// what each side loses to the other's copy comes back to it this way.
pub(crate) fn recycle(mut fields: HeaderMap) {
    if !(1..=MOST_ROOM).contains(&fields.capacity()) {
        return;
    }
    // Here, since dropping a value may run code of anybody's.
    fields.clear();
    with_cache(|kept| kept.map = Some(fields));
}

pub(super) struct Kept {
    /// Empty.
    map: Option<HeaderMap>,
    template: Template,
    /// Names that were met.
    names: [Option<HeaderName>; NAMES],
}

/// The last fields, without what is secret.
#[derive(Default)]
struct Template {
    fields: HeaderMap,
    /// What the fields that were built last looked like: only those that come again are worth a
    /// template.
    seen: usize,
    /// How often some value was another one.
    stale: u8,
}

/// What a template knows of fields.
pub(super) enum Known {
    /// It is of others.
    Nothing,
    /// It has the same names in the same order, and the values whose bits are set.
    Values(u64),
    /// It is of the very same.
    All,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            map: None,
            template: Template::default(),
            names: [const { None }; NAMES],
        }
    }
}

impl Kept {
    #[cfg(test)]
    pub(super) fn template(&self) -> &HeaderMap {
        &self.template.fields
    }

    /// Compares fields with the template.
    pub(super) fn known<'a>(&self, lent: impl ExactSizeIterator<Item = Lent<'a>>) -> Known {
        let kept = &self.template.fields;
        if lent.len() != kept.len() {
            return Known::Nothing;
        }
        let (mut values, mut all) = (0, true);
        for (n, (lent, (name, value))) in lent.zip(kept).enumerate() {
            if name.as_str().as_bytes() != lent.name {
                return Known::Nothing;
            }
            let is_same = value.as_bytes() == lent.value && !lent.is_sensitive;
            values |= u64::from(is_same) << n;
            all &= is_same;
        }
        if all {
            Known::All
        } else {
            Known::Values(values)
        }
    }

    /// The fields of the template, which are `n`.
    pub(super) fn again(&mut self, n: usize) -> Result<HeaderMap, &'static str> {
        if n >= CLONED {
            return Ok(self.template.fields.clone());
        }
        let mut fields = self.map(n)?;
        for (name, value) in &self.template.fields {
            fields
                .try_append(name, value.clone())
                .map_err(|_| TOO_MANY)?;
        }
        Ok(fields)
    }

    /// Fields that the template knows the names of; `make` makes the values that it does not.
    pub(super) fn build_again<'a>(
        &mut self,
        known: u64,
        lent: impl ExactSizeIterator<Item = Lent<'a>>,
        mut make: impl FnMut(&Lent<'a>) -> HeaderValue,
    ) -> Result<HeaderMap, &'static str> {
        let mut fields = self.again(lent.len())?;
        for (n, (lent, value)) in lent.zip(fields.values_mut()).enumerate() {
            if known & (1 << n) == 0 {
                *value = make(&lent);
            }
        }
        self.template.stale += 1;
        if self.template.stale == MOST_STALE {
            self.template.replace(&fields);
        }
        Ok(fields)
    }

    /// Fields of any names, with the values that `make` makes.
    pub(super) fn build<'a>(
        &mut self,
        lent: impl ExactSizeIterator<Item = Lent<'a>>,
        mut make: impl FnMut(&Lent<'a>) -> HeaderValue,
    ) -> Result<HeaderMap, &'static str> {
        let mut fields = self.map(lent.len())?;
        let mut seen = 0_usize;
        for lent in lent {
            let name = self.name(lent.name)?;
            let value = make(&lent);
            fields.try_append(name, value).map_err(|_| TOO_MANY)?;
            seen = seen.wrapping_mul(31) + lent.name.len();
        }
        if self.template.seen == seen && !fields.is_empty() {
            self.template.replace(&fields);
        }
        self.template.seen = seen;
        Ok(fields)
    }

    /// An empty map with room for `n` fields.
    fn map(&mut self, n: usize) -> Result<HeaderMap, &'static str> {
        if n == 0 {
            return Ok(HeaderMap::new());
        }
        match self.map.take() {
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
        if lent.len() > MOST_NAME {
            return make();
        }
        let middle = lent[lent.len() / 2];
        let place = lent.len() * 7 + usize::from(*first) * 5 + usize::from(*last) * 3;
        let kept = &mut self.names[(place + usize::from(middle)) % NAMES];
        match kept {
            Some(name) if name.as_str().as_bytes() == lent => Ok(name.clone()),
            _ => make().inspect(|name| *kept = Some(name.clone())),
        }
    }
}

impl Template {
    /// Is of these fields from now on.
    fn replace(&mut self, fields: &HeaderMap) {
        self.stale = 0;
        self.fields = HeaderMap::new();
        // As many as there are bits for.
        if fields.len() > u64::BITS as usize {
            return;
        }
        let values = fields
            .iter()
            .filter(|(name, value)| !is_secret(name, value));
        let values: Vec<_> = values.map(|(_, value)| value.as_bytes()).collect();
        if values.iter().map(|value| value.len()).sum::<usize>() > MOST_VALUES {
            return;
        }
        // Copies, or the template would hold what is beside them, too: secrets, perhaps.
        let mut block = Block::of(values.into_iter());
        self.fields = fields.clone();
        for ((name, value), kept) in fields.iter().zip(self.fields.values_mut()) {
            if is_secret(name, value) {
                *kept = HeaderValue::from_static("");
            } else if let Ok(value) = HeaderValue::from_maybe_shared(block.split_to(value.len())) {
                *kept = value;
            }
        }
    }
}

/// What must not stay in memory once its request is over.
fn is_secret(name: &HeaderName, value: &HeaderValue) -> bool {
    let secrets = [
        header::AUTHORIZATION,
        header::COOKIE,
        header::PROXY_AUTHORIZATION,
        header::SET_COOKIE,
    ];
    value.is_sensitive() || secrets.contains(name)
}
