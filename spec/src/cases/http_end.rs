//! HTTP §5: ends and disconnects.

use std::time::Duration;

use crate::client::{BodyEnd, ConnectionEnding, within};
use crate::result::{Checked, ensure, equal, fail, not_observable};
use crate::suite::{Run, RunReport, Subject};

cases! {
    [Http]
    "HTTP-036" a_panic_is_logged_as_an_error,
    "HTTP-037" an_error_after_the_client_has_left_is_not_logged,
    "HTTP-038" an_app_that_ends_without_a_head_gets_a_500,
    "HTTP-043" a_reset_connection_is_lost,
    "HTTP-045" the_end_of_a_complete_response_is_complete,
    "HTTP-047" an_app_runs_on_after_its_client_has_left,
    "HTTP-079" promised_trailers_may_be_missing,
    [Http1]
    "HTTP-039" an_incomplete_response_has_no_sign_of_a_complete_one,
    "HTTP-041" a_client_that_closes_its_side_is_reported,
    "HTTP-042" a_client_that_has_closed_its_side_gets_the_response,
    "HTTP-046" the_reason_stays_the_first_one,
    "HTTP-083" a_send_after_closed_says_how_the_client_left_then,
}

async fn a_panic_is_logged_as_an_error(server: Subject) -> Checked {
    server.log()?;
    let run = server.run(&format!(
        "panic=cause%2dof-http-036-{}.",
        server.transport()
    ));
    run.get().await?;
    run.report().await?;
    let cause = format!("cause-of-http-036-{}.", server.transport());
    expect_in_log(&server, &cause).await
}

/// Waits until the log has a line with the text of a panic. A server may write it after the probe has
/// recorded the end of the app.
pub(super) async fn expect_in_log(server: &Subject, text: &str) -> Checked {
    within("a line of the log with the text of the panic", async {
        while !server.log()?.lines().any(|line| line.contains(text)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    })
    .await
}

async fn an_error_after_the_client_has_left_is_not_logged(server: Subject) -> Checked {
    server.log()?;
    let run = server.run(&format!(
        "start=200&more=a&closed&error=cause%2dof-http-037-{}.",
        server.transport()
    ));
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    client.head().await?;
    client.reset();
    run.report().await?;
    let log = server.log()?;
    let cause = format!("cause-of-http-037-{}.", server.transport());
    let found = log.lines().find(|line| line.contains(&cause));
    equal("a line with the error", found, None)
}

async fn an_app_that_ends_without_a_head_gets_a_500(server: Subject) -> Checked {
    for steps in [
        "return",
        "error=early",
        "panic=early",
        "start=200;x-held:1&return",
        "start=200;x-held:1&panic=early",
    ] {
        if server.is_python() && (steps.contains("x-held") || steps == "return") {
            // ASGI permits a server to send the head at once, and speaks only of exceptions.
            continue;
        }
        let received = server.get(steps).await?;
        equal(
            &format!("the status after {steps}"),
            received.head.status,
            500,
        )?;
        equal("x-held", received.head.header("x-held"), None)?;
    }
    Ok(())
}

async fn an_incomplete_response_has_no_sign_of_a_complete_one(server: Subject) -> Checked {
    if server.is_python() {
        return an_exception_ends_the_connection(&server).await;
    }
    for end in ["return", "error=e", "panic=p"] {
        let received = server.get(&format!("start=200&more=part&{end}")).await?;
        ensure(
            received.end.is_cut(),
            "a chunked body without its last chunk",
            received.end,
        )?;

        let steps = format!("start=200;content-length:9&more=part&{end}");
        let received = server.get(&steps).await?;
        ensure(
            received.end.is_cut(),
            "a body shorter than its length",
            received.end,
        )?;

        // On HTTP/1.0, a close is the sign of a complete body.
        let run = server.run(&format!("start=200&more=part&wait=go&{end}"));
        let mut client = server.connect_http1().await?;
        client
            .send(format!("GET {} HTTP/1.0\r\n\r\n", run.target))
            .await?;
        client.expect_bytes(b"part").await?;
        run.signal("go").await?;
        let (_, ending) = client.end().await?;
        equal("the end on HTTP/1.0", ending, ConnectionEnding::Reset)?;
    }
    Ok(())
}

/// What ASGI asks for: an exception ends the connection of the app.
async fn an_exception_ends_the_connection(server: &Subject) -> Checked {
    for start in ["start=200", "start=200;content-length:9"] {
        let run = server.run(&format!("{start}&more=part&error=e"));
        let mut client = server.connect().await?;
        client.send(run.request()).await?;
        let (bytes, _) = client.end().await?;
        let complete = bytes.ends_with(b"0\r\n\r\n");
        let shown = bytes.escape_ascii().to_string();
        ensure(!complete, "no sign of a complete body", shown)?;
    }
    Ok(())
}

async fn a_client_that_closes_its_side_is_reported(server: Subject) -> Checked {
    let run = server.run("receive&receive&start=200&last=ok");
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    run.after_steps(1).await?;
    client.close_write().await?;
    if server.is_python() {
        // ASGI permits later sends to fail.
        let report = run.report().await?;
        return equal("the event", report.outcomes()[1], "http.disconnect");
    }
    let closed = "http.disconnect Closed";
    run.expect(&["http.request \"\" last", closed, "ok", "ok"])
        .await?;

    // Also while a part of the body is unread.
    let run = server.run("closed&start=200&last=ok");
    let mut client = server.connect().await?;
    client
        .send(run.request_as("POST", "content-length: 10\r\n"))
        .await?;
    client.part("hello").await?;
    client.close_write().await?;
    run.expect(&["Closed", "ok", "ok"]).await.map(drop)
}

async fn a_client_that_has_closed_its_side_gets_the_response(server: Subject) -> Checked {
    let run = server.run("closed&start=200&more=still&last=here");
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    client.close_write().await?;
    equal(
        "the body",
        client.response().await?.text().as_str(),
        "stillhere",
    )?;
    run.expect(&["Closed", "ok", "ok", "ok"]).await.map(drop)
}

async fn a_reset_connection_is_lost(server: Subject) -> Checked {
    let run = server.run("body&start=200&more=a&receive");
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    client.head().await?;
    run.after_steps(3).await?;
    client.reset();
    let report = run.report().await?;
    let lost = server.outcome("http.disconnect Lost");
    equal("the event", report.last(), lost)
}

async fn the_end_of_a_complete_response_is_complete(server: Subject) -> Checked {
    if server.is_python() {
        // ASGI does not say whether an unread part of the body comes first.
        let run = server.run("body&start=200&last=ok&receive");
        run.get().await?;
        let report = run.report().await?;
        return equal("the event", report.last(), "http.disconnect");
    }
    let run = server.run("start=200&last=ok&receive");
    run.get().await?;
    let complete = "http.disconnect Complete";
    run.expect(&["ok", "ok", complete]).await.map(drop)
}

/// The client closes its side, and is lost once the app has learned that. The script waits for "go" in
/// between.
async fn leave_twice(server: &Subject, run: &Run) -> Checked<RunReport> {
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    client.head().await?;
    client.close_write().await?;
    run.after_steps(3).await?;
    client.reset();
    run.signal("go").await?;
    run.report().await
}

async fn the_reason_stays_the_first_one(server: Subject) -> Checked {
    let run = server.run("start=200&more=a&closed&wait=go&receive&closed");
    let report = leave_twice(&server, &run).await?;
    let outcomes = report.outcomes();
    // A part of an empty body may come before the disconnect.
    ensure(
        outcomes.get(2) == Some(&"Closed") && report.last() == "Closed",
        "Closed each time",
        report.steps(),
    )
}

async fn an_app_runs_on_after_its_client_has_left(server: Subject) -> Checked {
    let run = server.run("start=200&more=a&closed&wait=go&receive&return");
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    client.head().await?;
    client.reset();
    run.after_steps(3).await?;
    run.signal("go").await?;
    let report = run.report().await?;
    if report.end() == Some("dropped") && server.time("disconnect-grace").is_err() {
        return not_observable("the operator may have set no grace period");
    }
    equal("the end of the app", report.end(), Some("ok"))
}

async fn promised_trailers_may_be_missing(server: Subject) -> Checked {
    let run = server.run("start-trailers=200&more=a&last=b&return");
    let mut client = server.connect().await?;
    client
        .send(run.request_with("te: trailers\r\nconnection: te\r\n"))
        .await?;
    let received = client.response().await?;
    let report = run.report().await?;
    if !report.offers("http.response.trailers") {
        return crate::result::not_supported("the scope does not offer trailers");
    }
    equal("the body", received.text().as_str(), "ab")?;
    equal("the end", received.end, BodyEnd::Marked)?;
    equal("trailers", received.trailers.len(), 0)
}

async fn a_send_after_closed_says_how_the_client_left_then(server: Subject) -> Checked {
    let run = server.run("start=200&more=a&closed&wait=go&flood=4096&receive&closed");
    let report = leave_twice(&server, &run).await?;
    // The server may take some parts before it sees that the client is gone.
    let gone = report.outcomes().iter().position(|end| *end == "gone");
    let Some(gone) = gone else {
        return fail("a send that fails", format!("{:?}", report.steps()));
    };
    equal("its reason", report.detail(gone), "Lost")?;
    equal("closed after it", report.last(), "Closed")
}
