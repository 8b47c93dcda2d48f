//! The C ABI: what a host does with a library.
//!
//! The library of the probe has a lint between the host and the app, which answers `/report/abi`, and
//! plays scripts on the raw ABI for `/abi/NAME`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::client::Received;
use crate::probe::DEFAULT_LIFESPAN;
use crate::result::{Checked, ensure, equal, fail, not_observable, not_supported};
use crate::suite::{Launch, Subject};

cases! { [Http1]
    "ABI-001" a_file_that_is_no_app_is_refused,
    "ABI-002" a_library_of_another_version_is_refused,
    "ABI-003" an_app_of_another_size_is_refused,
    "ABI-004" a_refusal_says_what_was_found_and_what_to_do,
    "ABI-005" init_comes_first_and_once,
    "ABI-006" an_app_whose_init_fails_is_not_served,
    "ABI-009" each_buffer_is_dropped_once,
    "ABI-010" the_bytes_of_a_buffer_stay,
    "ABI-011" borrowed_data_is_not_used_after_the_call,
    "ABI-012" an_output_parameter_is_written_with_its_code_only,
    "ABI-015" a_task_that_panics_ends_only_its_exchange,
    "ABI-016" a_task_that_has_ended_is_not_polled,
    "ABI-017" each_task_is_dropped_once,
    "ABI-018" a_task_is_not_used_from_two_threads_at_once,
    "ABI-019" a_wait_wakes_the_library,
    "ABI-020" each_clone_of_a_waker_is_given_back_once,
    "ABI-021" the_waker_of_the_host_works_after_the_task,
    "ABI-024" nothing_is_called_after_the_shutdown,
    "ABI-025" an_event_needs_room,
    "ABI-026" the_body_belongs_to_the_host_also_if_it_refuses,
    "ABI-027" an_event_that_is_not_well_formed_is_misuse,
    "ABI-028" a_file_may_be_closed_after_the_call,
    "ABI-029" a_response_in_one_step_is_taken_or_declined,
    "ABI-030" a_handle_for_the_close_outlives_its_task,
    "ABI-031" a_scope_reaches_the_library_with_the_same_values,
    "ABI-032" a_scope_offers_only_what_can_cross,
    "ABI-033" a_loaded_app_gets_the_state_of_its_startup,
    "ABI-034" an_error_reaches_the_host_with_its_causes,
    "ABI-035" a_line_of_the_library_reaches_the_log,
}

/// What the lint has found so far.
struct AbiReport(Value);

impl AbiReport {
    /// Fails unless the requirement was checked and nothing broke it.
    fn keeps(&self, id: &str) -> Checked {
        let broken = self.0["broken"].as_array().into_iter().flatten();
        let mut own = broken.filter(|one| one[0] == *id);
        if let Some(found) = own.next() {
            let what = found[1].as_str().unwrap_or_default();
            return fail("a host that keeps the rule", what);
        }
        let checks = self.0["checks"][id].as_u64().unwrap_or(0);
        ensure(checks > 0, "at least one check of the lint", checks)
    }
}

/// Asks the lint for its report.
async fn report(server: &Subject) -> Checked<AbiReport> {
    let mut client = server.connect_http1().await?;
    client
        .send("GET /report/abi HTTP/1.1\r\nhost: suite\r\nconnection: close\r\n\r\n")
        .await?;
    let text = client.response().await?.text();
    match serde_json::from_str::<Value>(&text) {
        Ok(value) if value["abi"] == 1 => Ok(AbiReport(value)),
        _ => not_supported("the server does not load the probe as a library"),
    }
}

/// Ends a case if the probe runs without the lint.
async fn needs_library(server: &Subject) -> Checked {
    report(server).await.map(drop)
}

/// Plays a script on the raw ABI.
async fn script(server: &Subject, name: &str) -> Checked<Received> {
    needs_library(server).await?;
    let mut client = server.connect_http1().await?;
    let request = format!("GET /abi/{name} HTTP/1.1\r\nhost: suite\r\nx-a: b\r\n\r\n");
    client.send(request).await?;
    client.response().await
}

/// Plays a script, and expects its answer and the lint's verdict.
async fn script_keeps(server: &Subject, name: &str, id: &str, body: &str) -> Checked {
    let received = script(server, name).await?;
    equal("the body", received.text().as_str(), body)?;
    report(server).await?.keeps(id)
}

/// Does some of everything, and expects the lint's verdict.
async fn traffic_keeps(server: &Subject, id: &str) -> Checked {
    needs_library(server).await?;
    for _ in 0..4 {
        let run = server.run("receive-now&body&start=200&more=a&yield=3&last=b");
        let mut client = server.connect_http1().await?;
        let head = run.request_as("POST", "content-length: 5\r\n").http1();
        client.send(head).await?;
        run.after_steps(1).await?;
        client.send("hello").await?;
        client.response().await?;
        run.report().await?;
    }
    script(server, "scope").await?;
    lint_keeps(server, id).await
}

/// Waits for the lint's verdict: it looks at some things a moment later.
async fn lint_keeps(server: &Subject, id: &str) -> Checked {
    for _ in 0..140 {
        let report = report(server).await?;
        let due = report.0["due"].as_array().into_iter().flatten();
        let is_due = due.into_iter().any(|one| *one == id);
        if !is_due && report.0["checks"][id].as_u64() > Some(0) {
            return report.keeps(id);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    report(server).await?.keeps(id)
}

/// Waits until the log has a line with this text, and returns the line.
async fn logged(server: &Subject, text: &str) -> Checked<String> {
    for _ in 0..40 {
        let log = server.log()?;
        if let Some(line) = log.lines().find(|line| line.contains(text)) {
            return Ok(line.into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    fail(format!("a line with {text:?} in the log"), "none")
}

/// The library of the probe, as bytes.
async fn library(server: &Subject) -> Checked<Vec<u8>> {
    needs_library(server).await?;
    match server.library().map(fs::read) {
        Some(Ok(bytes)) => Ok(bytes),
        _ => not_observable("the suite does not start this server with a library"),
    }
}

/// Starts a server with other bytes in place of the library, which it must refuse. Returns what it told
/// its operator.
async fn refuses(server: &Subject, bytes: &[u8]) -> Checked<(String, PathBuf)> {
    let path = server.file("so");
    if let Err(error) = fs::write(&path, bytes) {
        return not_observable(format!("{} can't be written: {error}", path.display()));
    }
    let mut launch = Launch::new(DEFAULT_LIFESPAN, server.endpoint().tls.clone());
    launch.library = Some(path.clone());
    let launched = server.launch_with(launch).await;
    fs::remove_file(&path).ok();
    match launched? {
        Err(told) => Ok((told, path)),
        Ok(other) => {
            other.stop().await.ok();
            fail("a server that refuses the file", "one that serves")
        }
    }
}

/// Changes the head of each exported app in a library: magic number, version and size.
fn with_heads(mut bytes: Vec<u8>, change: impl Fn(&mut [u8])) -> Checked<Vec<u8>> {
    const MAGIC: &[u8] = b"ASGI_APP";
    // The static is aligned in memory, and so it is in the file.
    let starts: Vec<usize> = (0..bytes.len().saturating_sub(16))
        .step_by(8)
        .filter(|at| {
            // The version 0.7, and a size of less than a page.
            let head = &bytes[*at..*at + 16];
            head.starts_with(MAGIC) && head[8..11] == [0, 0, 7] && head[14..16] == [0, 0]
        })
        .collect();
    if starts.is_empty() {
        return not_observable("the head of the app is not in the file as it is in memory");
    }
    for at in starts {
        change(&mut bytes[at..at + 16]);
    }
    Ok(bytes)
}

async fn a_file_that_is_no_app_is_refused(server: Subject) -> Checked {
    let bytes = library(&server).await?;
    refuses(&server, b"This is no library.\n").await?;
    // The symbol has another name.
    let mut renamed = bytes.clone();
    // The names of the symbols are near the beginning.
    let names = &bytes[..bytes.len().min(1 << 20)];
    for at in positions(names, b"\0ASGI_APP\0") {
        renamed[at + 1] = b'X';
    }
    refuses(&server, &renamed).await?;
    let other = with_heads(bytes, |head| head[0] = b'X')?;
    refuses(&server, &other).await.map(drop)
}

fn positions(bytes: &[u8], pattern: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(pattern.len()).enumerate();
    windows
        .filter(|(_, window)| *window == pattern)
        .map(|(at, _)| at)
        .collect()
}

async fn a_library_of_another_version_is_refused(server: Subject) -> Checked {
    let bytes = library(&server).await?;
    for number in [8, 10] {
        let other = with_heads(bytes.clone(), |head| head[number] += 1)?;
        refuses(&server, &other).await?;
    }
    Ok(())
}

async fn an_app_of_another_size_is_refused(server: Subject) -> Checked {
    let bytes = library(&server).await?;
    let other = with_heads(bytes, |head| head[12] -= 8)?;
    refuses(&server, &other).await.map(drop)
}

async fn a_refusal_says_what_was_found_and_what_to_do(server: Subject) -> Checked {
    let bytes = library(&server).await?;
    let other = with_heads(bytes, |head| head[10] += 1)?;
    let (told, path) = refuses(&server, &other).await?;
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    for what in [&*file, "0.7", "0.8"] {
        ensure(
            told.contains(what),
            &format!("a message with {what}"),
            &told,
        )?;
    }
    Ok(())
}

async fn init_comes_first_and_once(server: Subject) -> Checked {
    traffic_keeps(&server, "ABI-005").await
}

async fn an_app_whose_init_fails_is_not_served(server: Subject) -> Checked {
    library(&server).await?;
    let mut launch = Launch::new(DEFAULT_LIFESPAN, server.endpoint().tls.clone());
    let message = "no-database-of-abi-006";
    launch.environment = vec![("ASGI_SPEC_ABI_INIT", message.into())];
    match server.launch_with(launch).await? {
        Err(told) => ensure(told.contains(message), "the message of the app", told),
        Ok(other) => {
            other.stop().await.ok();
            fail("no server after a failed init", "one that serves")
        }
    }
}

async fn each_buffer_is_dropped_once(server: Subject) -> Checked {
    script(&server, "body").await?;
    traffic_keeps(&server, "ABI-009").await
}

async fn the_bytes_of_a_buffer_stay(server: Subject) -> Checked {
    needs_library(&server).await?;
    let mut client = server.connect_http1().await?;
    let head = "POST /abi/keep HTTP/1.1\r\nhost: suite\r\ncontent-length: 12\r\n\r\n";
    client.send(head).await?;
    for part in ["one ", "two ", "done"] {
        client.send(part).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let received = client.response().await?;
    equal("the body", received.text().as_str(), "one two done")?;
    report(&server).await?.keeps("ABI-010")
}

async fn borrowed_data_is_not_used_after_the_call(server: Subject) -> Checked {
    let received = script(&server, "borrowed").await?;
    equal("x-lent", received.head.header("x-lent"), Some("as it was"))
}

async fn an_output_parameter_is_written_with_its_code_only(server: Subject) -> Checked {
    traffic_keeps(&server, "ABI-012").await
}

async fn a_task_that_panics_ends_only_its_exchange(server: Subject) -> Checked {
    let other = server.run("start=200&more=a&wait=go&last=b");
    let mut client = server.connect_http1().await?;
    client.send(other.request().http1()).await?;
    let head = client.head().await?;
    let received = script(&server, "panicked").await?;
    equal("the status", received.head.status, 500)?;
    other.signal("go").await?;
    let received = client.body_of(Vec::new(), head, "GET").await?;
    equal("the other body", received.text().as_str(), "ab")
}

async fn a_task_that_has_ended_is_not_polled(server: Subject) -> Checked {
    traffic_keeps(&server, "ABI-016").await
}

async fn each_task_is_dropped_once(server: Subject) -> Checked {
    traffic_keeps(&server, "ABI-017").await
}

async fn a_task_is_not_used_from_two_threads_at_once(server: Subject) -> Checked {
    traffic_keeps(&server, "ABI-018").await
}

async fn a_wait_wakes_the_library(server: Subject) -> Checked {
    traffic_keeps(&server, "ABI-019").await
}

async fn each_clone_of_a_waker_is_given_back_once(server: Subject) -> Checked {
    traffic_keeps(&server, "ABI-020").await
}

async fn the_waker_of_the_host_works_after_the_task(server: Subject) -> Checked {
    traffic_keeps(&server, "ABI-021").await
}

async fn nothing_is_called_after_the_shutdown(server: Subject) -> Checked {
    library(&server).await?;
    let file = server.file("abi");
    let mut launch = Launch::new(DEFAULT_LIFESPAN, server.endpoint().tls.clone());
    let path = file.display().to_string();
    launch.environment = vec![("ASGI_SPEC_ABI_REPORT", path)];
    let other = match server.launch_with(launch).await? {
        Ok(other) => other,
        Err(told) => return fail("a server that serves", told),
    };
    equal("the end of the server", other.stop().await?, Ok(()))?;
    let text = fs::read_to_string(&file);
    fs::remove_file(&file).ok();
    let Ok(text) = text else {
        return not_observable("this server does not call shutdown");
    };
    match serde_json::from_str(&text) {
        Ok(value) => AbiReport(value).keeps("ABI-024"),
        Err(error) => fail("a report", error),
    }
}

async fn an_event_needs_room(server: Subject) -> Checked {
    script_keeps(&server, "order", "ABI-025", "in order").await
}

async fn the_body_belongs_to_the_host_also_if_it_refuses(server: Subject) -> Checked {
    script_keeps(&server, "body", "ABI-026", "the host owns each body").await?;
    lint_keeps(&server, "ABI-009").await
}

async fn an_event_that_is_not_well_formed_is_misuse(server: Subject) -> Checked {
    script_keeps(&server, "malformed", "ABI-027", "well-formed").await
}

async fn a_file_may_be_closed_after_the_call(server: Subject) -> Checked {
    let received = script(&server, "file").await?;
    match received.text().as_str() {
        "not offered" => not_supported("the scope offers no zerocopysend"),
        body => equal("the body", body, "from a file"),
    }
}

async fn a_response_in_one_step_is_taken_or_declined(server: Subject) -> Checked {
    script_keeps(&server, "respond", "ABI-029", "in one step").await
}

async fn a_handle_for_the_close_outlives_its_task(server: Subject) -> Checked {
    script(&server, "closed").await?;
    traffic_keeps(&server, "ABI-030").await
}

async fn a_scope_reaches_the_library_with_the_same_values(server: Subject) -> Checked {
    let dump = script(&server, "scope").await?.text();
    for line in [
        "kind 1",
        "version 11",
        "method GET",
        "scheme http",
        "target /abi/scope",
        "path /abi/scope",
        "header host: suite",
        "header x-a: b",
    ] {
        let found = dump.lines().any(|one| one == line);
        ensure(found, &format!("the line {line:?}"), &dump)?;
    }
    report(&server).await?.keeps("ABI-031")
}

async fn a_scope_offers_only_what_can_cross(server: Subject) -> Checked {
    traffic_keeps(&server, "ABI-032").await
}

async fn a_loaded_app_gets_the_state_of_its_startup(server: Subject) -> Checked {
    needs_library(&server).await?;
    let run = server.run("start=200&last=ok");
    run.get().await?;
    let report = run.report().await?;
    equal("the state", report.scope("state").as_str(), Some("probe"))
}

async fn an_error_reaches_the_host_with_its_causes(server: Subject) -> Checked {
    let received = script(&server, "failed").await?;
    equal("the status", received.head.status, 500)?;
    let status = script(&server, "unsupported").await?.head.status;
    ensure(status >= 400, "a refusal", status)?;
    let mut client = server.connect_http1().await?;
    client
        .send("GET /abi/aborted HTTP/1.1\r\nhost: suite\r\n\r\n")
        .await?;
    let (bytes, _) = client.end().await?;
    equal("bytes after aborted", bytes.len(), 0)?;
    logged(&server, "outer of abi-034").await?;
    logged(&server, "cause of abi-034").await.map(drop)
}

async fn a_line_of_the_library_reaches_the_log(server: Subject) -> Checked {
    server.log()?;
    if script(&server, "log").await?.text() == "not wanted" {
        return not_observable("this server wants no lines of a library");
    }
    let line = logged(&server, "line-of-abi-035").await?;
    let is_right = line.contains("abi::script") && line.to_lowercase().contains("warn");
    ensure(is_right, "its target and its level", line)
}
