//! The servers that are compared, one in each process: `server NAME [OPTION]…`.
//!
//! All of them send an answer of the same length: a status line, `content-type`,
//! `content-length`, `date` and a short body. All have TCP_NODELAY, a header time-out of 15 s with
//! its timer (actix-web has one of its own), the system's allocator and the same profile.
//!
//! hyper and Ferricorn speak HTTP/2 too, with prior knowledge and with the same limits.
//!
//! With `--protocol websocket`, the servers that support WebSockets send each message back: axum
//! with its own extractor, fastwebsockets as in its example, Ferricorn with the app of
//! `examples/ws-echo`.
//!
//! Each server prints its addresses in one line once it accepts connections.

#[cfg(feature = "peers")]
mod actix;
mod app;
#[cfg(any(feature = "peers", feature = "websocket-peers"))]
mod axum;
#[cfg(feature = "websocket-peers")]
mod fastwebsockets;
mod ferricorn;
mod hyper;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::runtime::{Builder, Runtime};

const USAGE: &str = "usage: server hyper|axum|axum-small|actix-web|fastwebsockets|ferricorn|ferricorn-loaded
    [--protocol http1|http2|websocket] [--runtime per-core|shared] [--threads N] [--library PATH[:NAME]]
    [--tls FOLDER]";

/// The header time-out of every server. hyper's own default is twice as long.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);

/// How a server uses its threads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flavour {
    /// One single-threaded runtime for each thread. A connection stays on the thread that accepted
    /// it.
    PerCore,
    /// One runtime whose threads take work from each other.
    Shared,
}

/// The protocol that the server speaks. Ferricorn detects the version of HTTP itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    #[cfg(feature = "http2")]
    Http2,
    #[cfg(feature = "websocket")]
    WebSocket,
}

struct Options {
    protocol: Protocol,
    flavour: Flavour,
    threads: usize,
    library: String,
    /// Only for Ferricorn: a folder with cert.pem and key.pem.
    tls: Option<PathBuf>,
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().expect(USAGE);
    let mut options = Options {
        protocol: Protocol::Http1,
        flavour: Flavour::PerCore,
        threads: 1,
        library: String::new(),
        tls: None,
    };
    while let Some(flag) = arguments.next() {
        let value = arguments.next().expect(USAGE);
        match (flag.as_str(), value.as_str()) {
            ("--protocol", "http1") => options.protocol = Protocol::Http1,
            #[cfg(feature = "http2")]
            ("--protocol", "http2") => options.protocol = Protocol::Http2,
            #[cfg(feature = "websocket")]
            ("--protocol", "websocket") => options.protocol = Protocol::WebSocket,
            ("--runtime", "per-core") => options.flavour = Flavour::PerCore,
            ("--runtime", "shared") => options.flavour = Flavour::Shared,
            ("--threads", number) => options.threads = number.parse().expect(USAGE),
            ("--library", path) => options.library = path.into(),
            ("--tls", folder) => options.tls = Some(folder.into()),
            _ => panic!("{USAGE}"),
        }
    }
    match name.as_str() {
        "hyper" => hyper::run(&options),
        #[cfg(any(feature = "peers", feature = "websocket-peers"))]
        "axum" => axum::run(&options),
        #[cfg(feature = "peers")]
        "actix-web" => actix::run(),
        #[cfg(feature = "websocket-peers")]
        "axum-small" => axum::run_small(&options),
        #[cfg(feature = "websocket-peers")]
        "fastwebsockets" => fastwebsockets::run(&options),
        #[cfg(feature = "websocket")]
        "ferricorn" if options.protocol == Protocol::WebSocket => ferricorn::run_echo(&options),
        "ferricorn" => ferricorn::run_static(&options),
        "ferricorn-loaded" => ferricorn::run_loaded(&options),
        _ => panic!("{USAGE}"),
    }
}

impl Options {
    /// Runs `serve` in each of the runtimes that this flavour asks for, for ever.
    fn run<F>(&self, serve: impl Fn() -> F + Send + Sync) -> io::Result<()>
    where
        F: Future<Output = io::Result<()>>,
    {
        match self.flavour {
            Flavour::Shared => {
                runtime(Builder::new_multi_thread().worker_threads(self.threads))?.block_on(serve())
            }
            Flavour::PerCore => std::thread::scope(|scope| {
                let one = || runtime(&mut Builder::new_current_thread())?.block_on(serve());
                for _ in 1..self.threads {
                    scope.spawn(one);
                }
                one()
            }),
        }
    }
}

fn runtime(builder: &mut Builder) -> io::Result<Runtime> {
    builder.enable_all().build()
}

/// A listening socket on a free port, with Ferricorn's backlog.
fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(2048)?;
    Ok(socket.into())
}

fn announce(address: impl std::fmt::Display) {
    println!("{address}");
}
