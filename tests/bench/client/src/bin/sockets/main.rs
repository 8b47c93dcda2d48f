//! Opens ten thousand idle WebSockets to a real server, measures the cost of one, and checks that
//! the server serves all.
//!
//! `sockets FERRICORN LIBRARY [NUMBER]`
//!
//! FERRICORN is the release binary of the server, LIBRARY the app in `tests/bench/room`. The
//! program runs these steps three times: without compression, then with windows of 12 and of 15
//! bits.
//!
//! 1. Open all WebSockets. Each sends messages and gets them back. With compression that is more
//!    text than a window can hold, so that all windows are full.
//! 2. Compute the cost of one: the growth of the server's memory, divided by their number.
//! 3. Wait for ten seconds. The server pings all clients every two seconds, each answers, and none
//!    is closed.
//! 4. Let one client send a message to all: within five seconds all have it.
//! 5. Kill every other client. The server frees their sockets, and the others still get messages.
//! 6. Send SIGTERM. Each client gets a close frame with 1001, and the server ends with exit code 0.
//!
//! It prints the figures, and exits with 1 at the first failure.

mod clients;
mod server;
mod text;

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bench_client::TEXT;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use clients::Clients;
use server::Server;
use text::Texts;

const USAGE: &str = "usage: sockets FERRICORN LIBRARY [NUMBER]";
const NUMBER: usize = 10_000;

/// The most bytes of memory that a WebSocket may take.
const PLAIN: u64 = 12 * 1024;
const COMPRESSED: u64 = 80 * 1024;

/// How long a step may take, and how long a broadcast may take.
const LIMIT: Duration = Duration::from_secs(60);
const BROADCAST: Duration = Duration::from_secs(5);
/// How long the clients are idle, and the fewest pings that each must get in that time.
const IDLE: Duration = Duration::from_secs(10);
const PINGS: usize = 4;

/// So many clients are open when the memory is measured for the first time.
const FIRST: usize = 10;

type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (binary, library, number) = match arguments.as_slice() {
        [binary, library] => (binary, library, NUMBER),
        [binary, library, number] => (binary, library, number.parse().map_err(|_| USAGE)?),
        _ => return Err(USAGE.into()),
    };
    raise_file_limit(number as u64 + 200)?;
    for bits in [None, Some(12), Some(15)] {
        let began = Instant::now();
        match bits {
            None => println!("{number} sockets without compression"),
            Some(bits) => {
                println!("{number} sockets with permessage-deflate, windows of {bits} bits")
            }
        }
        let mut arguments = vec!["--ws-ping-interval", "2s", "--ws-ping-timeout", "2s"];
        let shown = bits.unwrap_or(12).to_string();
        arguments.extend(["--ws-deflate-window-bits", &shown]);
        let mut server = Server::start(binary, library, &arguments)?;
        one(&mut server, number, bits)?;
        println!("  took {:.1} s in all", began.elapsed().as_secs_f64());
    }
    Ok(())
}

/// Also raises the server's limit, because the server is a child process.
fn raise_file_limit(needed: u64) -> Result<(), Failure> {
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        return Err(
            format!("{needed} open files are needed: raise the hard limit (ulimit -Hn)").into(),
        );
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    Ok(setrlimit(Resource::Nofile, raised)?)
}

fn one(server: &mut Server, number: usize, bits: Option<u8>) -> Result<(), Failure> {
    let texts = bits.map(Texts::new);
    let mut clients = Clients::new(server.address())?;

    // 1 and 2
    clients.open(FIRST, texts.as_ref())?;
    let before = server.resident()?;
    let files = server.files()?;
    let began = Instant::now();
    clients.open(number - FIRST, texts.as_ref())?;
    println!(
        "  opened, and talked to, in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    // The allocator does not return freed memory at once.
    clients.serve_for(Duration::from_secs(1))?;
    let each = (server.resident()? - before) / (number - FIRST) as u64;
    let most = if bits.is_none() { PLAIN } else { COMPRESSED };
    println!("  a socket takes {each} bytes; at most {most} are asked for");

    // 3
    clients.serve_for(IDLE)?;
    let fewest = clients.fewest_pings();
    println!(
        "  idle for {} s, each answered {fewest} pings or more, all are open",
        IDLE.as_secs()
    );
    if fewest < PINGS {
        return Err(format!("at least {PINGS} pings were to come").into());
    }

    // 4
    broadcast(&mut clients, texts.as_ref())?;

    // 5
    let killed = clients.kill_every_other();
    let began = Instant::now();
    while server.files()? > files + (number - FIRST) - killed {
        clients.serve_for(Duration::from_millis(20))?;
        if began.elapsed() > LIMIT {
            return Err(
                format!("{killed} clients are gone, and the server keeps their sockets").into(),
            );
        }
    }
    println!(
        "  {killed} killed: the server let go of them in {:.2} s",
        began.elapsed().as_secs_f64()
    );
    broadcast(&mut clients, texts.as_ref())?;

    // 6
    let left = clients.open_ones();
    let began = Instant::now();
    server.terminate()?;
    clients.serve_until_closed(1001, LIMIT)?;
    let told = began.elapsed();
    let code = server.wait(LIMIT)?;
    println!(
        "  SIGTERM: {left} told 1001 in {:.2} s, exit code {code} after {:.2} s",
        told.as_secs_f64(),
        began.elapsed().as_secs_f64(),
    );
    if code != 0 {
        return Err("the server failed".into());
    }
    // This check comes last, so that the other figures are printed too.
    if each > most {
        return Err(format!("a socket takes {each} bytes, more than {most}").into());
    }
    Ok(())
}

/// Makes one client send a message to all.
fn broadcast(clients: &mut Clients, texts: Option<&Texts>) -> Result<(), Failure> {
    let began = Instant::now();
    let said = match texts {
        Some(texts) => texts.to_all(),
        None => (TEXT, b"all: hello".to_vec()),
    };
    clients.say(said.0, &said.1)?;
    clients.serve_until_all_heard(BROADCAST)?;
    println!(
        "  one told all {} in {:.2} s",
        clients.open_ones(),
        began.elapsed().as_secs_f64()
    );
    Ok(())
}
