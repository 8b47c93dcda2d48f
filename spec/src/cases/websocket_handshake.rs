//! WebSocket §1, §2 and §6: handshakes.

use crate::client::websocket::{ACCEPT, HANDSHAKE, RawSocket, TEXT, frame};
use crate::client::{BodyEnd, CaseClient, Endpoint, FIN, Head, Received};
use crate::result::{Checked, ensure, equal, not_supported};
use crate::suite::{Run, RunReport, Subject};

cases! {
    [Sockets]
    "WS-001" the_scope_is_that_of_the_handshake,
    "WS-002" the_scheme_is_wss_with_tls_and_ws_without,
    "WS-003" the_subprotocols_are_in_the_order_of_the_client,
    "WS-004" connect_comes_first_and_once,
    "WS-005" a_handshake_waits_for_the_app,
    "WS-006" an_accept_has_the_subprotocol_and_headers_of_the_app,
    "WS-007" a_close_before_the_accept_is_a_403,
    "WS-008" an_app_denies_with_its_own_response,
    "WS-009" a_subprotocol_that_is_not_offered_is_misuse,
    "WS-010" a_header_of_the_handshake_is_misuse,
    "WS-011" an_app_that_ends_without_an_answer_gets_a_500,
    "WS-013" messages_before_the_accept_are_kept,
    "WS-044" an_accept_has_no_length_and_no_headers_of_the_connection,
    "WS-045" no_message_comes_before_the_accept,
    "WS-046" headers_of_an_accept_stay_separate_and_in_order,
    "DENY-001" a_response_to_a_handshake_is_offered,
    "DENY-002" an_answer_after_the_start_of_a_denial_is_misuse,
    "DENY-003" a_denial_after_another_answer_is_misuse,
    "DENY-004" an_incomplete_denial_is_broken_off,
    "HTTP-080" a_websocket_has_no_body_to_read,
    [WebSocket]
    "WS-012" the_app_is_not_called_for_a_malformed_handshake,
    "WS-036" a_malformed_handshake_gets_the_status_for_it,
    "WS-038" a_connection_goes_on_after_a_denial,
    "WS-039" http_1_0_ignores_upgrade,
}

/// Sends a handshake and expects its accept.
pub(super) async fn open(server: &Subject, steps: &str) -> Checked<(Run, RawSocket)> {
    open_with(server, steps, "").await
}

pub(super) async fn open_with(
    server: &Subject,
    steps: &str,
    headers: &str,
) -> Checked<(Run, RawSocket)> {
    open_at(server, server.endpoint(), steps, headers).await
}

/// The same to another server.
pub(super) async fn open_at(
    server: &Subject,
    endpoint: &Endpoint,
    steps: &str,
    headers: &str,
) -> Checked<(Run, RawSocket)> {
    let run = server.run(steps);
    let mut http = server.connect_to(endpoint).await?;
    http.send(run.handshake(headers)).await?;
    let head = accept(server, &mut http).await?;
    let key = head.header("sec-websocket-accept");
    let expected = (!server.is_http2()).then_some(ACCEPT);
    equal("sec-websocket-accept", key, expected)?;
    let extensions = head.header("sec-websocket-extensions").unwrap_or_default();
    let compressed = extensions.contains("permessage-deflate");
    Ok((run, RawSocket { http, compressed }))
}

/// Reads the head of an accept.
pub(super) async fn accept(server: &Subject, client: &mut CaseClient) -> Checked<Head> {
    let head = client.head().await?;
    let accepted = if server.is_http2() { 200 } else { 101 };
    equal("the status", head.status, accepted)?;
    Ok(head)
}

async fn the_scope_is_that_of_the_handshake(server: Subject) -> Checked {
    let headers = "x-many: 1\r\nx-many: 2\r\n";
    let (run, _socket) = open_with(&server, "receive&accept", headers).await?;
    let report = run.after_steps(2).await?;
    equal("type", report.scope("type").as_str(), Some("websocket"))?;
    equal(
        "version",
        report.scope("http_version").as_str(),
        Some(if server.is_http2() { "2" } else { "1.1" }),
    )?;
    let target = report.scope("target").as_str();
    equal("target", target, Some(run.target.as_str()))?;
    equal("x-many", report.headers("x-many"), ["1", "2"])?;
    equal("host", report.headers("host"), ["suite"])
}

async fn the_scheme_is_wss_with_tls_and_ws_without(server: Subject) -> Checked {
    let (run, _socket) = open(&server, "receive&accept").await?;
    let report = run.after_steps(2).await?;
    let scheme = if server.has_tls() { "wss" } else { "ws" };
    equal("scheme", report.scope("scheme").as_str(), Some(scheme))
}

async fn the_subprotocols_are_in_the_order_of_the_client(server: Subject) -> Checked {
    let headers = "sec-websocket-protocol: b, a\r\nsec-websocket-protocol: c\r\n";
    let (run, _socket) = open_with(&server, "receive&accept", headers).await?;
    let report = run.after_steps(2).await?;
    let offered = report.scope("subprotocols").to_string();
    equal("subprotocols", offered.as_str(), "[\"b\",\"a\",\"c\"]")
}

async fn connect_comes_first_and_once(server: Subject) -> Checked {
    let (run, mut socket) = open(&server, "receive&receive-now&accept&receive").await?;
    socket.send(TEXT, "hello").await?;
    let report = run.after_steps(4).await?;
    equal(
        "the events",
        report.outcomes(),
        [
            "websocket.connect",
            "pending",
            "ok",
            "websocket.receive text \"hello\"",
        ],
    )
}

async fn a_handshake_waits_for_the_app(server: Subject) -> Checked {
    let run = server.run("receive&wait=go&accept");
    let mut client = server.connect().await?;
    client.send(run.handshake("")).await?;
    let early = client.anything().await?;
    let shown = early.escape_ascii().to_string();
    ensure(early.is_empty(), "no answer before the app's", shown)?;
    run.signal("go").await?;
    accept(&server, &mut client).await.map(drop)
}

async fn an_accept_has_the_subprotocol_and_headers_of_the_app(server: Subject) -> Checked {
    let run = server.run("receive&accept=b;x-a:1;x-a:2");
    let mut client = server.connect().await?;
    let offer = "sec-websocket-protocol: a, b\r\n";
    client.send(run.handshake(offer)).await?;
    let head = accept(&server, &mut client).await?;
    equal(
        "the subprotocol",
        head.header("sec-websocket-protocol"),
        Some("b"),
    )?;
    need_headers(&run.after_steps(2).await?)?;
    equal("x-a", head.all("x-a"), ["1", "2"])
}

fn need_headers(report: &RunReport) -> Checked {
    report.needs_asgi((2, 1), "headers of an accept")
}

async fn a_close_before_the_accept_is_a_403(server: Subject) -> Checked {
    let run = server.run("receive&close=4000;no");
    let mut client = server.connect().await?;
    client.send(run.handshake("")).await?;
    let received = client.response().await?;
    equal("the status", received.head.status, 403)?;
    equal("the body", received.text().as_str(), "")
}

async fn an_app_denies_with_its_own_response(server: Subject) -> Checked {
    // ASGI does not forbid a denial with a status of success.
    let success = if server.is_python() { "" } else { "deny=200&" };
    let steps = format!("receive&{success}deny=401;x-a:b&deny-more=not&deny-last=you");
    let run = server.run(&steps);
    let mut client = server.connect().await?;
    client.send(run.handshake("")).await?;
    let report = run.report().await?;
    need_denials(&report)?;
    let received = client.response().await?;
    equal("the status", received.head.status, 401)?;
    equal("x-a", received.head.header("x-a"), Some("b"))?;
    equal("the body", received.text().as_str(), "notyou")?;
    let complete = matches!(received.end, BodyEnd::Marked | BodyEnd::Length);
    ensure(complete, "a complete body", received.end)?;
    let mut outcomes = vec!["websocket.connect", "misuse", "ok", "ok", "ok"];
    if server.is_python() {
        outcomes.remove(1);
    }
    equal("the outcomes", report.outcomes(), outcomes)
}

async fn a_subprotocol_that_is_not_offered_is_misuse(server: Subject) -> Checked {
    let headers = "sec-websocket-protocol: a\r\n";
    let (run, _socket) = open_with(&server, "receive&accept=b&accept=a", headers).await?;
    let report = run.after_steps(3).await?;
    equal(
        "the accepts",
        report.outcomes()[1..].to_vec(),
        ["misuse", "ok"],
    )
}

async fn a_header_of_the_handshake_is_misuse(server: Subject) -> Checked {
    let steps = "receive&accept=;sec-websocket-accept:x&accept=;Sec-WebSocket-Other:x&accept";
    let (run, _socket) = open(&server, steps).await?;
    let report = run.after_steps(4).await?;
    equal(
        "the accepts",
        report.outcomes()[1..].to_vec(),
        ["misuse", "misuse", "ok"],
    )
}

async fn an_app_that_ends_without_an_answer_gets_a_500(server: Subject) -> Checked {
    for steps in [
        "return",
        "receive&return",
        "receive&error=early",
        "panic=early",
    ] {
        let run = server.run(steps);
        let mut client = server.connect().await?;
        client.send(run.handshake("")).await?;
        let status = client.response().await?.head.status;
        equal(&format!("the status after {steps}"), status, 500)?;
    }
    Ok(())
}

/// Handshakes that lack something or have it twice, each with the status for it.
fn malformed() -> [(String, u16); 3] {
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let another = HANDSHAKE.replace("version: 13", "version: 12");
    [
        (HANDSHAKE.replace(key, ""), 400),
        (HANDSHAKE.replace(key, "sec-websocket-key: short\r\n"), 400),
        (another, 426),
    ]
}

async fn the_app_is_not_called_for_a_malformed_handshake(server: Subject) -> Checked {
    for (headers, _) in malformed() {
        let run = server.run("receive&accept");
        let mut client = server.connect().await?;
        client.send(run.request_with(&headers)).await?;
        client.response().await?;
        let report = run.report_now().await?;
        // A server may also take it for a request without an upgrade.
        let kind = report.scope("type").as_str();
        let wrong = kind == Some("websocket");
        ensure(!wrong, &format!("no WebSocket after {headers:?}"), kind)?;
    }
    Ok(())
}

async fn messages_before_the_accept_are_kept(server: Subject) -> Checked {
    let run = server.run("receive&wait=go&accept&receive&receive");
    let mut http = server.connect().await?;
    http.send(run.handshake("")).await?;
    let early = [frame(FIN | TEXT, b"one"), frame(FIN | TEXT, b"two")];
    http.raw(early.concat()).await?;
    run.after_steps(1).await?;
    run.signal("go").await?;
    accept(&server, &mut http).await?;
    let report = run.after_steps(4).await?;
    equal(
        "the messages",
        report.outcomes()[2..].to_vec(),
        [
            "websocket.receive text \"one\"",
            "websocket.receive text \"two\"",
        ],
    )
}

async fn a_malformed_handshake_gets_the_status_for_it(server: Subject) -> Checked {
    for (headers, expected) in malformed() {
        let run = server.run("receive&accept");
        let mut client = server.connect().await?;
        client.send(run.request_with(&headers)).await?;
        let head = client.response().await?.head;
        equal(
            &format!("the status after {headers:?}"),
            head.status,
            expected,
        )?;
        if expected == 426 {
            let version = head.header("sec-websocket-version");
            equal("sec-websocket-version", version, Some("13"))?;
        }
    }
    Ok(())
}

async fn a_connection_goes_on_after_a_denial(server: Subject) -> Checked {
    let denied = server.run("receive&close=1000");
    let next = server.run("start=200&last=next");
    let mut client = server.connect().await?;
    client.send(denied.handshake("")).await?;
    equal("the status", client.response().await?.head.status, 403)?;
    client.send(next.request()).await?;
    equal(
        "the next body",
        client.response().await?.text().as_str(),
        "next",
    )
}

async fn http_1_0_ignores_upgrade(server: Subject) -> Checked {
    let run = server.run("start=200&last=ok");
    let mut client = server.connect_http1().await?;
    let request = format!("GET {} HTTP/1.0\r\nhost: a\r\n{HANDSHAKE}\r\n", run.target);
    client.send(request).await?;
    equal("the status", client.response().await?.head.status, 200)?;
    equal(
        "type",
        run.report().await?.scope("type").as_str(),
        Some("http"),
    )
}

async fn a_websocket_has_no_body_to_read(server: Subject) -> Checked {
    let (run, _socket) = open(&server, "read&receive&accept").await?;
    let report = run.after_steps(3).await?;
    let expected = ["not http", "websocket.connect", "ok"];
    equal("the outcomes", report.outcomes(), expected)
}

/// Sends a handshake that the app denies, and returns the response and the run.
async fn denied(server: &Subject, steps: &str) -> Checked<(Run, Received)> {
    let run = server.run(steps);
    let mut client = server.connect().await?;
    client.send(run.handshake("")).await?;
    if steps.starts_with("receive&deny") {
        need_denials(&run.report().await?)?;
    }
    let received = client.response().await?;
    Ok((run, received))
}

fn need_denials(report: &RunReport) -> Checked {
    if report.offers("websocket.http.response") {
        return Ok(());
    }
    not_supported("the scope does not offer a response to a handshake")
}

async fn an_accept_has_no_length_and_no_headers_of_the_connection(server: Subject) -> Checked {
    let run = server.run("receive&accept=;content-length:5;keep-alive:x;te:x;x-a:b");
    let mut client = server.connect().await?;
    client.send(run.handshake("")).await?;
    let head = accept(&server, &mut client).await?;
    need_headers(&run.after_steps(2).await?)?;
    for name in ["content-length", "keep-alive", "te"] {
        equal(name, head.header(name), None)?;
    }
    equal("x-a", head.header("x-a"), Some("b"))
}

async fn no_message_comes_before_the_accept(server: Subject) -> Checked {
    let run = server.run("receive&wait=go&receive-now&accept&receive");
    let mut http = server.connect().await?;
    http.send(run.handshake("")).await?;
    http.raw(frame(FIN | TEXT, b"early")).await?;
    run.after_steps(1).await?;
    run.signal("go").await?;
    if server.is_python() {
        // ASGI does not say whether a message from before the accept is kept.
        let report = run.after_steps(3).await?;
        let expected = ["websocket.connect", "pending", "ok"];
        return equal("the outcomes", report.outcomes()[..3].to_vec(), expected);
    }
    let message = "websocket.receive text \"early\"";
    let report = run.after_steps(4).await?;
    let expected = ["websocket.connect", "pending", "ok", message];
    equal("the outcomes", report.outcomes(), expected)
}

async fn headers_of_an_accept_stay_separate_and_in_order(server: Subject) -> Checked {
    let run = server.run("receive&accept=;set-cookie:b=2;x-a:1;set-cookie:a=1");
    let mut client = server.connect().await?;
    client.send(run.handshake("")).await?;
    let head = client.head().await?;
    need_headers(&run.after_steps(2).await?)?;
    equal("set-cookie", head.all("set-cookie"), ["b=2", "a=1"])
}

async fn a_response_to_a_handshake_is_offered(server: Subject) -> Checked {
    let (run, _) = denied(&server, "receive&close=1000").await?;
    let offers = run.report().await?.offers("websocket.http.response");
    equal("the extension is offered", offers, true)
}

async fn an_answer_after_the_start_of_a_denial_is_misuse(server: Subject) -> Checked {
    let steps = "receive&deny=401&accept&text=a&close=1000&deny=403&deny-last=no";
    let (run, received) = denied(&server, steps).await?;
    let report = run.report().await?;
    need_denials(&report)?;
    equal("the status", received.head.status, 401)?;
    let answers = ["ok", "misuse", "misuse", "misuse", "misuse", "ok"];
    equal("the answers", report.outcomes()[1..].to_vec(), answers)
}

async fn a_denial_after_another_answer_is_misuse(server: Subject) -> Checked {
    let (run, _socket) = open(&server, "receive&accept&deny=401").await?;
    let report = run.after_steps(3).await?;
    need_denials(&report)?;
    equal("the denial", report.last(), "misuse")?;
    let (run, _) = denied(&server, "receive&close=1000&deny=401").await?;
    equal("the denial", run.report().await?.last(), "misuse")
}

async fn an_incomplete_denial_is_broken_off(server: Subject) -> Checked {
    let (run, received) = denied(&server, "receive&deny=401&error=early").await?;
    need_denials(&run.report().await?)?;
    equal("the status", received.head.status, 500)?;
    let run = server.run("receive&deny=401&deny-more=a&wait=go&error=late");
    let mut client = server.connect().await?;
    client.send(run.handshake("")).await?;
    let head = client.head().await?;
    equal("the status", head.status, 401)?;
    run.signal("go").await?;
    let received = client.body_of(Vec::new(), head, "GET").await?;
    ensure(
        received.end.is_cut(),
        "a body without its end",
        received.end,
    )
}
