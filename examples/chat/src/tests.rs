//! Tests of the app, without a server: several clients in the same rooms.

use asgi_spec::Lint;
use asgi_testing::{Client, Started, WebSocket};
use serde_json::{Value, json};

use crate::app::app;

async fn chat() -> Started {
    Client::new(Lint::new(app)).startup().await.unwrap()
}

/// Joins a room. Also returns the welcome message.
async fn join(client: &Client, place: &str) -> (WebSocket, Value) {
    let mut websocket = client
        .websocket(&format!("/ws/{place}"))
        .connect()
        .await
        .unwrap();
    let welcome = receive(&mut websocket).await;
    (websocket, welcome)
}

async fn receive(websocket: &mut WebSocket) -> Value {
    websocket.receive_json().await
}

async fn say(websocket: &mut WebSocket, text: &str) {
    websocket.send_json(&json!({ "say": text })).await;
}

fn said(name: &str, text: &str) -> Value {
    json!({ "type": "said", "name": name, "text": text })
}

#[tokio::test]
async fn all_members_receive_the_messages_in_the_same_order() {
    let chat = chat().await;
    let (mut ann, welcome) = join(&chat, "lobby/Ann").await;
    let expected = json!({
        "type": "welcome", "name": "Ann", "room": "lobby", "members": ["Ann"],
        "version": "HTTP/1.1",
    });
    assert_eq!(welcome, expected);
    let (mut bob, welcome) = join(&chat, "lobby/Bob").await;
    assert_eq!(welcome["members"], json!(["Ann", "Bob"]));
    assert_eq!(
        receive(&mut ann).await,
        json!({ "type": "joined", "name": "Bob" })
    );
    let (mut far, _) = join(&chat, "elsewhere/Far").await;
    say(&mut ann, "hello").await;
    assert_eq!(receive(&mut ann).await, said("Ann", "hello"));
    say(&mut bob, " hi \n").await;
    for websocket in [&mut bob, &mut ann] {
        let mut received = vec![receive(websocket).await];
        if received[0] == said("Ann", "hello") {
            received.push(receive(websocket).await);
        }
        assert_eq!(*received.last().unwrap(), said("Bob", "hi"));
    }
    say(&mut far, "alone").await;
    assert_eq!(receive(&mut far).await, said("Far", "alone"));
}

#[tokio::test]
async fn the_others_hear_that_a_member_left_or_was_lost() {
    let chat = chat().await;
    let (mut ann, _) = join(&chat, "lobby/Ann").await;
    let (bob, _) = join(&chat, "lobby/Bob").await;
    let (cid, _) = join(&chat, "lobby/Cid").await;
    receive(&mut ann).await;
    receive(&mut ann).await;
    bob.close(1000, "").await.unwrap();
    let left = |name: &str| json!({ "type": "left", "name": name, "why": "" });
    assert_eq!(receive(&mut ann).await, left("Bob"));
    cid.lose().await.unwrap();
    assert_eq!(receive(&mut ann).await, left("Cid"));
    // An empty room is gone: the next member is alone.
    ann.close(1000, "").await.unwrap();
    let (_dan, welcome) = join(&chat, "lobby/Dan").await;
    assert_eq!(welcome["members"], json!(["Dan"]));
}

#[tokio::test]
async fn a_name_that_is_taken_gets_a_number() {
    let chat = chat().await;
    let (_ann, _) = join(&chat, "lobby/Ann").await;
    let (_second, welcome) = join(&chat, "lobby/Ann").await;
    assert_eq!(welcome["name"], "Ann (2)");
    let (_other, welcome) = join(&chat, "garden/Ann").await;
    assert_eq!(welcome["name"], "Ann");
}

#[tokio::test]
async fn invalid_names_are_denied_with_a_reason() {
    let chat = chat().await;
    let long = "x".repeat(33);
    for (place, status) in [
        ("lobby/", 400),
        ("/Ann", 400),
        ("lobby/%20%20", 400),
        ("lobby/A%0Ab", 400),
        (&*format!("lobby/{long}"), 400),
        (&*format!("{long}/Ann"), 400),
        ("lobby", 404),
    ] {
        let denied = chat.websocket(&format!("/ws/{place}")).connect().await;
        let denied = denied.unwrap_err();
        assert_eq!(denied.status().unwrap(), status, "{place}");
        assert!(!denied.response().unwrap().text().is_empty());
    }
    // The limit counts letters, not bytes.
    let longest = "%C3%BC".repeat(32);
    join(&chat, &format!("lobby/{longest}")).await;
}

#[tokio::test]
async fn invalid_messages_get_an_answer_and_do_not_count() {
    let chat = chat().await;
    let (mut ann, _) = join(&chat, "lobby/Ann").await;
    let long = json!({ "say": "x".repeat(2_001) }).to_string();
    for text in ["", "{", "[]", "{\"say\": 1}", "{\"say\": \" \"}", &long] {
        ann.send_text(text).await;
        assert_eq!(receive(&mut ann).await["type"], "problem", "{text}");
    }
    ann.send_binary("{\"say\": \"a\"}").await;
    assert_eq!(receive(&mut ann).await["type"], "problem");
    say(&mut ann, &"x".repeat(2_000)).await;
    assert_eq!(receive(&mut ann).await["type"], "said");
}

#[tokio::test]
async fn a_member_that_sends_too_much_must_wait() {
    let chat = chat().await;
    let (mut ann, _) = join(&chat, "lobby/Ann").await;
    let mut said = 0;
    loop {
        say(&mut ann, "again").await;
        match receive(&mut ann).await["type"].as_str() {
            Some("said") => said += 1,
            _ => break,
        }
        assert!(said < 200);
    }
    assert!(said >= 30, "{said}");
}

#[tokio::test]
async fn a_slow_member_is_removed_and_the_others_miss_nothing() {
    let chat = chat().await;
    // It runs only when the test calls it.
    let (mut slow, _) = join(&chat, "lobby/Slow").await;
    let (mut ann, _) = join(&chat, "lobby/Ann").await;
    let mut talkers = Vec::new();
    for number in 0..4 {
        talkers.push(join(&chat, &format!("lobby/T{number}")).await.0);
        receive(&mut ann).await;
    }
    let mut expected = Vec::new();
    let mut received = Vec::new();
    for round in 0..30 {
        for (number, talker) in talkers.iter_mut().enumerate() {
            let text = format!("{round}");
            say(talker, &text).await;
            expected.push(said(&format!("T{number}"), &text));
            // The talkers receive too, or they would be slow themselves.
            while receive(talker).await != *expected.last().unwrap() {}
            received.push(receive(&mut ann).await);
        }
    }
    let gone = json!({ "type": "left", "name": "Slow", "why": "too slow" });
    let position = received.iter().position(|event| *event == gone).unwrap();
    assert!((50..80).contains(&position), "{position}");
    received.remove(position);
    received.push(receive(&mut ann).await);
    assert_eq!(received, expected);
    let closed = loop {
        if let Err(closed) = slow.receive().await {
            break closed;
        }
    };
    assert_eq!(closed.code, 1013);
    assert!(closed.reason.contains("too slow"));
}

#[tokio::test]
async fn the_page_and_the_other_paths() {
    let chat = chat().await;
    let page = chat.get("/").await.unwrap();
    page.assert_status(200)
        .assert_header("content-type", "text/html; charset=utf-8");
    assert!(page.text().contains("new WebSocket("));
    chat.get("/nothing").await.unwrap().assert_status(404);
    chat.post("/").await.unwrap().assert_status(405);
    chat.shutdown().await.unwrap();
}
