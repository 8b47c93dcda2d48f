//! Connections to the upstream.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use asgi::AppError;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The body of a request to the upstream.
pub(super) type RequestBody = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// After this time, an idle connection is not used any more: the upstream may be about to close it.
const IDLE: Duration = Duration::from_secs(15);

/// A limited number of connections, which requests use one after the other.
#[derive(Debug)]
pub(super) struct Pool {
    address: String,
    idle: Mutex<Vec<(Instant, SendRequest<RequestBody>)>>,
    /// One for each request that runs. There are never more connections than that.
    permits: Semaphore,
}

/// The connection of one request. To drop it closes the connection, so the upstream sees that its
/// client has left.
pub(super) struct Lease<'a> {
    pool: &'a Pool,
    connection: SendRequest<RequestBody>,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    pub(super) fn new(address: String, connections: usize) -> Self {
        Self {
            address,
            idle: Mutex::default(),
            permits: Semaphore::new(connections),
        }
    }

    /// Sends a request and waits for the head of the response.
    pub(super) async fn send(
        &self,
        mut request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, Lease<'_>), AppError> {
        let permit = self.permits.acquire().await?;
        let (response, connection) = loop {
            let (mut connection, is_new) = match self.take_idle() {
                Some(connection) => (connection, false),
                None => (self.connect().await?, true),
            };
            match connection.try_send_request(request).await {
                Ok(response) => break (response, connection),
                // The upstream has closed an idle connection before this request was on it.
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !is_new => request = unsent,
                    _ => return Err(error.into_error().into()),
                },
            }
        };
        let lease = Lease {
            pool: self,
            connection,
            _permit: permit,
        };
        Ok((response, lease))
    }

    /// Opens a connection that does not belong to the pool.
    pub(super) async fn connect(&self) -> Result<SendRequest<RequestBody>, AppError> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let (send, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // An error of the connection also reaches the exchange on it.
        tokio::spawn(async { drop(connection.with_upgrades().await) });
        Ok(send)
    }

    fn take_idle(&self) -> Option<SendRequest<RequestBody>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(since, _)| since.elapsed() < IDLE);
        idle.pop().map(|(_, connection)| connection)
    }
}

impl Lease<'_> {
    /// Keeps the connection for the next request, after the exchange on it is complete.
    pub(super) async fn release(mut self) {
        if self.connection.ready().await.is_ok() {
            let mut idle = self.pool.idle.lock();
            let idle = idle.as_mut().unwrap_or_else(|poisoned| poisoned.get_mut());
            idle.push((Instant::now(), self.connection));
        }
    }
}
