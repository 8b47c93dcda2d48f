//! A call that its client cancels is dropped in the service.

use test_support::{Server, run, within};
use tokio::task::yield_now;

use crate::client::{client, number, requests};
use crate::watched::Calls;

#[test]
fn a_call_that_its_client_drops_is_dropped_in_the_service() {
    run(async {
        let calls = Calls::default();
        let server = Server::start(calls.app()).await;
        let mut tally = client(&server).await;
        let call = tokio::spawn({
            let mut tally = tally.clone();
            async move { tally.square(number(0)).await }
        });
        calls.wait_for(1).await;
        call.abort();
        calls.wait_for(0).await;
        // The connection goes on.
        tally.square(number(1)).await.unwrap();
    });
}

#[test]
fn a_stream_of_requests_whose_client_drops_the_call_is_dropped_in_the_service() {
    run(async {
        let calls = Calls::default();
        let server = Server::start(calls.app()).await;
        let mut tally = client(&server).await;
        let (send, stream) = requests();
        send.send(number(1)).unwrap();
        let call = tokio::spawn(async move { tally.sum(stream).await });
        calls.wait_for(1).await;
        call.abort();
        calls.wait_for(0).await;
        drop(send);
    });
}

#[test]
fn a_silent_stream_of_responses_that_its_client_drops_is_dropped_in_the_service() {
    run(async {
        let calls = Calls::default();
        let server = Server::start(calls.app()).await;
        let mut tally = client(&server).await;
        let mut numbers = tally.count(number(7)).await.unwrap().into_inner();
        assert_eq!(numbers.message().await.unwrap(), Some(number(7)));
        for _ in 0..100 {
            yield_now().await;
        }
        assert_eq!(calls.running(), 1);
        drop(numbers);
        calls.wait_for(0).await;
    });
}

#[test]
fn streams_in_both_directions_end_in_the_service_when_their_connection_is_lost() {
    run(async {
        let calls = Calls::default();
        let server = Server::start(calls.app()).await;
        let mut open = Vec::new();
        let mut tally = client(&server).await;
        for value in 0..10 {
            let (send, stream) = requests();
            send.send(number(value)).unwrap();
            let call = within("a response", tally.running_sum(stream)).await;
            open.push((send, call.unwrap().into_inner()));
        }
        calls.wait_for(10).await;
        // The last handles of the connection.
        drop((tally, open));
        calls.wait_for(0).await;
        server.wait_for_connections(0).await;
    });
}
