//! The two servers that a router runs on.

use std::net::SocketAddr;

use axum::Router;
use test_support::Server;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A router on Ferricorn, on `axum::serve`, and as an app in an axum program on `axum::serve`.
pub struct Hosts {
    pub ferricorn: Server,
    axum: AxumServer,
    hosted: AxumServer,
}

impl Hosts {
    pub async fn start(router: Router) -> Self {
        let hosted = asgi_tower::service(asgi_tower::app(router.clone()));
        Self {
            ferricorn: Server::start(asgi_tower::app(router.clone())).await,
            axum: AxumServer::start(router).await,
            hosted: AxumServer::start(Router::new().fallback_service(hosted)).await,
        }
    }

    /// The addresses of all three, with their names.
    pub fn all(&self) -> [(&'static str, SocketAddr); 3] {
        let [ferricorn, axum] = self.each();
        [ferricorn, axum, ("an app on axum", self.hosted.address)]
    }

    /// The addresses of the two servers, with their names.
    pub fn each(&self) -> [(&'static str, SocketAddr); 2] {
        [
            ("ferricorn", self.ferricorn.address()),
            ("axum", self.axum.address),
        ]
    }
}

/// `axum::serve` on a free port.
pub struct AxumServer {
    pub address: SocketAddr,
    serving: JoinHandle<()>,
}

impl AxumServer {
    pub async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let serving = tokio::spawn(async { axum::serve(listener, service).await.unwrap() });
        Self { address, serving }
    }
}

impl Drop for AxumServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
