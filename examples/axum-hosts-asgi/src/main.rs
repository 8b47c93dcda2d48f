//! The program: `axum-hosts-asgi 127.0.0.1:8000`. Ctrl-C stops it.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "it says where it listens")]

use std::error::Error;
use std::net::SocketAddr;

use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:8000")).await?;

    let counter = asgi_tower::service(axum_hosts_asgi::counter());
    counter.startup().await?;
    println!("listening on http://{}", listener.local_addr()?);
    let router = axum_hosts_asgi::router(counter.clone());
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(async {
            // It fails if there are no signals. Then the program runs on.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
        .await?;
    counter.shutdown().await?;
    println!("stopped");
    Ok(())
}
