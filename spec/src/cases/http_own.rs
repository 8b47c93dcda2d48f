//! HTTP §7: the server's own answers.

use super::http_scope::{MALFORMED, connect_to_elsewhere};
use crate::client::CHUNKED;
use crate::client::http2::NO_PUSH;
use crate::result::{Checked, ensure, equal};
use crate::suite::Subject;

cases! {
    [Http]
    "HTTP-064" a_head_that_is_too_large_gets_a_431_or_414,
    "HTTP-065" an_unknown_expectation_gets_a_417,
    "HTTP-066" a_connect_or_an_unknown_coding_gets_a_501,
    [Http1]
    "HTTP-063" a_malformed_request_gets_a_400_and_a_close,
    "HTTP-069" a_broken_body_without_an_answer_gets_a_400,
}

async fn a_malformed_request_gets_a_400_and_a_close(server: Subject) -> Checked {
    for headers in MALFORMED {
        let run = server.run("body&start=200&last=ok");
        let mut client = server.connect_http1().await?;
        client.send(run.request_as("POST", headers).http1()).await?;
        let received = client.response().await?;
        equal(
            &format!("the status after {headers:?}"),
            received.head.status,
            400,
        )?;
        client.end().await?;
    }
    Ok(())
}

async fn a_head_that_is_too_large_gets_a_431_or_414(server: Subject) -> Checked {
    // A server that says its limit may close a connection that ignores it by far.
    let mut size = 4 << 20;
    if server.is_http2() {
        let announced = server.connect_http2(NO_PUSH).await?.largest_head();
        size = announced.map_or(size, |largest| size.min(largest + 4096));
    }
    let huge = "x".repeat(size);
    let run = server.run("start=200&last=ok");
    let mut client = server.connect().await?;
    client
        .send(run.request_with(&format!("x-huge: {huge}\r\n")))
        .await?;
    equal("a large header", client.response().await?.head.status, 431)?;

    let run = server.run_at(&format!("/{huge}"), "start=200&last=ok");
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    let status = client.response().await?.head.status;
    ensure(matches!(status, 414 | 431), "414 for a long target", status)
}

async fn an_unknown_expectation_gets_a_417(server: Subject) -> Checked {
    server.needs_http_1_1()?;
    let run = server.run("start=200&last=ok");
    let mut client = server.connect().await?;
    client
        .send(run.request_with("expect: miracles\r\n"))
        .await?;
    equal("the status", client.response().await?.head.status, 417)
}

async fn a_connect_or_an_unknown_coding_gets_a_501(server: Subject) -> Checked {
    let mut client = server.connect().await?;
    client.send(connect_to_elsewhere(&server.run(""))).await?;
    equal("CONNECT", client.response().await?.head.status, 501)?;

    if server.is_http2() {
        // HTTP/2 has no transfer codings.
        return Ok(());
    }
    let run = server.run("start=200&last=ok");
    let mut client = server.connect().await?;
    let headers = "transfer-encoding: gzip, chunked\r\n";
    client.send(run.request_as("POST", headers)).await?;
    equal(
        "an unknown coding",
        client.response().await?.head.status,
        501,
    )
}

async fn a_broken_body_without_an_answer_gets_a_400(server: Subject) -> Checked {
    server.needs_http_1_1()?;
    let run = server.run("body&error=broken");
    let mut client = server.connect().await?;
    client.send(run.request_as("POST", CHUNKED)).await?;
    client.part("hello").await?;
    client.raw("nonsense\r\n").await?;
    equal("the status", client.response().await?.head.status, 400)
}
