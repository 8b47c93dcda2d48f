//! The middleware.

use asgi_testing::Fault;
use test_support::logs;

use crate::forms::{Forms, erased, get};

static MIDDLEWARE: Forms = Forms::new(Some("middleware"), || erased(adopters::middleware::app()));

#[test]
fn middleware_that_changes_events_keeps_their_number() {
    MIDDLEWARE.in_memory(async |client| {
        let response = client.get("/upper/parts").await.unwrap();
        assert_eq!(response.chunks(), ["ABCDEF", "GHI"]);
        assert_eq!(response.header("x-upper"), Some("yes"));
        assert_eq!(response.early_hints().len(), 1);
    });
}

#[test]
fn middleware_drops_events_that_it_does_not_want() {
    MIDDLEWARE.in_memory(async |client| {
        let response = client.get("/slow/parts").await.unwrap();
        assert_eq!(response.chunks(), ["abcdef", "ghi"]);
        assert!(response.early_hints().is_empty());
    });
}

#[test]
fn middleware_makes_many_events_of_one() {
    MIDDLEWARE.in_memory(async |client| {
        let response = client.get("/chopped/parts").await.unwrap();
        assert_eq!(response.chunks(), ["ab", "cd", "ef", "gh", "i"]);
    });
}

#[test]
fn middleware_drops_events_before_the_app_receives_them() {
    MIDDLEWARE.in_memory(async |client| {
        for (target, count) in [("/plain/count", "4"), ("/without-empty-parts/count", "3")] {
            let mut exchange = client.post(target).open_body().start();
            for part in ["a", "", "b"] {
                exchange.send_body(part);
            }
            exchange.end_body("");
            let response = exchange.finish().await.unwrap();
            assert_eq!(response.text(), count, "{target}");
        }
    });
}

#[test]
fn middleware_in_middleware_does_what_each_does() {
    MIDDLEWARE.in_memory(async |client| {
        let response = client.get("/all/parts").await.unwrap();
        assert_eq!(response.chunks(), ["ABCD", "EF", "GHI"]);
        assert!(response.early_hints().is_empty());
    });
}

#[test]
fn misuse_stays_an_error_of_the_event_that_broke_a_rule() {
    MIDDLEWARE.in_memory(async |client| {
        let client = client.allow_faults();
        for place in ["plain", "upper", "slow", "chopped", "timed", "all"] {
            let response = client.get(&format!("/{place}/misuse")).await.unwrap();
            let text = response.text().to_lowercase();
            assert_eq!(text, "misuse: true", "{place}");
        }
    });
}

#[test]
fn a_head_is_held_back_through_middleware_that_does_not_wait() {
    MIDDLEWARE.in_memory(async |client| {
        for place in ["plain", "upper", "timed", "chopped"] {
            // The head was not sent yet, so the client gets a 500 and not a broken response.
            let failed = client.get(&format!("/{place}/fail")).await.unwrap();
            assert_eq!(failed.status(), 500, "{place}");
            assert_eq!(failed.fault(), Some(Fault::Failed), "{place}");
        }
        for place in ["plain", "upper", "timed"] {
            let short = client.get(&format!("/{place}/short")).await.unwrap();
            assert_eq!(short.header("content-length"), Some("5"), "{place}");
        }
    });
}

#[test]
fn a_measurement_counts_what_was_sent_and_sees_an_app_that_is_dropped() {
    MIDDLEWARE.in_memory(async |client| {
        client.get("/measured/parts").await.unwrap();
        let misusing = client.clone().allow_faults();
        misusing.get("/measured/misuse").await.unwrap();
        let mut waiting = client.get("/measured/wait").start();
        assert_eq!(waiting.data().await.unwrap(), "wait");
        drop(waiting);
        client.get("/measured/fail").await.unwrap();
        let times = client.get("/times").await.unwrap();
        let expected = "200 9 complete\n200 12 complete\n200 4 dropped\n200 0 incomplete\n";
        assert_eq!(times.text(), expected);
    });
}

#[test]
fn a_nested_app_sees_its_own_path_and_the_root_path() {
    MIDDLEWARE.in_memory(async |client| {
        let response = client.get("/timed/a%20b").await.unwrap();
        assert_eq!(response.text(), "/timed /a b");
        // Only whole segments match.
        assert_eq!(client.get("/timedx").await.unwrap().status(), 404);
    });
}

#[test]
fn a_server_serves_every_middleware() {
    MIDDLEWARE.on_a_server(async |server| {
        for (target, body) in [
            ("/plain/short", "short"),
            ("/upper/short", "SHORT"),
            ("/timed/short", "short"),
            ("/slow/misuse", "misuse: true"),
        ] {
            assert_eq!(get(&server, target, 200).await, body);
        }
        let mut client = server.connect().await;
        client.get("/chopped/short").await;
        client.expect_head(200).await;
        assert_eq!(client.read_chunked().await.chunks, ["sh", "or", "t"]);
        get(&server, "/chopped/fail", 500).await;
        logs::expect_error(&["failed", "broke before the body"]);
    });
}

#[test]
fn an_app_inside_middleware_hears_that_its_client_has_left() {
    MIDDLEWARE.on_a_server(async |server| {
        for place in ["upper", "slow", "chopped", "timed", "all"] {
            let mut client = server.connect().await;
            client.get(&format!("/{place}/wait")).await;
            client.expect_head(200).await;
            client.read_chunk().await.unwrap();
            client.reset();
            server.wait_for_exchanges(0).await;
        }
    });
}
