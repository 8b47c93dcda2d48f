//! WebSockets of a server that stops.

use std::time::{Duration, Instant};

use super::websocket_handshake::open_at;
use crate::client::CaseClient;
use crate::client::websocket::RawSocket;
use crate::result::{Checked, ensure, equal, fail, not_observable};
use crate::suite::{Other, Subject};

cases! {
    [Sockets]
    "WS-030" a_server_that_stops_closes_its_sockets_with_1001,
    [WebSocket]
    "WS-042" a_handshake_to_a_server_that_stops_gets_a_503,
    [WebSocketHttp2]
    "WS-042" a_new_stream_for_a_websocket_gets_a_503_or_no_answer,
}

/// The lifespan of a server that the case stops.
const LIFESPAN: &str = "receive&startup-complete&receive&shutdown-complete";

/// How soon a server must begin its drain.
const SOON: Duration = Duration::from_secs(2);

/// Starts a server that the case can stop, and opens a WebSocket to it.
async fn other_with_socket(server: &Subject, steps: &str) -> Checked<(Other, RawSocket)> {
    match server.launch(LIFESPAN).await? {
        (Ok(other), _) => {
            let (_, socket) = open_at(server, &other.endpoint, steps, "").await?;
            Ok((other, socket))
        }
        (Err(why), _) => fail("a server that serves", why),
    }
}

/// Closes the socket, and waits for the end of the server.
async fn ends(
    mut socket: RawSocket,
    stopping: tokio::task::JoinHandle<Checked<Result<(), String>>>,
) -> Checked {
    socket.close(1001, "").await?;
    socket.expect_end().await?;
    drop(socket);
    match stopping.await {
        Ok(stopped) => equal("the end of the server", stopped?, Ok(())),
        Err(error) => fail("a stop", error),
    }
}

async fn a_server_that_stops_closes_its_sockets_with_1001(server: Subject) -> Checked {
    let (other, mut socket) = other_with_socket(&server, "receive&accept&receive").await?;
    let began = Instant::now();
    let stopping = tokio::spawn(other.stop());
    socket.expect_close(1001).await?;
    let after = began.elapsed();
    ends(socket, stopping).await?;
    ensure(after < SOON, "a close as soon as the drain begins", after)
}

async fn a_handshake_to_a_server_that_stops_gets_a_503(server: Subject) -> Checked {
    let (other, mut socket) = other_with_socket(&server, "receive&accept&receive").await?;
    // The server must not take this connection for an idle one, so its first request has begun.
    let mut late: CaseClient = server.connect_to(&other.endpoint).await?;
    let handshake = server.run("receive&accept").handshake("").http1();
    let (begin, rest) = handshake.split_at(handshake.len() - 4);
    late.raw(begin).await?;
    let stopping = tokio::spawn(other.stop());
    socket.expect_close(1001).await?;
    late.raw(rest).await?;
    let answer = late.first_bytes().await?;
    ends(socket, stopping).await?;
    match answer {
        None => not_observable("the server closes connections whose head is not complete"),
        Some(bytes) => ensure(
            bytes.starts_with(b"HTTP/1.1 503 "),
            "503",
            bytes.escape_ascii().to_string(),
        ),
    }
}

async fn a_new_stream_for_a_websocket_gets_a_503_or_no_answer(server: Subject) -> Checked {
    let (other, mut socket) = other_with_socket(&server, "receive&accept&receive").await?;
    let stopping = tokio::spawn(other.stop());
    socket.expect_close(1001).await?;
    let run = server.run("receive&accept");
    let Some((http2, _)) = socket.http.as_http2() else {
        return not_observable("the case is about HTTP/2");
    };
    let headers = run.handshake("").http2(http2.scheme());
    let headers = crate::client::http2::pairs(&headers);
    let late = http2.begin(&headers, false).await?;
    http2.settle().await?;
    let heads = &http2.stream(late).heads;
    let status = heads.front().map(|head| head.status);
    ends(socket, stopping).await?;
    match status {
        None => not_observable("the server takes no stream after its GOAWAY"),
        Some(status) => equal("the status", status, 503),
    }
}
