//! HTTP §5 and §8: limits of the operator, which the author of the server states.

use std::time::Duration;

use crate::client::{BodyEnd, Http1, within_time};
use crate::result::{Checked, ensure, equal};
use crate::suite::Subject;

cases! { [Http1]
    "HTTP-048" an_app_that_is_dropped_leaves_a_response_without_its_end,
    "HTTP-074" a_head_that_does_not_come_has_a_limit,
    "HTTP-075" a_body_that_stops_has_a_limit,
    "HTTP-076" a_client_that_does_not_read_has_a_limit,
    "HTTP-077" an_idle_connection_is_closed,
    "HTTP-084" an_app_is_dropped_at_the_end_of_the_grace,
}

/// How much later than its limit something may happen.
const LATE: Duration = Duration::from_secs(4);

/// Waits for the end of a connection, which must come after the limit, and returns what came before.
async fn ends_after(client: &mut Http1, limit: Duration) -> Checked<Vec<u8>> {
    let began = std::time::Instant::now();
    let end = client.end_within(limit + LATE).await?;
    let took = began.elapsed();
    ensure(
        took * 2 > limit,
        &format!("no end before the limit of {limit:?}"),
        took,
    )?;
    Ok(end)
}

async fn a_head_that_does_not_come_has_a_limit(server: Subject) -> Checked {
    let limit = server.time("head-timeout")?;
    let mut client = server.connect_http1().await?;
    client.send("GET / HTTP/1.1\r\nhost: su").await?;
    let answer = ends_after(&mut client, limit).await?;
    let right = answer.is_empty() || answer.starts_with(b"HTTP/1.1 408");
    ensure(right, "408 or nothing", answer.escape_ascii().to_string())
}

async fn a_body_that_stops_has_a_limit(server: Subject) -> Checked {
    let limit = server.time("body-timeout")?;
    let run = server.run("body&start=200&last=ok");
    let mut client = server.connect_http1().await?;
    let head = run.request_as("POST", "content-length: 10\r\n").http1();
    client.send(head + "hello").await?;
    let report = Box::pin(within_time(
        limit + LATE,
        "the end of the body",
        run.report(),
    ))
    .await?;
    let ended = report.outcomes().contains(&"http.disconnect TimedOut");
    ensure(ended, "a disconnect with TimedOut", report.steps())
}

async fn a_client_that_does_not_read_has_a_limit(server: Subject) -> Checked {
    let limit = server.time("write-timeout")?;
    let run = server.run("start=200&flood=4096");
    let mut client = server.connect_http1().await?;
    client.send(run.request().http1()).await?;
    client.head().await?;
    tokio::time::sleep(limit + LATE / 2).await;
    let report = run.report().await?;
    equal("the flood", report.last(), "gone")?;
    let reason = report.detail(report.outcomes().len() - 1);
    equal("the reason", reason, "TimedOut")
}

async fn an_idle_connection_is_closed(server: Subject) -> Checked {
    server.needs_http_1_1()?;
    let limit = server.time("idle-timeout")?;
    let run = server.run("start=200&last=ok");
    let mut client = server.connect_http1().await?;
    client.send(run.request().http1()).await?;
    client.response().await?;
    let rest = ends_after(&mut client, limit).await?;
    equal("bytes before the end", rest.len(), 0)
}

async fn an_app_is_dropped_at_the_end_of_the_grace(server: Subject) -> Checked {
    let grace = server.time("disconnect-grace")?;
    let run = server.run("start=200&more=a&closed&wait=never");
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    client.head().await?;
    client.reset();
    run.after_steps(3).await?;
    tokio::time::sleep(grace + LATE / 2).await;
    equal(
        "the end of the app",
        run.report_now().await?.end(),
        Some("dropped"),
    )
}

async fn an_app_that_is_dropped_leaves_a_response_without_its_end(server: Subject) -> Checked {
    server.needs_http_1_1()?;
    let grace = server.time("disconnect-grace")?;
    let run = server.run("start=200&more=a&closed&wait=never");
    let mut client = server.connect_http1().await?;
    client.send(run.request().http1()).await?;
    let head = client.head().await?;
    client.expect_bytes(b"a\r\n").await?;
    // It can still read.
    client.close_write().await;
    run.after_steps(3).await?;
    tokio::time::sleep(grace).await;
    let received = client.body_of(Vec::new(), head, "GET").await?;
    let cut = matches!(received.end, BodyEnd::Cut | BodyEnd::Reset);
    ensure(cut, "a body without its last chunk", received.end)
}
