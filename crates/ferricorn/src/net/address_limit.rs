//! How many connections one address may have.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use asgi::Address;

/// Counts the connections of each address.
#[derive(Debug)]
pub(crate) struct AddressLimit {
    most: u64,
    counts: Mutex<HashMap<IpAddr, u64>>,
}

/// The place of one connection. Dropping it frees the place.
#[derive(Debug)]
pub(crate) struct AddressPlace(Option<(Arc<AddressLimit>, IpAddr)>);

impl AddressLimit {
    pub(crate) fn new(most: u64) -> Arc<Self> {
        let counts = Mutex::default();
        Arc::new(Self { most, counts })
    }

    /// Takes a place; `None` if the address has no more. A Unix socket has no address and no limit.
    pub(crate) fn take(self: &Arc<Self>, client: Option<&Address>) -> Option<AddressPlace> {
        let Some(address) = client.and_then(Address::as_ip) else {
            return Some(AddressPlace(None));
        };
        let network = network(address.ip());
        let mut counts = self.lock();
        let count = counts.entry(network).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(AddressPlace(Some((Arc::clone(self), network))))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What counts as one address: of IPv6 the first 64 bits, because one customer usually has as many
/// addresses as fit into the rest.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(network.into())
        }
        address => address,
    }
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let Some((limit, address)) = self.0.take() else {
            return;
        };
        let mut counts = limit.lock();
        if let Entry::Occupied(mut entry) = counts.entry(address) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use asgi::Address;

    use super::AddressLimit;

    fn address(text: &str) -> Option<Address> {
        Some(Address::Ip(text.parse().unwrap()))
    }

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let limit = AddressLimit::new(2);
        let (one, two) = (address("10.0.0.1:1"), address("10.0.0.2:1"));
        let first = limit.take(one.as_ref());
        let second = limit.take(one.as_ref());
        assert!(first.is_some() && second.is_some());
        assert!(limit.take(one.as_ref()).is_none());
        assert!(limit.take(two.as_ref()).is_some());
        drop(first);
        assert!(limit.take(one.as_ref()).is_some());
        drop(second);
        assert!(
            limit.lock().is_empty(),
            "an address without a connection is forgotten"
        );
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_a_mapped_address_is_that_of_ipv4() {
        let limit = AddressLimit::new(1);
        let _places = ["[2001:db8::1]:1", "[2001:db8:0:1::1]:1", "10.0.0.1:1"]
            .map(|text| limit.take(address(text).as_ref()).unwrap());
        for text in ["[2001:db8::2]:1", "[::ffff:10.0.0.1]:1"] {
            assert!(limit.take(address(text).as_ref()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_unix_socket_has_no_limit() {
        let limit = AddressLimit::new(1);
        let places = [
            None,
            None,
            Some(Address::Unix(None)),
            Some(Address::Unix(None)),
        ];
        let taken = places.map(|client| limit.take(client.as_ref()));
        assert!(taken.iter().all(Option::is_some));
    }
}
