//! The forms in which an app is tested.

#![allow(clippy::print_stdout, reason = "says which form has failed")]

use std::sync::OnceLock;

use asgi::{App, DynApp};
use asgi_abi::Library;
use asgi_testing::Client;
use test_support::{Server, library, run};

/// An app, linked in and loaded from the library.
pub struct Forms {
    name: Option<&'static str>,
    linked: fn() -> DynApp,
    loaded: OnceLock<Library>,
}

impl Forms {
    /// `name` is the one under which the library exports the app, if it has one.
    pub const fn new(name: Option<&'static str>, linked: fn() -> DynApp) -> Self {
        Self {
            name,
            linked,
            loaded: OnceLock::new(),
        }
    }

    /// The app in each form.
    pub fn each(&self) -> [(&'static str, DynApp); 2] {
        let library = self.loaded.get_or_init(|| match self.name {
            Some(name) => library::load_named("adopters", name),
            None => library::load("adopters"),
        });
        [
            ("linked in", (self.linked)()),
            ("loaded", DynApp::new(library.app())),
        ]
    }

    /// Runs the test with a client that calls the app in memory, in each form.
    #[track_caller]
    pub fn in_memory(&self, test: impl AsyncFn(Client)) {
        self.in_memory_with(Client::new, test);
    }

    /// [`in_memory`](Self::in_memory), with a client of the test's own.
    #[track_caller]
    pub fn in_memory_with(&self, client: impl Fn(DynApp) -> Client, test: impl AsyncFn(Client)) {
        run(async {
            for (form, app) in self.each() {
                println!("in memory, {form}");
                let client = client(app).startup().await.unwrap();
                test((*client).clone()).await;
                client.shutdown().await.unwrap();
            }
        });
    }

    /// Runs the test with a server for the app, in each form.
    #[track_caller]
    pub fn on_a_server(&self, test: impl AsyncFn(Server)) {
        run(async {
            for (form, app) in self.each() {
                println!("on a server, {form}");
                test(Server::start(app).await).await;
            }
        });
    }
}

/// For [`Forms::new`]: `erased(app())`.
pub fn erased(app: impl App) -> DynApp {
    DynApp::new(app)
}

/// Sends a GET request on a connection of its own, and returns the body.
pub async fn get(server: &Server, target: &str, status: u16) -> String {
    let mut client = server.connect().await;
    client.get(target).await;
    let response = client.expect_response(status).await;
    String::from_utf8(response.body.to_vec()).unwrap()
}
