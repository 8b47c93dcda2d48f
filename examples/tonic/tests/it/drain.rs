//! A drain in the middle of streams.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferricorn::Config;
use hyper_util::rt::TokioIo;
use test_support::{Server, run, within};
use tokio::net::TcpStream;
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_app::pb::tally_client::TallyClient;

use crate::client::{client, number, origin, requests};
use crate::watched::Calls;

#[test]
fn a_stream_that_is_open_when_the_drain_begins_goes_on_until_it_is_done() {
    run(async {
        let calls = Calls::default();
        let server = Server::start(calls.app()).await;
        let mut tally = client(&server).await;
        let (send, stream) = requests();
        send.send(number(1)).unwrap();
        let mut echo = tally.running_sum(stream).await.unwrap().into_inner();
        assert_eq!(echo.message().await.unwrap(), Some(number(1)));

        server.handle().drain();
        let ended = tokio::spawn(server.ended());
        for value in 2..100 {
            send.send(number(value)).unwrap();
            let answer = within("an answer", echo.message()).await;
            assert_eq!(answer.unwrap(), Some(number(value)));
        }
        assert!(!ended.is_finished());
        drop(send);
        assert_eq!(within("the end", echo.message()).await.unwrap(), None);
        ended.await.unwrap().unwrap();
    });
}

#[test]
fn a_stream_that_is_open_after_the_graceful_timeout_ends_with_an_error() {
    run(async {
        let calls = Calls::default();
        let mut config = Config::default();
        config.graceful_timeout = Some(Duration::from_millis(100));
        let server = Server::start_with(config, calls.app()).await;
        let mut tally = client(&server).await;
        let mut numbers = tally.count(number(7)).await.unwrap().into_inner();
        assert_eq!(numbers.message().await.unwrap(), Some(number(7)));

        server.handle().drain();
        let status = within("the error", numbers.message()).await.unwrap_err();
        // What tonic makes of a connection that closes; grpcio says UNAVAILABLE.
        assert_eq!(status.code(), Code::Unknown, "{status:?}");
        server.ended().await.unwrap();
        assert_eq!(calls.running(), 0);
    });
}

/// The client gets GOAWAY and opens a new connection for its next call.
#[test]
fn calls_after_the_drain_has_begun_go_to_another_server() {
    run(async {
        let (old_calls, new_calls) = (Calls::default(), Calls::default());
        let old = Server::start(old_calls.app()).await;
        let new = Server::start(new_calls.app()).await;
        // What a name service does.
        let address = Arc::new(Mutex::new(old.address()));
        let connector = {
            let address = Arc::clone(&address);
            tower::service_fn(move |_| {
                let socket = TcpStream::connect(*address.lock().unwrap());
                async move { socket.await.map(TokioIo::new) }
            })
        };
        let endpoint = Endpoint::from_shared(origin(&old)).unwrap();
        let mut tally = TallyClient::new(endpoint.connect_with_connector_lazy(connector));
        let (send, stream) = requests();
        send.send(number(1)).unwrap();
        let mut echo = tally.running_sum(stream).await.unwrap().into_inner();
        assert_eq!(echo.message().await.unwrap(), Some(number(1)));
        assert_eq!((old_calls.running(), new_calls.running()), (1, 0));

        *address.lock().unwrap() = new.address();
        old.handle().drain();
        let ended = tokio::spawn(old.ended());
        let mut answered = 0;
        while new_calls.begun() == 0 {
            match within("a response", tally.square(number(1))).await {
                Ok(_) => answered += 1,
                // The call met the GOAWAY inside the client, which did not send it. tonic does not
                // repeat it.
                Err(status) => assert_eq!(status.code(), Code::Cancelled),
            }
        }
        for _ in 0..10 {
            tally.square(number(1)).await.unwrap();
        }
        // The stream, and calls that were on their way when the drain began.
        assert_eq!(old_calls.begun(), answered);
        assert_eq!(new_calls.begun(), 11);

        send.send(number(2)).unwrap();
        assert_eq!(echo.message().await.unwrap(), Some(number(2)));
        drop(send);
        assert_eq!(echo.message().await.unwrap(), None);
        ended.await.unwrap().unwrap();
    });
}
