//! Redirects.

use ::http::{Method, StatusCode};
use asgi::{AppError, HttpResponseStart, Receiver, Scope, Sender};
use asgi_testing::{Client, Response};

/// `/to/STATUS/TARGET` redirects to `/TARGET`. Every other path answers with what it received.
async fn app(scope: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    let Scope::Http(http) = scope else {
        return Err(AppError::unsupported(&scope));
    };
    let body = receive.body(1_000).await?;
    let path = http.raw_path().to_owned();
    if let Some((status, target)) = path.strip_prefix("/to/").and_then(|to| to.split_once('/')) {
        let status = StatusCode::from_bytes(status.as_bytes())?;
        let target = match target {
            "elsewhere" => "https://other.example/end".to_owned(),
            "mail" => "mailto:a@b".to_owned(),
            "outside" => "/x".to_owned(),
            "inside" => format!("{}/end?q#part", http.root_path),
            "loop" => http.path().into_owned(),
            target => format!("/{target}"),
        };
        let start = HttpResponseStart::new(status).header("location", target);
        return Ok(send.respond(start, "moved").await?);
    }
    let header = |name: &str| http.headers.get(name).map(|value| value.to_str().unwrap());
    let text = format!(
        "{} {}://{}{} {:?} {:?} {:?} {:?}",
        http.method,
        http.scheme,
        header("host").unwrap(),
        http.target,
        header("content-type"),
        header("content-length"),
        header("authorization"),
        body,
    );
    Ok(send.respond(HttpResponseStart::ok(), text).await?)
}

async fn sent(method: Method, target: &str) -> Response {
    let request = Client::new(app).request(method, target).bearer("t");
    let request = request.form([("a", "b")]).follow_redirects(5);
    request.await.unwrap()
}

const KEPT: &str = r#"Some("application/x-www-form-urlencoded") Some("3") Some("Bearer t") b"a=b""#;
const GONE: &str = r#"None None Some("Bearer t") b"""#;

#[tokio::test]
async fn the_test_gets_a_redirect_unless_it_asks_for_more() {
    let response = Client::new(app).get("/to/302/end").await.unwrap();
    response
        .assert_status(302)
        .assert_header("location", "/end");
    assert!(response.redirects().is_empty());
}

/// RFC 9110 §15.4
#[tokio::test]
async fn the_status_decides_about_the_method_and_the_body() {
    for (method, status, expected) in [
        (
            Method::POST,
            301,
            format!("GET http://localhost/end {GONE}"),
        ),
        (
            Method::POST,
            302,
            format!("GET http://localhost/end {GONE}"),
        ),
        (
            Method::POST,
            303,
            format!("GET http://localhost/end {GONE}"),
        ),
        (
            Method::POST,
            307,
            format!("POST http://localhost/end {KEPT}"),
        ),
        (
            Method::POST,
            308,
            format!("POST http://localhost/end {KEPT}"),
        ),
        (Method::PUT, 301, format!("PUT http://localhost/end {KEPT}")),
        (Method::PUT, 302, format!("PUT http://localhost/end {KEPT}")),
        (Method::PUT, 303, format!("GET http://localhost/end {GONE}")),
        (Method::GET, 302, format!("GET http://localhost/end {KEPT}")),
    ] {
        let response = sent(method.clone(), &format!("/to/{status}/end")).await;
        assert_eq!(response.text(), expected, "{method} {status}");
        let [before] = response.redirects() else {
            panic!("{:?}", response.redirects());
        };
        before.assert_status(status).assert_text("moved");
    }
    let head = sent(Method::HEAD, "/to/303/end").await;
    assert_eq!(head.text(), "");
    assert!(head.history().events()[0].starts_with("client sends HEAD /end "));
}

#[tokio::test]
async fn other_statuses_and_places_are_not_followed() {
    for target in ["/to/300/end", "/to/304/end", "/to/201/end", "/to/302/mail"] {
        let response = sent(Method::GET, target).await;
        let status = target[4..7].parse().unwrap();
        response.assert_status(status);
        assert!(response.redirects().is_empty(), "{target}");
    }
}

#[tokio::test]
async fn a_cookie_of_the_request_goes_to_the_same_host_only() {
    async fn echo(scope: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        let target = match &*scope.path().unwrap() {
            "/here" => "/end",
            "/there" => "https://other.example/end",
            _ => {
                let cookie = scope.headers().unwrap().get("cookie");
                let text = cookie
                    .map_or("", |value| value.to_str().unwrap())
                    .to_owned();
                return Ok(send.respond(HttpResponseStart::ok(), text).await?);
            }
        };
        let start = HttpResponseStart::new(StatusCode::FOUND).header("location", target);
        Ok(send.respond(start, "").await?)
    }
    let client = Client::new(echo).follow_redirects(1).keep_cookies();
    let here = client.get("/here").cookie("a", "1").await.unwrap();
    here.assert_text("a=1");
    let there = client.get("/there").cookie("a", "1").await.unwrap();
    there.assert_text("");
}

#[tokio::test]
async fn another_host_gets_no_credentials() {
    let response = sent(Method::POST, "/to/302/elsewhere").await;
    let expected = r#"GET https://other.example/end None None None b"""#;
    assert_eq!(response.text(), expected);
}

#[tokio::test]
async fn a_chain_of_redirects_is_followed_in_order() {
    let response = sent(Method::GET, "/to/302/to/303/to/307/end").await;
    let statuses = response.redirects().iter().map(Response::status);
    let statuses: Vec<u16> = statuses.map(|status| status.as_u16()).collect();
    assert_eq!(statuses, [302, 303, 307]);
}

#[tokio::test]
#[should_panic(expected = "the app redirected more than 2 times:
  302 to /to/302/loop
  302 to /to/302/loop
  302 to /to/302/loop
  the test waits at ")]
async fn too_many_redirects_panic_with_their_targets() {
    let client = Client::new(app).follow_redirects(2);
    let _ = client.get("/to/302/loop").await;
}

#[tokio::test]
async fn a_redirect_below_the_root_path_is_followed_and_one_beside_it_is_not() {
    let client = Client::new(app).mounted_at("/api").follow_redirects(1);
    let inside = client.get("/to/302/inside").await.unwrap();
    inside.assert_status(200);
    assert!(
        inside.text().starts_with("GET http://localhost/end?q "),
        "{inside:?}"
    );
    client
        .get("/to/302/outside")
        .await
        .unwrap()
        .assert_status(302);
    let beside = client.get("/to/302/apix").await.unwrap();
    beside.assert_status(302).assert_header("location", "/apix");
}
