//! A busy exchange leaves time for the other tasks of its thread.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use test_support::{Http, Server, http_with, run};

#[test]
fn a_response_in_tiny_parts_lets_other_tasks_of_its_thread_run() {
    const PARTS: usize = 20_000;
    run(async {
        let turns = Arc::new(AtomicUsize::new(0));
        let neighbour = Arc::clone(&turns);
        let neighbour = tokio::spawn(poll_fn(move |cx| {
            neighbour.fetch_add(1, Ordering::Relaxed);
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        let app = http_with(turns, async |turns, mut http: Http| {
            let before = turns.load(Ordering::Relaxed);
            http.begin().await?;
            for _ in 0..PARTS {
                http.more("x").await?;
            }
            let turns = turns.load(Ordering::Relaxed) - before;
            assert!(turns >= 4, "another task ran {turns} times");
            http.last("").await
        });
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client.get("/").await;
        let body = client.expect_response(200).await.body;
        assert_eq!(body.len(), PARTS);
        neighbour.abort();
    });
}
