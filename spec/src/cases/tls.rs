//! TLS: what a scope says about its connection.

use serde_json::Value;

use crate::client::{CaseClient, ClientTls, Endpoint, TLS_1_2, TLS_1_3, der_of_pem};
use crate::result::{Checked, ensure, equal, fail, not_observable, not_supported};
use crate::suite::{RunReport, Subject};

cases! {
    [Http]
    "TLS-001" the_version_is_that_on_the_wire,
    "TLS-002" the_cipher_suite_is_that_on_the_wire,
    "TLS-003" the_certificate_is_the_one_that_the_server_has_sent,
    "TLS-004" the_server_name_is_that_of_the_handshake,
    "TLS-005" the_chain_is_that_of_the_client,
    "TLS-006" the_name_is_the_subject_of_the_client,
    "TLS-007" a_valid_certificate_and_none_are_no_error,
    "TLS-007" an_invalid_certificate_has_an_error_or_no_handshake,
    "TLS-008" all_scopes_of_a_connection_have_the_same_values,
    [Sockets]
    "TLS-008" a_websocket_has_the_values_too,
}

/// The TLS of the suite. Ends a case if it has none.
fn need_tls(server: &Subject) -> Checked<ClientTls> {
    match &server.endpoint().tls {
        Some(tls) => Ok(tls.clone()),
        None => not_supported("the suite runs without TLS"),
    }
}

/// Opens a connection with this TLS.
async fn connect(server: &Subject, tls: ClientTls) -> Checked<CaseClient> {
    let endpoint = Endpoint {
        tls: Some(tls),
        ..server.endpoint().clone()
    };
    server.connect_to(&endpoint).await
}

/// Sends a request on this connection, and returns what the app saw.
async fn report_on(server: &Subject, client: &mut CaseClient) -> Checked<RunReport> {
    let run = server.run("start=200&last=ok");
    client.send(run.request()).await?;
    client.response().await?;
    let report = run.report().await?;
    has_values(server, &report)?;
    Ok(report)
}

/// Fails if the scope has no values of TLS. A server of Python apps need not have the extension.
fn has_values(server: &Subject, report: &RunReport) -> Checked {
    let tls = report.scope("tls_values");
    if server.is_python() && tls.is_null() {
        return not_supported("the scope does not offer tls");
    }
    ensure(tls.is_object(), "a scope with tls", tls)
}

/// A value of the scope, which must be this one if the server knows it.
fn value_is(report: &RunReport, name: &str, expected: &Value) -> Checked {
    let value = &report.scope("tls_values")[name];
    if value.is_null() {
        return not_observable(format!("the server does not know {name}"));
    }
    equal(name, value, expected)
}

async fn the_version_is_that_on_the_wire(server: Subject) -> Checked {
    let tls = need_tls(&server)?;
    let mut spoken = 0;
    let mut refusal = None;
    for version in [TLS_1_2, TLS_1_3] {
        let mut client = match connect(&server, tls.clone().only(version)).await {
            Ok(client) => client,
            // A server need not speak both.
            Err(refused) => {
                refusal = Some(refused);
                continue;
            }
        };
        let agreed = client.tls().and_then(|tls| tls.protocol_version());
        let report = report_on(&server, &mut client).await?;
        let expected = agreed.map(u16::from).unwrap_or_default();
        value_is(&report, "version", &expected.into())?;
        spoken += 1;
    }
    match refusal {
        Some(refused) if spoken == 0 => Err(refused),
        _ => Ok(()),
    }
}

async fn the_cipher_suite_is_that_on_the_wire(server: Subject) -> Checked {
    let mut client = connect(&server, need_tls(&server)?).await?;
    let agreed = client.tls().and_then(|tls| tls.negotiated_cipher_suite());
    let report = report_on(&server, &mut client).await?;
    let expected = agreed.map_or(0, |suite| u16::from(suite.suite()));
    value_is(&report, "cipher_suite", &expected.into())
}

/// The certificates of texts in PEM.
fn certificates<'a>(texts: impl IntoIterator<Item = &'a Value>) -> Checked<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    for text in texts {
        match text.as_str().map(der_of_pem) {
            Some(Ok(one)) if one.len() == 1 => all.extend(one),
            other => return fail("one certificate in PEM", format!("{other:?}")),
        }
    }
    Ok(all)
}

async fn the_certificate_is_the_one_that_the_server_has_sent(server: Subject) -> Checked {
    let mut client = connect(&server, need_tls(&server)?).await?;
    let sent = client.tls().and_then(|tls| tls.peer_certificates());
    let sent = sent.and_then(|all| all.first()).map(|one| one.to_vec());
    let report = report_on(&server, &mut client).await?;
    let seen = &report.scope("tls_values")["server_cert"];
    if seen.is_null() {
        return not_observable("the server does not know server_cert");
    }
    let seen = certificates([seen])?.pop();
    ensure(seen == sent, "the certificate of the handshake", "another")
}

async fn the_server_name_is_that_of_the_handshake(server: Subject) -> Checked {
    let tls = need_tls(&server)?;
    let expected = Value::from(tls.server_name.as_str());
    let mut client = connect(&server, tls).await?;
    let report = report_on(&server, &mut client).await?;
    value_is(&report, "server_name", &expected)
}

/// What an app sees of a client with a certificate, and of one without.
async fn with_and_without(server: &Subject) -> Checked<[RunReport; 2]> {
    let tls = need_tls(server)?;
    if tls.certificate.is_none() {
        return not_observable("the suite has no certificate for its clients");
    }
    let mut certified = connect(server, tls.clone().with_certificate()).await?;
    let mut plain = connect(server, tls).await?;
    Ok([
        report_on(server, &mut certified).await?,
        report_on(server, &mut plain).await?,
    ])
}

async fn the_chain_is_that_of_the_client(server: Subject) -> Checked {
    let [certified, plain] = with_and_without(&server).await?;
    let tls = need_tls(&server)?;
    let sent = tls.certificate.map(|one| der_of_pem(&one.chain));
    let Some(Ok(sent)) = sent else {
        return not_observable("the certificate of the clients is not in PEM");
    };
    let chain = |report: &RunReport| report.scope("tls_values")["client_cert_chain"].clone();
    equal(
        "the chain without a certificate",
        chain(&plain),
        Value::Array(Vec::new()),
    )?;
    let seen = chain(&certified);
    let seen = certificates(seen.as_array().into_iter().flatten())?;
    ensure(seen == sent, "the certificates of the client", seen.len())
}

async fn the_name_is_the_subject_of_the_client(server: Subject) -> Checked {
    let [certified, plain] = with_and_without(&server).await?;
    let tls = need_tls(&server)?;
    let subject = tls.certificate.map(|one| one.subject).unwrap_or_default();
    let name = &plain.scope("tls_values")["client_cert_name"];
    ensure(name.is_null(), "no name without a certificate", name)?;
    value_is(&certified, "client_cert_name", &subject.into())
}

async fn a_valid_certificate_and_none_are_no_error(server: Subject) -> Checked {
    for report in with_and_without(&server).await? {
        let error = &report.scope("tls_values")["client_cert_error"];
        ensure(error.is_null(), "no error", error)?;
    }
    Ok(())
}

async fn an_invalid_certificate_has_an_error_or_no_handshake(server: Subject) -> Checked {
    let Some(tls) = need_tls(&server)?.with_invalid_certificate() else {
        return not_observable("the suite has no invalid certificate for its clients");
    };
    // With TLS 1.3, a client learns only after its handshake that the server has refused it.
    let run = server.run("start=200&last=ok");
    let answer = async {
        let mut client = connect(&server, tls).await?;
        client.send(run.request()).await?;
        client.head().await
    };
    if answer.await.is_err() {
        let calls = run.report_now().await?.calls();
        return equal("calls of the app without an answer", calls, 0);
    }
    let report = run.report().await?;
    let error = &report.scope("tls_values")["client_cert_error"];
    ensure(error.is_string(), "an error in the scope", error)
}

async fn all_scopes_of_a_connection_have_the_same_values(server: Subject) -> Checked {
    let tls = need_tls(&server)?;
    server.needs_http_1_1()?;
    let certificate = tls.certificate.is_some();
    let tls = if certificate {
        tls.with_certificate()
    } else {
        tls
    };
    let mut client = connect(&server, tls).await?;
    let first = report_on(&server, &mut client).await?;
    for _ in 0..2 {
        let next = report_on(&server, &mut client).await?;
        equal("tls", next.scope("tls_values"), first.scope("tls_values"))?;
    }
    Ok(())
}

async fn a_websocket_has_the_values_too(server: Subject) -> Checked {
    let tls = need_tls(&server)?;
    let (run, _socket) = super::websocket_handshake::open(&server, "receive&accept").await?;
    let report = run.after_steps(2).await?;
    has_values(&server, &report)?;
    value_is(&report, "server_name", &tls.server_name.into())
}
