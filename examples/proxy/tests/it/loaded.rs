//! The proxy as a loaded library. The other tests link it in.

use asgi_spec::Lint;
use test_support::websocket_client::{Over, TEXT};
use test_support::{Server, library, run, websocket};

#[test]
fn a_loaded_proxy_passes_requests_and_web_sockets() {
    run(async {
        let upstream = Server::start(websocket(async |mut socket| {
            socket.accept().await?;
            socket.echo().await?;
            Ok(())
        }))
        .await;
        let config = format!("http://{}", upstream.address());
        let library = library::load_configured("proxy", &config);
        let proxy = Server::start(Lint::new(library.app())).await;
        let mut client = proxy.connect().await;
        for _ in 0..3 {
            client.get("/").await;
            assert_eq!(client.expect_response(200).await.body, "http");
        }
        let mut peer = Over::Http1.open(&proxy, "/").await;
        peer.text("hello").await;
        peer.expect(TEXT, "hello").await;
        peer.close(1000, "").await;
        peer.expect_close(1000, "").await;
    });
}
