//! Core: what holds for every app.

use crate::client::{ConnectionEnding, STALL};
use crate::result::{Checked, ensure, equal, fail, not_observable, not_supported};
use crate::suite::Subject;

cases! {
    [Http]
    "CORE-001" the_app_is_called_once_for_a_request,
    "CORE-004" a_sender_of_an_app_that_has_ended_is_over,
    "CORE-007" a_dropped_receive_loses_no_event,
    "CORE-008" the_last_event_is_received_again_and_again,
    "CORE-009" a_wait_wakes_the_task_that_polled_last,
    "CORE-010" events_are_taken_in_their_order,
    "CORE-011" a_send_waits_while_the_client_does_not_read,
    "CORE-012" an_event_that_is_not_taken_changes_nothing,
    "CORE-013" misuse_says_what_came_and_what_was_expected,
    "CORE-014" an_event_after_the_last_one_is_misuse,
    "CORE-015" a_send_to_a_client_that_is_gone_says_why,
    "CORE-016" a_send_that_waits_ends_once_the_client_is_gone,
    "CORE-017" closed_resolves_after_the_response_and_after_the_client,
    "CORE-018" an_error_is_logged_at_most_once,
    "CORE-019" a_panic_ends_only_its_own_exchange,
    "CORE-020" an_unsupported_scope_is_refused,
    "CORE-021" the_text_of_an_error_stays_in_the_server,
    "CORE-022" each_scope_has_the_state_of_the_startup,
    "CORE-023" a_value_in_one_scope_is_not_in_another,
    "CORE-025" an_event_of_an_extension_that_is_not_offered_is_refused,
    "CORE-026" a_scope_holds_tls_if_the_connection_uses_it,
    "CORE-027" the_first_error_in_the_order_of_the_spec_wins,
    "CORE-028" an_abort_breaks_the_exchange_off,
    "CORE-029" an_abort_is_not_in_the_log_of_the_operator,
    "CORE-030" each_handle_that_waits_for_the_close_is_woken,
    [Http1]
    "CORE-024" a_scope_offers_no_push_on_http_1,
}

/// More than a server and two kernels can hold for one connection.
const FLOOD: usize = 1024;

async fn the_app_is_called_once_for_a_request(server: Subject) -> Checked {
    let run = server.run("body&start=200&last=ok");
    equal("the body", run.get().await?.text().as_str(), "ok")?;
    equal("calls of the app", run.report().await?.calls(), 1)
}

async fn a_sender_of_an_app_that_has_ended_is_over(server: Subject) -> Checked {
    let run = server.run("start=200&last=ok&keep");
    run.get().await?;
    run.report().await?;
    run.use_parked("more=late").await?;
    run.expect(&["ok", "ok", "over"]).await.map(drop)
}

async fn a_dropped_receive_loses_no_event(server: Subject) -> Checked {
    let run = server.run("receive-now&receive-now&body&start=200&last");
    let mut client = server.connect().await?;
    client
        .send(run.request_as("POST", "content-length: 5\r\n"))
        .await?;
    run.after_steps(2).await?;
    client.part("hello").await?;
    client.response().await?;
    let report = run.report().await?;
    let received = report.outcomes().concat();
    ensure(
        received.contains("\"hello\"") && received.contains(" last"),
        "the whole body after two dropped receives",
        report.steps(),
    )
}

async fn the_last_event_is_received_again_and_again(server: Subject) -> Checked {
    let run = server.run("body&start=200&last=ok&receive&receive-now&receive-now");
    run.get().await?;
    let complete = "http.disconnect Complete";
    run.expect(&[
        "http.request \"\" last",
        "ok",
        "ok",
        complete,
        complete,
        complete,
    ])
    .await
    .map(drop)
}

async fn a_wait_wakes_the_task_that_polled_last(server: Subject) -> Checked {
    let run = server.run("receive-now&lend&start=200&last=ok");
    let mut client = server.connect().await?;
    client
        .send(run.request_as("POST", "content-length: 5\r\n"))
        .await?;
    run.after_steps(1).await?;
    let other = server.share();
    let target = format!("/use/{}?receive-now&receive", run.id);
    let using = tokio::spawn(async move { other.ask(&target).await });
    // The second task has polled once its first step is recorded.
    run.after_steps(2).await?;
    client.part("hello").await?;
    match using.await {
        Ok(used) => used?,
        Err(error) => return fail("an answer", error),
    };
    client.response().await?;
    let report = run.report().await?;
    let received = report.outcomes().concat();
    ensure(
        received.contains("\"hello\""),
        "the body in the task that waits for it",
        report.steps(),
    )
}

async fn events_are_taken_in_their_order(server: Subject) -> Checked {
    let parts: Vec<String> = (0..100).map(|number| format!("more={number}.")).collect();
    let received = server
        .get(&format!("start=200&{}&last=end", parts.join("&")))
        .await?;
    let expected: String = (0..100).map(|number| format!("{number}.")).collect();
    equal("the body", received.text(), format!("{expected}end"))
}

async fn a_send_waits_while_the_client_does_not_read(server: Subject) -> Checked {
    let run = server.run(&format!("start=200&flood={FLOOD}"));
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    client.head().await?;
    let mut before = String::new();
    loop {
        tokio::time::sleep(STALL).await;
        let report = run.report_now().await?;
        if report.end().is_some() {
            return fail(
                "a send that waits while the client does not read",
                format!("{} MiB taken", FLOOD / 16),
            );
        }
        let now = report.last().to_owned();
        if now == before {
            client.reset();
            return Ok(());
        }
        before = now;
    }
}

async fn an_event_that_is_not_taken_changes_nothing(server: Subject) -> Checked {
    let run = server.run("more=early&start=199&start=200;content-length:2&last=long&last=ok");
    let received = run.get().await?;
    equal("the status", received.head.status, 200)?;
    equal("the body", received.text().as_str(), "ok")?;
    run.expect(&["misuse", "misuse", "ok", "misuse", "ok"])
        .await
        .map(drop)
}

async fn misuse_says_what_came_and_what_was_expected(server: Subject) -> Checked {
    let run = server.run("last=early&start=200&last=ok");
    run.get().await?;
    let report = run.expect(&["misuse", "ok", "ok"]).await?;
    if server.is_python() {
        // ASGI asks for an exception and does not say which.
        return Ok(());
    }
    let detail = report.detail(0);
    let says = detail.contains("http.response.body") && detail.contains("http.response.start");
    ensure(
        says,
        "an error that names http.response.body and http.response.start",
        detail,
    )
}

async fn an_event_after_the_last_one_is_misuse(server: Subject) -> Checked {
    let run = server.run("start=200&last=ok&more=late&start=200");
    run.get().await?;
    run.expect(&["ok", "ok", "misuse", "misuse"])
        .await
        .map(drop)
}

async fn a_send_to_a_client_that_is_gone_says_why(server: Subject) -> Checked {
    let run = server.run("start=200&more=a&closed&more=b");
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    client.head().await?;
    client.reset();
    let report = run.report().await?;
    report.needs_asgi((2, 4), "an error of send after a disconnect")?;
    run.expect(&["ok", "ok", "Lost", "gone"]).await?;
    if server.is_python() {
        return Ok(());
    }
    equal("the reason", report.detail(3), "Lost")
}

async fn a_send_that_waits_ends_once_the_client_is_gone(server: Subject) -> Checked {
    // A server whose sends do nothing from then on must get to the end of the flood in time.
    let flood = if server.is_python() { 1024 } else { FLOOD };
    let run = server.run(&format!("start=200&flood={flood}"));
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    client.head().await?;
    tokio::time::sleep(STALL).await;
    client.reset();
    let report = run.report().await?;
    if server.is_python() {
        // Before version 2.4 of ASGI, a send to a client that is gone does nothing.
        return Ok(());
    }
    equal("the flood", report.last(), "gone")
}

async fn closed_resolves_after_the_response_and_after_the_client(server: Subject) -> Checked {
    let run = server.run("start=200&last=ok&closed");
    run.get().await?;
    run.expect(&["ok", "ok", "Complete"]).await?;

    // Only the second byte of the body tells that nothing was taken.
    let run = server.run("state=begun&closed&start=200&last=ok");
    let mut client = server.connect().await?;
    client
        .send(run.request_as("POST", "content-length: 2\r\n"))
        .await?;
    run.after_steps(1).await?;
    client.part("a").await?;
    let reason = match client.as_http2() {
        None => {
            client.close_write().await?;
            "Closed"
        }
        // A client has no way to close its side of HTTP/2 and to stay.
        Some(_) => {
            client.reset();
            "Lost"
        }
    };
    let report = run.report().await?;
    equal(
        "the reason",
        report.outcomes().get(1),
        Some(&server.outcome(reason)),
    )
}

async fn an_error_is_logged_at_most_once(server: Subject) -> Checked {
    let run = server.run(&format!(
        "error=cause%2dof-core-018-{}.",
        server.transport()
    ));
    server.log()?;
    run.get().await?;
    run.report().await?;
    let log = server.log()?;
    // An access log may show the target of the request, where the dash is escaped.
    let cause = format!("cause-of-core-018-{}.", server.transport());
    let lines = log.lines().filter(|line| line.contains(&cause)).count();
    ensure(lines <= 1, "at most one line with the error", lines)
}

async fn a_panic_ends_only_its_own_exchange(server: Subject) -> Checked {
    let other = server.run("start=200&more=a&wait=go&last=b");
    let mut client = server.connect().await?;
    client.send(other.request()).await?;
    let head = client.head().await?;
    let panics = server.run("panic=on-purpose");
    equal("the status", panics.get().await?.head.status, 500)?;
    other.signal("go").await?;
    let received = client.body_of(Vec::new(), head, "GET").await?;
    equal("the other body", received.text().as_str(), "ab")?;
    let after = server.get("start=200&last=ok").await?;
    equal("a later body", after.text().as_str(), "ok")
}

async fn an_unsupported_scope_is_refused(server: Subject) -> Checked {
    let status = server.get("unsupported").await?.head.status;
    ensure(status >= 400, "a refusal", status)
}

async fn the_text_of_an_error_stays_in_the_server(server: Subject) -> Checked {
    for steps in ["error=s%65cret", "panic=s%65cret"] {
        let received = server.get(steps).await?;
        let shown = format!("{:?}", received.head.headers) + &received.text();
        ensure(
            !shown.contains("secret"),
            "an answer without the error's text",
            shown,
        )?;
    }
    Ok(())
}

async fn each_scope_has_the_state_of_the_startup(server: Subject) -> Checked {
    if server.lifespan().await?.calls() == 0 {
        return not_supported("the server has no lifespan");
    }
    for _ in 0..2 {
        let run = server.run("start=200&last=ok");
        run.get().await?;
        equal(
            "the state",
            run.report().await?.scope("state").as_str(),
            Some("probe"),
        )?;
    }
    Ok(())
}

async fn a_value_in_one_scope_is_not_in_another(server: Subject) -> Checked {
    let changes = server.run("state=mine&start=200&last=ok");
    changes.get().await?;
    if changes.report().await?.outcomes()[0] == "no state" {
        return not_supported("the scope has no state");
    }
    equal("the change", changes.report().await?.outcomes()[0], "set")?;
    let later = server.run("start=200&last=ok");
    later.get().await?;
    let report = later.report().await?;
    let state = report.scope("state");
    ensure(*state != "mine", "the state of the startup", state)
}

async fn a_scope_offers_no_push_on_http_1(server: Subject) -> Checked {
    let run = server.run("start=200&last=ok");
    run.get().await?;
    let report = run.report().await?;
    let offers = report.scope("extensions");
    ensure(
        !report.offers("http.response.push"),
        "no http.response.push on HTTP/1.1",
        offers,
    )
}

async fn an_event_of_an_extension_that_is_not_offered_is_refused(server: Subject) -> Checked {
    if server.is_python() {
        // ASGI permits a server to offer push to a client that takes none.
        let run = server.run("debug&start=200&last=ok");
        run.get().await?;
        return run.expect(&["refused", "ok", "ok"]).await.map(drop);
    }
    let run = server.run("push=/x&debug&start=200&push=/x&last=ok");
    let received = run.get().await?;
    equal("the body", received.text().as_str(), "ok")?;
    run.expect(&["refused", "refused", "ok", "refused", "ok"])
        .await
        .map(drop)
}

async fn a_scope_holds_tls_if_the_connection_uses_it(server: Subject) -> Checked {
    let run = server.run("start=200&last=ok");
    run.get().await?;
    let report = run.report().await?;
    let has = report.scope("tls").as_bool() == Some(true);
    if server.is_python() && server.has_tls() && !has {
        return not_supported("the scope does not offer tls");
    }
    equal("tls in the scope", has, server.has_tls())
}

async fn the_first_error_in_the_order_of_the_spec_wins(server: Subject) -> Checked {
    // Misuse after the last event comes before refused.
    let run = server.run("start=200&last=ok&push=/x");
    run.get().await?;
    run.expect(&["ok", "ok", "misuse"]).await?;

    // Refused comes before other misuse: this push has no path that begins with a slash.
    let run = server.run("push=*&start=200&last=ok");
    run.get().await?;
    run.expect(&["refused", "ok", "ok"]).await?;

    // Gone comes before misuse.
    let run = server.run("start=200&more=a&closed&start=200");
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    client.head().await?;
    client.reset();
    run.expect(&["ok", "ok", "Lost", "gone"]).await.map(drop)
}

async fn an_abort_breaks_the_exchange_off(server: Subject) -> Checked {
    let run = server.run("abort");
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    let bytes = client.broken_off().await?;
    ensure(
        bytes.is_empty(),
        "no answer",
        bytes.escape_ascii().to_string(),
    )?;

    let run = server.run("start=200&more=part&wait=go&abort");
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    client.expect_bytes(b"part").await?;
    run.signal("go").await?;
    let complete = match client.as_http2() {
        None => {
            let (bytes, ending) = client.end().await?;
            ending == ConnectionEnding::Closed && bytes.ends_with(b"0\r\n\r\n")
        }
        // The reset has another code than that of a complete response.
        Some(_) => {
            client.broken_off().await?;
            false
        }
    };
    ensure(!complete, "no sign of a complete body", "the last chunk")
}

async fn an_abort_is_not_in_the_log_of_the_operator(server: Subject) -> Checked {
    let before = server.log()?;
    let run = server.run("abort");
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    client.end().await?;
    run.report().await?;
    let log = server.log()?;
    let Some(new) = log.strip_prefix(&before) else {
        return not_observable("the log of this server does not only grow");
    };
    // The error calls itself so. The target of the request has another word.
    let wrong = new.lines().find(|line| line.contains("aborted"));
    equal("a line about it in the log", wrong, None)
}

async fn each_handle_that_waits_for_the_close_is_woken(server: Subject) -> Checked {
    let run = server.run("start=200&more=a&closed-handles=3");
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    client.head().await?;
    run.after_steps(2).await?;
    client.reset();
    run.expect(&["ok", "ok", "all"]).await.map(drop)
}
