//! A client that this project did not write: hyper's.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{Server, within};

/// One HTTP/1.1 connection.
pub struct HyperClient(SendRequest<Full<Bytes>>);

impl HyperClient {
    /// Connects to a server.
    pub async fn connect(server: &Server) -> Self {
        let stream = within("a connection", TcpStream::connect(server.address()));
        let (send, connection) = handshake(TokioIo::new(stream.await.unwrap()))
            .await
            .unwrap();
        tokio::spawn(async move {
            // A failed connection also fails its requests.
            let _ = connection.await;
        });
        Self(send)
    }

    /// Sends a request and collects the response. Adds a `host` header if there is none.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Bytes>> {
        let (mut parts, body) = request.into_parts();
        let host = http::HeaderValue::from_static("localhost");
        parts.headers.entry(http::header::HOST).or_insert(host);
        within("a response", async {
            self.0.ready().await?;
            let response = self
                .0
                .send_request(Request::from_parts(parts, body))
                .await?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Response::from_parts(parts, body))
        })
        .await
    }
}
