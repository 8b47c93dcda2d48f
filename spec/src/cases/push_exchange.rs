//! Server push §4: the pushed exchange.

use super::push::{need_push, offers_push, push, pushes};
use crate::client::http2::{Http2, StreamEnding, TAKES_PUSH, code, setting};
use crate::result::{Checked, ensure, equal, fail, not_supported};
use crate::suite::Subject;

cases! {
    [Http2]
    "HTTP-058" a_pushed_request_offers_no_push,
    "PUSH-017" the_app_sees_what_the_promise_says,
    "PUSH-018" a_pushed_request_has_no_body,
    "PUSH-019" the_response_comes_on_the_promised_stream,
    "PUSH-020" a_page_does_not_wait_for_its_pushes,
    "PUSH-021" a_reset_of_a_promise_is_reported_to_its_app_alone,
    "PUSH-022" a_reset_of_the_page_does_not_end_its_pushes,
    "PUSH-023" an_incomplete_push_ends_in_a_reset_of_its_stream,
    "PUSH-024" a_closed_window_holds_back_only_the_body_of_a_push,
    "PUSH-026" a_server_that_stops_finishes_pushed_responses,
}

async fn a_pushed_request_offers_no_push(server: Subject) -> Checked {
    let page = pushes(
        &server,
        "push=/report/x&start=200&last=ok",
        "start=200&last",
    )
    .await?;
    let report = page.pushed.expect(&["refused", "ok", "ok"]).await?;
    let offers = report.offers("http.response.push");
    equal("push is offered", offers, false)
}

async fn the_app_sees_what_the_promise_says(server: Subject) -> Checked {
    let page = pushes(&server, "start=200&last=ok", "start=200&last=ok").await?;
    let report = page.pushed.report().await?;
    equal("calls of the app", report.calls(), 1)?;
    equal("the type", report.scope("type").as_str(), Some("http"))?;
    equal("the method", report.scope("method").as_str(), Some("GET"))?;
    let target = report.scope("target").as_str();
    equal("the target", target, Some(page.pushed.target.as_str()))?;
    equal("host", report.headers("host"), ["suite"])?;
    for (name, _) in &page.promise {
        if !name.starts_with(':') {
            equal(name, report.headers(name), page.all(name))?;
        }
    }
    Ok(())
}

async fn a_pushed_request_has_no_body(server: Subject) -> Checked {
    let page = pushes(&server, "receive&start=200&last=ok", "start=200&last=ok").await?;
    let expected = ["http.request \"\" last", "ok", "ok"];
    page.pushed.expect(&expected).await.map(drop)
}

async fn the_response_comes_on_the_promised_stream(server: Subject) -> Checked {
    let mut page = pushes(
        &server,
        "start=201;x-a:b&last=pushed",
        "start=200&last=page",
    )
    .await?;
    let even = page.promised.is_multiple_of(2);
    ensure(
        even,
        "an even number for the promised stream",
        page.promised,
    )?;
    let received = page.client.response(page.promised).await?;
    equal("the status", received.head.status, 201)?;
    equal("x-a", received.head.header("x-a"), Some("b"))?;
    equal("the body", received.text().as_str(), "pushed")
}

async fn a_page_does_not_wait_for_its_pushes(server: Subject) -> Checked {
    let mut page = pushes(
        &server,
        "wait=go&start=200&last=slow",
        "start=200&last=page",
    )
    .await?;
    let received = page.client.response(page.stream).await?;
    equal("the page", received.text().as_str(), "page")?;
    page.pushed.signal("go").await?;
    let received = page.client.response(page.promised).await?;
    equal("the push", received.text().as_str(), "slow")
}

async fn a_reset_of_a_promise_is_reported_to_its_app_alone(server: Subject) -> Checked {
    for (steps, done) in [("state=begun&closed", 1), ("start=200&more=a&closed", 2)] {
        let more = "start=200&more=p&wait=go&receive-now&receive-now&last=age";
        let mut page = pushes(&server, steps, more).await?;
        page.pushed.after_steps(done).await?;
        page.client
            .reset_stream(page.promised, code::CANCEL)
            .await?;
        let report = page.pushed.report().await?;
        equal("the reset", report.last(), server.outcome("Reset(8)"))?;
        page.page.signal("go").await?;
        let received = page.client.response(page.stream).await?;
        equal("the page", received.text().as_str(), "page")?;
        let report = page.page.report().await?;
        equal(
            "the event of the page",
            report.outcomes().get(4),
            Some(&"pending"),
        )?;
    }
    Ok(())
}

async fn a_reset_of_the_page_does_not_end_its_pushes(server: Subject) -> Checked {
    let mut page = pushes(
        &server,
        "start=200&more=p&wait=go&last=ush",
        "start=200&more=a&closed",
    )
    .await?;
    page.client.expect_bytes(page.stream, b"a").await?;
    page.client.expect_bytes(page.promised, b"p").await?;
    page.client.reset_stream(page.stream, code::CANCEL).await?;
    let report = page.page.report().await?;
    equal("the page", report.last(), server.outcome("Reset(8)"))?;
    page.pushed.signal("go").await?;
    page.client.expect_bytes(page.promised, b"ush").await?;
    let ending = page.client.ending(page.promised).await?;
    equal("the end of the push", ending, StreamEnding::EndStream)
}

async fn an_incomplete_push_ends_in_a_reset_of_its_stream(server: Subject) -> Checked {
    for end in ["return", "error=e", "panic=p"] {
        let steps = format!("start=200&more=part&wait=go&{end}");
        let mut page = pushes(&server, &steps, "start=200&more=p&wait=go&last=age").await?;
        page.client.expect_bytes(page.promised, b"part").await?;
        page.pushed.signal("go").await?;
        let ending = page.client.ending(page.promised).await?;
        let expected = StreamEnding::Reset(code::INTERNAL_ERROR);
        equal(
            &format!("the end of the push after {end}"),
            ending,
            expected,
        )?;
        page.page.signal("go").await?;
        let received = page.client.response(page.stream).await?;
        equal("the page", received.text().as_str(), "page")?;
    }
    Ok(())
}

async fn a_closed_window_holds_back_only_the_body_of_a_push(server: Subject) -> Checked {
    let pushed = server.run("start=200;x-a:b&last=body");
    let page = server.run(&format!("{}&start=200&last=page", push(&pushed, "")));
    let settings = [(setting::ENABLE_PUSH, 1), (setting::INITIAL_WINDOW_SIZE, 0)];
    let mut client = server.connect_http2(&settings).await?;
    let stream = client.get(&page.request()).await?;
    need_push(&page.after_steps(1).await?)?;
    let (promised, _) = client.promise(stream).await?;
    let head = client.head(promised).await?;
    equal("x-a", head.header("x-a"), Some("b"))?;
    client.settle().await?;
    equal("bytes of its body", client.stream(promised).data.len(), 0)
}

async fn a_server_that_stops_finishes_pushed_responses(server: Subject) -> Checked {
    let mut client = server.connect_http2(TAKES_PUSH).await?;
    if !offers_push(&server, &mut client).await? {
        return not_supported("the scope does not offer push");
    }
    let steps = "receive&startup-complete&receive&shutdown-complete";
    let other = match server.launch(steps).await? {
        (Ok(other), _) => other,
        (Err(why), _) => return fail("a server that serves", why),
    };
    let trace = server.trace().clone();
    let mut client = Http2::connect(&other.endpoint, TAKES_PUSH, "client".into(), trace).await?;
    // The pushed exchange runs on for a while after the server has begun to stop.
    let pushed = server.run("start=200&more=first&busy=500&last=final");
    let page = server.run(&format!("{}&start=200&last=page", push(&pushed, "")));
    let stream = client.get(&page.request()).await?;
    let (promised, _) = client.promise(stream).await?;
    client.expect_bytes(promised, b"first").await?;
    let stopping = tokio::spawn(other.stop());
    client.expect_bytes(promised, b"final").await?;
    equal(
        "the end of the push",
        client.ending(promised).await?,
        StreamEnding::EndStream,
    )?;
    drop(client);
    match stopping.await {
        Ok(stopped) => equal("the end of the server", stopped?, Ok(())),
        Err(error) => fail("a stop", error),
    }
}
