//! Ferricorn, with the app linked in or loaded.

use std::io;
use std::sync::Mutex;

use asgi::{Address, App};
use asgi_abi::{Library, LoadOptions};
use ferricorn::{Bind, Config, TlsConfig};

use crate::{Flavour, HEADER_TIMEOUT, Options, announce, app};

pub fn run_static(options: &Options) -> io::Result<()> {
    run(options, app::app)
}

/// Sends each WebSocket message back.
#[cfg(feature = "websocket")]
pub fn run_echo(options: &Options) -> io::Result<()> {
    run(options, echo::app)
}

#[cfg(feature = "websocket")]
#[path = "../../../../../examples/ws-echo/src/app.rs"]
mod echo;

/// The app's runtime has a thread for each core that this process may use, two at most.
pub fn run_loaded(options: &Options) -> io::Result<()> {
    let (path, name) = match options.library.split_once(".so:") {
        Some((path, name)) => (format!("{path}.so"), Some(name)),
        None => (options.library.clone(), None),
    };
    let load = match name {
        Some(name) => LoadOptions::new().name(name),
        None => LoadOptions::new(),
    };
    let library = Library::load_with(path, &load).map_err(io::Error::other)?;
    run(options, library.app())
}

/// With one runtime per core, each runtime has its own listener. A client has to spread its
/// connections over them.
fn run(options: &Options, app: impl App + Clone) -> io::Result<()> {
    let listeners = match options.flavour {
        Flavour::Shared => 1,
        Flavour::PerCore => options.threads,
    };
    // This starts no thread: in a process that ever had a second thread, each system call of libc
    // costs two more locked operations. The other servers have one thread.
    let ready = Mutex::new(Vec::new());
    options.run(|| async {
        let mut config = Config::default();
        config.server_header = false;
        config.header_timeout = HEADER_TIMEOUT;
        let bind: Bind = "127.0.0.1:0".parse().map_err(io::Error::other)?;
        let mut listener = bind.listen(&config).map_err(io::Error::other)?;
        if let Some(folder) = &options.tls {
            let tls = TlsConfig::new()
                .certificate_files(folder.join("cert.pem"), folder.join("key.pem"))
                .load()
                .map_err(io::Error::other)?;
            listener = listener.with_tls(&tls).map_err(io::Error::other)?;
        }
        let Address::Ip(address) = listener.address() else {
            unreachable!("it was bound to one");
        };
        let server = ferricorn::serve(vec![listener], app.clone(), config);
        let handle = server.handle();
        let ready = async {
            handle.ready().await;
            let mut ready = ready.lock().expect("no other thread has panicked");
            ready.push(address.to_string());
            if ready.len() == listeners {
                announce(ready.join(" "));
            }
            drop(ready);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = server => ended.map_err(io::Error::other),
            () = ready => unreachable!("it waits for ever"),
        }
    })
}
