//! `grpc-timeout` reaches the service and ends it.

use std::time::Duration;

use test_support::{Server, run, within};
use tonic::{Code, Request};

use crate::client::{Connection, client, number, requests};
use crate::watched::Calls;

/// Short, because the tests wait for it.
const TIMEOUT: Duration = Duration::from_millis(200);

fn with_timeout<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(TIMEOUT);
    request
}

#[test]
fn a_call_without_a_response_ends_at_its_deadline() {
    run(async {
        let calls = Calls::default();
        let server = Server::start(calls.app()).await;
        let mut tally = Connection::open(&server).await.tally(&server);
        let call = within("a status", tally.square(with_timeout(number(0))));
        let status = call.await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(status.message(), "the deadline of the call has passed");
        assert_eq!((calls.most(), calls.running()), (1, 0));
    });
}

#[test]
fn a_call_whose_client_goes_on_sending_ends_at_its_deadline() {
    run(async {
        let calls = Calls::default();
        let server = Server::start(calls.app()).await;
        let mut tally = Connection::open(&server).await.tally(&server);
        let (send, stream) = requests();
        send.send(number(1)).unwrap();
        let call = within("a status", tally.sum(with_timeout(stream)));
        let status = call.await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!((calls.most(), calls.running()), (1, 0));
    });
}

/// tonic's own server does not do this.
#[test]
fn a_stream_of_responses_ends_at_the_deadline_with_the_status_in_trailers() {
    run(async {
        let calls = Calls::default();
        let server = Server::start(calls.app()).await;
        let mut tally = Connection::open(&server).await.tally(&server);
        let call = within("a response", tally.count(with_timeout(number(7))));
        let mut numbers = call.await.unwrap().into_inner();
        assert_eq!(numbers.message().await.unwrap(), Some(number(7)));
        let status = within("a status", numbers.message()).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!((calls.most(), calls.running()), (1, 0));
    });
}

#[test]
fn a_call_that_is_done_before_its_deadline_has_its_response() {
    run(async {
        let server = Server::start(tonic_app::app()).await;
        let mut tally = Connection::open(&server).await.tally(&server);
        let square = tally.square(with_timeout(number(3))).await.unwrap();
        assert_eq!(square.into_inner(), number(9));
    });
}

/// tonic's client watches the deadline too, and cancels the call if the server is late.
#[test]
fn a_client_of_tonic_gives_up_at_the_deadline_and_the_call_ends() {
    run(async {
        let calls = Calls::default();
        let server = Server::start(calls.app()).await;
        let mut tally = client(&server).await;
        let call = within("a status", tally.square(with_timeout(number(0))));
        let code = call.await.unwrap_err().code();
        // Which of both is first is a race.
        let expected = [Code::DeadlineExceeded, Code::Cancelled];
        assert!(expected.contains(&code), "{code:?}");
        calls.wait_for(0).await;
        assert_eq!(calls.most(), 1);
    });
}
