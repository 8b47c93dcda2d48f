//! Clients that obey a GOAWAY lose no request when the server stops.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use asgi::App;
use http2::frame::setting;
use http2::{Event, Peer};

use test_support::blocking::{Server, next_report};
use test_support::{Http, http};

const STOPS: usize = 20;
const CONNECTIONS: usize = 2;
/// How many requests a connection has open at once.
const OPEN: usize = 50;
/// How many requests a connection makes, unless the server sends a GOAWAY.
const REQUESTS: usize = 2_000;

const LAST: u32 = (1 << 31) - 1;
const PART: usize = 1_000;

/// Waits for the number of milliseconds in the path, then responds in three parts.
fn app() -> impl App {
    http(async |mut http: Http| {
        let pause = Duration::from_millis(http.scope.path()[1..].parse()?);
        tokio::time::sleep(pause).await;
        http.begin().await?;
        http.more(vec![b'x'; PART]).await?;
        tokio::time::sleep(pause / 2).await;
        http.more(vec![b'x'; PART]).await?;
        http.last(vec![b'x'; PART]).await
    })
}

/// The outcomes of the requests of one connection.
#[derive(Debug, Default)]
struct Tally {
    answered: usize,
    /// Sent, but not started by the server, as its GOAWAY says. A client can send them again.
    not_started: usize,
    lost: usize,
}

/// Keeps [`OPEN`] requests open until all are made or the server sends a GOAWAY.
fn client(address: SocketAddr, requests: usize, started: &Sender<()>) -> Tally {
    let mut peer = Peer::connect_with(address, &[(setting::INITIAL_WINDOW_SIZE, 1 << 20)]);
    peer.credit(0, 1 << 30);
    let mut tally = Tally::default();
    // The length of each body so far, `None` before its head.
    let mut open: BTreeMap<u32, Option<usize>> = BTreeMap::new();
    let mut last = None;
    let mut next = 1;
    let mut left = requests;
    loop {
        while last.is_none() && open.len() < OPEN && left > 0 {
            peer.get(next, &format!("/{}", next % 23));
            open.insert(next, None);
            (next, left) = (next + 2, left - 1);
        }
        if open.is_empty() && left == 0 {
            return tally;
        }
        let Some((stream, event)) = peer.next_of_all() else {
            break;
        };
        match event {
            Event::Goaway(last_stream, _) => {
                last = Some(last_stream);
                let not_started = open.split_off(&(last_stream.min(LAST - 1) + 1));
                tally.not_started += not_started.len();
            }
            Event::Head(head) if head.status == 200 => {
                open.insert(stream, Some(0));
            }
            Event::Data(data, end) => {
                let length = open.get_mut(&stream).and_then(Option::as_mut);
                let length = length.unwrap_or_else(|| peer.fail("DATA before a head"));
                *length += data.len();
                if end {
                    // The test receives only the first message.
                    let _ = started.send(());
                    tally.answered += usize::from(*length == 3 * PART);
                    tally.lost += usize::from(*length != 3 * PART);
                    open.remove(&stream);
                }
            }
            _ => peer.fail(format_args!("{event:?} on {stream}")),
        }
    }
    // The server promised to answer these.
    tally.lost += open.len();
    if last.is_none() {
        peer.fail("the connection ended without a GOAWAY");
    }
    tally
}

#[test]
fn clients_that_obey_goaway_lose_nothing_in_twenty_stops() {
    let random = RandomState::new();
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for stop in 0..STOPS {
        let server = Server::start(app());
        let address = server.address();
        let (reports, clients): (Vec<_>, Vec<_>) = (0..CONNECTIONS)
            .map(|_| {
                let (started, reports) = mpsc::channel();
                let client = thread::spawn(move || client(address, REQUESTS, &started));
                (reports, client)
            })
            .unzip();
        for started in &reports {
            next_report(started);
        }
        // Each round stops the server at another moment.
        let moment = Duration::from_micros(random.hash_one(stop) % 60_000);
        thread::sleep(moment);
        server.handle().drain();
        let mut again = 0;
        for client in clients {
            let tally = client.join().unwrap();
            assert_eq!(tally.lost, 0, "stopped after {moment:?}: {tally:?}");
            again += tally.not_started;
            *seen.entry("answered").or_default() += tally.answered;
        }
        server.expect_end();
        // A new server answers the requests that the first one did not start.
        let server = Server::start(app());
        let (started, _reports) = mpsc::channel();
        assert_eq!(client(server.address(), again, &started).answered, again);
        *seen.entry("sent again").or_default() += again;
    }
    println!("{STOPS} stops with {CONNECTIONS} connections: {seen:?}, 0 lost");
}
