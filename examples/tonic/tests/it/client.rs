//! Clients of the tests.

use bytes::Bytes;
use futures_util::Stream;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use test_support::{Server, within};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::{Channel, Endpoint};
use tonic_app::pb::Number;
use tonic_app::pb::tally_client::TallyClient;

pub(crate) const fn number(value: i64) -> Number {
    Number { value }
}

/// The origin of a server without TLS.
pub(crate) fn origin(server: &Server) -> String {
    format!("http://{}", server.address())
}

/// tonic's own client, as programs use it. It opens a new connection if the old one is gone.
pub(crate) async fn channel(server: &Server) -> Channel {
    let endpoint = Endpoint::from_shared(origin(server)).unwrap();
    within("a connection", endpoint.connect()).await.unwrap()
}

/// A client on a channel of its own.
pub(crate) async fn client(server: &Server) -> TallyClient<Channel> {
    TallyClient::new(channel(server).await)
}

/// One connection of hyper's client. Unlike a channel, it does not know what a deadline is.
#[derive(Clone)]
pub(crate) struct Connection {
    send: SendRequest<Body>,
    /// Of the client.
    pub(crate) port: u16,
}

impl Connection {
    pub(crate) async fn open(server: &Server) -> Self {
        let socket = within("a connection", TcpStream::connect(server.address()));
        let socket = socket.await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let socket = TokioIo::new(socket);
        let executor = TokioExecutor::new();
        let opening = handshake(executor, socket);
        let (send, connection) = opening.await.unwrap();
        // A failed connection also fails its requests.
        tokio::spawn(async move { drop(connection.await) });
        Self { send, port }
    }

    /// A client on this connection.
    pub(crate) fn tally(&self, server: &Server) -> TallyClient<Self> {
        TallyClient::with_origin(self.clone(), origin(server).parse().unwrap())
    }

    /// Sends a request with one message, and returns the head of the response and its body.
    pub(crate) async fn post(&mut self, url: String, message: &Number) -> Response<Incoming> {
        let message = prost::Message::encode_to_vec(message);
        let length = u32::try_from(message.len()).unwrap();
        self.post_framed(url, length, &message).await
    }

    /// [`post`](Self::post), with a length that may be wrong.
    pub(crate) async fn post_framed(
        &mut self,
        url: String,
        length: u32,
        message: &[u8],
    ) -> Response<Incoming> {
        let framed = [&[0], &length.to_be_bytes()[..], message].concat();
        let request = Request::post(url)
            .header("te", "trailers")
            .header("content-type", "application/grpc")
            .body(Body::new(http_body_util::Full::<Bytes>::from(framed)));
        within("a response", self.send.send_request(request.unwrap()))
            .await
            .unwrap()
    }
}

impl tower::Service<Request<Body>> for Connection {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), hyper::Error>> {
        self.send.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.send.send_request(request))
    }
}

const _: fn() = || {
    fn is_service<T: GrpcService<Body>>() {}
    is_service::<Connection>();
};

/// A stream of requests that the test sends one by one. Dropping the sender ends it.
pub(crate) fn requests() -> (
    mpsc::UnboundedSender<Number>,
    impl Stream<Item = Number> + Send + 'static,
) {
    let (send, mut receive) = mpsc::unbounded_channel();
    let stream = futures_util::stream::poll_fn(move |cx| receive.poll_recv(cx));
    (send, stream)
}
