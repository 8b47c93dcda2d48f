//! Random apps and clients, with and without pipes that pass everything on. The app and the client
//! must not see a difference.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use asgi::{
    App, AppError, DisconnectReason, Extension, Extensions, HttpResponseBody,
    HttpResponseEarlyHint, HttpResponsePush, HttpResponseStart, HttpResponseTrailers, Receiver,
    Scope, SendError, SendEvent, Sender, WebSocketClose,
};
use asgi_testing::{Broken, Client, Exchange};
use http::{HeaderMap, HeaderValue, Method};

use crate::pipe::PassThrough;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// What an app does next.
#[derive(Clone, Debug)]
enum AppStep {
    Send(Kind),
    /// Polls `send` once and drops it.
    TrySend(Kind),
    /// Sends in two steps, as a middleware does.
    ReadyThenStart(Kind),
    Receive,
    Flush,
    IsClosed,
    IsClosedByHandle,
    WaitForClose,
    Yield,
    Fail,
}

#[derive(Clone, Debug)]
enum Kind {
    Start { length: Option<u64>, trailers: bool },
    Body { length: u64, more: bool },
    Trailers { more: bool },
    Hint,
    Push,
    Close,
}

impl Kind {
    fn random(random: &mut Random) -> Self {
        match random.below(12) {
            0..=3 => Self::Start {
                length: random.one_in(4).then(|| random.below(6)),
                trailers: random.one_in(4),
            },
            4..=7 => Self::Body {
                length: random.below(4),
                more: !random.one_in(3),
            },
            8 => Self::Trailers {
                more: random.one_in(3),
            },
            9 => Self::Hint,
            10 => Self::Push,
            _ => Self::Close,
        }
    }

    fn event(&self) -> SendEvent {
        match self {
            Self::Start { length, trailers } => {
                let mut start = HttpResponseStart::ok();
                start.trailers = *trailers;
                if let Some(length) = length {
                    start
                        .headers
                        .insert("content-length", HeaderValue::from(*length));
                }
                start.into()
            }
            Self::Body { length, more } => {
                HttpResponseBody::new(vec![b'x'; *length as usize], *more).into()
            }
            Self::Trailers { more: true } => HttpResponseTrailers::more(HeaderMap::new()).into(),
            Self::Trailers { more: false } => HttpResponseTrailers::new(HeaderMap::new()).into(),
            Self::Hint => HttpResponseEarlyHint::new([HeaderValue::from_static("</a>")]).into(),
            Self::Push => HttpResponsePush::new("/pushed".parse().unwrap()).into(),
            Self::Close => WebSocketClose::default().into(),
        }
    }
}

impl AppStep {
    fn random(random: &mut Random) -> Self {
        match random.below(20) {
            0..=8 => Self::Send(Kind::random(random)),
            9..=10 => Self::TrySend(Kind::random(random)),
            11..=13 => Self::ReadyThenStart(Kind::random(random)),
            14 => Self::Receive,
            15 => Self::Flush,
            16 if random.one_in(2) => Self::IsClosedByHandle,
            16 => Self::IsClosed,
            17..=18 => Self::Yield,
            _ if random.one_in(3) => Self::WaitForClose,
            _ if random.one_in(3) => Self::Fail,
            _ => Self::Yield,
        }
    }
}

/// What a client does next.
#[derive(Clone, Debug)]
enum ClientStep {
    /// Polls for the next event of the response, once.
    Poll,
    SendBody,
    Disconnect(DisconnectReason),
}

impl ClientStep {
    fn random(random: &mut Random) -> Self {
        match random.below(12) {
            0..=8 => Self::Poll,
            9..=10 => Self::SendBody,
            _ => Self::Disconnect(match random.below(3) {
                0 => DisconnectReason::Closed,
                1 => DisconnectReason::Lost,
                _ => DisconnectReason::TimedOut,
            }),
        }
    }
}

type Log = Arc<Mutex<Vec<String>>>;

fn log(log: &Log, text: impl Into<String>) {
    log.lock().unwrap().push(text.into());
}

fn result_text(result: Result<(), SendError>) -> String {
    result.map_or_else(|error| error.to_string(), |()| "ok".to_owned())
}

/// An app that does what the steps say, and logs what it sees.
struct Stepper {
    steps: Vec<AppStep>,
    log: Log,
}

impl App for Stepper {
    async fn call(
        &self,
        scope: Scope,
        mut receive: Receiver,
        mut send: Sender,
    ) -> Result<(), AppError> {
        if matches!(&scope, Scope::Http(http) if http.raw_path() == "/pushed") {
            return Ok(send.respond(HttpResponseStart::ok(), "").await?);
        }
        for step in &self.steps {
            let seen = match step {
                AppStep::Send(kind) => result_text(send.send(kind.event()).await),
                AppStep::TrySend(kind) => {
                    let mut sending = pin!(send.send(kind.event()));
                    poll_fn(|cx| {
                        Poll::Ready(match sending.as_mut().poll(cx) {
                            Poll::Ready(result) => result_text(result),
                            Poll::Pending => "pending".to_owned(),
                        })
                    })
                    .await
                }
                AppStep::ReadyThenStart(kind) => match poll_fn(|cx| send.poll_ready(cx)).await {
                    Ok(()) => result_text(send.start_send(kind.event())),
                    Err(error) => format!("not ready: {error}"),
                },
                AppStep::Receive => format!("{:?}", receive.receive().await),
                AppStep::Flush => result_text(send.flush().await),
                AppStep::IsClosedByHandle => {
                    let mut closed = send.closed_handle();
                    poll_fn(|cx| Poll::Ready(format!("{:?}", Pin::new(&mut closed).poll(cx)))).await
                }
                AppStep::IsClosed => {
                    poll_fn(|cx| Poll::Ready(format!("{:?}", send.poll_closed(cx)))).await
                }
                AppStep::WaitForClose => format!("{:?}", send.closed().await),
                AppStep::Yield => {
                    let mut first = true;
                    poll_fn(|cx| {
                        cx.waker().wake_by_ref();
                        if std::mem::take(&mut first) {
                            Poll::Pending
                        } else {
                            Poll::Ready(())
                        }
                    })
                    .await;
                    "yielded".to_owned()
                }
                AppStep::Fail => return Err("as the steps say".into()),
            };
            log(&self.log, format!("app: {step:?}: {seen}"));
        }
        Ok(())
    }
}

/// Changes nothing. It uses `poll_ready` and `start_send` of its sender.
struct Mapped<A>(A);

impl<A: App> App for Mapped<A> {
    async fn call(&self, scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
        self.0.call(scope, receive, send.map(|event| event)).await
    }
}

struct Case {
    app: Vec<AppStep>,
    client: Vec<ClientStep>,
    method: Method,
    extensions: Extensions,
}

impl Case {
    fn random(random: &mut Random) -> Self {
        let mut app = Vec::new();
        if !random.one_in(4) {
            // Otherwise most cases would be misuse and nothing else.
            app.push(AppStep::Send(Kind::Start {
                length: None,
                trailers: false,
            }));
        }
        app.extend((0..random.below(12)).map(|_| AppStep::random(random)));
        let client = (0..random.below(24))
            .map(|_| ClientStep::random(random))
            .collect();
        let mut extensions = Extensions::new();
        for extension in [Extension::Push, Extension::EarlyHint, Extension::Trailers] {
            if random.one_in(2) {
                extensions = extensions.with(extension);
            }
        }
        Self {
            app,
            client,
            method: if random.one_in(5) {
                Method::HEAD
            } else {
                Method::POST
            },
            extensions,
        }
    }

    /// Runs the case and returns what the app and the client saw, in order.
    fn run<A: App>(&self, wrap: impl Fn(Stepper) -> A) -> String {
        let seen = Log::default();
        let app = wrap(Stepper {
            steps: self.app.clone(),
            log: Arc::clone(&seen),
        });
        let client = Client::new(app)
            .allow_faults()
            .extensions(self.extensions.clone());
        let request = client.request(self.method.clone(), "/").open_body();
        let mut exchange = request.start();
        for step in &self.client {
            match step {
                ClientStep::Poll => log(&seen, format!("client: {}", poll(&mut exchange))),
                ClientStep::SendBody => exchange.send_body("abc"),
                ClientStep::Disconnect(reason) => exchange.disconnect(*reason),
            }
        }
        // An app may wait for an event that never comes.
        exchange.disconnect(DisconnectReason::Lost);
        let mut context = Context::from_waker(Waker::noop());
        let end = match pin!(exchange.finish()).poll(&mut context) {
            Poll::Ready(Ok(response)) => format!("Ok({response:?})"),
            Poll::Ready(Err(broken)) => received(&broken),
            Poll::Pending => "the app hangs".to_owned(),
        };
        let mut text = seen.lock().unwrap().join("\n");
        write!(text, "\nend: {end}").unwrap();
        text
    }
}

/// What the client received. The history of the exchange also has what the app tried.
fn received(broken: &Broken) -> String {
    let head = (broken.status(), broken.headers());
    let content = (broken.chunks(), broken.early_hints(), broken.pushes());
    let end = (broken.fault(), broken.app_error());
    format!("Err({head:?} {content:?} {end:?})")
}

fn poll(exchange: &mut Exchange) -> String {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(exchange.next_event()).poll(&mut context) {
        Poll::Ready(event) => format!("{event:?}"),
        Poll::Pending => "pending".to_owned(),
    }
}

#[test]
fn a_pipe_that_passes_everything_on_changes_nothing() {
    let mut complete = 0;
    for seed in 0..3_000 {
        let case = Case::random(&mut Random(seed));
        let direct = case.run(|app| app);
        complete += u32::from(direct.contains("end: Ok"));
        for (name, piped) in [
            ("piped", case.run(PassThrough)),
            ("piped twice", case.run(|app| PassThrough(PassThrough(app)))),
            (
                "mapped, then piped",
                case.run(|app| PassThrough(Mapped(app))),
            ),
            (
                "piped, then mapped",
                case.run(|app| Mapped(PassThrough(app))),
            ),
        ] {
            assert!(
                piped == direct,
                "seed {seed}, {name}\n{:?}\n{:?}\n--- direct\n{direct}\n--- {name}\n{piped}",
                case.app,
                case.client,
            );
        }
    }
    // The cases are worth something: many responses are complete.
    assert!(complete > 500, "only {complete} responses were complete");
}
