//! Lifespan: each case starts a server of its own.

use crate::client::{Endpoint, Http1};
use crate::probe::LIFESPAN;
use crate::result::{Checked, ensure, equal, fail, not_observable};
use crate::suite::{Other, Record, Subject};

cases! {
    [Http1]
    "LIFE-001" the_app_is_called_with_one_lifespan,
    "LIFE-002" the_lifespan_runs_while_the_server_serves,
    "LIFE-003" no_request_is_read_before_the_startup_is_complete,
    "LIFE-004" the_startup_comes_first_and_once,
    "LIFE-005" an_answer_before_the_startup_is_taken,
    "LIFE-006" a_server_does_not_serve_after_a_failed_startup,
    "LIFE-007" a_startup_that_takes_too_long_has_failed,
    "LIFE-008" an_error_after_a_failed_startup_is_no_other_failure,
    "LIFE-009" an_app_without_a_lifespan_is_served,
    "LIFE-010" an_app_that_ends_before_its_startup_is_not_served,
    "LIFE-011" a_server_serves_on_after_the_lifespan_has_ended,
    "LIFE-012" the_shutdown_comes_after_the_last_exchange,
    "LIFE-013" the_server_waits_for_the_answer_to_the_shutdown,
    "LIFE-014" a_failed_shutdown_is_the_end_of_the_server,
    "LIFE-015" an_app_may_return_instead_of_answering_the_shutdown,
    "LIFE-016" an_app_that_fails_after_the_shutdown_makes_it_fail,
}

/// Starts a server that must serve.
async fn serves(server: &Subject, lifespan: &str) -> Checked<(Other, Record)> {
    match server.launch(lifespan).await? {
        (Ok(other), record) => Ok((other, record)),
        (Err(why), _) => fail(format!("a server that serves after {lifespan}"), why),
    }
}

/// Starts a server that must not serve, and returns what it told its operator.
async fn refuses(server: &Subject, lifespan: &str) -> Checked<(String, Record)> {
    match server.launch(lifespan).await? {
        (Err(why), record) => Ok((why, record)),
        (Ok(other), _) => {
            other.stop().await.ok();
            fail(format!("no server after {lifespan}"), "one that serves")
        }
    }
}

/// Sends a request to another server than the one under test.
async fn status_of(endpoint: &Endpoint, server: &Subject) -> Checked<u16> {
    let trace = server.trace().clone();
    let mut client = Http1::connect(endpoint, "client".into(), trace).await?;
    client
        .send("GET /run/other?start=200&last=ok HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await?;
    Ok(client.response().await?.head.status)
}

async fn the_app_is_called_with_one_lifespan(server: Subject) -> Checked {
    equal("calls with a lifespan", server.lifespan().await?.calls(), 1)
}

async fn the_lifespan_runs_while_the_server_serves(server: Subject) -> Checked {
    let lifespan = server.lifespan().await?;
    equal("the end of the lifespan", lifespan.end(), None)?;
    equal("its startup", lifespan.outcomes().get(1), Some(&"ok"))
}

async fn no_request_is_read_before_the_startup_is_complete(server: Subject) -> Checked {
    // The suite sends a request as soon as the server listens, and takes the first answer as the sign
    // that it serves. The step before the answer must be done then.
    let steps = "receive&busy=300&state=late&startup-complete&receive&shutdown-complete";
    let (other, record) = serves(&server, steps).await?;
    equal(
        "the status",
        status_of(&other.endpoint, &server).await?,
        200,
    )?;
    let report = record.read()?;
    other.stop().await.ok();
    let late = report.outcomes().contains(&"set");
    ensure(late, "a startup before the first answer", report)
}

async fn the_startup_comes_first_and_once(server: Subject) -> Checked {
    let steps = "receive&receive-now&startup-complete&receive&shutdown-complete";
    let (other, record) = serves(&server, steps).await?;
    equal(
        "the status",
        status_of(&other.endpoint, &server).await?,
        200,
    )?;
    let report = record.after_steps(3).await?;
    other.stop().await.ok();
    equal(
        "the events",
        report.outcomes(),
        ["lifespan.startup", "pending", "ok"],
    )
}

async fn an_answer_before_the_startup_is_taken(server: Subject) -> Checked {
    let (other, record) = serves(
        &server,
        "startup-complete&receive&receive&shutdown-complete",
    )
    .await?;
    let status = status_of(&other.endpoint, &server).await?;
    let report = record.after_steps(1).await?;
    other.stop().await.ok();
    equal("the status", status, 200)?;
    equal("the answer", report.outcomes().first(), Some(&"ok"))
}

async fn a_server_does_not_serve_after_a_failed_startup(server: Subject) -> Checked {
    let (told, _) = refuses(&server, "receive&startup-failed=no-database").await?;
    ensure(
        told.contains("no-database"),
        "the app's message for the operator",
        told,
    )
}

async fn a_startup_that_takes_too_long_has_failed(server: Subject) -> Checked {
    server.time("startup-timeout")?;
    refuses(&server, "receive&wait=never").await.map(drop)
}

async fn an_error_after_a_failed_startup_is_no_other_failure(server: Subject) -> Checked {
    let steps = "receive&startup-failed=no-database&error=cause-of-life-008";
    let (told, _) = refuses(&server, steps).await?;
    ensure(
        told.contains("no-database") && !told.contains("cause-of-life-008"),
        "the message of the startup alone",
        told,
    )
}

async fn an_app_without_a_lifespan_is_served(server: Subject) -> Checked {
    for steps in ["unsupported", "return", "receive&return"] {
        let (other, _) = serves(&server, steps).await?;
        let status = status_of(&other.endpoint, &server).await?;
        other.stop().await.ok();
        equal(&format!("the status after {steps}"), status, 200)?;
    }
    Ok(())
}

async fn an_app_that_ends_before_its_startup_is_not_served(server: Subject) -> Checked {
    for steps in ["error=early", "receive&error=early", "panic=early"] {
        refuses(&server, steps).await?;
    }
    Ok(())
}

async fn a_server_serves_on_after_the_lifespan_has_ended(server: Subject) -> Checked {
    for end in ["return", "error=late", "panic=late"] {
        let (other, _) = serves(&server, &format!("receive&startup-complete&{end}")).await?;
        let status = status_of(&other.endpoint, &server).await?;
        other.stop().await.ok();
        equal(&format!("the status after {end}"), status, 200)?;
    }
    Ok(())
}

async fn the_shutdown_comes_after_the_last_exchange(server: Subject) -> Checked {
    let steps = "receive&startup-complete&receive&shutdown-complete";
    let (other, record) = serves(&server, steps).await?;
    let trace = server.trace().clone();
    let mut client = Http1::connect(&other.endpoint, "client".into(), trace).await?;
    // The exchange runs on for a while after the server has begun to stop. Its last part shows what the
    // lifespan has received so far.
    let steps = format!("start=200&more=first&busy=500&last-report={LIFESPAN}");
    client
        .send(format!(
            "GET /run/other?{steps} HTTP/1.1\r\nhost: a\r\n\r\n"
        ))
        .await?;
    client.expect_bytes(b"first").await?;
    let stopping = tokio::spawn(other.stop());
    let (rest, _) = client.end().await?;
    drop(client);
    let rest = String::from_utf8_lossy(&rest);
    let running = rest.contains("lifespan.startup") && !rest.contains("lifespan.shutdown");
    ensure(running, "no shutdown while an exchange runs", &rest)?;
    let stopped = match stopping.await {
        Ok(stopped) => stopped?,
        Err(error) => return fail("a stop", error),
    };
    equal("the end of the server", stopped, Ok(()))?;
    let report = record.read()?;
    // The server may end before the probe has recorded its last answer.
    let mut events = report.outcomes();
    events.truncate(3);
    equal(
        "the events",
        events,
        ["lifespan.startup", "ok", "lifespan.shutdown"],
    )
}

async fn the_server_waits_for_the_answer_to_the_shutdown(server: Subject) -> Checked {
    let steps = "receive&startup-complete&receive&busy=300&state=late&shutdown-complete";
    let (other, record) = serves(&server, steps).await?;
    equal("the end of the server", other.stop().await?, Ok(()))?;
    let report = record.read()?;
    // The server may end before the probe has recorded its answer, so another step comes before it.
    equal(
        "the step before the answer",
        report.outcomes().get(3),
        Some(&"set"),
    )
}

async fn a_failed_shutdown_is_the_end_of_the_server(server: Subject) -> Checked {
    let steps = "receive&startup-complete&receive&shutdown-failed=still-dirty";
    let (other, _) = serves(&server, steps).await?;
    match other.stop().await? {
        Err(told) if told.contains("still-dirty") => Ok(()),
        other => fail(
            "an end as failed, with the app's message",
            format!("{other:?}"),
        ),
    }
}

async fn an_app_may_return_instead_of_answering_the_shutdown(server: Subject) -> Checked {
    let (other, record) = serves(&server, "receive&startup-complete&receive&return").await?;
    equal("the end of the server", other.stop().await?, Ok(()))?;
    let report = record.read()?;
    equal("the last event", report.last(), "lifespan.shutdown")
}

async fn an_app_that_fails_after_the_shutdown_makes_it_fail(server: Subject) -> Checked {
    for end in ["error=late", "panic=late"] {
        let steps = format!("receive&startup-complete&receive&{end}");
        let (other, record) = serves(&server, &steps).await?;
        let stopped = other.stop().await?;
        if record.read()?.outcomes().len() < 3 {
            return not_observable("this server gave the app no shutdown");
        }
        ensure(stopped.is_err(), "an end as failed", stopped)?;
    }
    Ok(())
}
