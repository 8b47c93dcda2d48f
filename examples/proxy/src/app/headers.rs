//! The fields that a proxy removes, adds and replaces.

use asgi::Address;
use http::Version;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::Proxy;

/// RFC 9110 §7.6.1. `te` is for one connection too: the proxy sends its own.
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What the upstream may not believe if a client says it.
const CLAIMS: [HeaderName; 5] = [
    header::FORWARDED,
    HeaderName::from_static("x-real-ip"),
    FORWARDED_FOR,
    FORWARDED_HOST,
    FORWARDED_PROTO,
];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Where a request comes from.
pub(super) struct Origin<'a> {
    pub(super) version: Version,
    pub(super) scheme: &'a str,
    pub(super) client: Option<&'a Address>,
}

/// Removes the fields that are for one connection only, and those that `connection` lists.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let lists = headers.get_all(header::CONNECTION).iter();
    let options: Vec<HeaderName> = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|option| option.trim().parse().ok())
        .collect();
    for name in options.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Makes the fields for the upstream from those of the client.
pub(super) fn for_upstream(proxy: &Proxy, headers: &mut HeaderMap, origin: &Origin<'_>) {
    let host = headers.get(header::HOST).cloned();
    remove_hop_by_hop(headers);
    for name in &CLAIMS {
        headers.remove(name);
    }
    if let Some(Address::Ip(address)) = origin.client {
        let client = address.ip().to_canonical().to_string();
        headers.extend(client.try_into().map(|client| (FORWARDED_FOR, client)));
    }
    let scheme = match origin.scheme {
        "https" | "wss" => "https",
        _ => "http",
    };
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme));
    let kept = host.clone().filter(|_| proxy.keeps_host);
    headers.insert(header::HOST, kept.unwrap_or_else(|| proxy.host.clone()));
    headers.extend(host.map(|host| (FORWARDED_HOST, host)));
    // RFC 9110 §7.6.3: a gateway "MUST send an appropriate Via header field in each inbound request".
    let via = match origin.version {
        Version::HTTP_10 => "1.0 proxy",
        Version::HTTP_11 => "1.1 proxy",
        _ => "2 proxy",
    };
    headers.append(header::VIA, HeaderValue::from_static(via));
}
