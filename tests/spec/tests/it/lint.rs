//! `asgi_spec::Lint` between a server and an app: what it finds while the suite runs.

use std::sync::{Arc, Mutex};

use asgi::{DynApp, Extension, Extensions};
use asgi_spec::{Lint, Side, Suite, Violation};
use asgi_testing::Client;
use http2::{Event, Peer};
use test_support::{blocking, library, run};

use crate::broken::{BrokenServer, SWITCHES};
use crate::linked::Linked;

/// The violations of one side.
fn found(violations: &Mutex<Vec<Violation>>, side: Side) -> Vec<String> {
    let violations = violations.lock().unwrap();
    let of_side = violations.iter().filter(|one| one.side == side);
    of_side.map(ToString::to_string).collect()
}

#[test]
fn the_server_breaks_no_rule_of_lint_while_the_probe_breaks_many() {
    let violations: Arc<Mutex<Vec<Violation>>> = Arc::default();
    let told = Arc::clone(&violations);
    let suite = Suite::new(move |app| {
        let told = Arc::clone(&told);
        let lint = Lint::new(app).report(move |one| told.lock().unwrap().push(one));
        Linked::start(DynApp::new(lint))
    });
    // The suite sees the same server as without Lint.
    let results = suite.run();
    assert!(results.count("passed") > 80, "{}", results.count("passed"));
    results.assert();
    let by_server = found(&violations, Side::Server);
    assert!(by_server.is_empty(), "{}", by_server.join("\n"));
    // The probe breaks rules on purpose, so Lint has looked.
    let by_app = found(&violations, Side::App);
    assert!(by_app.len() > 10, "{by_app:#?}");
}

/// Broken servers whose fault an app can notice: what it gets or what is answered is wrong in itself.
const NOTICED: &[&str] = &[
    "CORE-008", "CORE-012", "CORE-014", "CORE-017", "CORE-022", "CORE-024", "CORE-025", "CORE-026",
    "CORE-027", "HTTP-003", "HTTP-014", "HTTP-016", "HTTP-020", "HTTP-022", "HTTP-041", "HTTP-045",
    "HTTP-046", "WS-002", "WS-003", "WS-004", "WS-009", "WS-018", "WS-019", "WS-022", "LIFE-004",
];

#[test]
fn lint_finds_a_fault_of_each_broken_server_that_an_app_can_notice() {
    for id in NOTICED {
        assert!(SWITCHES.contains(id), "no server breaks {id}");
        let violations: Arc<Mutex<Vec<Violation>>> = Arc::default();
        let told = Arc::clone(&violations);
        let suite = Suite::new(move |app| {
            let told = Arc::clone(&told);
            let lint = Lint::new(app).report(move |one| told.lock().unwrap().push(one));
            BrokenServer::start(id, false, DynApp::new(lint))
        });
        let _ = suite.only(id).run();
        let found = found(&violations, Side::Server);
        assert!(!found.is_empty(), "Lint does not notice {id}");
    }
}

/// The targets of each example that answer 200.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "hello",
        &["/", "/stream?n=2", "/sleep?ms=1", "/info", "/io"],
    ),
    ("push", &["/", "/push", "/hints?think=1", "/tile/1"]),
    ("calculator", &["/", "/calculator.css"]),
    ("chat", &["/"]),
    ("ws-echo", &["/"]),
];

/// In memory, with and without pushes, and over HTTP/2. The tests of `e2e` do it over HTTP/1.1.
#[test]
fn the_examples_break_no_rule_as_libraries() {
    for (name, targets) in EXAMPLES {
        let library = library::load(name);
        let pushes = Extensions::new().with(Extension::Push);
        run(async {
            let client = Client::new(Lint::new(library.app()));
            let started = client.startup().await.unwrap();
            for target in *targets {
                assert_eq!(started.get(target).await.unwrap().status(), 200, "{target}");
            }
            started.shutdown().await.unwrap();
            let client = client.extensions(pushes);
            for target in *targets {
                assert_eq!(client.get(target).await.unwrap().status(), 200, "{target}");
            }
        });
        let server = blocking::Server::start(Lint::new(library.app()));
        let mut peer = Peer::connect(server.address());
        peer.credit(0, 1 << 24);
        for (number, target) in targets.iter().enumerate() {
            let stream = 1 + 2 * number as u32;
            peer.get(stream, target);
            assert_eq!(final_status(&mut peer, stream), 200, "{target}");
        }
    }
}

/// Reads a response, after its promises and hints.
fn final_status(peer: &mut Peer, stream: u32) -> u16 {
    let mut status = 0;
    loop {
        match peer.next(stream) {
            Event::Promise(..) | Event::Data(_, false) => {}
            Event::Head(head) if head.end => return head.status,
            Event::Head(head) => status = head.status,
            Event::Data(_, true) => return status,
            other => panic!("{other:?}"),
        }
    }
}
