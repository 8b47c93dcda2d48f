//! The halves that `asgi-testing` gives to an app: an app hands them to the level.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use asgi::{AppError, DisconnectReason, HttpRequest, HttpScope, Receiver, Scope, Sender};
use asgi_spec::halves::{HalvesSuite, HttpClientSide, SentToClient};
use asgi_testing::{Client, Event, Exchange};
use http::StatusCode;
use tokio::sync::oneshot;

struct OfTesting {
    /// `None` after its end.
    exchange: Option<Exchange>,
    end: Option<oneshot::Sender<Result<(), AppError>>>,
    has_head: bool,
    /// What the client has got, and the level has not taken.
    taken: Vec<SentToClient>,
}

impl OfTesting {
    fn make(scope: HttpScope) -> (Receiver, Sender, Self) {
        let halves = Arc::new(Mutex::new(None));
        let (end, ended) = oneshot::channel();
        let (given, ended) = (Arc::clone(&halves), Arc::new(Mutex::new(Some(ended))));
        let app = move |_: Scope, receive: Receiver, send: Sender| {
            // Only the first call is the one of the level. The others are pushed requests.
            let ended = ended.lock().unwrap().take();
            if ended.is_some() {
                *given.lock().unwrap() = Some((receive, send));
            }
            async move {
                match ended {
                    Some(ended) => ended.await.unwrap_or(Ok(())),
                    None => Ok(()),
                }
            }
        };
        let client = Client::new(app).allow_faults();
        let client = client.extensions(scope.extensions.clone());
        let request = client.request(scope.method.clone(), scope.target.as_str());
        let exchange = request.scope(|own| *own = scope).open_body().start();
        let mut made = Self {
            exchange: Some(exchange),
            end: Some(end),
            has_head: false,
            taken: Vec::new(),
        };
        // The client calls the app when the test waits for the first time.
        assert_eq!(made.next(), []);
        let (receive, send) = halves.lock().unwrap().take().unwrap();
        (receive, send, made)
    }

    /// Polls the app once nothing else is left.
    fn take_all(&mut self) {
        loop {
            let sent = self.next();
            if sent.is_empty() {
                return;
            }
            self.taken.extend(sent);
        }
    }

    fn next(&mut self) -> Vec<SentToClient> {
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            let Some(exchange) = &mut self.exchange else {
                return Vec::new();
            };
            let Poll::Ready(Some(event)) = pin!(exchange.next_event()).poll(&mut cx) else {
                return Vec::new();
            };
            match event {
                Event::EarlyHint(hint) => return vec![SentToClient::EarlyHint(hint.links)],
                Event::Push(push) => return vec![SentToClient::Push(push.path.to_string())],
                // The client's own answer for an app without one.
                Event::Head(StatusCode::INTERNAL_SERVER_ERROR, _) => return Vec::new(),
                Event::Head(status, _) => {
                    self.has_head = true;
                    return vec![SentToClient::Head(status)];
                }
                Event::Data(data) => return vec![SentToClient::Data(data)],
                Event::Trailers(trailers) => return vec![SentToClient::Trailers(trailers)],
                Event::Complete if self.has_head => return vec![SentToClient::Complete],
                _ => {}
            }
        }
    }
}

impl HttpClientSide for OfTesting {
    fn body(&mut self, part: HttpRequest) {
        match (&mut self.exchange, part.more_body) {
            (Some(exchange), true) => exchange.send_body(part.body),
            (Some(exchange), false) => exchange.end_body(part.body),
            (None, _) => {}
        }
    }

    fn leave(&mut self, reason: DisconnectReason) {
        if let Some(exchange) = &mut self.exchange {
            exchange.disconnect(reason);
        }
    }

    fn take(&mut self) -> Vec<SentToClient> {
        match self.taken.is_empty() {
            true => self.next(),
            false => std::mem::take(&mut self.taken),
        }
    }

    fn app_waits(&mut self) {
        self.take_all();
    }

    /// To wait for an event polls the app.
    fn take_polls_the_app(&self) -> bool {
        true
    }

    fn app_ended(&mut self, result: &Result<(), AppError>) {
        let result = match result {
            Ok(()) => Ok(()),
            Err(_) => Err("the app of the level fails".into()),
        };
        let _ = self.end.take().unwrap().send(result);
        self.take_all();
        // After the last event of the response, only `finish` polls the app.
        if let Some(exchange) = self.exchange.take() {
            let finished = pin!(exchange.finish()).poll(&mut Context::from_waker(Waker::noop()));
            assert!(finished.is_ready());
        }
    }
}

#[test]
fn the_halves_of_asgi_testing_keep_the_rules() {
    HalvesSuite::http(OfTesting::make)
        .expect_fail("PUSH-013", "the test sees each push that the app sends")
        .expect_fail("PUSH-014", "the test sees each push that the app sends")
        .assert();
}
