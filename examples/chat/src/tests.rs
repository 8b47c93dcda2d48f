//! The app in memory: several clients, and the rooms between them.

use asgi::Message;
use asgi_testing::{Client, Started, WebSocket};
use http::Method;
use serde_json::{Value, json};

use crate::app::app;

async fn chat() -> Started {
    Client::new(app).startup().await.unwrap()
}

/// Joins, and gives the welcome too.
async fn join(client: &Client, place: &str) -> (WebSocket, Value) {
    let mut socket = client
        .websocket(&format!("/ws/{place}"))
        .connect()
        .await
        .unwrap();
    let welcome = hear(&mut socket).await;
    (socket, welcome)
}

#[track_caller]
fn parse(message: Message) -> Value {
    serde_json::from_slice(message.as_bytes()).unwrap()
}

async fn hear(socket: &mut WebSocket) -> Value {
    parse(socket.receive().await.unwrap())
}

async fn say(socket: &mut WebSocket, text: &str) {
    socket.send_text(json!({ "say": text }).to_string()).await;
}

fn said(name: &str, text: &str) -> Value {
    json!({ "type": "said", "name": name, "text": text })
}

#[tokio::test]
async fn all_hear_what_is_said_in_the_same_order() {
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
        hear(&mut ann).await,
        json!({ "type": "joined", "name": "Bob" })
    );
    let (mut far, _) = join(&chat, "elsewhere/Far").await;
    say(&mut ann, "hello").await;
    assert_eq!(hear(&mut ann).await, said("Ann", "hello"));
    say(&mut bob, " hi \n").await;
    for socket in [&mut bob, &mut ann] {
        let mut heard = vec![hear(socket).await];
        if heard[0] == said("Ann", "hello") {
            heard.push(hear(socket).await);
        }
        assert_eq!(*heard.last().unwrap(), said("Bob", "hi"));
    }
    say(&mut far, "alone").await;
    assert_eq!(hear(&mut far).await, said("Far", "alone"));
}

#[tokio::test]
async fn who_leaves_or_is_lost_is_told_to_the_others() {
    let chat = chat().await;
    let (mut ann, _) = join(&chat, "lobby/Ann").await;
    let (bob, _) = join(&chat, "lobby/Bob").await;
    let (cid, _) = join(&chat, "lobby/Cid").await;
    hear(&mut ann).await;
    hear(&mut ann).await;
    bob.close(1000, "").await.unwrap();
    let left = |name: &str| json!({ "type": "left", "name": name, "why": "" });
    assert_eq!(hear(&mut ann).await, left("Bob"));
    cid.lose().await.unwrap();
    assert_eq!(hear(&mut ann).await, left("Cid"));
    // Who comes next finds nobody else, and a room without anybody is gone.
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
async fn names_that_cannot_be_shown_are_denied_with_a_reason() {
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
    // Letters, not bytes.
    let longest = "%C3%BC".repeat(32);
    join(&chat, &format!("lobby/{longest}")).await;
}

#[tokio::test]
async fn what_makes_no_sense_is_answered_and_costs_nothing() {
    let chat = chat().await;
    let (mut ann, _) = join(&chat, "lobby/Ann").await;
    let long = json!({ "say": "x".repeat(2_001) }).to_string();
    for text in ["", "{", "[]", "{\"say\": 1}", "{\"say\": \" \"}", &long] {
        ann.send_text(text).await;
        assert_eq!(hear(&mut ann).await["type"], "problem", "{text}");
    }
    ann.send_binary("{\"say\": \"a\"}").await;
    assert_eq!(hear(&mut ann).await["type"], "problem");
    say(&mut ann, &"x".repeat(2_000)).await;
    assert_eq!(hear(&mut ann).await["type"], "said");
}

#[tokio::test]
async fn who_talks_too_much_is_told_to_wait() {
    let chat = chat().await;
    let (mut ann, _) = join(&chat, "lobby/Ann").await;
    let mut said = 0;
    loop {
        say(&mut ann, "again").await;
        match hear(&mut ann).await["type"].as_str() {
            Some("said") => said += 1,
            _ => break,
        }
        assert!(said < 200);
    }
    assert!(said >= 30, "{said}");
}

#[tokio::test]
async fn a_listener_that_is_too_slow_is_let_go_and_the_others_miss_nothing() {
    let chat = chat().await;
    // It runs only when the test asks it for something.
    let (mut slow, _) = join(&chat, "lobby/Slow").await;
    let (mut ann, _) = join(&chat, "lobby/Ann").await;
    let mut talkers = Vec::new();
    for number in 0..4 {
        talkers.push(join(&chat, &format!("lobby/T{number}")).await.0);
        hear(&mut ann).await;
    }
    let mut expected = Vec::new();
    let mut heard = Vec::new();
    for round in 0..30 {
        for (number, talker) in talkers.iter_mut().enumerate() {
            let text = format!("{round}");
            say(talker, &text).await;
            expected.push(said(&format!("T{number}"), &text));
            // The talkers hear too, or they would be slow themselves.
            while hear(talker).await != *expected.last().unwrap() {}
            heard.push(hear(&mut ann).await);
        }
    }
    let gone = json!({ "type": "left", "name": "Slow", "why": "too slow" });
    let position = heard.iter().position(|event| *event == gone).unwrap();
    assert!((50..80).contains(&position), "{position}");
    heard.remove(position);
    heard.push(hear(&mut ann).await);
    assert_eq!(heard, expected);
    let closed = loop {
        if let Err(closed) = slow.receive().await {
            break closed;
        }
    };
    assert_eq!(closed.code, 1013);
    assert!(closed.reason.contains("too slow"));
}

#[tokio::test]
async fn the_page_is_there() {
    let chat = chat().await;
    let page = chat.get("/").await.unwrap();
    assert_eq!(page.status(), 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(page.text().contains("new WebSocket("));
    assert_eq!(chat.get("/nothing").await.unwrap().status(), 404);
    let post = chat.request(Method::POST, "/").await.unwrap();
    assert_eq!(post.status(), 405);
    chat.shutdown().await.unwrap();
}
