//! Connections over TLS.

use std::time::Duration;

use asgi::DisconnectReason;
use bytes::Bytes;
use ferricorn::{Bind, Config};

use super::Secure;
use test_support::app::{channel, echo_path};
use test_support::logs;
use test_support::raw::Closed;
use test_support::tls_client::TlsClient;
use test_support::{Client, Http, http, http_with, run, within};
use tracing::Level;

#[test]
fn a_tls_connection_serves_several_requests() {
    run(async {
        let secure = Secure::start().await;
        let mut client = secure.connect().await;
        for path in ["/a", "/b"] {
            client
                .write(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"))
                .await;
            assert_eq!(client.expect_response(200).await.body, path);
        }
    });
}

#[test]
fn alpn_selects_http_1_1() {
    run(async {
        let secure = Secure::start().await;
        let client = secure.connect().await;
        assert_eq!(client.tls_session().alpn_protocol(), Some(&b"http/1.1"[..]));
    });
}

#[test]
fn a_client_that_offers_only_http_1_0_is_served() {
    run(async {
        let secure = Secure::start().await;
        let client = secure.client().speaking("http/1.0");
        let mut client = client.connect(&secure.server, "localhost").await;
        client
            .write("GET / HTTP/1.0\r\nhost: localhost\r\n\r\n")
            .await;
        client.expect_response(200).await;
    });
}

/// (HTTP-003)
#[test]
fn the_scheme_is_https() {
    run(async {
        let app = http(|mut http: Http| async move {
            let scheme = http.scope.scheme.to_string();
            http.respond(scheme).await
        });
        let secure = Secure::start_with(Config::default(), app).await;
        let scheme = secure.client().get(&secure.server, "localhost").await;
        assert_eq!(scheme.unwrap(), "https");
    });
}

#[test]
fn plain_http_on_a_tls_port_gets_a_plain_400() {
    run(async {
        let secure = Secure::start().await;
        let mut client = secure.server.connect().await;
        client.get("/").await;
        let response = client.expect_response(400).await;
        assert_eq!(
            response.body,
            "The plain HTTP request was sent to a TLS port.\n"
        );
        assert!(response.head.connection_has("close"));
        client.expect_eof().await;
    });
}

#[test]
fn a_header_of_the_proxy_protocol_on_a_tls_port_is_named_in_the_log() {
    run(async {
        let secure = Secure::start().await;
        let v1 = "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n";
        let v2 = "\r\n\r\n\0\r\nQUIT\n\u{21}\u{11}\0\u{c}abcdefghijkl";
        for header in [v1, v2] {
            let mut client = secure.server.connect().await;
            client.write(header).await;
            client.expect_eof().await;
        }
        logs::expect_warning(&["PROXY protocol header", "turn it off"]);
    });
}

/// An immediate close would reset the connection, and the client could lose the response.
#[test]
fn a_plain_http_upload_on_a_tls_port_still_gets_its_400() {
    run(async {
        let secure = Secure::start().await;
        let mut client = secure.server.connect().await;
        let upload = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n";
        client.write(upload).await;
        client.write(vec![b'x'; 200_000]).await;
        client.expect_response(400).await;
        client.expect_eof().await;
    });
}

#[test]
fn a_client_without_a_handshake_is_disconnected() {
    run(async {
        let mut config = Config::default();
        config.tls_handshake_timeout = Duration::from_millis(50);
        let secure = Secure::start_with(config, echo_path()).await;
        let mut silent = secure.server.connect().await;
        silent.expect_eof().await;
        let mut slow = secure.server.connect().await;
        // The start of a ClientHello.
        slow.write([0x16, 3, 1, 2, 0, 1]).await;
        slow.expect_end().await;
    });
}

#[test]
fn a_client_without_a_handshake_holds_its_place_only_until_the_timeout() {
    run(async {
        let mut config = Config::default();
        config.tls_handshake_timeout = Duration::from_millis(100);
        config.max_connections = 1;
        let secure = Secure::start_with(config, echo_path()).await;
        let _silent = secure.server.connect().await;
        let waiting = secure.client().get(&secure.server, "localhost").await;
        assert_eq!(waiting.unwrap(), "/");
        logs::expect_no_warnings();
    });
}

#[test]
fn an_invalid_handshake_gets_an_alert() {
    run(async {
        let secure = Secure::start().await;
        let mut client = secure.server.connect().await;
        client
            .write([0x16, 3, 1, 0, 8, 1, 0, 0, 4, 9, 9, 9, 9])
            .await;
        let (alert, closed) = client.read_until_closed().await;
        assert_eq!((alert[0], closed), (0x15, Closed::Eof), "{alert:?}");
        // The client is at fault, so the server logs no warning.
        logs::expect_no_warnings();
    });
}

#[test]
fn a_client_that_selects_h2_and_sends_http_1_gets_a_goaway() {
    run(async {
        let secure = Secure::start().await;
        let client = secure.client().speaking("h2");
        let mut client = client.connect(&secure.server, "localhost").await;
        client.get("/").await;
        let (received, closed) = client.read_until_closed().await;
        let goaway = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        assert!(received.ends_with(&goaway), "{received:?}");
        assert_eq!(closed, Closed::Eof);
    });
}

#[test]
fn a_client_that_offers_only_h2c_gets_no_connection() {
    run(async {
        let secure = Secure::start().await;
        let client = secure.client().speaking("h2c");
        let connecting = client.try_connect(secure.server.address(), "localhost");
        let error = within("the end of the handshake", connecting)
            .await
            .err()
            .unwrap();
        assert!(
            error.to_string().contains("NoApplicationProtocol"),
            "{error}"
        );
    });
}

/// RFC 9113 §3.3: "HTTP/2 connections over TLS MUST use protocol negotiation in TLS".
#[test]
fn http_2_without_alpn_is_refused() {
    run(async {
        let secure = Secure::start().await;
        let client = TlsClient::trusting_anything();
        let mut client = client.connect(&secure.server, "localhost").await;
        let mut preface = http2::PREFACE.to_vec();
        http2::Frame::settings(&[]).write_to(&mut preface);
        client.write(preface).await;
        let (received, _) = client.read_until_closed().await;
        assert!(received.starts_with(b"HTTP/1.1 505 "), "{received:?}");
    });
}

#[test]
fn a_response_that_ends_the_connection_sends_close_notify() {
    run(async {
        let secure = Secure::start().await;
        let mut client = secure.connect().await;
        client.write("GET /x HTTP/1.0\r\nhost: a\r\n\r\n").await;
        client.expect_response(200).await;
        // `Eof` and not `Truncated`: the server sent close_notify.
        client.expect_eof().await;
    });
}

#[test]
fn a_client_that_sends_close_notify_still_gets_its_response() {
    run(async {
        let secure = Secure::start().await;
        let mut client = secure.connect().await;
        client.get("/x").await;
        client.close_notify().await;
        assert_eq!(client.expect_response(200).await.body, "/x");
        client.expect_eof().await;
    });
}

#[test]
fn an_app_learns_that_its_client_closes() {
    run(async {
        let (report, mut reports) = channel();
        let app = http_with(report, |report, mut http: Http| async move {
            http.begin().await?;
            http.more("started").await?;
            report.send(http.disconnect().await)?;
            http.last("").await
        });
        let secure = Secure::start_with(Config::default(), app).await;
        let request = "GET /x HTTP/1.1\r\nhost: a\r\n\r\n";
        for close in ["with it", "close_notify", "half close", "truncation"] {
            let mut client = secure.connect().await;
            match close {
                "with it" => client.write_and_close_notify(request).await,
                _ => client.write(request).await,
            }
            client.expect_head(200).await;
            match close {
                "with it" => {}
                "close_notify" => client.close_notify().await,
                "half close" => client.half_close().await,
                _ => client.truncate().await,
            }
            let reason = within("the disconnect", reports.recv()).await;
            assert_eq!(reason, Some(DisconnectReason::Closed), "{close}");
            assert_eq!(client.read_chunked().await.body(), "started", "{close}");
        }
    });
}

#[test]
fn an_app_learns_that_its_client_was_lost() {
    run(async {
        let (report, mut reports) = channel();
        let app = http_with(report, |report, mut http: Http| async move {
            http.begin().await?;
            http.more("started").await?;
            report.send(http.disconnect().await)?;
            Ok(())
        });
        let secure = Secure::start_with(Config::default(), app).await;
        let mut client = secure.connect().await;
        client.get("/x").await;
        client.expect_head(200).await;
        client.reset();
        let reason = within("the disconnect", reports.recv()).await;
        assert_eq!(reason, Some(DisconnectReason::Lost));
    });
}

#[test]
fn a_truncated_upload_has_no_last_part() {
    run(async {
        let (report, mut reports) = channel();
        let app = http_with(report, |report, mut http: Http| async move {
            let reason = http.disconnect().await;
            report.send(reason)?;
            Ok(())
        });
        let secure = Secure::start_with(Config::default(), app).await;
        for framing in ["content-length: 9", "transfer-encoding: chunked"] {
            let mut client = secure.connect().await;
            client
                .write(format!(
                    "POST /x HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n4\r\nab"
                ))
                .await;
            client.truncate().await;
            // The app got the disconnect, and not a last part of the body.
            assert!(within("the disconnect", reports.recv()).await.is_some());
        }
    });
}

#[test]
fn a_client_that_leaves_between_two_requests_is_not_logged() {
    run(async {
        let secure = Secure::start().await;
        let mut client = secure.connect().await;
        client.get("/x").await;
        client.expect_response(200).await;
        client.truncate().await;
        client.expect_eof().await;
        let ended = |line: &logs::Line| line.text.contains("connection ended");
        assert!(!logs::at_level(Level::DEBUG).iter().any(ended));
    });
}

/// A large body in which no two TLS records are alike.
fn large_body() -> Bytes {
    let words = (0..1_000_000_u32).flat_map(u32::to_be_bytes);
    words.collect::<Vec<u8>>().into()
}

#[test]
fn large_bodies_arrive_in_both_directions() {
    run(async {
        let app = http(|mut http: Http| async move {
            let body = http.receive.body(8 << 20).await?;
            http.begin().await?;
            for part in body.chunks(300_000) {
                http.more(Bytes::copy_from_slice(part)).await?;
            }
            http.last("").await
        });
        let secure = Secure::start_with(Config::default(), app).await;
        let mut client = secure.connect().await;
        let large = large_body();
        let length = large.len();
        client
            .write(format!(
                "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n"
            ))
            .await;
        client.write(&large).await;
        client.expect_head(200).await;
        assert!(client.read_chunked().await.body() == large);
    });
}

#[test]
fn a_tls_client_that_does_not_read_is_disconnected() {
    run(async {
        let mut config = Config::default();
        config.write_timeout = Duration::from_millis(100);
        let app = http(|mut http: Http| async move {
            http.begin().await?;
            loop {
                http.more(vec![b'x'; 100_000]).await?;
            }
        });
        let secure = Secure::start_with(config, app).await;
        let mut client = secure.connect().await;
        client.get("/x").await;
        secure.server.wait_for_connections(0).await;
        let (_, closed) = client.read_until_closed().await;
        assert_eq!(closed, Closed::Reset);
    });
}

#[test]
fn a_response_that_the_app_breaks_off_has_no_close_notify() {
    run(async {
        let app = http(|mut http: Http| async move {
            http.begin().await?;
            http.more("half").await?;
            Ok(())
        });
        let secure = Secure::start_with(Config::default(), app).await;
        let mut client = secure.connect().await;
        client.write("GET /x HTTP/1.0\r\nhost: a\r\n\r\n").await;
        client.expect_head(200).await;
        let (_, closed) = client.read_until_closed().await;
        assert_ne!(closed, Closed::Eof);
        logs::expect_error(&["/x"]);
    });
}

#[test]
fn a_drain_waits_for_requests_but_not_for_handshakes() {
    run(async {
        let (report, mut reports) = channel();
        let app = http_with(report, |report, mut http: Http| async move {
            let (go, gone) = tokio::sync::oneshot::channel();
            report.send(go)?;
            gone.await?;
            http.respond("done").await
        });
        let mut config = Config::default();
        config.tls_handshake_timeout = Duration::from_secs(3600);
        let secure = Secure::start_with(config, app).await;
        let mut busy = secure.connect().await;
        busy.get("/x").await;
        let go = within("the request", reports.recv()).await.unwrap();
        let mut idle = secure.connect().await;
        let mut silent = secure.server.connect().await;
        let handle = secure.server.handle();
        secure.server.wait_for_connections(3).await;
        handle.drain();
        idle.expect_eof().await;
        silent.expect_end().await;
        go.send(()).unwrap();
        let response = busy.expect_response(200).await;
        assert_eq!(response.body, "done");
        assert!(response.head.connection_has("close"));
        busy.expect_eof().await;
        secure.server.ended().await.unwrap();
    });
}

#[test]
fn a_server_can_have_tls_and_plain_listeners() {
    run(async {
        let authority = test_support::certificates::Authority::new("a");
        let tls = super::tls(&authority.server(&["localhost"]));
        let config = Config::default();
        let bind = || "127.0.0.1:0".parse::<Bind>().unwrap().listen(&config);
        let listeners = vec![bind().unwrap(), bind().unwrap().with_tls(&tls).unwrap()];
        let [plain, secure] = [0, 1].map(|n: usize| listeners[n].address().as_ip().unwrap());
        let server = ferricorn::serve(listeners, echo_path(), Config::default());
        let handle = server.handle();
        let serving = tokio::spawn(server);
        assert!(handle.ready().await);
        let socket = tokio::net::TcpStream::connect(plain).await.unwrap();
        let mut client = Client::tcp(socket);
        client.get("/p").await;
        assert_eq!(client.expect_response(200).await.body, "/p");
        let client = TlsClient::new(&authority);
        let mut client = client.connect_to(secure, "localhost").await;
        client.get("/s").await;
        assert_eq!(client.expect_response(200).await.body, "/s");
        handle.drain();
        within("the end", serving).await.unwrap().unwrap();
    });
}

#[test]
fn tls_on_a_unix_socket_is_an_error() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let authority = test_support::certificates::Authority::new("a");
        let tls = super::tls(&authority.server(&["localhost"]));
        let bind: Bind = format!("unix:{}", path.display()).parse().unwrap();
        let listener = bind.listen(&Config::default()).unwrap();
        let error = listener.with_tls(&tls).unwrap_err().to_string();
        assert!(
            error.starts_with("TLS is not offered on a Unix socket"),
            "{error}"
        );
    });
}
