//! Proof that the suite can fail: servers that each break one requirement.
//!
//! A broken server is this server with a layer between it and the probe. The layer breaks one
//! sentence, and the case of that sentence must fail.

mod receive;
mod scope;
mod send;

use std::sync::Mutex;
use std::thread;

use asgi::{
    App, AppError, DynApp, HttpResponseBody, HttpResponseStart, Receiver, Scope, Sender,
    WebSocketAccept, WebSocketClose,
};
use asgi_spec::{Grade, Suite};

use crate::linked::Linked;

/// The requirements that the layer can break. What a server does on the wire without its app, such
/// as the framing, is not among them.
pub(crate) const SWITCHES: &[&str] = &[
    "CORE-001", "CORE-007", "CORE-008", "CORE-010", "CORE-011", "CORE-012", "CORE-013", "CORE-014",
    "CORE-015", "CORE-016", "CORE-017", "CORE-020", "CORE-021", "CORE-022", "CORE-024", "CORE-025",
    "CORE-026", "CORE-027", "CORE-028", "CORE-030", "HTTP-001", "HTTP-002", "HTTP-003", "HTTP-004",
    "HTTP-008", "HTTP-010", "HTTP-011", "HTTP-014", "HTTP-015", "HTTP-016", "HTTP-017", "HTTP-020",
    "HTTP-022", "HTTP-023", "HTTP-024", "HTTP-025", "HTTP-032", "HTTP-038", "HTTP-039", "HTTP-041",
    "HTTP-043", "HTTP-045", "HTTP-046", "HTTP-060", "HTTP-061", "HTTP-062", "HTTP-072", "HTTP-073",
    "WS-001", "WS-002", "WS-003", "WS-004", "WS-005", "WS-006", "WS-007", "WS-009", "WS-011",
    "WS-013", "WS-014", "WS-015", "WS-018", "WS-019", "WS-020", "WS-021", "WS-022", "WS-023",
    "WS-024", "WS-031", "WS-043", "LIFE-001", "LIFE-004", "LIFE-006", "LIFE-010", "LIFE-014",
    "LIFE-016",
];

/// A layer that breaks one requirement.
#[derive(Clone)]
pub(crate) struct Broken {
    pub(crate) app: DynApp,
    pub(crate) id: &'static str,
}

impl App for Broken {
    async fn call(
        &self,
        mut scope: Scope,
        receive: Receiver,
        send: Sender,
    ) -> Result<(), AppError> {
        // The suite's own requests must work.
        let path = scope.path().unwrap_or_default().into_owned();
        if ["/report", "/use", "/signal"]
            .iter()
            .any(|own| path.starts_with(own))
        {
            return self.app.call(scope, receive, send).await;
        }
        scope::break_scope(self.id, &mut scope);
        let is_http = matches!(scope, Scope::Http(_));
        let is_socket = matches!(scope, Scope::WebSocket(_));
        let mut send = send;
        if self.id == "WS-005" && is_socket {
            send.send(WebSocketAccept::new()).await?;
        }
        let repeats = match scope {
            Scope::Http(_) => self.id == "CORE-001",
            _ => self.id == "LIFE-001",
        };
        if repeats {
            let (receive, send) = (receive::never(), send::nowhere());
            // It may not end, so it is only polled once.
            let again = self.app.start(scope.clone(), receive, send);
            tokio::select! { biased; _ = again => {} () = std::future::ready(()) => {} }
        }
        let (shared, send) = send::break_send(self.id, send);
        let receive = receive::break_receive(self.id, receive);
        let result = self.app.call(scope, receive, send).await;
        let by_layer = result.is_err() || (self.id == "WS-023" && is_socket);
        let Some(mut send) = shared.after(by_layer) else {
            return result;
        };
        let Err(error) = result else {
            return Ok(send.send(WebSocketClose::new(1001)).await?);
        };
        match self.id {
            "CORE-020" if error.is_unsupported() => respond(&mut send, 200, String::new()).await,
            "CORE-021" => respond(&mut send, 500, error.to_string()).await,
            "CORE-028" if error.is_aborted() => Err("no abort".into()),
            "HTTP-038" if is_http => respond(&mut send, 200, String::new()).await,
            "HTTP-039" => Ok(send.send(HttpResponseBody::last("")).await?),
            "LIFE-010" | "LIFE-016" if !is_http => Ok(()),
            "WS-011" if is_socket => Ok(send.send(WebSocketClose::new(1000)).await?),
            "WS-024" | "WS-043" if is_socket => Ok(()),
            _ => Err(error),
        }
    }
}

async fn respond(send: &mut Sender, status: u16, text: String) -> Result<(), AppError> {
    let start = HttpResponseStart::new(status.try_into()?);
    Ok(send.respond(start, text).await?)
}

#[test]
fn each_broken_server_fails_the_case_of_its_requirement() {
    let left = Mutex::new(SWITCHES.to_vec());
    let missed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                loop {
                    let Some(id) = left.lock().unwrap().pop() else {
                        return;
                    };
                    let results =
                        Suite::new(move |app| Linked::start(DynApp::new(Broken { app, id })))
                            .only(id)
                            .run();
                    let failed = results
                        .iter()
                        .any(|one| matches!(one.grade, Grade::Failed(_)));
                    if !failed {
                        missed.lock().unwrap().push(id);
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "broken and not found: {missed:?}");
}

#[test]
fn a_layer_that_breaks_nothing_passes() {
    let results = Suite::new(|app| Linked::start(DynApp::new(Broken { app, id: "none" })));
    results.run().assert();
}

#[test]
fn an_expected_failure_that_passes_is_an_error() {
    let results = Suite::new(Linked::start)
        .only("HTTP-001")
        .expect_fail("HTTP-001", "it is not so")
        .run();
    let surprises: Vec<&str> = results.surprises().collect();
    assert_eq!(surprises, ["HTTP-001"]);
}
