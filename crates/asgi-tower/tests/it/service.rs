//! Apps as tower services, called directly and served by `axum::serve`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use asgi::{
    App, AppError, DisconnectReason, Extension, HttpResponseBody, HttpResponseStart,
    HttpResponseTrailers, State,
};
use asgi_tower::{AppBody, AppService};
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use test_support::app::{channel, echo_path, hello, http as app, http_with as app_with};
use test_support::{Client, Http, eventually, logs, run, within};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tower::ServiceExt;

async fn call(service: &AppService, request: Request<Body>) -> Response<AppBody> {
    let response = within("a response", service.clone().oneshot(request)).await;
    response.unwrap()
}

async fn text(response: Response<AppBody>) -> String {
    let body = within("a body", response.into_body().collect()).await;
    String::from_utf8(body.unwrap().to_bytes().to_vec()).unwrap()
}

fn get(target: &str) -> Request<Body> {
    Request::get(target).body(Body::empty()).unwrap()
}

/// A program that hosts a router on a port of its own.
pub(crate) struct HostProgram(pub(crate) SocketAddr, tokio::task::JoinHandle<()>);

impl HostProgram {
    async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let serving = tokio::spawn(async { axum::serve(listener, service).await.unwrap() });
        Self(address, serving)
    }

    async fn connect(&self) -> Client {
        Client::tcp(TcpStream::connect(self.0).await.unwrap())
    }
}

impl Drop for HostProgram {
    fn drop(&mut self) {
        self.1.abort();
    }
}

pub(crate) async fn serve(app: impl App) -> HostProgram {
    HostProgram::start(Router::new().fallback_service(asgi_tower::service(app))).await
}

#[test]
fn a_response_in_one_part_has_a_length() {
    run(async {
        let response = call(&asgi_tower::service(hello()), get("/")).await;
        assert_eq!(response.status(), 200);
        let size = http_body::Body::size_hint(response.body()).exact();
        assert_eq!(size, Some(5));
        assert_eq!(text(response).await, "hello");
    });
}

#[test]
fn a_router_that_strips_a_prefix_makes_the_root_path() {
    run(async {
        let paths = app(async |mut http: Http| {
            let text = format!("{} | {}", http.scope.root_path, http.scope.local_path());
            http.respond(text).await
        });
        let service = asgi_tower::service(paths);
        let inner = Router::new().nest_service("/in", service.clone());
        let router = Router::new()
            .nest_service("/a%20b", service.clone())
            .nest("/outer/{id}", inner)
            .fallback_service(service);
        for (target, expected) in [
            ("/a%20b/c%20d", "/a b | /c d"),
            ("/a%20b", "/a b | /"),
            ("/a%20b/", "/a b | /"),
            ("/outer/7/in/x", "/outer/7/in | /x"),
            ("/other", " | /other"),
        ] {
            let response = router.clone().oneshot(get(target)).await.unwrap();
            let body = axum::body::to_bytes(response.into_body(), 100)
                .await
                .unwrap();
            assert_eq!(body, expected, "{target}");
        }
    });
}

#[test]
fn bodies_stream_in_both_directions() {
    run(async {
        let echo = app(async |mut http: Http| {
            http.begin().await?;
            loop {
                let asgi::ReceiveEvent::HttpRequest(part) = http.receive.receive().await else {
                    return Err("the request broke off".into());
                };
                let more = part.more_body;
                let part = HttpResponseBody::new(part.body, more);
                http.send.send(part).await?;
                if !more {
                    return Ok(());
                }
            }
        });
        let host = serve(echo).await;
        let mut client = host.connect().await;
        client
            .write("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        client.write("3\r\none\r\n").await;
        client.expect_head(200).await;
        assert_eq!(client.read_chunk().await.unwrap(), "one");
        client.write("3\r\ntwo\r\n0\r\n\r\n").await;
        assert_eq!(client.read_chunked().await.body(), "two");
    });
}

#[test]
fn a_head_request_gets_the_length_and_no_body() {
    run(async {
        let host = serve(hello()).await;
        let mut client = host.connect().await;
        client.write("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let head = client.expect_head(200).await;
        assert_eq!(head.header("content-length"), Some("5"));
        // The next response comes on the same connection.
        client.get("/").await;
        assert_eq!(client.expect_response(200).await.body, "hello");
    });
}

#[test]
fn trailers_pass_in_both_directions_if_the_client_accepts_them() {
    run(async {
        let sums = app(async |mut http: Http| {
            let (_, trailers) = http.body().await.unwrap();
            let sum = trailers.unwrap()["x-sum"].clone();
            let offered: Vec<_> = http.scope.extensions.iter().collect();
            if offered.is_empty() {
                return http.respond("no trailers").await;
            }
            assert_eq!(offered, [Extension::Trailers]);
            http.send
                .send(HttpResponseStart::ok().with_trailers())
                .await?;
            http.last("body").await?;
            let trailers = HeaderMap::from_iter([("x-sum".parse()?, sum)]);
            http.send.send(HttpResponseTrailers::new(trailers)).await?;
            Ok(())
        });
        let service = asgi_tower::service(sums);
        for (te, expected) in [(Some("trailers"), "body"), (None, "no trailers")] {
            let trailers =
                HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("6"))]);
            let frames = [
                Ok::<_, std::convert::Infallible>(http_body::Frame::data(Bytes::from("abcdef"))),
                Ok(http_body::Frame::trailers(trailers.clone())),
            ];
            let body = StreamBody::new(futures_util::stream::iter(frames));
            let mut request = Request::post("/").body(body).unwrap();
            if let Some(te) = te {
                request
                    .headers_mut()
                    .insert("te", HeaderValue::from_static(te));
            }
            let response = service.clone().oneshot(request).await.unwrap();
            let body = response.into_body().collect().await.unwrap();
            assert_eq!(body.trailers(), te.map(|_| &trailers));
            assert_eq!(body.to_bytes(), expected);
        }
    });
}

#[test]
fn the_scope_says_what_the_host_knows_and_offers_nothing_else() {
    run(async {
        let scope = app(async |mut http: Http| {
            let scope = &http.scope;
            let offered: Vec<_> = scope.extensions.iter().map(Extension::name).collect();
            let text = format!(
                "{} {} {} {:?} {offered:?}",
                scope.scheme,
                scope.client.is_some(),
                scope.server.is_some(),
                scope.version,
            );
            http.respond(text).await
        });
        let host = serve(scope).await;
        let mut client = host.connect().await;
        client.get("/").await;
        let body = client.expect_response(200).await.body;
        assert_eq!(body, "http true false HTTP/1.1 []");
    });
}

#[test]
fn a_host_inside_an_app_offers_no_more_than_any_other_host() {
    run(async {
        let inner = app(async |mut http: Http| {
            let offered: Vec<_> = http.scope.extensions.iter().collect();
            let (root, client) = (&http.scope.root_path, &http.scope.client);
            let text = format!("{offered:?} {root} {}", client.is_some());
            http.respond(text).await
        });
        let router = Router::new().nest_service("/in", asgi_tower::service(inner));
        // It offers everything.
        let client = asgi_testing::Client::new(asgi_tower::app(router)).mounted_at("/api");
        let response = client.get("/in/page").await.unwrap();
        assert_eq!(response.text(), "[] /api/in true");
    });
}

#[test]
fn an_address_in_the_extensions_is_the_client() {
    run(async {
        let client = app(async |mut http: Http| {
            let client = http.scope.client.clone();
            http.respond(format!("{client:?}")).await
        });
        let service = asgi_tower::service(client);
        assert_eq!(text(call(&service, get("/")).await).await, "None");
        let mut request = get("/");
        let address: SocketAddr = "192.0.2.1:7".parse().unwrap();
        request
            .extensions_mut()
            .insert(asgi::Address::from(address));
        let text = text(call(&service, request).await).await;
        assert_eq!(text, "Some(Ip(192.0.2.1:7))");
    });
}

/// An app whose lifespan makes a state and reports its end.
fn with_state(ends: tokio::sync::mpsc::UnboundedSender<&'static str>) -> impl App {
    let lifespan = asgi_util::lifespan(
        async || {
            let mut state = State::new();
            state.insert(String::from("made at startup"));
            Ok(state)
        },
        move |state: State| {
            let ends = ends.clone();
            async move {
                assert!(state.get_ref::<String>().is_some());
                ends.send("cleaned up").map_err(AppError::from)
            }
        },
    );
    lifespan.with(app(async |mut http: Http| {
        let text = http.scope.state.get_ref::<String>().cloned();
        http.respond(text.unwrap_or_else(|| "no state".to_owned()))
            .await
    }))
}

#[test]
fn startup_makes_the_state_and_shutdown_cleans_up() {
    run(async {
        let (ends, mut ended) = channel();
        let service = asgi_tower::service(with_state(ends));
        assert_eq!(text(call(&service, get("/")).await).await, "no state");
        let clone = service.clone();
        service.startup().await.unwrap();
        // A second startup does not start the app again.
        clone.startup().await.unwrap();
        assert_eq!(text(call(&clone, get("/")).await).await, "made at startup");
        assert!(ended.try_recv().is_err());
        within("the shutdown", clone.shutdown()).await.unwrap();
        assert_eq!(ended.try_recv(), Ok("cleaned up"));
    });
}

#[test]
fn an_app_without_a_lifespan_starts_and_stops() {
    run(async {
        let service = asgi_tower::service(hello());
        service.shutdown().await.unwrap();
        service.startup().await.unwrap();
        assert_eq!(text(call(&service, get("/")).await).await, "hello");
        within("the shutdown", service.shutdown()).await.unwrap();
    });
}

#[test]
fn an_app_that_cannot_start_says_why() {
    run(async {
        let lifespan = asgi_util::lifespan(
            async || Err::<State, _>(AppError::from("no database")),
            async |_| Ok(()),
        );
        let service = asgi_tower::service(lifespan.with(hello()));
        let error = service.startup().await.unwrap_err();
        assert!(error.to_string().contains("no database"), "{error}");
    });
}

#[test]
fn an_app_that_fails_before_its_response_gets_500_and_a_line_in_the_log() {
    run(async {
        let fails = app(async |http: Http| match &*http.scope.path() {
            "/panics" => panic!("on purpose"),
            "/returns" => Ok(()),
            _ => Err("no database".into()),
        });
        let service = asgi_tower::service(fails);
        for (target, words) in [
            ("/fails", ["GET /fails", "no database"]),
            ("/panics", ["GET /panics", "the app panicked"]),
            ("/returns", ["GET /returns", "without a response"]),
        ] {
            let response = call(&service, get(target)).await;
            assert_eq!(response.status(), 500, "{target}");
            logs::expect_error(&words);
        }
    });
}

#[test]
fn an_app_that_fails_within_its_response_breaks_it_off() {
    run(async {
        let (go, gate) = tokio::sync::watch::channel(false);
        let fails = app_with(gate, async |mut gate, mut http: Http| {
            http.begin().await?;
            http.more("begun").await?;
            gate.wait_for(|open| *open).await?;
            Err("the disk is gone".into())
        });
        let host = serve(fails).await;
        let mut client = host.connect().await;
        client.get("/").await;
        client.expect_head(200).await;
        assert_eq!(client.read_chunk().await.unwrap(), "begun");
        go.send(true).unwrap();
        // No last chunk: the client sees that the response is incomplete.
        client.expect_end().await;
        logs::expect_error(&["GET /", "the disk is gone"]);
    });
}

#[test]
fn an_app_that_serves_no_requests_gets_404_and_no_line_in_the_log() {
    run(async {
        let nothing = async |scope: asgi::Scope, _: asgi::Receiver, _: asgi::Sender| {
            Err::<(), _>(AppError::unsupported(&scope))
        };
        let response = call(&asgi_tower::service(nothing), get("/")).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    });
}

#[test]
fn an_app_learns_that_its_client_has_left() {
    run(async {
        let (reports, mut reported) = channel();
        let waits = app_with(reports, async |reports, mut http: Http| {
            http.begin().await?;
            http.more("begun").await?;
            reports.send(http.disconnect().await)?;
            Ok(())
        });
        let host = serve(waits).await;
        let mut client = host.connect().await;
        client.get("/").await;
        client.expect_head(200).await;
        client.reset();
        let reason = within("the disconnect", reported.recv()).await;
        assert_eq!(reason, Some(DisconnectReason::Lost));
    });
}

#[test]
fn an_app_learns_that_its_client_has_left_before_the_response() {
    run(async {
        let (reports, mut reported) = channel();
        let waits = app_with(reports, async |reports, mut http: Http| {
            reports.send(None)?;
            reports.send(Some(http.disconnect().await))?;
            Ok(())
        });
        let host = serve(waits).await;
        let mut client = host.connect().await;
        client.get("/").await;
        assert_eq!(within("the start", reported.recv()).await, Some(None));
        client.reset();
        let reason = within("the disconnect", reported.recv()).await;
        assert_eq!(reason, Some(Some(DisconnectReason::Lost)));
    });
}

#[test]
fn an_app_ends_when_the_grace_after_its_client_is_over() {
    run(async {
        let (reports, mut reported) = channel();
        let stays = app_with(reports, async |reports, mut http: Http| {
            let _dropped = test_support::app::Dropped::new(reports, "dropped");
            http.begin().await?;
            http.more("begun").await?;
            std::future::pending().await
        });
        let service = asgi_tower::service(stays).with_grace(Duration::from_millis(20));
        let response = call(&service, get("/")).await;
        drop(response);
        assert_eq!(within("the end", reported.recv()).await, Some("dropped"));
    });
}

#[test]
fn an_app_goes_on_after_its_response_is_complete() {
    run(async {
        let (reports, mut reported) = channel();
        let (go, gate) = oneshot::channel::<()>();
        let gate = Arc::new(std::sync::Mutex::new(Some(gate)));
        let goes_on = app_with((reports, gate), async |(reports, gate), mut http: Http| {
            http.respond("done").await?;
            let gate = gate.lock().unwrap().take().unwrap();
            gate.await?;
            reports.send("and more")?;
            Ok(())
        });
        let service = asgi_tower::service(goes_on);
        assert_eq!(text(call(&service, get("/")).await).await, "done");
        go.send(()).unwrap();
        assert_eq!(within("the rest", reported.recv()).await, Some("and more"));
    });
}

#[test]
fn an_app_waits_for_a_host_that_does_not_read() {
    run(async {
        let sent = Arc::new(AtomicUsize::new(0));
        let floods = app_with(Arc::clone(&sent), async |sent, mut http: Http| {
            http.begin().await?;
            loop {
                http.more(vec![0; 16 * 1024]).await?;
                sent.fetch_add(1, Ordering::SeqCst);
            }
        });
        let response = call(&asgi_tower::service(floods), get("/")).await;
        let full = Arc::clone(&sent);
        eventually("the app fills the room", move || {
            full.load(Ordering::SeqCst) >= 4
        })
        .await;
        // Many turns of the runtime in which an app without a bound would go on.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let count = sent.load(Ordering::SeqCst);
        assert!((4..=6).contains(&count), "{count} parts");
        drop(response);
    });
}

#[test]
fn a_request_that_breaks_off_is_a_disconnect_for_the_app() {
    run(async {
        let (reports, mut reported) = channel();
        let reads = app_with(reports, async |reports, mut http: Http| {
            let body = http.body().await;
            reports.send(body.map(|_| ()))?;
            Ok(())
        });
        let host = serve(reads).await;
        let mut client = host.connect().await;
        client
            .write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf")
            .await;
        client.half_close().await;
        let body = within("the end of the body", reported.recv()).await;
        assert_eq!(body, Some(Err(DisconnectReason::Lost)));
    });
}

#[test]
fn a_connection_closes_if_the_app_asks_for_it() {
    run(async {
        let closes = app(async |mut http: Http| {
            let start = HttpResponseStart::ok().header("connection", "close");
            http.send.send(start).await?;
            http.last("bye").await
        });
        let host = serve(closes).await;
        let mut client = host.connect().await;
        client.get("/").await;
        assert_eq!(client.expect_response(200).await.body, "bye");
        client.expect_eof().await;
    });
}

#[test]
fn the_method_and_the_target_are_those_of_the_request() {
    run(async {
        let request = Request::builder().method(Method::DELETE).uri("/a%20b?c=d");
        let response = call(
            &asgi_tower::service(echo_path()),
            request.body(Body::empty()).unwrap(),
        )
        .await;
        assert_eq!(text(response).await, "/a b");
    });
}
