//! The cookies that a client keeps, as a browser does (RFC 6265).

mod date;
mod parse;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use asgi::HttpScope;
use http::header::{HOST, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use self::parse::ParsedCookie;
use crate::wake::lock;

/// The cookies of a client. [`Client::keep_cookies`](crate::Client::keep_cookies) starts with an empty
/// jar.
///
/// A cookie with `Secure` needs the scheme `https`: [`Client::scheme`](crate::Client::scheme). The jar
/// obeys the attributes `Path`, `Domain`, `Secure`, `Max-Age` and `Expires`, and the prefixes
/// `__Host-` and `__Secure-`. It keeps `HttpOnly` and `SameSite`, but they change nothing, because no
/// script and no other site sends these requests. It knows no list of public suffixes: an app on
/// `shop.example.org` can set a cookie for `org`, which a browser refuses.
///
/// A clone refers to the same jar.
///
/// ```
/// # use asgi::*;
/// # async fn app(scope: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
/// #     let start = HttpResponseStart::ok().header("set-cookie", "id=7; Path=/; Max-Age=60");
/// #     Ok(send.respond(start, "").await?)
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), AppError> {
/// use std::time::Duration;
///
/// let client = asgi_testing::Client::new(app).keep_cookies();
/// client.get("/login").await?;
/// assert_eq!(client.cookies().value("id").as_deref(), Some("7"));
/// // The jar has a clock of its own: two minutes later, the cookie has expired.
/// client.cookies().advance(Duration::from_secs(120));
/// assert_eq!(client.cookies().value("id"), None);
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct CookieJar(Arc<Mutex<JarContent>>);

#[derive(Default)]
struct JarContent {
    /// In the order in which they were set.
    cookies: Vec<StoredCookie>,
    /// How far the test has moved the clock.
    ahead: Duration,
}

struct StoredCookie {
    name: String,
    value: String,
    domain: CookieDomain,
    path: String,
    secure: bool,
    expires: Option<SystemTime>,
    /// The attributes as the app wrote them.
    attributes: String,
}

enum CookieDomain {
    /// Only this host. (RFC 6265 §5.3, "host-only-flag")
    Host(String),
    /// This host and those below it.
    Suffix(String),
}

/// Where a request goes, as far as cookies need it.
#[derive(Debug, Clone)]
pub(crate) struct CookiePlace {
    host: String,
    path: String,
    secure: bool,
}

impl CookiePlace {
    pub(crate) fn of(scope: &HttpScope) -> Self {
        let path = format!("{}{}", scope.root_path, scope.raw_path());
        Self::new(&scope.headers, path, &scope.scheme)
    }

    pub(crate) fn new(headers: &HeaderMap, path: String, scheme: &str) -> Self {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        Self {
            host: without_port(host.unwrap_or("")).to_ascii_lowercase(),
            path,
            secure: matches!(scheme, "https" | "wss"),
        }
    }

    /// RFC 6265 §5.1.4: the path of a cookie that names none.
    fn default_path(&self) -> &str {
        match self.path.rfind('/') {
            Some(end) if end > 0 && self.path.starts_with('/') => &self.path[..end],
            _ => "/",
        }
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

impl CookieJar {
    /// Returns the value of a cookie, of any path and domain. `None` if there is none, or if it has
    /// expired.
    pub fn value(&self, name: &str) -> Option<String> {
        let mut jar = lock(&self.0);
        jar.remove_expired();
        let mut cookies = jar.cookies.iter();
        let found = cookies.find(|cookie| cookie.name == name);
        found.map(|cookie| cookie.value.clone())
    }

    /// Returns all cookies that have not expired: the name, the value, and the attributes as the app
    /// wrote them, such as `Path=/; HttpOnly`.
    pub fn all(&self) -> Vec<(String, String, String)> {
        let mut jar = lock(&self.0);
        jar.remove_expired();
        let cookies = jar.cookies.iter();
        cookies
            .map(|cookie| {
                let text = (&cookie.name, &cookie.value, &cookie.attributes);
                (text.0.clone(), text.1.clone(), text.2.clone())
            })
            .collect()
    }

    /// Adds a cookie, as if `http://localhost/` had sent this value of `set-cookie`.
    ///
    /// # Panics
    ///
    /// Panics if a browser would ignore it, for example because it has no name.
    #[track_caller]
    pub fn set(&self, set_cookie: &str) {
        let place = CookiePlace {
            host: String::from("localhost"),
            path: String::from("/"),
            secure: false,
        };
        assert!(
            self.store(set_cookie, &place),
            "a client ignores the cookie {set_cookie:?} from http://localhost/"
        );
    }

    /// Removes the cookies with this name, of any path and domain.
    pub fn remove(&self, name: &str) {
        lock(&self.0).cookies.retain(|cookie| cookie.name != name);
    }

    /// Removes all cookies.
    pub fn clear(&self) {
        lock(&self.0).cookies.clear();
    }

    /// Moves the clock of the jar forward. It begins as the clock of the system, and nothing else
    /// changes it: not even a paused clock of tokio.
    pub fn advance(&self, by: Duration) {
        lock(&self.0).ahead += by;
    }

    /// Keeps the cookies of a response.
    pub(crate) fn store_all(&self, headers: &HeaderMap, place: &CookiePlace) {
        for value in headers.get_all(SET_COOKIE) {
            if let Ok(text) = std::str::from_utf8(value.as_bytes()) {
                // RFC 6265 §5.2: a cookie that is not valid is ignored.
                let _ = self.store(text, place);
            }
        }
    }

    /// Keeps a cookie, unless the rules say that it is ignored. (RFC 6265 §5.3)
    fn store(&self, text: &str, place: &CookiePlace) -> bool {
        let mut jar = lock(&self.0);
        let Some(parsed) = ParsedCookie::parse(text, jar.now()) else {
            return false;
        };
        let Some(cookie) = stored(parsed, place) else {
            return false;
        };
        let same = jar.cookies.iter().position(|old| old.is_same(&cookie));
        match same {
            // "If the cookie store contains a cookie with the same name, domain, and path": the new
            // one takes its place, and its age.
            Some(at) => jar.cookies[at] = cookie,
            None => jar.cookies.push(cookie),
        }
        jar.remove_expired();
        true
    }

    /// Returns the `cookie` header of a request, if there are cookies for it. (RFC 6265 §5.4)
    pub(crate) fn header(&self, place: &CookiePlace) -> Option<String> {
        let mut jar = lock(&self.0);
        jar.remove_expired();
        let cookies = jar.cookies.iter().filter(|cookie| cookie.goes_to(place));
        let mut cookies: Vec<&StoredCookie> = cookies.collect();
        // "Cookies with longer paths are listed before cookies with shorter paths." The rest keeps
        // its order.
        cookies.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs = cookies.iter().map(|cookie| match &*cookie.name {
            "" => cookie.value.clone(),
            name => format!("{name}={}", cookie.value),
        });
        let pairs: Vec<String> = pairs.collect();
        let header = pairs.join("; ");
        let is_valid = HeaderValue::try_from(&*header).is_ok();
        (!pairs.is_empty() && is_valid).then_some(header)
    }
}

impl JarContent {
    fn now(&self) -> SystemTime {
        SystemTime::now() + self.ahead
    }

    fn remove_expired(&mut self) {
        let now = self.now();
        self.cookies
            .retain(|cookie| cookie.expires.is_none_or(|expires| expires > now));
    }
}

/// Decides whether a cookie of this place is kept, and for which places.
fn stored(parsed: ParsedCookie, place: &CookiePlace) -> Option<StoredCookie> {
    // RFC 6265bis §5.7: a cookie with `Secure` must come over a secure connection.
    if parsed.secure && !place.secure {
        return None;
    }
    let domain = match parsed.domain {
        Some(domain) if domain == place.host => match domain.parse::<IpAddr>() {
            Ok(_) => CookieDomain::Host(domain),
            Err(_) => CookieDomain::Suffix(domain),
        },
        Some(domain) if domain_matches(&place.host, &domain) => CookieDomain::Suffix(domain),
        Some(_) => return None,
        None => CookieDomain::Host(place.host.clone()),
    };
    let is_host_only =
        matches!(domain, CookieDomain::Host(_)) && parsed.path.as_deref() == Some("/");
    let name = parsed.name.to_ascii_lowercase();
    // RFC 6265bis §4.1.3
    let keeps_prefix = match () {
        () if name.starts_with("__host-") => parsed.secure && is_host_only,
        () if name.starts_with("__secure-") => parsed.secure,
        () => true,
    };
    let path = parsed
        .path
        .as_deref()
        .unwrap_or_else(|| place.default_path());
    keeps_prefix.then(|| StoredCookie {
        path: path.to_owned(),
        name: parsed.name,
        value: parsed.value,
        domain,
        secure: parsed.secure,
        expires: parsed.expires,
        attributes: parsed.attributes,
    })
}

impl StoredCookie {
    fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
            && self.path == other.path
            && self.domain.name() == other.domain.name()
    }

    fn goes_to(&self, place: &CookiePlace) -> bool {
        let domain_fits = match &self.domain {
            CookieDomain::Host(host) => place.host == *host,
            CookieDomain::Suffix(domain) => domain_matches(&place.host, domain),
        };
        domain_fits && path_matches(&place.path, &self.path) && (!self.secure || place.secure)
    }
}

impl CookieDomain {
    fn name(&self) -> &str {
        match self {
            Self::Host(name) | Self::Suffix(name) => name,
        }
    }
}

/// RFC 6265 §5.1.3
fn domain_matches(host: &str, domain: &str) -> bool {
    if host == domain {
        return true;
    }
    let above = host.strip_suffix(domain);
    above.is_some_and(|above| above.ends_with('.')) && host.parse::<IpAddr>().is_err()
}

/// RFC 6265 §5.1.4
fn path_matches(path: &str, cookie_path: &str) -> bool {
    match path.strip_prefix(cookie_path) {
        Some(rest) => rest.is_empty() || cookie_path.ends_with('/') || rest.starts_with('/'),
        None => false,
    }
}

impl fmt::Debug for CookieJar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jar = lock(&self.0);
        let cookies = jar.cookies.iter();
        f.debug_map()
            .entries(cookies.map(|cookie| (&cookie.name, &cookie.value)))
            .finish()
    }
}
