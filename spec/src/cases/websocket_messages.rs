//! WebSocket §3 to §5 and §7: messages and closes.

use super::http_end::expect_in_log;
use super::websocket_handshake::open;
use crate::client::websocket::{BINARY, CLOSE, PING, PONG, TEXT, close_payload, frame};
use crate::client::{FIN, STALL};
use crate::result::{Checked, ensure, equal, fail};
use crate::suite::Subject;

cases! {
    [Sockets]
    "WS-014" messages_after_the_close_of_the_app_are_dropped,
    "WS-015" a_message_in_parts_comes_whole,
    "WS-016" a_ping_is_answered_and_not_shown,
    "WS-017" a_message_beyond_the_limit_closes_with_1009,
    "WS-018" a_close_with_a_code_of_the_protocol_is_misuse,
    "WS-019" a_close_with_a_long_reason_is_misuse,
    "WS-020" the_close_of_the_client_comes_after_its_messages,
    "WS-021" a_client_that_leaves_is_1006,
    "WS-022" the_app_receives_its_own_close,
    "WS-023" an_app_that_returns_closes_with_1000,
    "WS-024" an_app_that_fails_closes_with_1011,
    "WS-026" the_server_waits_for_the_close_of_the_client,
    "WS-027" a_panic_of_a_websocket_app_is_logged,
    "WS-028" a_close_is_answered_with_its_code,
    "WS-029" a_broken_frame_is_closed_with_the_code_for_it,
    "WS-031" a_close_of_the_server_is_reported,
    "WS-032" a_silent_client_gets_a_ping,
    "WS-034" the_client_waits_while_the_app_does_not_take_messages,
    "WS-043" an_abort_sends_no_close_frame,
}

/// Receives `connect`, accepts, and does more.
fn accepted(steps: &str) -> String {
    format!("receive&accept&{steps}")
}

async fn messages_after_the_close_of_the_app_are_dropped(server: Subject) -> Checked {
    let (run, mut socket) = open(&server, &accepted("close=4001;bye&receive&receive")).await?;
    socket.expect(CLOSE, close_payload(4001, "bye")).await?;
    socket.send(TEXT, "late").await?;
    socket.close(4001, "bye").await?;
    let end = "websocket.disconnect 4001 \"bye\"";
    run.expect(&["websocket.connect", "ok", "ok", end, end])
        .await
        .map(drop)
}

async fn a_message_in_parts_comes_whole(server: Subject) -> Checked {
    let (run, mut socket) = open(&server, &accepted("receive&receive")).await?;
    // The parts split a character, and a ping comes between them.
    socket.http.raw(frame(TEXT, b"a\xe2\x82")).await?;
    socket.send(PING, "between").await?;
    socket.http.raw(frame(0, b"\xac")).await?;
    socket.http.raw(frame(FIN, b"b")).await?;
    socket.send(BINARY, [0, 255]).await?;
    run.expect(&[
        "websocket.connect",
        "ok",
        "websocket.receive text \"a€b\"",
        "websocket.receive binary \"\\x00\\xff\"",
    ])
    .await
    .map(drop)
}

async fn a_ping_is_answered_and_not_shown(server: Subject) -> Checked {
    let (run, mut socket) = open(&server, &accepted("receive")).await?;
    socket.send(PING, "beat").await?;
    socket.expect(PONG, "beat").await?;
    socket.send(TEXT, "hello").await?;
    let message = "websocket.receive text \"hello\"";
    run.expect(&["websocket.connect", "ok", message])
        .await
        .map(drop)
}

async fn a_message_beyond_the_limit_closes_with_1009(server: Subject) -> Checked {
    let size = server.max_message_size()?;
    let (run, mut socket) = open(&server, &accepted("receive&receive")).await?;
    socket.send(TEXT, "x".repeat(size)).await?;
    run.after_steps(3).await?;
    socket.send(TEXT, "x".repeat(size + 1)).await?;
    socket.expect_close(1009).await
}

async fn a_silent_client_gets_a_ping(server: Subject) -> Checked {
    let interval = server.time("ping-interval")?;
    let (_run, mut socket) = open(&server, &accepted("receive")).await?;
    tokio::time::sleep(interval).await;
    equal("the frame", socket.frame().await?.opcode, PING)
}

async fn a_close_with_a_code_of_the_protocol_is_misuse(server: Subject) -> Checked {
    const WRONG: [u16; 9] = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000];
    let closes: Vec<String> = WRONG.iter().map(|code| format!("close={code}")).collect();
    let steps = accepted(&format!("{}&close=4999", closes.join("&")));
    let (run, mut socket) = open(&server, &steps).await?;
    socket.expect_close(4999).await?;
    socket.close(4999, "").await?;
    let report = run.report().await?;
    let mut expected = vec!["misuse"; WRONG.len()];
    expected.push("ok");
    equal("the closes", report.outcomes()[2..].to_vec(), expected)
}

async fn a_close_with_a_long_reason_is_misuse(server: Subject) -> Checked {
    let (long, most) = ("x".repeat(124), "x".repeat(123));
    let steps = accepted(&format!("close=1000;{long}&close=1000;{most}"));
    let (run, mut socket) = open(&server, &steps).await?;
    socket.expect(CLOSE, close_payload(1000, &most)).await?;
    socket.close(1000, "").await?;
    run.expect(&["websocket.connect", "ok", "misuse", "ok"])
        .await
        .map(drop)
}

async fn the_close_of_the_client_comes_after_its_messages(server: Subject) -> Checked {
    for (payload, end) in [
        (
            close_payload(4002, "done"),
            "websocket.disconnect 4002 \"done\"",
        ),
        (Vec::new(), "websocket.disconnect 1005 \"\""),
    ] {
        let (run, mut socket) = open(&server, &accepted("wait=go&receive&receive")).await?;
        socket.send(TEXT, "last").await?;
        socket.send(CLOSE, payload).await?;
        run.signal("go").await?;
        let message = "websocket.receive text \"last\"";
        run.expect(&["websocket.connect", "ok", message, end])
            .await?;
    }
    Ok(())
}

async fn a_client_that_leaves_is_1006(server: Subject) -> Checked {
    let (run, socket) = open(&server, &accepted("receive")).await?;
    socket.http.reset();
    let report = run.report().await?;
    let end = report.last();
    let right = end.starts_with("websocket.disconnect 1006");
    ensure(right, "websocket.disconnect 1006", end)?;

    let (run, mut socket) = open(&server, &accepted("receive")).await?;
    socket.http.close_write().await?;
    let report = run.report().await?;
    let end = report.last();
    let right = end.starts_with("websocket.disconnect 1006");
    ensure(right, "websocket.disconnect 1006", end)
}

async fn the_app_receives_its_own_close(server: Subject) -> Checked {
    let (run, mut socket) = open(&server, &accepted("close=4003;mine&receive")).await?;
    socket.expect_close(4003).await?;
    socket.close(4003, "").await?;
    let end = "websocket.disconnect 4003 \"mine\"";
    run.expect(&["websocket.connect", "ok", "ok", end]).await?;

    let run = server.run("receive&close=4003&receive");
    let mut client = server.connect().await?;
    client.send(run.handshake("")).await?;
    client.response().await?;
    let report = run.report().await?;
    let end = report.last();
    let right = end.starts_with("websocket.disconnect 1006");
    ensure(right, "websocket.disconnect 1006 after a denial", end)
}

async fn an_app_that_returns_closes_with_1000(server: Subject) -> Checked {
    let (_run, mut socket) = open(&server, &accepted("text=bye&return")).await?;
    socket.expect(TEXT, "bye").await?;
    socket.expect_close(1000).await
}

async fn an_app_that_fails_closes_with_1011(server: Subject) -> Checked {
    for end in ["error=e", "panic=p"] {
        let (_run, mut socket) = open(&server, &accepted(end)).await?;
        socket.expect_close(1011).await?;
    }
    Ok(())
}

async fn the_server_waits_for_the_close_of_the_client(server: Subject) -> Checked {
    let (_run, mut socket) = open(&server, &accepted("close=1000")).await?;
    socket.expect_close(1000).await?;
    let waiting = tokio::time::timeout(STALL, socket.http.end()).await;
    ensure(waiting.is_err(), "a connection that stays open", "its end")?;
    socket.close(1000, "").await?;
    socket.expect_end().await.map(drop)
}

async fn a_panic_of_a_websocket_app_is_logged(server: Subject) -> Checked {
    server.log()?;
    let steps = accepted(&format!("panic=cause%2dof-ws-027-{}.", server.transport()));
    let (run, mut socket) = open(&server, &steps).await?;
    socket.expect_close(1011).await?;
    run.report().await?;
    let cause = format!("cause-of-ws-027-{}.", server.transport());
    expect_in_log(&server, &cause).await
}

async fn a_close_is_answered_with_its_code(server: Subject) -> Checked {
    for (payload, answer) in [
        (close_payload(4004, "why"), Some(4004_u16)),
        (Vec::new(), None),
    ] {
        let (_run, mut socket) = open(&server, &accepted("receive&receive")).await?;
        socket.send(CLOSE, payload).await?;
        match answer {
            Some(code) => socket.expect_close(code).await?,
            None => socket.expect(CLOSE, "").await?,
        }
        socket.expect_end().await?;
    }
    Ok(())
}

/// Frames that break RFC 6455, each with the code for it.
fn broken_frames() -> Vec<(&'static str, Vec<u8>, u16)> {
    let mut unmasked = frame(FIN | TEXT, b"hello");
    unmasked[1] &= 0x7f;
    unmasked.drain(2..6);
    vec![
        ("a frame without a mask", unmasked, 1002),
        ("a reserved bit", frame(FIN | 0x40 | TEXT, b"a"), 1002),
        ("a reserved opcode", frame(FIN | 0x3, b"a"), 1002),
        ("a ping in parts", frame(PING, b"a"), 1002),
        ("a long ping", frame(FIN | PING, &[0; 126]), 1002),
        ("a part without a beginning", frame(FIN, b"a"), 1002),
        ("a close with one byte", frame(FIN | CLOSE, &[3]), 1002),
        (
            "a close with 1005",
            frame(FIN | CLOSE, &close_payload(1005, "")),
            1002,
        ),
        (
            "a text that is not UTF-8",
            frame(FIN | TEXT, b"a\xff"),
            1007,
        ),
    ]
}

async fn a_broken_frame_is_closed_with_the_code_for_it(server: Subject) -> Checked {
    for (what, bytes, code) in broken_frames() {
        let (_run, mut socket) = open(&server, &accepted("receive&receive")).await?;
        socket.http.raw(bytes).await?;
        let frame = socket.frame().await?;
        let right = frame.opcode == CLOSE && frame.payload.starts_with(&code.to_be_bytes());
        if !right {
            return fail(
                format!("a close with {code} after {what}"),
                format!("{frame:?}"),
            );
        }
    }
    Ok(())
}

async fn a_close_of_the_server_is_reported(server: Subject) -> Checked {
    let (run, mut socket) = open(&server, &accepted("wait=go&receive&receive")).await?;
    socket.send(TEXT, "before").await?;
    socket.http.raw(frame(FIN | TEXT, b"a\xff")).await?;
    socket.expect_close(1007).await?;
    run.signal("go").await?;
    let report = run.report().await?;
    let outcomes = report.outcomes();
    let message = outcomes.get(2).copied();
    equal(
        "the message",
        message,
        Some("websocket.receive text \"before\""),
    )?;
    let right = report.last().starts_with("websocket.disconnect 1007");
    ensure(right, "websocket.disconnect 1007", report.last())
}

async fn the_client_waits_while_the_app_does_not_take_messages(server: Subject) -> Checked {
    /// More than a server and two kernels can hold for one connection.
    const MOST: usize = 64 << 20;

    let (_run, mut socket) = open(&server, &accepted("wait=never")).await?;
    let size = server.max_message_size().unwrap_or(32 << 10).min(32 << 10);
    let message = frame(FIN | BINARY, &vec![0; size]);
    let sent = socket.http.send_until_it_waits(&message, MOST).await?;
    socket.http.reset();
    ensure(sent < MOST, "a server that stops reading", sent)
}

async fn an_abort_sends_no_close_frame(server: Subject) -> Checked {
    let (run, mut socket) = open(&server, &accepted("wait=go&abort")).await?;
    run.signal("go").await?;
    socket.expect_end().await.map(drop)
}
