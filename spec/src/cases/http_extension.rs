//! HTTP §6: extensions.

use crate::client::{BodyEnd, Received};
use crate::result::{Checked, ensure, equal, fail, not_supported};
use crate::suite::{RunReport, Subject};

cases! {
    [Http]
    "HTTP-050" trailers_leave_out_the_headers_of_the_framing,
    "HTTP-051" trailers_are_one_section,
    "HTTP-052" a_response_with_trailers_has_no_content_length,
    "HTTP-053" trailers_without_a_body_are_taken_and_not_sent,
    "HTTP-054" a_hint_goes_out_at_once,
    "HTTP-055" a_hint_after_the_head_is_refused,
    "HTTP-082" a_hint_does_not_send_the_head,
    "HINT-001" each_hint_is_a_103_of_its_own,
    "HINT-002" a_103_has_the_links_alone,
    "HINT-003" a_hint_does_not_change_the_response,
    "TRAIL-001" trailers_are_offered_only_to_clients_that_take_them,
    "TRAIL-002" a_promise_of_trailers_that_are_not_offered_is_refused,
    "TRAIL-003" such_a_promise_with_another_fault_is_misuse,
    "TRAIL-004" trailers_out_of_their_order_are_misuse,
    "TRAIL-005" trailers_stay_separate_and_in_order,
    "TRAIL-006" the_trailer_header_stays,
    "HTTP-059" a_push_before_the_last_part_is_no_misuse,
    "HTTP-061" debug_is_not_offered,
    [Http1]
    "HTTP-056" http_1_0_has_no_hints,
}

/// Runs steps for a client that accepts trailers.
async fn with_trailers(server: &Subject, method: &str, steps: &str) -> Checked<Received> {
    let run = server.run(steps);
    let mut client = server.connect().await?;
    let headers = "te: trailers\r\nconnection: te\r\n";
    client.send(run.request_as(method, headers)).await?;
    let received = client.response_to(method).await?;
    if !run.report().await?.offers("http.response.trailers") {
        return not_supported("the scope does not offer trailers");
    }
    Ok(received)
}

async fn trailers_leave_out_the_headers_of_the_framing(server: Subject) -> Checked {
    let steps = "start-trailers=200;trailer:x-a,content-length,te&last=ok&\
                 trailers=;x-a:b;content-length:9;trailer:x;connection:close;te:x;upgrade:x";
    let received = with_trailers(&server, "GET", steps).await?;
    let expected = [("x-a".to_owned(), "b".to_owned())];
    equal("the trailers", received.trailers, expected)
}

async fn trailers_are_one_section(server: Subject) -> Checked {
    let steps = "start-trailers=200;trailer:x-a,x-b&last=ok&more-trailers=;x-a:1&trailers=;x-b:2";
    let received = with_trailers(&server, "GET", steps).await?;
    let names: Vec<&str> = received
        .trailers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    equal("the trailers", names, ["x-a", "x-b"])?;
    equal("the end", received.end, BodyEnd::Marked)
}

async fn a_response_with_trailers_has_no_content_length(server: Subject) -> Checked {
    let steps = "start-trailers=200;content-length:2;trailer:x-a&last=ok&trailers=;x-a:1";
    let received = with_trailers(&server, "GET", steps).await?;
    equal(
        "content-length",
        received.head.header("content-length"),
        None,
    )?;
    equal("the trailers", received.trailers.len(), 1)
}

async fn trailers_without_a_body_are_taken_and_not_sent(server: Subject) -> Checked {
    server.needs_http_1_1()?;
    let steps = "start-trailers=200&last=ok&trailers=;x-a:1";
    let run = server.run(steps);
    let next = server.run("start=200&last=next");
    let mut client = server.connect().await?;
    let headers = "te: trailers\r\nconnection: te\r\n";
    client.send(run.request_as("HEAD", headers)).await?;
    client.response_to("HEAD").await?;
    if !run.report().await?.offers("http.response.trailers") {
        return not_supported("the scope does not offer trailers");
    }
    client.send(next.request()).await?;
    equal(
        "the next body",
        client.response().await?.text().as_str(),
        "next",
    )?;
    run.expect(&["ok", "ok", "ok"]).await.map(drop)
}

fn need_hints(report: &RunReport) -> Checked {
    if report.offers("http.response.early_hint") {
        return Ok(());
    }
    not_supported("the scope does not offer early hints")
}

async fn a_hint_goes_out_at_once(server: Subject) -> Checked {
    let run = server.run("hint=%3C/a%3E;%3C/b%3E&wait=go&start=200&hint=%3C/c%3E&last=ok");
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    need_hints(&run.after_steps(1).await?)?;
    let hint = client.head().await?;
    equal("the first status", hint.status, 103)?;
    equal("link", hint.all("link").join(","), "</a>,</b>".to_owned())?;
    run.signal("go").await?;
    let received = client.response().await?;
    let hints: Vec<u16> = received.interim.iter().map(|head| head.status).collect();
    equal("the interim responses after it", hints, [103])?;
    equal("the body", received.text().as_str(), "ok")
}

async fn a_hint_after_the_head_is_refused(server: Subject) -> Checked {
    let run = server.run("start=200&more=a&hint=%3C/a%3E&last=b");
    let received = run.get().await?;
    equal("the body", received.text().as_str(), "ab")?;
    let report = run.expect(&["ok", "ok", "refused", "ok"]).await?;
    need_hints(&report)
}

async fn http_1_0_has_no_hints(server: Subject) -> Checked {
    let run = server.run("hint=%3C/a%3E&start=200&last=ok");
    let mut client = server.connect_http1().await?;
    client
        .send(format!("GET {} HTTP/1.0\r\n\r\n", run.target))
        .await?;
    let received = client.response().await?;
    equal("interim responses", received.interim.len(), 0)?;
    let report = run.report().await?;
    let offers = report.offers("http.response.early_hint");
    equal("early hints are offered", offers, false)?;
    if server.is_python() {
        // CORE-025 checks what becomes of the event.
        return Ok(());
    }
    run.expect(&["refused", "ok", "ok"]).await.map(drop)
}

async fn a_push_before_the_last_part_is_no_misuse(server: Subject) -> Checked {
    let run = server.run("push=/a&start=200&push=/b&more=a&push=/c&last=b");
    run.get().await?;
    let report = run.report().await?;
    let misuse = report.outcomes().contains(&"misuse");
    ensure(!misuse, "pushes that are refused", report.steps())
}

async fn debug_is_not_offered(server: Subject) -> Checked {
    let run = server.run("debug&start=200&last=ok");
    run.get().await?;
    let report = run.report().await?;
    let offers = report.offers("http.response.debug");
    equal("debug is offered", offers, false)?;
    if server.is_python() {
        return Ok(());
    }
    run.expect(&["refused", "ok", "ok"]).await.map(drop)
}

async fn a_hint_does_not_send_the_head(server: Subject) -> Checked {
    let run = server.run("start=200&hint=%3C/a%3E&error=early");
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    need_hints(&run.report().await?)?;
    let received = client.response().await?;
    equal("interim responses", received.interim.len(), 1)?;
    equal("the status", received.head.status, 500)
}

async fn each_hint_is_a_103_of_its_own(server: Subject) -> Checked {
    let run = server.run("hint=%3C/a%3E&hint=%3C/b%3E&respond=ok");
    let received = run.get().await?;
    need_hints(&run.report().await?)?;
    let hints = received.interim.iter();
    let links: Vec<_> = hints.map(|hint| hint.header("link")).collect();
    equal("the hints", links, [Some("</a>"), Some("</b>")])
}

async fn a_103_has_the_links_alone(server: Subject) -> Checked {
    let run = server.run("start=200;x-a:b&hint=%3C/b%3E;%3C/a%3E&last=ok");
    let received = run.get().await?;
    need_hints(&run.report().await?)?;
    let Some(hint) = received.interim.first() else {
        return fail("a 103", "none");
    };
    equal("link", hint.all("link"), ["</b>", "</a>"])?;
    equal("x-a", hint.header("x-a"), None)
}

async fn a_hint_does_not_change_the_response(server: Subject) -> Checked {
    let run = server.run("hint=%3C/a%3E&start=200;x-a:b&last=ok");
    let received = run.get().await?;
    need_hints(&run.report().await?)?;
    equal("link", received.head.header("link"), None)?;
    equal("x-a", received.head.header("x-a"), Some("b"))?;
    equal("the end", received.end, BodyEnd::Length)
}

async fn trailers_are_offered_only_to_clients_that_take_them(server: Subject) -> Checked {
    let run = server.run("respond=ok");
    let old = server.run("respond=ok");
    run.get().await?;
    let mut client = server.connect_http1().await?;
    client
        .send(format!(
            "GET {} HTTP/1.0\r\nte: trailers\r\n\r\n",
            old.target
        ))
        .await?;
    client.response().await?;
    for run in [run, old] {
        let offers = run.report().await?.offers("http.response.trailers");
        equal("trailers are offered", offers, false)?;
    }
    Ok(())
}

async fn a_promise_of_trailers_that_are_not_offered_is_refused(server: Subject) -> Checked {
    let run = server.run("start-trailers=200&start=200&last=ok");
    equal("the body", run.get().await?.text().as_str(), "ok")?;
    run.expect(&["refused", "ok", "ok"]).await.map(drop)
}

async fn such_a_promise_with_another_fault_is_misuse(server: Subject) -> Checked {
    let run = server.run("start-trailers=199&start=200&last=ok");
    equal("the body", run.get().await?.text().as_str(), "ok")?;
    run.expect(&["misuse", "ok", "ok"]).await.map(drop)
}

async fn trailers_out_of_their_order_are_misuse(server: Subject) -> Checked {
    for steps in [
        "start-trailers=200&trailers=;x-a:1&more=o&trailers=;x-a:1&last=k",
        "start=200&trailers=;x-a:1&more=o&trailers=;x-a:1&last=k&trailers=;x-a:1",
    ] {
        let received = with_trailers(&server, "GET", steps).await?;
        equal("the body", received.text().as_str(), "ok")?;
        equal("the trailers", received.trailers.len(), 0)?;
    }
    let run = server.run("start-trailers=200&trailers=;x-a:1&last=ok&trailers=;x-a:1");
    let mut client = server.connect().await?;
    let headers = "te: trailers\r\nconnection: te\r\n";
    client.send(run.request_with(headers)).await?;
    client.response().await?;
    run.expect(&["ok", "misuse", "ok", "ok"]).await.map(drop)
}

async fn trailers_stay_separate_and_in_order(server: Subject) -> Checked {
    let steps = "start-trailers=200;trailer:x-a,x-b&last=ok&\
                 more-trailers=;x-a:2;x-a:1&trailers=;x-b:4;x-a:3";
    let received = with_trailers(&server, "GET", steps).await?;
    let all = received.trailers.iter();
    let values: Vec<&str> = all
        .filter(|(name, _)| name == "x-a")
        .map(|(_, value)| value.as_str())
        .collect();
    equal("x-a", values, ["2", "1", "3"])
}

async fn the_trailer_header_stays(server: Subject) -> Checked {
    let steps = "start-trailers=200;trailer:x-a,%20x-b&last=ok&trailers=;x-a:1";
    let received = with_trailers(&server, "GET", steps).await?;
    equal("trailer", received.head.header("trailer"), Some("x-a, x-b"))
}
