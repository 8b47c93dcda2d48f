//! A server that stops under clients that obey its GOAWAY loses nothing.

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
/// Requests that a connection has open at once, and makes in all unless it is told to stop.
const OPEN: usize = 50;
const REQUESTS: usize = 2_000;

const LAST: u32 = (1 << 31) - 1;
const PART: usize = 1_000;

/// Takes as many milliseconds as the path says, then answers in three parts.
fn app() -> impl App {
    http(async |mut http: Http| {
        let pause = Duration::from_millis(http.scope.path[1..].parse()?);
        tokio::time::sleep(pause).await;
        http.begin().await?;
        http.more(vec![b'x'; PART]).await?;
        tokio::time::sleep(pause / 2).await;
        http.more(vec![b'x'; PART]).await?;
        http.last(vec![b'x'; PART]).await
    })
}

/// What became of the requests of one connection.
#[derive(Debug, Default)]
struct Tally {
    answered: usize,
    /// They were sent, and the server said that it did not begin them: to be sent again.
    untouched: usize,
    lost: usize,
}

/// Keeps [`OPEN`] requests going until there were enough of them or the server says goodbye.
fn client(address: SocketAddr, requests: usize, begun: &Sender<()>) -> Tally {
    let mut peer = Peer::connect_with(address, &[(setting::INITIAL_WINDOW_SIZE, 1 << 20)]);
    peer.credit(0, 1 << 30);
    let mut tally = Tally::default();
    // The length of the body so far; nothing before its head.
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
            Event::Goaway(said, _) => {
                last = Some(said);
                let untouched = open.split_off(&(said.min(LAST - 1) + 1));
                tally.untouched += untouched.len();
            }
            Event::Head(head) if head.status == 200 => {
                open.insert(stream, Some(0));
            }
            Event::Data(data, end) => {
                let length = open.get_mut(&stream).and_then(Option::as_mut);
                let length = length.unwrap_or_else(|| peer.fail("data before a head"));
                *length += data.len();
                if end {
                    // Nobody waits for more than the first.
                    let _ = begun.send(());
                    tally.answered += usize::from(*length == 3 * PART);
                    tally.lost += usize::from(*length != 3 * PART);
                    open.remove(&stream);
                }
            }
            _ => peer.fail(format_args!("{event:?} on {stream}")),
        }
    }
    // Whatever the server had promised to answer; all of it, if it went without a word.
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
                let (begun, reports) = mpsc::channel();
                let client = thread::spawn(move || client(address, REQUESTS, &begun));
                (reports, client)
            })
            .unzip();
        for begun in &reports {
            next_report(begun);
        }
        // Any moment may be the wrong one.
        let moment = Duration::from_micros(random.hash_one(stop) % 60_000);
        thread::sleep(moment);
        server.handle().drain();
        let mut again = 0;
        for client in clients {
            let tally = client.join().unwrap();
            assert_eq!(tally.lost, 0, "a stop after {moment:?}: {tally:?}");
            again += tally.untouched;
            *seen.entry("answered").or_default() += tally.answered;
        }
        server.expect_end();
        // What the first server did not begin, a new one does.
        let server = Server::start(app());
        let (begun, _reports) = mpsc::channel();
        assert_eq!(client(server.address(), again, &begun).answered, again);
        *seen.entry("sent again").or_default() += again;
    }
    println!("{STOPS} stops under {CONNECTIONS} connections: {seen:?}, 0 lost");
}
