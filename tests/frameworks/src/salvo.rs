//! Salvo.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use asgi::{Address, App};
use asgi_tower::TowerBody;
use asgi_util::RequestContext;
use futures_util::{StreamExt as _, stream};
use http::uri::Scheme;
use http_body_util::BodyExt as _;
use hyper::service::Service as _;
use salvo::conn::ConnCtrl;
use salvo::http::{ReqBody, StatusError};
use salvo::prelude::{Depot, Request, Response, Router, handler};
use salvo::sse::{self, SseEvent};
use salvo::websocket::WebSocketUpgrade;

use crate::Running;
use crate::sync_body::sync;

/// Makes an app of a service of Salvo.
pub fn adapt(service: impl Into<salvo::Service>) -> impl App {
    let service = Arc::new(service.into());
    asgi_tower::app(tower::service_fn(move |request| {
        let service = Arc::clone(&service);
        call(service, request)
    }))
}

async fn call(
    service: Arc<salvo::Service>,
    request: http::Request<TowerBody>,
) -> Result<http::Response<salvo::http::ResBody>, hyper::Error> {
    let context = request.extensions().get::<RequestContext>();
    let address = |address: Option<&Address>| {
        let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        address.and_then(Address::as_ip).unwrap_or(unknown).into()
    };
    let client = address(context.and_then(|context| context.client.as_ref()));
    let server = address(context.and_then(|context| context.server.as_ref()));
    let is_tls = context.is_some_and(|context| &*context.scheme == "https");
    let scheme = if is_tls { Scheme::HTTPS } else { Scheme::HTTP };
    // Salvo hides this method in its documentation, but it is public: its own server calls it.
    let handler = service.hyper_handler(server, client, scheme, None, ConnCtrl::new(), None);
    let request = request.map(|body| ReqBody::Boxed {
        inner: Box::pin(sync(body).map_err(Into::into)),
        fuse_config: None,
    });
    handler.call(request).await
}

/// The app that the tests use.
pub fn app(running: Running) -> impl App {
    let routes = Router::new()
        .hoop(WithRunning(running))
        .push(Router::with_path("hello/{name}").get(hello))
        .push(Router::with_path("echo").post(echo))
        .push(Router::with_path("peer").get(peer))
        .push(Router::with_path("fails").get(fails))
        .push(Router::with_path("slow").get(slow))
        .push(Router::with_path("events").get(events))
        .push(Router::with_path("ws").get(socket));
    adapt(routes)
}

struct WithRunning(Running);

#[handler]
impl WithRunning {
    async fn handle(&self, depot: &mut Depot) {
        depot.insert_typed(self.0.clone());
    }
}

#[handler]
async fn hello(request: &mut Request) -> String {
    let name: String = request.param("name").unwrap_or_default();
    format!("Hello {name}")
}

#[handler]
async fn echo(request: &mut Request, response: &mut Response) {
    response.stream(request.take_body().into_data_stream());
}

#[handler]
async fn peer(request: &mut Request) -> String {
    match request.remote_addr().clone().into_std() {
        Some(address) => address.to_string(),
        None => "unknown".to_owned(),
    }
}

#[handler]
async fn fails() -> Result<(), StatusError> {
    Err(StatusError::im_a_teapot())
}

fn running(depot: &Depot) -> impl Send + Sync + 'static {
    let running: &Running = depot.get_typed().expect("the hoop has put it there");
    running.begin()
}

#[handler]
async fn slow(depot: &mut Depot) {
    let _running = running(depot);
    std::future::pending::<()>().await;
}

#[handler]
async fn events(depot: &mut Depot, response: &mut Response) {
    let running = running(depot);
    let both = ["one", "two"].map(|text| Ok(SseEvent::default().text(text)));
    let silence = stream::once(async move {
        let _running = running;
        std::future::pending::<Result<SseEvent, Infallible>>().await
    });
    sse::stream(response, stream::iter(both).chain(silence));
}

#[handler]
async fn socket(
    request: &mut Request,
    response: &mut Response,
    depot: &mut Depot,
) -> Result<(), StatusError> {
    let running = running(depot);
    let upgrade = WebSocketUpgrade::new().protocols(&["echo"]);
    upgrade
        .upgrade(request, response, async move |mut open| {
            let _running = running;
            while let Some(Ok(message)) = open.recv().await {
                if open.send(message).await.is_err() {
                    return;
                }
            }
        })
        .await
}
