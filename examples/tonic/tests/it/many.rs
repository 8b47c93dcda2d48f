//! Many streams at once.

use ferricorn::Config;
use futures_util::future::join_all;
use test_support::{Server, run, within};
use tokio::sync::mpsc::UnboundedSender;
use tonic::Streaming;
use tonic::transport::Channel;
use tonic_app::pb::Number;
use tonic_app::pb::tally_client::TallyClient;

use crate::client::{client, number, requests};
use crate::watched::Calls;

/// A stream in both directions, after its first message has come back.
struct Open {
    send: UnboundedSender<Number>,
    receive: Streaming<Number>,
}

impl Open {
    async fn begin(mut tally: TallyClient<Channel>) -> Self {
        let (send, stream) = requests();
        send.send(number(1)).unwrap();
        let receive = tally.running_sum(stream).await.unwrap().into_inner();
        let mut open = Self { send, receive };
        open.expect(1).await;
        open
    }

    async fn expect(&mut self, value: i64) {
        let received = self.receive.message().await.unwrap();
        assert_eq!(received, Some(number(value)));
    }

    async fn end(mut self) {
        self.send.send(number(2)).unwrap();
        self.expect(2).await;
        drop(self.send);
        assert_eq!(self.receive.message().await.unwrap(), None);
    }
}

/// Opens `count` streams on each connection; all are open at once, and then all end.
async fn open_at_once(server: &Server, calls: &Calls, connections: usize, count: usize) {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(client(server).await);
    }
    let streams = clients.iter().flat_map(|one| vec![one.clone(); count]);
    let open = within("the streams", join_all(streams.map(Open::begin))).await;
    assert_eq!(calls.running(), connections * count);
    let statistics = server.handle().statistics();
    assert_eq!(statistics.exchanges, connections * count);
    assert_eq!(statistics.connections, connections);
    within("their ends", join_all(open.into_iter().map(Open::end))).await;
    calls.wait_for(0).await;
}

#[test]
fn a_thousand_streams_are_open_at_once_on_ten_connections() {
    run(async {
        let calls = Calls::default();
        let server = Server::start(calls.app()).await;
        open_at_once(&server, &calls, 10, 100).await;
    });
}

#[test]
fn a_thousand_streams_are_open_at_once_on_one_connection_if_the_limit_allows_it() {
    run(async {
        let calls = Calls::default();
        let mut config = Config::default();
        config.h2_max_concurrent_streams = 1_000;
        let server = Server::start_with(config, calls.app()).await;
        open_at_once(&server, &calls, 1, 1_000).await;
    });
}

/// The server says in its SETTINGS that it takes 100 streams, and the client obeys.
#[test]
fn a_client_of_tonic_lets_calls_above_the_limit_wait_for_their_turn() {
    run(async {
        let calls = Calls::default();
        let server = Server::start(calls.app()).await;
        let tally = client(&server).await;
        let squares = (0..1_000).map(|_| {
            let mut tally = tally.clone();
            async move { tally.square(number(1)).await }
        });
        let results = within("the responses", join_all(squares)).await;
        assert!(results.iter().all(Result::is_ok));
        let most = calls.most();
        assert!((2..=100).contains(&most), "{most} calls at once");
    });
}
