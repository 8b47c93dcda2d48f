//! The opening handshake: accepted by the app, denied by the app, or refused by the server.

use asgi::{
    AppError, WebSocketAccept, WebSocketClose, WebSocketHttpResponseBody,
    WebSocketHttpResponseStart,
};
use ferricorn::Config;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::echo;
use test_support::app::channel;
use test_support::websocket_client::{HANDSHAKE, Over, TEXT, frame, over_both};
use test_support::{Server, WebSocket, logs, run, websocket, websocket_with};

/// WS-006
#[test]
fn an_accept_has_the_apps_subprotocol_and_headers() {
    over_both(async |over| {
        let app = websocket(async |mut socket: WebSocket| {
            socket.receive.receive().await;
            let mut accept = WebSocketAccept::new().subprotocol("superchat");
            let cookie = HeaderValue::from_static("a=b");
            accept.headers.append("set-cookie", cookie);
            socket.send.send(accept).await?;
            socket.echo().await?;
            Ok(())
        });
        let server = Server::start(app).await;
        let headers = [("sec-websocket-protocol", "chat, superchat")];
        let mut answer = over.ask(&server, "/", &headers).await;
        let headers = &answer.headers;
        assert_eq!(headers["sec-websocket-protocol"], "superchat");
        assert_eq!(headers["set-cookie"], "a=b");
        assert!(headers.contains_key("date"));
        assert!(!headers.contains_key("content-length"));
        assert!(!headers.contains_key("transfer-encoding"));
        match over {
            Over::Http1 => {
                // The example of RFC 6455 §1.3.
                assert_eq!(answer.status, StatusCode::SWITCHING_PROTOCOLS);
                assert_eq!(headers["upgrade"], "websocket");
                assert_eq!(headers["connection"], "upgrade");
                let accept = &headers["sec-websocket-accept"];
                assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
            }
            // WS-040
            Over::Http2 => {
                assert_eq!(answer.status, StatusCode::OK);
                assert!(!headers.contains_key("sec-websocket-accept"));
                assert!(!headers.contains_key("upgrade"));
            }
        }
        answer.peer.text("hello").await;
        answer.peer.expect(TEXT, "hello").await;
    });
}

/// WS-001 to WS-003
#[test]
fn the_scope_describes_the_handshake() {
    over_both(async |over| {
        let (report, mut scopes) = channel();
        let app = websocket_with(report, async |report, socket: WebSocket| {
            report.send(socket.scope)?;
            Err("enough".into())
        });
        let server = Server::start(app).await;
        let headers = [
            ("sec-websocket-protocol", "a, b"),
            ("sec-websocket-protocol", "c"),
            ("cookie", "x=y"),
        ];
        let answer = over.ask(&server, "/room%20a?b=c%20d", &headers).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        let scope = scopes.recv().await.unwrap();
        let seen = json!({
            "version": format!("{:?}", scope.version),
            "scheme": scope.scheme,
            "path": scope.path(),
            "raw_path": scope.raw_path(),
            "query": scope.query_string(),
            "subprotocols": scope.subprotocols,
            "host": scope.headers["host"].to_str().unwrap(),
            "cookie": scope.headers["cookie"].to_str().unwrap(),
            "server": scope.server.unwrap().as_ip().unwrap().to_string(),
        });
        let expected: Value = json!({
            "version": if over == Over::Http1 { "HTTP/1.1" } else { "HTTP/2.0" },
            "scheme": "ws",
            "path": "/room a",
            "raw_path": "/room%20a",
            "query": "b=c%20d",
            "subprotocols": ["a", "b", "c"],
            "host": "a",
            "cookie": "x=y",
            "server": server.address().to_string(),
        });
        assert_eq!(seen, expected);
        logs::expect_error(&["the app failed: enough"]);
    });
}

/// WS-007
#[test]
fn a_close_before_the_accept_is_a_403_without_a_body() {
    over_both(async |over| {
        let app = websocket(async |mut socket: WebSocket| {
            socket.receive.receive().await;
            let close = WebSocketClose::new(4000).reason("no");
            socket.send.send(close).await?;
            Ok(())
        });
        let server = Server::start(app).await;
        let answer = over.ask(&server, "/", &[]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert_eq!(answer.headers["content-length"], "0");
    });
}

/// WS-008
#[test]
fn a_denial_is_a_whole_response_in_parts() {
    over_both(async |over| {
        let app = websocket(async |mut socket: WebSocket| {
            socket.receive.receive().await;
            let mut start = WebSocketHttpResponseStart::new(StatusCode::UNAUTHORIZED);
            let challenge = HeaderValue::from_static("Basic");
            start.headers.append("www-authenticate", challenge);
            start
                .headers
                .append("content-length", HeaderValue::from_static("7"));
            socket.send.send(start).await?;
            for (part, more) in [("no ", true), ("\u{fffd}", true), ("!", false)] {
                let part = WebSocketHttpResponseBody::new(part, more);
                socket.send.send(part).await?;
            }
            Ok(())
        });
        let server = Server::start(app).await;
        let mut answer = over.ask(&server, "/", &[]).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers["www-authenticate"], "Basic");
        assert_eq!(answer.headers["content-length"], "7");
        if over == Over::Http2 {
            assert_eq!(answer.peer.rest().await, "no \u{fffd}!");
        }
    });
}

/// WS-011
#[test]
fn an_app_that_ends_before_it_accepts_is_a_500_and_logged_once() {
    over_both(async |over| {
        let app =
            websocket(
                async |socket: WebSocket| match socket.scope.path().into_owned().as_str() {
                    "/panic" => panic!("oh"),
                    "/fail" => Err(AppError::from("no")),
                    _ => Ok(()),
                },
            );
        let server = Server::start(app).await;
        for (path, line) in [
            ("/fail", "the app failed: no"),
            ("/panic", "the app panicked: oh"),
            ("/return", "the app returned without a response"),
        ] {
            let answer = over.ask(&server, path, &[]).await;
            assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
            logs::expect_error(&[line]);
        }
    });
}

/// WS-012, WS-036, WS-038
#[test]
fn a_malformed_handshake_is_refused_and_the_connection_stays_open() {
    run(async {
        let app = websocket(async |_| Err("the app was called".into()));
        let server = Server::start(app).await;
        let without = |name: &str| -> String {
            let lines = HANDSHAKE.split_inclusive("\r\n");
            lines.filter(|line| !line.starts_with(name)).collect()
        };
        let key =
            |key: &str| without("sec-websocket-key") + &format!("sec-websocket-key: {key}\r\n");
        let with = |header: &str| HANDSHAKE.to_owned() + header + "\r\n";
        let version = |version: &str| {
            without("sec-websocket-version") + &format!("sec-websocket-version: {version}\r\n")
        };
        let mut client = server.connect().await;
        for (status, headers) in [
            (400, without("sec-websocket-key")),
            (400, key("")),
            (400, key("dGhlIHNhbXBsZSBub25jZQ")),
            (400, key("dGhlIHNhbXBsZSBub25jZTE=")),
            (400, key("dGhlIHNhbXBsZSBub25jZ!==")),
            (400, with("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==")),
            (400, without("sec-websocket-version")),
            (400, with("sec-websocket-version: 13")),
            (426, version("12")),
            (426, version("13, 8")),
            (400, with("sec-websocket-protocol: a b")),
            (400, with("sec-websocket-protocol: a, b, a")),
        ] {
            client
                .write(format!(
                    "GET / HTTP/1.1\r\nhost: a\r\n{headers}\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"
                ))
                .await;
            let refusal = client.expect_response(status).await;
            if status == 426 {
                assert_eq!(refusal.header("sec-websocket-version"), Some("13"));
                assert_eq!(refusal.header("upgrade"), Some("websocket"));
            }
            assert_eq!(client.expect_response(200).await.body, "http", "{headers}");
        }
        // The byte after the head is its body.
        let headers = with("content-length: 1");
        client
            .write(format!("GET / HTTP/1.1\r\nhost: a\r\n{headers}\r\nx"))
            .await;
        client.expect_response(400).await;
        client.expect_eof().await;
    });
}

/// WS-036
#[test]
fn a_malformed_handshake_over_http2_is_a_400() {
    run(async {
        let app = websocket(async |_| Err("the app was called".into()));
        let server = Server::start(app).await;
        for headers in [
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "a, a"),
        ] {
            let answer = Over::Http2.ask(&server, "/", &[headers]).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{headers:?}");
        }
    });
}

#[test]
fn all_spellings_of_a_handshake_are_recognized() {
    run(async {
        let (app, _ends) = echo();
        let server = Server::start(app).await;
        for headers in [
            "Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n",
            "upgrade: h2c, websocket\r\nconnection: upgrade\r\n",
            "upgrade: h2c\r\nupgrade: websocket\r\nconnection: close\r\nconnection: , upgrade\r\n",
        ] {
            let mut client = server.connect().await;
            let rest =
                "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
            client
                .write(format!("GET / HTTP/1.1\r\nhost: a\r\n{headers}{rest}\r\n"))
                .await;
            client.expect_head(101).await;
        }
    });
}

/// WS-039
#[test]
fn an_incomplete_handshake_is_an_ordinary_request() {
    run(async {
        let (app, _ends) = echo();
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        for headers in [
            "upgrade: h2c\r\nconnection: upgrade\r\n",
            "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n",
        ] {
            client
                .write(format!("GET / HTTP/1.1\r\nhost: a\r\n{headers}\r\n"))
                .await;
            assert_eq!(client.expect_response(200).await.body, "http");
        }
        let no_connection: String = HANDSHAKE
            .split_inclusive("\r\n")
            .filter(|line| !line.starts_with("connection"))
            .collect();
        for (method, headers) in [
            ("GET", no_connection.clone()),
            ("GET", no_connection + "connection: keep-alive\r\n"),
            ("POST", HANDSHAKE.to_owned() + "content-length: 0\r\n"),
            ("PUT", HANDSHAKE.to_owned()),
        ] {
            client
                .write(format!("{method} / HTTP/1.1\r\nhost: a\r\n{headers}\r\n"))
                .await;
            assert_eq!(client.expect_response(200).await.body, "http", "{headers}");
        }
        client
            .write(format!("GET / HTTP/1.0\r\nhost: a\r\n{HANDSHAKE}\r\n"))
            .await;
        assert_eq!(client.expect_response(200).await.body, "http");
    });
}

#[test]
fn without_websockets_a_handshake_is_an_ordinary_request() {
    run(async {
        let (app, _ends) = echo();
        let mut config = Config::default();
        config.ws = false;
        let server = Server::start_with(config, app).await;
        let mut client = server.connect().await;
        client
            .write(format!("GET / HTTP/1.1\r\nhost: a\r\n{HANDSHAKE}\r\n"))
            .await;
        assert_eq!(client.expect_response(200).await.body, "http");
    });
}

/// WS-037
#[test]
fn a_handshake_from_another_origin_is_a_403() {
    over_both(async |over| {
        let (app, mut ends) = echo();
        let mut config = Config::default();
        config.ws_origins = vec!["https://a.example".into(), "http://localhost:8000".into()];
        let server = Server::start_with(config, app).await;
        for origin in ["https://A.example", "http://localhost:8000"] {
            over.open_with(&server, "/", &[("origin", origin)]).await;
        }
        over.open(&server, "/").await;
        for origin in ["https://b.example", "https://a.example:444", "null", ""] {
            let answer = over.ask(&server, "/", &[("origin", origin)]).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{origin}");
        }
        for _ in 0..3 {
            assert_eq!(super::next_end(&mut ends).await.code, 1006);
        }
        assert!(ends.try_recv().is_err());
    });
}

/// WS-005, WS-013
#[test]
fn messages_before_the_accept_are_kept() {
    run(async {
        let (go, gate) = tokio::sync::watch::channel(false);
        let app = websocket_with(gate, async |mut gate, mut socket: WebSocket| {
            gate.wait_for(|open| *open).await?;
            socket.accept().await?;
            socket.echo().await?;
            Ok(())
        });
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client
            .write(format!("GET / HTTP/1.1\r\nhost: a\r\n{HANDSHAKE}\r\n"))
            .await;
        server.wait_for_exchanges(1).await;
        for text in ["one", "two\n", "\n\n\r\n"] {
            client.write(frame(0x80 | TEXT, text.as_bytes())).await;
        }
        go.send(true).unwrap();
        client.expect_head(101).await;
        let echoed = client.read_body(3 * 2 + 3 + 4 + 4).await;
        assert_eq!(
            echoed,
            "\u{81}\u{3}one\u{81}\u{4}two\n\u{81}\u{4}\n\n\r\n"
                .replace('\u{c2}', "")
                .chars()
                .map(|c| c as u8)
                .collect::<Vec<_>>()
        );
    });
}

#[test]
fn a_handshake_above_the_limit_of_exchanges_is_a_503() {
    over_both(async |over| {
        let (app, _ends) = echo();
        let mut config = Config::default();
        config.max_exchanges = 1;
        let server = Server::start_with(config, app).await;
        let peer = over.open(&server, "/").await;
        let answer = over.ask(&server, "/", &[]).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        drop(peer);
        server.wait_for_exchanges(0).await;
        over.open(&server, "/").await;
    });
}

#[test]
fn the_app_learns_that_its_client_left_during_the_handshake() {
    over_both(async |over| {
        let (report, mut ends) = channel();
        let app = websocket_with(report, async |report, mut socket: WebSocket| {
            socket.receive.receive().await;
            report.send(None)?;
            report.send(Some(socket.next().await.unwrap_err()))?;
            Ok(())
        });
        let server = Server::start(app).await;
        let asking = tokio::spawn(over.ask(&server, "/", &[]));
        assert_eq!(ends.recv().await.unwrap(), None);
        asking.abort();
        let end = ends.recv().await.unwrap().unwrap();
        assert_eq!((end.code, end.reason.as_str()), (1006, ""));
    });
}

/// WS-041
#[test]
fn an_extended_connect_for_another_protocol_is_a_501() {
    run(async {
        let app = websocket(async |_| Err("the app was called".into()));
        let server = Server::start(app).await;
        let stream = tokio::net::TcpStream::connect(server.address())
            .await
            .unwrap();
        let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        while !requests.is_extended_connect_protocol_enabled() {
            tokio::task::yield_now().await;
        }
        let request: http::Request<()> = http::Request::connect("http://a/")
            .extension(h2::ext::Protocol::from_static("webtransport"))
            .body(())
            .unwrap();
        let (response, _send) = requests.send_request(request, false).unwrap();
        assert_eq!(
            response.await.unwrap().status(),
            StatusCode::NOT_IMPLEMENTED
        );
    });
}
