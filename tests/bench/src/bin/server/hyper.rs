//! hyper alone, with its best settings.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::{HEADER_TIMEOUT, Options, Protocol, announce, app, listen};

pub fn run(options: &Options) -> io::Result<()> {
    let listener = listen()?;
    announce(listener.local_addr()?);
    options.run(|| async {
        let listener = TcpListener::from_std(listener.try_clone()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let stream = TokioIo::new(stream);
            // It is not an error if a client leaves.
            match options.protocol {
                Protocol::Http1 => {
                    let connection = http1().serve_connection(stream, service_fn(answer));
                    tokio::spawn(async move { drop(connection.await) });
                }
                #[cfg(feature = "http2")]
                Protocol::Http2 => {
                    let connection = http2::builder().serve_connection(stream, service_fn(answer));
                    tokio::spawn(async move { drop(connection.await) });
                }
                #[cfg(feature = "websocket")]
                Protocol::WebSocket => return Err(io::Error::other("hyper alone has none")),
            }
        }
    })
}

fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .pipeline_flush(true)
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    builder
}

/// HTTP/2 with Ferricorn's defaults.
#[cfg(feature = "http2")]
mod http2 {
    use std::time::Duration;

    use hyper::server::conn::http2::Builder;
    use hyper_util::rt::{TokioExecutor, TokioTimer};

    const STREAMS: u32 = 100;
    const STREAM_WINDOW: u32 = 256 * 1024;
    const FRAME_SIZE: u32 = 16 * 1024;
    const SEND_BUFFER: usize = 128 * 1024;
    const HEADER_LIST_SIZE: u32 = 64 * 1024;
    const KEEP_ALIVE: Duration = Duration::from_secs(20);

    pub fn builder() -> Builder<TokioExecutor> {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(STREAMS * STREAM_WINDOW)
            .max_frame_size(FRAME_SIZE)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(HEADER_LIST_SIZE)
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        builder
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == app::BLOCK {
        app::block();
    }
    let mut response = Response::new(Full::new(Bytes::from_static(app::BODY.as_bytes())));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(app::CONTENT_TYPE));
    Ok(response)
}
