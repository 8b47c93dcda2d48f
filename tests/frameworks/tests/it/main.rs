//! Poem and Salvo over real sockets. Each test runs with both; its name is the claim.

#![allow(clippy::unwrap_used, reason = "a test: a panic is its failure")]

mod http;
mod websocket;

use asgi::DynApp;
use frameworks::Running;
use test_support::{Server, eventually};

/// One of the frameworks, on a server.
struct Framework {
    name: &'static str,
    server: Server,
    /// What the app says that it runs.
    running: Running,
}

impl Framework {
    /// Waits until this many handlers, streams and WebSockets run.
    #[track_caller]
    fn wait_for(&self, count: usize) -> impl Future<Output = ()> + use<> {
        let running = self.running.clone();
        let what = format!("{count} run in {}", self.name);
        eventually(what, move || running.count() == count)
    }
}

/// Runs a test with each framework.
async fn each(test: impl AsyncFn(&Framework)) {
    type Make = fn(Running) -> DynApp;
    let apps: [(&str, Make); 2] = [
        ("poem", |running| {
            DynApp::new(frameworks::poem::app(running))
        }),
        ("salvo", |running| {
            DynApp::new(frameworks::salvo::app(running))
        }),
    ];
    for (name, make) in apps {
        println!("{name}");
        let running = Running::default();
        let server = Server::start(make(running.clone())).await;
        test(&Framework {
            name,
            server,
            running,
        })
        .await;
    }
}
