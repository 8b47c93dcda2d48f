//! hyper without anything around it, at its best.

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

use crate::{HEADER_TIMEOUT, Options, announce, app, listen};

pub fn run(options: &Options) -> io::Result<()> {
    let listener = listen()?;
    announce(listener.local_addr()?);
    options.run(|| async {
        let listener = TcpListener::from_std(listener.try_clone()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let connection = http1::Builder::new()
                .pipeline_flush(true)
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service_fn(answer));
            // A client that goes away is no news.
            tokio::spawn(async move { drop(connection.await) });
        }
    })
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == app::UNEVEN {
        app::spin_now_and_then();
    }
    let mut response = Response::new(Full::new(Bytes::from_static(app::BODY.as_bytes())));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(app::CONTENT_TYPE));
    Ok(response)
}
