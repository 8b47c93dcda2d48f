//! Cookies that a client keeps.

use std::time::Duration;

use asgi::{
    AppError, HttpResponseStart, Message, ReceiveEvent, Receiver, Scope, Sender, WebSocketAccept,
};
use asgi_testing::Client;

/// Sets the cookies of the header `x-set`, and answers with those that it received.
async fn app(scope: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    let headers = scope.headers().unwrap().clone();
    let cookies = headers
        .get("cookie")
        .map_or("", |value| value.to_str().unwrap());
    let sets = headers.get_all("x-set");
    match &scope {
        Scope::WebSocket(_) => {
            receive.receive().await;
            let accept = WebSocketAccept::new();
            let accept = sets
                .iter()
                .fold(accept, |accept, set| accept.header("set-cookie", set));
            send.send(accept).await?;
            send.send(Message::text(cookies.to_owned())).await?;
            while !matches!(
                receive.receive().await,
                ReceiveEvent::WebSocketDisconnect(_)
            ) {}
            Ok(())
        }
        _ => {
            let start = HttpResponseStart::ok();
            let start = sets
                .iter()
                .fold(start, |start, set| start.header("set-cookie", set));
            Ok(send.respond(start, cookies.to_owned()).await?)
        }
    }
}

fn client() -> Client {
    Client::new(app).keep_cookies()
}

async fn set(client: &Client, target: &str, cookie: &str) {
    let request = client.get(target).header("x-set", cookie);
    request.await.unwrap();
}

/// The `cookie` header of a request.
async fn sent(client: &Client, target: &str) -> String {
    client.get(target).await.unwrap().text().into_owned()
}

#[tokio::test]
async fn a_client_keeps_cookies_only_if_it_is_told_to() {
    let client = Client::new(app);
    set(&client, "/", "a=1").await;
    assert_eq!(sent(&client, "/").await, "");
}

#[tokio::test]
async fn later_requests_have_the_cookies_that_the_app_has_set() {
    let client = client();
    set(&client, "/", "a=1").await;
    let both = client
        .get("/")
        .header("x-set", "b=2; HttpOnly")
        .header("x-set", "c=3");
    assert_eq!(both.await.unwrap().text(), "a=1");
    assert_eq!(sent(&client.clone(), "/").await, "a=1; b=2; c=3");
    set(&client, "/", "a=4").await;
    assert_eq!(sent(&client, "/").await, "a=4; b=2; c=3");
    assert_eq!(client.cookies().value("b").as_deref(), Some("2"));
    let all = client.cookies().all();
    assert_eq!(all[1], ("b".into(), "2".into(), "HttpOnly".into()));
    client.cookies().remove("b");
    assert_eq!(sent(&client, "/").await, "a=4; c=3");
    client.cookies().clear();
    assert_eq!(sent(&client, "/").await, "");
}

/// RFC 6265 §5.1.4
#[tokio::test]
async fn the_path_decides_which_requests_get_a_cookie() {
    for (set_at, cookie, yes, no) in [
        ("/a/b", "x=1", "/a/c", "/"),
        ("/a/b", "x=1", "/a", "/ab"),
        ("/a", "x=1", "/", ""),
        ("/", "x=1; Path=/a", "/a/b?q", "/ab"),
        ("/", "x=1; path=/a/", "/a/b", "/a"),
        ("/a/b", "x=1; Path=b", "/a/", "/b"),
        ("/a/b", "x=1; Path=/", "/", ""),
    ] {
        let client = client();
        set(&client, set_at, cookie).await;
        assert_eq!(sent(&client, yes).await, "x=1", "{set_at} {cookie} {yes}");
        if !no.is_empty() {
            assert_eq!(sent(&client, no).await, "", "{set_at} {cookie} {no}");
        }
    }
}

#[tokio::test]
async fn the_path_of_a_mounted_app_has_its_root_path() {
    let client = client().mounted_at("/api");
    set(&client, "/a", "x=1").await;
    assert!(client.cookies().all().len() == 1);
    assert_eq!(sent(&client, "/b").await, "x=1");
    set(&client, "/", "y=1; Path=/b").await;
    assert_eq!(sent(&client, "/b").await, "x=1");
}

#[tokio::test]
async fn longer_paths_come_first() {
    let client = client();
    set(&client, "/", "a=1; Path=/").await;
    set(&client, "/", "a=2; Path=/x").await;
    assert_eq!(sent(&client, "/x").await, "a=2; a=1");
}

/// RFC 6265 §5.1.3, §5.3
#[tokio::test]
async fn the_domain_decides_which_hosts_get_a_cookie() {
    for (host, cookie, yes, no) in [
        ("a.example", "x=1", "a.example:8080", "b.a.example"),
        (
            "A.example:80",
            "x=1; Domain=A.Example",
            "b.a.example",
            "example",
        ),
        (
            "b.a.example",
            "x=1; Domain=.a.example",
            "a.example",
            "ba.example",
        ),
        (
            "127.0.0.1",
            "x=1; Domain=127.0.0.1",
            "127.0.0.1",
            "7.127.0.0.1",
        ),
        ("[::1]:80", "x=1", "[::1]", "localhost"),
    ] {
        let client = client();
        let request = client.get("/").header("host", host).header("x-set", cookie);
        request.await.unwrap();
        let get = async |host: &str| client.get("/").header("host", host).await.unwrap();
        get(yes).await.assert_text("x=1");
        get(no).await.assert_text("");
    }
    for (host, cookie) in [
        ("a.example", "x=1; Domain=b.example"),
        ("a.example", "x=1; Domain=b.a.example"),
        ("1.2.3.4", "x=1; Domain=3.4"),
    ] {
        let client = client();
        let request = client.get("/").header("host", host).header("x-set", cookie);
        request.await.unwrap();
        assert!(client.cookies().all().is_empty(), "{cookie}");
    }
}

#[tokio::test]
async fn a_secure_cookie_needs_https() {
    let client = client();
    set(&client, "/", "x=1; Secure").await;
    assert!(client.cookies().all().is_empty());
    let request = client
        .get("/")
        .scheme("https")
        .header("x-set", "x=1; Secure");
    request.await.unwrap();
    assert_eq!(sent(&client, "/").await, "");
    client
        .get("/")
        .scheme("https")
        .await
        .unwrap()
        .assert_text("x=1");
}

#[tokio::test]
async fn prefixes_of_names_are_promises() {
    for (cookie, kept) in [
        ("__Host-a=1; Secure; Path=/", true),
        ("__Host-a=1; Secure", false),
        ("__Host-a=1; Path=/", false),
        ("__Host-a=1; Secure; Path=/; Domain=localhost", false),
        ("__Secure-a=1; Secure", true),
        ("__secure-a=1", false),
    ] {
        let client = client().scheme("https");
        set(&client, "/x/y", cookie).await;
        assert_eq!(client.cookies().all().len(), usize::from(kept), "{cookie}");
    }
}

#[tokio::test]
async fn a_cookie_expires_by_the_clock_of_the_jar() {
    let minute = Duration::from_secs(60);
    let client = client();
    set(&client, "/", "session=1").await;
    set(
        &client,
        "/",
        "short=1; Max-Age=90; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    )
    .await;
    set(
        &client,
        "/",
        "long=1; Expires=Fri, 31 Dec 9999 23:59:59 GMT",
    )
    .await;
    client.cookies().advance(minute);
    assert_eq!(sent(&client, "/").await, "session=1; short=1; long=1");
    client.cookies().advance(minute);
    assert_eq!(sent(&client, "/").await, "session=1; long=1");
}

#[tokio::test]
async fn an_app_deletes_a_cookie_with_a_time_that_is_past() {
    for past in [
        "Max-Age=0",
        "Max-Age=-1",
        "Expires=Thu, 01-Jan-1970 00:00:00 GMT",
    ] {
        let client = client();
        set(&client, "/", "a=1").await;
        set(&client, "/", "b=2").await;
        set(&client, "/", &format!("a=; {past}")).await;
        assert_eq!(sent(&client, "/").await, "b=2", "{past}");
    }
}

#[tokio::test]
async fn a_cookie_that_makes_no_sense_is_ignored() {
    for cookie in ["", "=", ";", " ; Path=/"] {
        let client = client();
        set(&client, "/", cookie).await;
        assert!(client.cookies().all().is_empty(), "{cookie:?}");
    }
    let client = client();
    // An attribute that makes no sense is ignored, and its cookie is kept.
    set(
        &client,
        "/",
        "a = \"1\" ; Max-Age=x; Expires=never; Domain=; Foo",
    )
    .await;
    assert_eq!(sent(&client, "/").await, "a=\"1\"");
}

#[tokio::test]
async fn a_test_can_set_a_cookie_itself() {
    let client = client();
    client.cookies().set("a=1; Max-Age=60");
    assert_eq!(sent(&client, "/").await, "a=1");
    let request = client.get("/").cookie("b", "2");
    request.await.unwrap().assert_text("b=2; a=1");
    assert_eq!(sent(&client, "/").await, "a=1");
}

#[tokio::test]
#[should_panic(expected = "this client keeps no cookies")]
async fn a_client_without_a_jar_has_no_cookies() {
    Client::new(app).cookies();
}

#[tokio::test]
async fn a_redirect_sets_cookies_for_the_next_request() {
    async fn login(scope: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        let cookie = scope.headers().unwrap().get("cookie").cloned();
        let start = match &*scope.path().unwrap() {
            "/login" => HttpResponseStart::new(http::StatusCode::SEE_OTHER)
                .header("location", "/")
                .header("set-cookie", "id=7"),
            _ => HttpResponseStart::ok(),
        };
        let body = cookie.map_or(String::new(), |value| value.to_str().unwrap().to_owned());
        Ok(send.respond(start, body).await?)
    }
    let client = Client::new(login).keep_cookies().follow_redirects(1);
    client.post("/login").await.unwrap().assert_text("id=7");
}

#[tokio::test]
async fn a_streamed_response_and_a_websocket_set_and_get_cookies_too() {
    let client = client();
    let mut exchange = client.get("/").header("x-set", "a=1").start();
    exchange.head().await;
    assert_eq!(client.cookies().value("a").as_deref(), Some("1"));
    let handshake = client.websocket("/").header("x-set", "b=2");
    let mut socket = handshake.connect().await.unwrap();
    assert_eq!(socket.receive().await, Ok(Message::text("a=1")));
    socket.close(1000, "").await.unwrap();
    assert_eq!(sent(&client, "/").await, "a=1; b=2");
}
