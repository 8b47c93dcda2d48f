//! What HTTP/2 alone can show: streams, resets and malformed headers.

use crate::client::http2::{Http2, NO_PUSH, RawHttp2Frame, StreamEnding, code, setting};
use crate::client::{BodyEnd, STALL};
use crate::result::{Checked, ensure, equal, fail};
use crate::suite::{Run, Subject};

cases! {
    [Http2]
    "CORE-011" a_send_waits_while_the_window_of_the_client_is_closed,
    "CORE-016" a_send_that_waits_for_the_window_ends_with_a_reset,
    "CORE-017" closed_resolves_after_a_reset_of_the_stream,
    "CORE-019" a_panic_ends_only_its_own_stream,
    "HTTP-009" the_authority_is_the_only_host,
    "HTTP-013" the_app_is_not_called_for_malformed_headers,
    "HTTP-040" an_incomplete_response_ends_in_a_reset_of_its_stream,
    "HTTP-043" a_client_that_closes_the_connection_is_lost,
    "HTTP-044" a_reset_is_reported_to_the_app_of_its_stream_alone,
    "HTTP-046" the_reason_stays_that_of_the_reset,
    "HTTP-063" malformed_headers_get_a_400_or_a_reset,
    "HTTP-081" the_code_of_a_reset_is_that_of_the_client,
    "HTTP-088" each_response_comes_on_the_stream_of_its_request,
}

/// More than a server can hold for one stream.
const FLOOD: usize = 4096;

/// A client that lets the server send no part of a body.
const NO_WINDOW: &[(u16, u32)] = &[(setting::ENABLE_PUSH, 0), (setting::INITIAL_WINDOW_SIZE, 0)];

/// Waits until the step that a run does now makes no progress any more.
async fn comes_to_rest(run: &Run) -> Checked<String> {
    let mut before = None;
    loop {
        tokio::time::sleep(STALL).await;
        let report = run.report_now().await?;
        let now = Some(report.last().to_owned());
        if now == before || report.end().is_some() {
            return Ok(report.last().to_owned());
        }
        before = now;
    }
}

async fn a_send_waits_while_the_window_of_the_client_is_closed(server: Subject) -> Checked {
    let run = server.run("start=200&fill=200000&wait=never");
    let mut client = server.connect_http2(NO_WINDOW).await?;
    let stream = client.get(&run.request()).await?;
    client.head(stream).await?;
    client.settle().await?;
    equal(
        "bytes without a window",
        client.stream(stream).data.len(),
        0,
    )?;
    let window = RawHttp2Frame::window_update(stream, 70_000);
    client.frame(&window).await?;
    client
        .exactly(stream, 70_000, "as much as the window")
        .await?;
    client.settle().await?;
    equal(
        "bytes beyond the window",
        client.stream(stream).data.len(),
        0,
    )?;

    let run = server.run(&format!("start=200&flood={FLOOD}"));
    let stream = client.get(&run.request()).await?;
    client.head(stream).await?;
    let rest = comes_to_rest(&run).await?;
    let all = format!("{FLOOD} parts");
    ensure(rest != all, "a send that waits for the window", rest)
}

async fn a_send_that_waits_for_the_window_ends_with_a_reset(server: Subject) -> Checked {
    // A server whose sends do nothing from then on must get to the end of the flood in time.
    let flood = if server.is_python() { 64 } else { FLOOD };
    let run = server.run(&format!("start=200&flood={flood}"));
    let mut client = server.connect_http2(NO_WINDOW).await?;
    let stream = client.get(&run.request()).await?;
    client.head(stream).await?;
    comes_to_rest(&run).await?;
    client.reset_stream(stream, code::CANCEL).await?;
    let report = run.report().await?;
    if server.is_python() {
        // Before version 2.4 of ASGI, a send to a client that is gone does nothing.
        return Ok(());
    }
    equal("the flood", report.last(), "gone")?;
    let last = report.outcomes().len() - 1;
    equal("the reason", report.detail(last), "Reset(8)")
}

async fn closed_resolves_after_a_reset_of_the_stream(server: Subject) -> Checked {
    let run = server.run("state=begun&closed");
    let mut client = server.connect_http2(NO_PUSH).await?;
    let request = run
        .request_as("POST", "content-length: 2\r\n")
        .http2(client.scheme());
    let stream = client
        .begin(&crate::client::http2::pairs(&request), false)
        .await?;
    client.data(stream, b"a", false).await?;
    run.after_steps(1).await?;
    client.reset_stream(stream, code::CANCEL).await?;
    let expected = ["set", server.outcome("Reset(8)")];
    run.expect(&expected).await.map(drop)
}

async fn a_panic_ends_only_its_own_stream(server: Subject) -> Checked {
    let other = server.run("start=200&more=a&wait=go&last=b");
    let panics = server.run("panic=on-purpose");
    let mut client = server.connect_http2(NO_PUSH).await?;
    let first = client.get(&other.request()).await?;
    client.expect_bytes(first, b"a").await?;
    let second = client.get(&panics.request()).await?;
    equal(
        "the status",
        client.response(second).await?.head.status,
        500,
    )?;
    other.signal("go").await?;
    client.expect_bytes(first, b"b").await?;
    equal(
        "the other stream",
        client.ending(first).await?,
        StreamEnding::EndStream,
    )
}

/// The headers of a GET for a run, without `:authority`.
fn get_without_authority<'a>(client: &Http2, run: &'a Run) -> Vec<(&'a str, &'a str)> {
    vec![
        (":method", "GET"),
        (":scheme", client.scheme()),
        (":path", &run.target),
    ]
}

async fn the_authority_is_the_only_host(server: Subject) -> Checked {
    for (host, may_be_refused) in [
        (None, false),
        (Some("a.example"), false),
        (Some("b.example"), true),
    ] {
        let run = server.run("start=200&last=ok");
        let mut client = server.connect_http2(NO_PUSH).await?;
        let mut headers = get_without_authority(&client, &run);
        headers.push((":authority", "a.example"));
        headers.extend(host.map(|host| ("host", host)));
        let stream = client.begin(&headers, true).await?;
        let refused = match client.status_or_end(stream).await {
            Ok(status) => status.is_none_or(|status| status == 400),
            // Or it ends the connection, which ASGI says nothing of.
            Err(_) if server.is_python() => true,
            Err(stop) => return Err(stop),
        };
        // RFC 9113 §8.3.1 lets a server refuse two different hosts.
        if refused && may_be_refused {
            continue;
        }
        let report = run.report().await?;
        let mut hosts = report.headers("host");
        if server.is_python() {
            // ASGI also permits that it stands before the others.
            hosts.truncate(1);
        }
        equal("host", hosts, ["a.example"])?;
    }
    Ok(())
}

/// What makes the headers of a request malformed (RFC 9113 §8.1.1, §8.2 and §8.3), each as the headers
/// after those of [`get_without_authority`].
const MALFORMED: &[&[(&str, &str)]] = &[
    &[(":authority", "a"), ("X-Upper", "1")],
    &[(":authority", "a"), ("x a", "1")],
    &[(":authority", "a"), ("x-a", "nul\0")],
    &[(":authority", "a"), ("x-a", "two\r\nlines: 1")],
    &[(":authority", "a"), ("connection", "close")],
    &[(":authority", "a"), ("transfer-encoding", "chunked")],
    &[(":authority", "a"), ("upgrade", "h9")],
    &[(":authority", "a"), ("te", "gzip")],
    &[(":authority", "a"), (":unknown", "1")],
    &[(":authority", "a"), (":status", "200")],
    &[(":authority", "a"), (":method", "GET")],
    &[("x-a", "1"), (":authority", "a")],
    &[(":authority", "a"), ("content-length", "5")],
    &[(":authority", "a"), ("content-length", "+0")],
];

/// Sends malformed headers, and returns what the server does: a status, or `None` if it resets the
/// stream or ends the connection.
async fn sends_malformed(
    server: &Subject,
    run: &Run,
    more: &[(&str, &str)],
) -> Checked<Option<u16>> {
    let mut client = server.connect_http2(NO_PUSH).await?;
    let mut headers = get_without_authority(&client, run);
    headers.extend(more);
    let stream = client.begin(&headers, true).await?;
    client.status_or_end(stream).await
}

async fn the_app_is_not_called_for_malformed_headers(server: Subject) -> Checked {
    for more in MALFORMED {
        let run = server.run("body&start=200&last=ok");
        sends_malformed(&server, &run, more).await?;
        let calls = run.report_now().await?.calls();
        equal(&format!("calls of the app after {more:?}"), calls, 0)?;
    }
    Ok(())
}

async fn malformed_headers_get_a_400_or_a_reset(server: Subject) -> Checked {
    for more in MALFORMED {
        let run = server.run("body&start=200&last=ok");
        if let Some(status) = sends_malformed(&server, &run, more).await? {
            equal(&format!("the status after {more:?}"), status, 400)?;
        }
    }
    Ok(())
}

async fn an_incomplete_response_ends_in_a_reset_of_its_stream(server: Subject) -> Checked {
    let other = server.run("start=200&more=a&wait=go&last=b");
    let mut client = server.connect_http2(NO_PUSH).await?;
    let beside = client.get(&other.request()).await?;
    client.expect_bytes(beside, b"a").await?;
    for start in ["start=200", "start=200;content-length:9"] {
        for end in ["return", "error=e", "panic=p"] {
            let run = server.run(&format!("{start}&more=part&wait=go&{end}"));
            let stream = client.get(&run.request()).await?;
            client.expect_bytes(stream, b"part").await?;
            run.signal("go").await?;
            let ending = client.ending(stream).await?;
            let expected = StreamEnding::Reset(code::INTERNAL_ERROR);
            equal(
                &format!("the end of the stream after {end}"),
                ending,
                expected,
            )?;
        }
    }
    other.signal("go").await?;
    client.expect_bytes(beside, b"b").await?;
    equal(
        "the other stream",
        client.ending(beside).await?,
        StreamEnding::EndStream,
    )
}

async fn a_client_that_closes_the_connection_is_lost(server: Subject) -> Checked {
    let run = server.run("body&start=200&more=a&receive");
    let mut client = server.connect_http2(NO_PUSH).await?;
    let stream = client.get(&run.request()).await?;
    client.expect_bytes(stream, b"a").await?;
    client.connection.close_write().await;
    let report = run.report().await?;
    let lost = server.outcome("http.disconnect Lost");
    equal("the event", report.last(), lost)
}

async fn a_reset_is_reported_to_the_app_of_its_stream_alone(server: Subject) -> Checked {
    let left = server.run("body&start=200&more=a&receive&more=b");
    let other = server.run("body&start=200&more=a&wait=go&receive-now&last=b");
    let mut client = server.connect_http2(NO_PUSH).await?;
    let (first, second) = (
        client.get(&left.request()).await?,
        client.get(&other.request()).await?,
    );
    client.expect_bytes(first, b"a").await?;
    client.expect_bytes(second, b"a").await?;
    client.reset_stream(first, code::CANCEL).await?;
    let report = left.report().await?;
    let outcomes = report.outcomes();
    let reset = server.outcome("http.disconnect Reset(8)");
    equal("the reset", outcomes.get(3), Some(&reset))?;
    if !server.is_python() {
        equal("the send after it", outcomes.get(4), Some(&"gone"))?;
        equal("its reason", report.detail(4), "Reset(8)")?;
    }
    other.signal("go").await?;
    client.expect_bytes(second, b"b").await?;
    equal(
        "the other stream",
        client.ending(second).await?,
        StreamEnding::EndStream,
    )?;
    let report = other.report().await?;
    equal("its events", report.outcomes().get(3), Some(&"pending"))
}

async fn the_reason_stays_that_of_the_reset(server: Subject) -> Checked {
    let run = server.run("start=200&more=a&closed&wait=go&receive&closed&more=b");
    let mut client = server.connect_http2(NO_PUSH).await?;
    let stream = client.get(&run.request()).await?;
    client.expect_bytes(stream, b"a").await?;
    client.reset_stream(stream, code::CANCEL).await?;
    run.after_steps(3).await?;
    client.connection.reset();
    run.signal("go").await?;
    let report = run.report().await?;
    let outcomes = report.outcomes();
    let expected = ["Reset(8)", "http.disconnect Reset(8)", "Reset(8)", "gone"];
    equal("the reasons", outcomes.get(2..), Some(&expected[..]))?;
    equal("the reason of the send", report.detail(5), "Reset(8)")
}

async fn the_code_of_a_reset_is_that_of_the_client(server: Subject) -> Checked {
    for number in [code::NO_ERROR, 0x7777, u32::MAX] {
        let run = server.run("start=200&more=a&receive&receive");
        let mut client = server.connect_http2(NO_PUSH).await?;
        let stream = client.get(&run.request()).await?;
        client.expect_bytes(stream, b"a").await?;
        client.reset_stream(stream, number).await?;
        let report = run.report().await?;
        let expected = format!("http.disconnect Reset({number})");
        equal("the event", report.last(), expected.as_str())?;
    }
    Ok(())
}

async fn each_response_comes_on_the_stream_of_its_request(server: Subject) -> Checked {
    let mut client = server.connect_http2(NO_PUSH).await?;
    let mut waiting = Vec::new();
    for number in 0..10 {
        let run = server.run(&format!(
            "wait=go&start=200;x-number:{number}&more=is&last={number}"
        ));
        waiting.push((client.get(&run.request()).await?, run, number));
    }
    for (stream, run, number) in waiting.into_iter().rev() {
        run.signal("go").await?;
        let received = client.response(stream).await?;
        equal("the body", received.text(), format!("is{number}"))?;
        let header = received.head.header("x-number").map(str::to_owned);
        equal("x-number", header, Some(number.to_string()))?;
        if received.end != BodyEnd::Marked {
            return fail("END_STREAM", format!("{:?}", received.end));
        }
    }
    Ok(())
}
