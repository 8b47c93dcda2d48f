//! HTTP §7: the server's own answers.

use super::http_scope::MALFORMED;
use crate::result::{Checked, ensure, equal};
use crate::suite::Subject;

cases! { Http1:
    "HTTP-063" a_malformed_request_gets_a_400_and_a_close,
    "HTTP-064" a_head_that_is_too_large_gets_a_431_or_414,
    "HTTP-065" an_unknown_expectation_gets_a_417,
    "HTTP-066" a_connect_or_an_unknown_coding_gets_a_501,
    "HTTP-069" a_broken_body_without_an_answer_gets_a_400,
}

async fn a_malformed_request_gets_a_400_and_a_close(server: Subject) -> Checked {
    for headers in MALFORMED {
        let run = server.run("body&start=200&last=ok");
        let mut client = server.connect().await?;
        client.send(run.request_as("POST", headers)).await?;
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
    let huge = "x".repeat(4 << 20);
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
    client
        .send("CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n")
        .await?;
    equal("CONNECT", client.response().await?.head.status, 501)?;

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
    let head = run.request_as("POST", "transfer-encoding: chunked\r\n");
    client.send(head + "5\r\nhello\r\nnonsense\r\n").await?;
    equal("the status", client.response().await?.head.status, 400)
}
