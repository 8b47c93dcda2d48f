//! WebSockets that split, close codes and denials.

use std::time::Duration;

use ::http::StatusCode;
use asgi::{
    AppError, Message, ReceiveEvent, Receiver, Scope, Sender, WebSocketAccept, WebSocketClose,
    WebSocketHttpResponseBody, WebSocketHttpResponseStart, WebSocketSend,
};
use asgi_testing::Client;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Shorter than the limit of a client, after which each wait polls again.
const LONG: Duration = Duration::from_secs(5);

async fn echo(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    receive.receive().await;
    send.send(WebSocketAccept::new()).await?;
    while let ReceiveEvent::WebSocketReceive(event) = receive.receive().await {
        send.send(WebSocketSend::new(event.message)).await?;
    }
    Ok(())
}

/// Each half drives the app, also on two threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_task_sends_while_another_receives() {
    const COUNT: usize = 1_000;

    let socket = Client::new(echo).websocket("/").connect().await.unwrap();
    let (mut sender, mut receiver) = socket.split();
    let sending = tokio::spawn(async move {
        for number in 0..COUNT {
            sender.send_text(number.to_string()).await;
        }
        sender
    });
    let receiving = tokio::spawn(async move {
        for number in 0..COUNT {
            assert_eq!(
                receiver.receive().await,
                Ok(Message::text(number.to_string()))
            );
        }
        receiver
    });
    let mut receiver = timeout(LONG, receiving).await.unwrap().unwrap();
    let mut sender = sending.await.unwrap();
    sender.close(4_000, "enough");
    assert_eq!(receiver.receive().await.unwrap_err().code, 4_000);
    receiver.finish().await.unwrap();
}

/// The app's wake-up must reach the task that waits, although the other half polled later.
#[tokio::test]
async fn a_half_that_waits_is_woken_after_the_other_half_has_polled() {
    let (tell, told) = mpsc::channel::<()>(1);
    let told = std::sync::Mutex::new(Some(told));
    let app = move |_: Scope, mut receive: Receiver, mut send: Sender| {
        let mut told = told.lock().unwrap().take().unwrap();
        async move {
            receive.receive().await;
            send.send(WebSocketAccept::new()).await?;
            receive.receive().await;
            told.recv().await;
            send.send(WebSocketSend::text("told")).await?;
            Ok::<_, AppError>(())
        }
    };
    let socket = Client::new(app).websocket("/").connect().await.unwrap();
    let (mut sender, mut receiver) = socket.split();
    let receiving = tokio::spawn(async move { receiver.receive().await });
    tokio::task::yield_now().await;
    sender.send_text("first").await;
    // The receiving half waits again.
    tokio::task::yield_now().await;
    // The app waits for something else, so this does not wake it. But it polls.
    sender.send_text("second").await;
    tell.send(()).await.unwrap();
    let received = timeout(LONG, receiving).await.unwrap().unwrap();
    assert_eq!(received, Ok(Message::text("told")));
}

#[tokio::test]
async fn the_app_goes_on_until_both_halves_are_dropped() {
    let (tell, mut told) = mpsc::channel::<()>(1);
    let app = move |_: Scope, mut receive: Receiver, mut send: Sender| {
        let tell = tell.clone();
        async move {
            receive.receive().await;
            send.send(WebSocketAccept::new()).await?;
            receive.receive().await;
            drop(tell);
            std::future::pending::<Result<(), AppError>>().await
        }
    };
    let client = Client::new(app);
    let (sender, receiver) = client.websocket("/").connect().await.unwrap().split();
    drop(client);
    drop(receiver);
    assert!(
        told.try_recv()
            .is_err_and(|error| error == mpsc::error::TryRecvError::Empty)
    );
    drop(sender);
    assert_eq!(timeout(LONG, told.recv()).await, Ok(None));
}

#[tokio::test]
async fn the_receiving_half_learns_the_code_of_the_app() {
    async fn app(scope: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
        receive.receive().await;
        send.send(WebSocketAccept::new()).await?;
        match &*scope.path().unwrap() {
            "/close" => send.send(WebSocketClose::new(4_001).reason("bye")).await?,
            "/fail" => return Err("out of order".into()),
            "/abort" => return Err(AppError::aborted()),
            _ => {}
        }
        Ok(())
    }
    for (path, code, reason) in [
        ("/close", 4_001, "bye"),
        ("/fail", 1_011, ""),
        ("/abort", 1_006, ""),
        ("/", 1_000, ""),
    ] {
        let socket = Client::new(app).websocket(path).connect().await.unwrap();
        let (_sender, mut receiver) = socket.split();
        let closed = receiver.receive().await.unwrap_err();
        assert_eq!((closed.code, &*closed.reason), (code, reason), "{path}");
    }
}

#[tokio::test]
async fn the_app_learns_how_the_sending_half_left() {
    let (codes, mut seen) = mpsc::unbounded_channel();
    let app = move |_: Scope, mut receive: Receiver, mut send: Sender| {
        let codes = codes.clone();
        async move {
            receive.receive().await;
            send.send(WebSocketAccept::new()).await?;
            if let ReceiveEvent::WebSocketDisconnect(close) = receive.receive().await {
                codes.send((close.code, close.reason))?;
            }
            Ok::<_, AppError>(())
        }
    };
    let client = Client::new(app);
    let connect = async || client.websocket("/").connect().await.unwrap().split();
    let (mut sender, receiver) = connect().await;
    sender.close(3_000, "done");
    receiver.finish().await.unwrap();
    let (mut sender, receiver) = connect().await;
    sender.lose();
    receiver.finish().await.unwrap();
    assert_eq!(seen.recv().await, Some((3_000, "done".to_owned())));
    assert_eq!(seen.recv().await, Some((1_006, String::new())));
}

/// A denial that the app leaves half sent.
#[tokio::test]
async fn an_incomplete_denial_is_an_error_with_its_part() {
    async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        let start = WebSocketHttpResponseStart::new(StatusCode::UNAUTHORIZED);
        send.send(start).await?;
        send.send(WebSocketHttpResponseBody::new("who ", true))
            .await?;
        Ok(())
    }
    let denied = Client::new(app).websocket("/").connect().await.unwrap_err();
    assert_eq!(denied.status().unwrap(), 401);
    let broken = denied.response().unwrap_err();
    assert_eq!(broken.body(), "who ");
    let text = format!("{denied:?}");
    let expected =
        "the app denied the handshake with 401: the app stopped its response after 4 bytes";
    assert!(text.starts_with(expected), "{text}");
    assert!(
        text.contains("client  receives a denial, the head: 401, and 4 bytes"),
        "{text}"
    );
}

#[tokio::test]
async fn a_closed_socket_prints_its_history() {
    let socket = Client::new(echo).websocket("/").connect().await.unwrap();
    let (mut sender, mut receiver) = socket.split();
    sender.send_text("hi").await;
    assert_eq!(receiver.receive().await, Ok(Message::text("hi")));
    sender.close(1_000, "");
    let closed = receiver.receive().await.unwrap_err();
    assert_eq!(
        closed.history().events(),
        [
            "client asks for a WebSocket at /",
            "app receives websocket.connect",
            "app sends websocket.accept",
            "client receives the accept",
            "client sends text \"hi\"",
            "app receives websocket.receive: text \"hi\"",
            "app sends websocket.send: text \"hi\"",
            "client receives text \"hi\"",
            "client sends a close: 1000",
            "app receives websocket.disconnect: 1000",
            "app returns",
        ]
    );
    let text = format!("{closed:?}");
    assert!(
        text.starts_with("the app closed the WebSocket with code 1000\nhistory of"),
        "{text}"
    );
}

#[tokio::test]
async fn a_text_is_received_as_a_text() {
    let mut socket = Client::new(echo).websocket("/").connect().await.unwrap();
    socket.send_text("hi").await;
    assert_eq!(socket.receive_text().await, "hi");
}

#[tokio::test]
#[should_panic(expected = "got binary 2 bytes \"hi\"\nhistory of the WebSocket /:")]
async fn a_binary_message_is_no_text() {
    let mut socket = Client::new(echo).websocket("/").connect().await.unwrap();
    socket.send_binary("hi").await;
    socket.receive_text().await;
}

#[tokio::test]
#[should_panic(
    expected = "the app closed the WebSocket with code 1000\nhistory of the WebSocket /:\n"
)]
async fn a_closed_websocket_has_no_text() {
    let (mut sender, mut receiver) = {
        let socket = Client::new(echo).websocket("/").connect().await.unwrap();
        socket.split()
    };
    sender.close(1_000, "");
    receiver.receive_text().await;
}

#[cfg(feature = "json")]
#[tokio::test]
async fn json_goes_both_ways() {
    let mut socket = Client::new(echo).websocket("/").connect().await.unwrap();
    socket.send_json(&("a", 1)).await;
    assert_eq!(
        socket.receive_json::<(String, u8)>().await,
        ("a".to_owned(), 1)
    );
    let (mut sender, mut receiver) = socket.split();
    sender.send_json(&[1, 2]).await;
    assert_eq!(receiver.receive_json::<Vec<u8>>().await, [1, 2]);
}

#[cfg(feature = "json")]
#[tokio::test]
#[should_panic(expected = "text \"[1,\"\nhistory of the WebSocket /:")]
async fn a_message_that_is_no_json_panics() {
    let mut socket = Client::new(echo).websocket("/").connect().await.unwrap();
    socket.send_text("[1,").await;
    socket.receive_json::<Vec<u8>>().await;
}
