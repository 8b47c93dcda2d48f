//! axum, on hyper-util's builder, which is where it gets a header time-out.

use std::io;

use axum::Router;
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

use crate::{HEADER_TIMEOUT, Options, announce, app, listen};

pub fn run(options: &Options) -> io::Result<()> {
    let listener = listen()?;
    announce(listener.local_addr()?);
    options.run(|| async {
        let router = Router::new().route("/", get(|| async { app::BODY }));
        let listener = TcpListener::from_std(listener.try_clone()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let service = TowerToHyperService::new(router.clone());
            tokio::spawn(async move {
                let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
                builder
                    .http1()
                    .pipeline_flush(true)
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_TIMEOUT);
                // A client that goes away is no news.
                drop(
                    builder
                        .serve_connection(TokioIo::new(stream), service)
                        .await,
                );
            });
        }
    })
}
