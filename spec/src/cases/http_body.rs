//! HTTP §2 and §9: the request's body.

use crate::client::http2::{RawHttp2Frame, flag, kind};
use crate::client::{CHUNKED, STALL};
use crate::result::{Checked, ensure, equal};
use crate::suite::Subject;

cases! {
    [Http]
    "HTTP-014" the_first_event_is_a_request_even_without_a_body,
    "HTTP-015" a_chunked_body_comes_without_its_coding,
    "HTTP-016" only_the_last_part_has_no_more_body,
    "HTTP-017" trailers_come_with_the_last_part,
    "HTTP-018" a_100_comes_when_the_app_receives_and_not_after_the_head,
    "HTTP-019" the_client_waits_while_the_app_does_not_receive,
    "HTTP-020" a_broken_body_ends_in_a_disconnect,
    "HTTP-068" a_large_body_reaches_the_app,
    "HTTP-078" a_body_is_read_once,
}

async fn the_first_event_is_a_request_even_without_a_body(server: Subject) -> Checked {
    let run = server.run("receive&start=200&last=ok");
    run.get().await?;
    run.expect(&["http.request \"\" last", "ok", "ok"])
        .await
        .map(drop)
}

/// Sends a body of unknown length in two parts, one after the other, and returns the events.
async fn events_of_chunks(server: &Subject, trailers: &[(&str, &str)]) -> Checked<Vec<String>> {
    // ASGI permits a server to collect the body, so one event may have all of it.
    let first = if server.is_python() { "" } else { "receive&" };
    let run = server.run(&format!("{first}body&start=200&last=ok"));
    let mut client = server.connect().await?;
    client.send(run.request_as("POST", CHUNKED)).await?;
    client.part("hello").await?;
    if !server.is_python() {
        run.after_steps(1).await?;
    }
    match client.as_http2() {
        None => client.raw("7;ext=1\r\n world!\r\n").await?,
        Some((http2, stream)) => {
            // Two bytes of padding, which are no content either.
            let data = RawHttp2Frame::new(kind::DATA, flag::PADDED, stream, *b"\x02 world!\0\0");
            http2.frame(&data).await?;
        }
    }
    client.finish(trailers).await?;
    client.response().await?;
    let report = run.report().await?;
    let mut events = report.outcomes();
    events.truncate(events.len() - 2);
    Ok(events.into_iter().map(str::to_owned).collect())
}

async fn a_chunked_body_comes_without_its_coding(server: Subject) -> Checked {
    server.needs_http_1_1()?;
    let events = events_of_chunks(&server, &[]).await?;
    let content: String = events
        .iter()
        .filter_map(|event| event.split('"').nth(1))
        .collect();
    equal("the content", content.as_str(), "hello world!")
}

async fn only_the_last_part_has_no_more_body(server: Subject) -> Checked {
    server.needs_http_1_1()?;
    let events = events_of_chunks(&server, &[]).await?;
    let last = events.iter().position(|event| event.ends_with(" last"));
    equal("the last part in", last, Some(events.len() - 1))?;
    let more = events.iter().filter(|event| event.ends_with(" more"));
    equal("parts with more_body", more.count(), events.len() - 1)
}

async fn trailers_come_with_the_last_part(server: Subject) -> Checked {
    server.needs_http_1_1()?;
    let events = events_of_chunks(&server, &[("x-sum", "12"), ("x-b", "c")]).await?;
    for (number, event) in events.iter().enumerate() {
        let is_last = number + 1 == events.len();
        let has = event.ends_with(" x-sum:12 x-b:c");
        ensure(has == is_last, "trailers on the last part alone", &events)?;
    }
    Ok(())
}

async fn a_100_comes_when_the_app_receives_and_not_after_the_head(server: Subject) -> Checked {
    server.needs_http_1_1()?;
    const EXPECT: &str = "expect: 100-continue\r\ncontent-length: 5\r\n";

    let run = server.run("wait=go&body&start=200&last=ok");
    let mut client = server.connect().await?;
    client.send(run.request_as("POST", EXPECT)).await?;
    let early = client.anything().await?;
    ensure(
        early.is_empty(),
        "no 100 before the app receives",
        early.escape_ascii().to_string(),
    )?;
    run.signal("go").await?;
    equal("the first status", client.head().await?.status, 100)?;
    client.part("hello").await?;
    let received = client.response().await?;
    equal("the status", received.head.status, 200)?;
    let report = run.report().await?;
    let events = report.outcomes().concat();
    ensure(events.contains("\"hello\""), "the body", events)?;

    let run = server.run("start=200&more=a&wait=go&receive-now&last=b");
    let mut client = server.connect().await?;
    client.send(run.request_as("POST", EXPECT)).await?;
    let head = client.head().await?;
    equal("the first status", head.status, 200)?;
    run.signal("go").await?;
    // A 100 would stand between the chunks.
    let received = client.body_of(Vec::new(), head, "POST").await?;
    equal("the body", received.text().as_str(), "ab")
}

async fn the_client_waits_while_the_app_does_not_receive(server: Subject) -> Checked {
    /// More than a server and two kernels can hold for one connection.
    const MOST: usize = 64 << 20;

    let run = server.run("wait=never");
    let mut client = server.connect().await?;
    let length = format!("content-length: {}\r\n", 2 * MOST);
    client.send(run.request_as("POST", &length)).await?;
    let sent = client.send_until_it_waits(&[b'x'; 16 << 10], MOST).await?;
    client.reset();
    ensure(sent < MOST, "a server that stops reading", sent)
}

async fn a_broken_body_ends_in_a_disconnect(server: Subject) -> Checked {
    let run = server.run("body&start=200&last=ok");
    let mut client = server.connect().await?;
    client
        .send(run.request_as("POST", "content-length: 10\r\n"))
        .await?;
    client.part("hello").await?;
    // Over HTTP/2 this ends the stream, so the body is shorter than its length.
    client.close_write().await?;
    let report = run.report().await?;
    let events = report.outcomes();
    let ended = events
        .iter()
        .any(|event| event.starts_with("http.disconnect"));
    let complete = events.iter().any(|event| event.ends_with(" last"));
    ensure(
        ended && !complete,
        "a disconnect and no last part",
        report.steps(),
    )?;

    if server.needs_http_1_1().is_err() {
        return Ok(());
    }
    let run = server.run("body&receive&start=200&last=ok");
    let mut client = server.connect().await?;
    if server.is_http2() {
        let headers = "content-length: 3\r\n";
        client.send(run.request_as("POST", headers)).await?;
        client.raw("too long").await?;
    } else {
        client.send(run.request_as("POST", CHUNKED)).await?;
        client.part("hello").await?;
        client.raw("nonsense\r\n").await?;
    }
    let report = run.report().await?;
    let events = report.outcomes();
    let parts = events.iter().filter(|event| event.ends_with(" last"));
    equal("last parts", parts.count(), 0)?;
    ensure(
        events.contains(&"http.disconnect ProtocolError")
            || server.is_python() && events.contains(&"http.disconnect"),
        "a disconnect with ProtocolError",
        report.steps(),
    )
}

async fn a_large_body_reaches_the_app(server: Subject) -> Checked {
    const PART: usize = 1 << 20;
    const PARTS: usize = 12;

    let run = server.run("drain&start=200&last=ok");
    let mut client = server.connect().await?;
    let length = format!("content-length: {}\r\n", PART * PARTS);
    client.send(run.request_as("POST", &length)).await?;
    for _ in 0..PARTS {
        client.part(vec![b'x'; PART]).await?;
    }
    let received = client.response().await?;
    equal("the status", received.head.status, 200)?;
    let total = format!("{} bytes", PART * PARTS);
    run.expect(&[&total, "ok", "ok"]).await.map(drop)
}

async fn a_body_is_read_once(server: Subject) -> Checked {
    let run = server.run("read&read&start=200&last=ok");
    let mut client = server.connect().await?;
    client
        .send(run.request_as("POST", "content-length: 5\r\n"))
        .await?;
    client.part("hello").await?;
    client.response().await?;
    tokio::time::timeout(
        STALL * 10,
        run.expect(&["body of 5 bytes", "already read", "ok", "ok"]),
    )
    .await
    .unwrap_or_else(|_| crate::result::fail("a second read that does not wait", "it waits"))
    .map(drop)
}
