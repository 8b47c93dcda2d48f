//! WebSockets over HTTP/2 (RFC 8441).

use super::websocket_handshake::open;
use crate::client::http2::{NO_PUSH, StreamEnding};
use crate::client::websocket::RawSocket;
use crate::result::{Checked, ensure, equal, fail};
use crate::suite::{Run, Subject};

cases! {
    [WebSocketHttp2]
    "WS-012" the_app_is_not_called_for_malformed_headers_of_a_handshake,
    "WS-040" a_websocket_over_http_2_is_a_stream,
    "WS-041" a_connect_for_another_protocol_gets_a_501,
}

/// The headers of a handshake over HTTP/2 for another run.
fn connect_headers<'a>(scheme: &'a str, run: &'a Run) -> Vec<(&'a str, &'a str)> {
    vec![
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", scheme),
        (":authority", "suite"),
        (":path", &run.target),
        ("sec-websocket-version", "13"),
    ]
}

async fn the_app_is_not_called_for_malformed_headers_of_a_handshake(server: Subject) -> Checked {
    for missing in [":scheme", ":authority", ":path"] {
        let run = server.run("receive&accept");
        let mut client = server.connect_http2(NO_PUSH).await?;
        let mut headers = connect_headers(client.scheme(), &run);
        headers.retain(|(name, _)| *name != missing);
        if missing == ":path" {
            headers.push(("probe-id", &run.id));
        }
        let stream = client.begin(&headers, false).await?;
        let status = client.status_or_end(stream).await?;
        let right = status.is_none_or(|status| status >= 400);
        ensure(right, &format!("an error without {missing}"), status)?;
        let calls = run.report_now().await?.calls();
        equal(&format!("calls of the app without {missing}"), calls, 0)?;
    }
    Ok(())
}

async fn a_websocket_over_http_2_is_a_stream(server: Subject) -> Checked {
    let (_run, mut socket) = open(&server, "receive&accept&close=1000").await?;
    socket.expect_close(1000).await?;
    socket.close(1000, "").await?;
    end_stream(&mut socket).await?;

    let (_run, mut socket) = open(&server, "receive&accept&receive&receive").await?;
    socket.close(1000, "").await?;
    socket.expect_close(1000).await?;
    end_stream(&mut socket).await
}

/// Fails unless the server ends the stream of a socket with END_STREAM.
async fn end_stream(socket: &mut RawSocket) -> Checked {
    let Some((http2, stream)) = socket.http.as_http2() else {
        return fail("a WebSocket over HTTP/2", "one over HTTP/1.1");
    };
    let ending = http2.ending(stream).await?;
    equal("the end", ending, StreamEnding::EndStream)?;
    let left = http2.stream(stream).data.len();
    equal("bytes after the close frame", left, 0)
}

async fn a_connect_for_another_protocol_gets_a_501(server: Subject) -> Checked {
    let run = server.run("receive&accept");
    let mut client = server.connect_http2(NO_PUSH).await?;
    let mut headers = connect_headers(client.scheme(), &run);
    headers[1].1 = "other";
    let stream = client.begin(&headers, false).await?;
    let status = client.status_or_end(stream).await?;
    equal("the status", status, Some(501))
}
