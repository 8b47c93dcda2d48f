//! HTTP §1: the scope.

use crate::client::CaseRequest;
use crate::result::{Checked, ensure, equal, fail};
use crate::suite::{Run, RunReport, Subject};

cases! {
    [Http]
    "HTTP-001" the_version_is_that_of_the_request,
    "HTTP-002" the_method_keeps_its_case,
    "HTTP-003" the_scheme_is_https_with_tls_and_http_without,
    "HTTP-004" the_target_is_what_came,
    "HTTP-005" the_path_is_decoded_after_the_root_path,
    "HTTP-006" a_percent_sign_without_digits_stays,
    "HTTP-007" bytes_that_are_not_utf_8_become_u_fffd,
    "HTTP-008" headers_are_all_there_in_their_order,
    "HTTP-011" the_addresses_are_the_ends_of_the_connection,
    "HTTP-012" the_app_is_not_called_for_a_connect,
    "HTTP-073" options_of_the_whole_server_have_the_target_star,
    [Http1]
    "HTTP-010" a_target_in_absolute_form_replaces_the_host,
    "HTTP-013" the_app_is_not_called_for_a_malformed_request,
}

/// Answers 200, so that a case can look at the scope.
const OK: &str = "start=200&last=ok";

/// Sends a request and returns what the app saw.
async fn report_on(server: &Subject, run: &Run, request: CaseRequest) -> Checked<RunReport> {
    let mut client = server.connect().await?;
    client.send(request).await?;
    let received = client.response().await?;
    equal("the status", received.head.status, 200)?;
    run.report().await
}

/// The same with the bytes of a request over HTTP/1.
async fn report_on_bytes(server: &Subject, run: &Run, request: String) -> Checked<RunReport> {
    let mut client = server.connect_http1().await?;
    client.send(request).await?;
    let received = client.response().await?;
    equal("the status", received.head.status, 200)?;
    run.report().await
}

async fn the_version_is_that_of_the_request(server: Subject) -> Checked {
    if server.is_http2() {
        let run = server.run(OK);
        let report = report_on(&server, &run, run.request()).await?;
        return equal("version", report.scope("http_version").as_str(), Some("2"));
    }
    for version in ["1.1", "1.0"] {
        let run = server.run(OK);
        let request = format!("GET {} HTTP/{version}\r\nhost: a\r\n\r\n", run.target);
        let report = report_on_bytes(&server, &run, request).await?;
        equal(
            "version",
            report.scope("http_version").as_str(),
            Some(version),
        )?;
    }
    Ok(())
}

async fn the_method_keeps_its_case(server: Subject) -> Checked {
    for method in ["DELETE", "pAtCh", "X-custom"] {
        let run = server.run(OK);
        let request = run.request_as(method, "content-length: 0\r\n");
        let report = report_on(&server, &run, request).await?;
        equal("method", report.scope("method").as_str(), Some(method))?;
    }
    Ok(())
}

async fn the_scheme_is_https_with_tls_and_http_without(server: Subject) -> Checked {
    let run = server.run(OK);
    let report = report_on(&server, &run, run.request()).await?;
    let scheme = if server.has_tls() { "https" } else { "http" };
    equal("scheme", report.scope("scheme").as_str(), Some(scheme))
}

async fn the_target_is_what_came(server: Subject) -> Checked {
    let run = server.run_at("/a%20b/%C3%a9//c;d", "start=200&last=%6f%6B");
    let report = report_on(&server, &run, run.request()).await?;
    equal(
        "target",
        report.scope("target").as_str(),
        Some(run.target.as_str()),
    )
}

/// Compares the end of the path with what the end of the target should become.
async fn path_ends(server: &Subject, sent: &str, expected: &str) -> Checked {
    let run = server.run_at(sent, OK);
    let report = report_on(server, &run, run.request()).await?;
    let root = report.scope("root_path").as_str().unwrap_or_default();
    let path = format!("{root}/run/{}{expected}", run.id);
    equal("path", report.scope("path").as_str(), Some(path.as_str()))
}

async fn the_path_is_decoded_after_the_root_path(server: Subject) -> Checked {
    path_ends(&server, "/a%20b/%C3%A9%2f+", "/a b/é/+").await
}

async fn a_percent_sign_without_digits_stays(server: Subject) -> Checked {
    path_ends(&server, "/%zz%4/%", "/%zz%4/%").await
}

async fn bytes_that_are_not_utf_8_become_u_fffd(server: Subject) -> Checked {
    path_ends(&server, "/a%FFb", "/a\u{fffd}b").await
}

async fn headers_are_all_there_in_their_order(server: Subject) -> Checked {
    let run = server.run(OK);
    let headers = "x-many: 1\r\nAccept: a\r\nX-Many: 2\r\nx-empty:\r\nx-many:  3, 4 \r\n";
    let report = report_on(&server, &run, run.request_with(headers)).await?;
    equal("x-many", report.headers("x-many"), vec!["1", "2", "3, 4"])?;
    equal("accept", report.headers("accept"), vec!["a"])?;
    equal("x-empty", report.headers("x-empty"), vec![""])?;
    equal("host", report.headers("host"), vec!["suite"])
}

async fn a_target_in_absolute_form_replaces_the_host(server: Subject) -> Checked {
    let run = server.run(OK);
    let request = format!(
        "GET http://other.example:81{} HTTP/1.1\r\nhost: suite\r\n\r\n",
        run.target
    );
    let report = report_on_bytes(&server, &run, request).await?;
    equal("host", report.headers("host"), vec!["other.example:81"])?;
    equal(
        "target",
        report.scope("target").as_str(),
        Some(run.target.as_str()),
    )
}

async fn the_addresses_are_the_ends_of_the_connection(server: Subject) -> Checked {
    let run = server.run(OK);
    let mut client = server.connect().await?;
    let (local, peer) = match client.addresses() {
        Ok(addresses) => addresses,
        Err(error) => return fail("an open connection", error),
    };
    client.send(run.request()).await?;
    client.response().await?;
    let report = run.report().await?;
    for (name, address) in [("client", local), ("server", peer)] {
        let seen = report.scope(name);
        let right = seen.is_null() || *seen == address.to_string();
        ensure(right, &format!("{name}: {address} or none"), seen)?;
    }
    Ok(())
}

async fn the_app_is_not_called_for_a_connect(server: Subject) -> Checked {
    let run = server.run(OK);
    let mut client = server.connect().await?;
    client.send(connect_to_elsewhere(&run)).await?;
    // HTTP-066 checks the answer.
    let status = match client.as_http2() {
        None => Some(client.response().await?.head.status),
        Some((http2, stream)) => http2.status_or_end(stream).await?,
    };
    equal("calls of the app", run.report_now().await?.calls(), 0)?;
    let error = status.is_none_or(|status| status >= 400);
    ensure(error, "an error for CONNECT", status)
}

async fn the_app_is_not_called_for_a_malformed_request(server: Subject) -> Checked {
    for headers in MALFORMED {
        let run = server.run("body&start=200&last=ok");
        let mut client = server.connect_http1().await?;
        client.send(run.request_as("POST", headers).http1()).await?;
        client.close_write().await;
        client.end().await?;
        let calls = run.report_now().await?.calls();
        equal(&format!("calls of the app after {headers:?}"), calls, 0)?;
    }
    Ok(())
}

/// A CONNECT for a tunnel.
pub(super) fn connect_to_elsewhere(run: &Run) -> CaseRequest {
    CaseRequest {
        target: "example.com:443".into(),
        ..run.request_as("CONNECT", &format!("probe-id: {}\r\n", run.id))
    }
}

/// Headers that make a head of HTTP/1 malformed or its framing ambiguous (RFC 9112 §5.1, §6.3).
pub(super) const MALFORMED: &[&str] = &[
    "content-length: 5\r\ncontent-length: 6\r\n",
    "content-length: +5\r\n",
    "content-length: 5x\r\n",
    "x y: 1\r\n",
    "x-a : 1\r\n",
    "no colon\r\n",
    "x-a: nul\0\r\n",
];

async fn options_of_the_whole_server_have_the_target_star(server: Subject) -> Checked {
    let run = server.run("");
    let headers = format!("probe-id: {}\r\nprobe-steps: {OK}\r\n", run.id);
    let request = CaseRequest {
        target: "*".into(),
        ..run.request_as("OPTIONS", &headers)
    };
    let report = report_on(&server, &run, request).await?;
    let root = report
        .scope("root_path")
        .as_str()
        .unwrap_or_default()
        .to_owned();
    equal("target", report.scope("target").as_str(), Some("*"))?;
    equal(
        "path",
        report.scope("path").as_str(),
        Some(format!("{root}*").as_str()),
    )
}
