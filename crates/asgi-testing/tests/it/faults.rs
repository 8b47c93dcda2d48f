//! Apps that misbehave: each gives a failure that says what is wrong, with its history.

use std::panic::Location;
use std::time::Duration;

use asgi::{
    AppError, Extension, Extensions, HttpResponseBody, HttpResponsePush, HttpResponseStart,
    LifespanStartupComplete, ReceiveEvent, Receiver, Scope, Sender, WebSocketAccept, WebSocketSend,
};
use asgi_testing::{Broken, Client, Exchange, Fault, Response, Started, WebSocket};
use tokio::sync::oneshot;

/// The page that quotes these failures.
const PAGE: &str = include_str!("../../../../docs/testing-an-app.md");

const SHORT: Duration = Duration::from_millis(50);

/// Awaits something that must panic, and returns the text of the panic.
async fn failure<T: Send + 'static>(test: impl Future<Output = T> + Send + 'static) -> String {
    let joined = tokio::time::timeout(Duration::from_secs(20), tokio::spawn(test));
    let Err(error) = joined.await.expect("the client does not wait for the app") else {
        panic!("the test did not fail");
    };
    *error.into_panic().downcast::<String>().unwrap()
}

/// Replaces the times and the place of the test, which differ from run to run.
fn masked(text: &str) -> String {
    let lines = text.trim().lines().map(|line| {
        if line.contains("the test waits at ") {
            return String::from("  the test waits at HERE");
        }
        let words = line.split_inclusive(' ');
        let words = words.map(|word| match word.trim().parse::<f64>() {
            Ok(_) if word.contains('.') => "TIME ",
            _ => word,
        });
        words.collect::<String>().trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The page quotes this failure.
#[track_caller]
fn assert_quoted(failure: &str) {
    let failure = masked(failure);
    let quoted = PAGE
        .split("```text\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let quoted: Vec<String> = quoted.map(masked).collect();
    assert!(
        quoted.contains(&failure),
        "docs/testing-an-app.md does not quote\n{failure}\n--- it quotes\n{}",
        quoted.join("\n---\n")
    );
}

async fn get<A: asgi::App>(app: A) -> Result<Response, Broken> {
    Client::new(app).limit(SHORT).get("/").await
}

async fn never_answers(_: Scope, mut receive: Receiver, _: Sender) -> Result<(), AppError> {
    receive.body(1024).await?;
    std::future::pending().await
}

#[tokio::test]
async fn an_app_that_never_answers_is_reported_after_the_limit() {
    let failure = failure(get(never_answers)).await;
    assert!(failure.starts_with("the app is stuck: "), "{failure}");
    assert_quoted(&failure.replace("0.05 s", "10 s"));
}

async fn answers_twice(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
    send.respond(HttpResponseStart::ok(), "first").await?;
    // The app ignores the error.
    let _ = send.send(HttpResponseStart::ok()).await;
    Ok(())
}

#[tokio::test]
async fn an_app_that_answers_twice_is_reported() {
    let failure = failure(get(answers_twice)).await;
    assert!(failure.starts_with("the app broke a rule: "), "{failure}");
    assert_quoted(&failure);
}

async fn leaves_a_task(_: Scope, receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    tokio::spawn(async move {
        let _receive = receive;
        std::future::pending::<()>().await;
    });
    Ok(send.respond(HttpResponseStart::ok(), "").await?)
}

#[tokio::test]
async fn an_app_that_leaves_a_task_running_is_reported() {
    let failure = failure(get(leaves_a_task)).await;
    assert!(
        failure.starts_with("the app left a task running: "),
        "{failure}"
    );
    assert_quoted(&failure);
}

async fn sends_after_the_end(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
    send.send(HttpResponseStart::ok()).await?;
    send.send(HttpResponseBody::last("all")).await?;
    tokio::spawn(async move {
        tokio::task::yield_now().await;
        let _ = send.send(HttpResponseBody::last("more")).await;
    });
    Ok(())
}

#[tokio::test]
async fn an_app_that_sends_after_its_end_is_reported() {
    let failure = failure(get(sends_after_the_end)).await;
    assert!(failure.starts_with("the app broke a rule: "), "{failure}");
    assert_quoted(&failure);
}

async fn panics(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
    send.send(HttpResponseStart::ok()).await?;
    let numbers: Vec<u8> = Vec::new();
    let number = numbers.first().expect("there is a number");
    Ok(send.send(HttpResponseBody::last(vec![*number])).await?)
}

#[tokio::test]
async fn an_app_that_panics_is_reported() {
    let failure = failure(get(panics)).await;
    assert!(failure.starts_with("the app panicked: "), "{failure}");
    assert_quoted(&failure);
}

#[tokio::test]
async fn a_panic_with_several_lines_is_one_line_of_the_history() {
    async fn app(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        assert_eq!(1, 2, "of three");
        Ok(())
    }
    let failure = failure(get(app)).await;
    let expected = "app     panics: assertion `left == right` failed: of three left: 1 right: 2\n";
    assert!(failure.contains(expected), "{failure}");
}

#[tokio::test]
async fn an_app_that_fails_after_its_response_is_reported() {
    async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        send.respond(HttpResponseStart::ok(), "all").await?;
        Err("out of order".into())
    }
    let failure = failure(get(app)).await;
    let expected = "the app failed after its response: out of order\n";
    assert!(failure.starts_with(expected), "{failure}");
}

#[tokio::test]
async fn a_client_that_allows_faults_returns_what_the_client_saw() {
    async fn twice(client: Client) -> Response {
        client.allow_faults().get("/").await.unwrap()
    }
    assert_eq!(twice(Client::new(answers_twice)).await.text(), "first");
    assert_eq!(twice(Client::new(leaves_a_task)).await.text(), "");
    assert_eq!(twice(Client::new(sends_after_the_end)).await.text(), "all");
    let response = twice(Client::new(panics)).await;
    assert_eq!(response.status(), 500);
    assert_eq!(response.fault(), Some(Fault::Panicked));
    let events = response.history().events();
    assert_eq!(
        events,
        [
            "client sends GET / HTTP/1.1",
            "app sends http.response.start: 200",
            "app panics: there is a number",
            "client receives 500 from the server",
        ]
    );
}

#[tokio::test]
async fn the_failure_names_the_line_of_the_test() {
    let here = Location::caller();
    let failure = failure(async { Client::new(panics).get("/").await }).await;
    let expected = format!("the test waits at {}:{}:", here.file(), here.line() + 1);
    assert!(failure.contains(&expected), "{failure}\n{expected}");
}

/// Awaits a step of something that never comes. The failure must name the line of the step.
macro_rules! assert_named {
    ($start:expr, $value:ident => $step:expr) => {{
        let failure = failure(async {
            #[allow(unused_mut, reason = "some steps consume the value")]
            let mut $value = $start.await;
            let _ = $step.await;
        });
        let failure = failure.await;
        let expected = format!("the test waits at {}:{}:", file!(), line!());
        assert!(failure.contains(&expected), "{failure}\n{expected}");
    }};
}

#[tokio::test]
async fn each_step_names_its_own_line() {
    /// Accepts a WebSocket, and never does anything else.
    async fn app(scope: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        match scope {
            Scope::WebSocket(_) => send.send(WebSocketAccept::new()).await?,
            Scope::Lifespan(_) => send.send(LifespanStartupComplete::new()).await?,
            _ => {}
        }
        std::future::pending().await
    }
    async fn exchange() -> Exchange {
        Client::new(app).limit(SHORT).get("/").start()
    }
    async fn socket() -> WebSocket {
        let client = Client::new(app).limit(SHORT);
        client.websocket("/").connect().await.unwrap()
    }
    async fn client() -> Client {
        async fn app(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
            std::future::pending().await
        }
        Client::new(app).limit(SHORT)
    }
    async fn started() -> Started {
        Client::new(app).limit(SHORT).startup().await.unwrap()
    }
    assert_named!(exchange(), exchange => exchange.head());
    assert_named!(exchange(), exchange => exchange.data());
    assert_named!(exchange(), exchange => exchange.parts(1));
    assert_named!(exchange(), exchange => exchange.next_event());
    assert_named!(exchange(), exchange => exchange.until_app_waits());
    assert_named!(exchange(), exchange => exchange.finish());
    assert_named!(socket(), socket => socket.receive());
    assert_named!(socket(), socket => socket.finish());
    assert_named!(socket(), socket => socket.close(1_000, ""));
    assert_named!(socket(), socket => socket.lose());
    assert_named!(client(), client => client.get("/").send());
    assert_named!(client(), client => client.get("/"));
    assert_named!(client(), client => client.websocket("/").connect());
    assert_named!(client(), client => client.startup());
    assert_named!(started(), started => started.shutdown());
}

#[tokio::test]
async fn a_fault_of_a_pushed_request_is_reported() {
    async fn app(scope: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        if scope.path().unwrap() == "/pushed" {
            send.respond(HttpResponseStart::ok(), "pushed").await?;
            return Err("out of order".into());
        }
        send.send(HttpResponsePush::new("/pushed".parse()?)).await?;
        Ok(send.respond(HttpResponseStart::ok(), "page").await?)
    }
    let client = Client::new(app).extensions(Extensions::new().with(Extension::Push));
    let failure = failure(async move { client.get("/").await }).await;
    let expected = "the app failed after its response: out of order\n";
    assert!(failure.starts_with(expected), "{failure}");
    assert!(
        failure.contains("history of the pushed GET /pushed:"),
        "{failure}"
    );
}

/// Each event starts the time anew.
#[tokio::test]
async fn an_app_that_makes_progress_is_not_stuck() {
    async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        send.send(HttpResponseStart::ok()).await?;
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(40)).await;
            send.send(HttpResponseBody::more("x")).await?;
        }
        Ok(send.send(HttpResponseBody::last("")).await?)
    }
    let client = Client::new(app).limit(Duration::from_millis(200));
    assert_eq!(client.get("/").await.unwrap().text(), "xxxxxxxxxx");
}

/// The clock of tokio moves on by itself while the test is idle: an hour takes no time.
#[tokio::test(start_paused = true)]
async fn the_limit_is_real_time_if_the_clock_is_paused() {
    async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        Ok(send.respond(HttpResponseStart::ok(), "late").await?)
    }
    let began = tokio::time::Instant::now();
    let response = Client::new(app).get("/").await.unwrap();
    assert_eq!(response.text(), "late");
    assert_eq!(began.elapsed().as_secs(), 3_600);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_app_is_reported_if_the_clock_is_paused() {
    let client = Client::new(never_answers).limit(SHORT);
    let joined = tokio::spawn(async move { client.get("/").await });
    let failure = joined.await.unwrap_err().into_panic();
    let failure = failure.downcast::<String>().unwrap();
    assert!(failure.starts_with("the app is stuck: "), "{failure}");
}

/// The task learns that the exchange is over, and has the time to end.
#[tokio::test]
async fn a_task_that_ends_with_its_exchange_is_not_left_running() {
    async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        let closed = send.closed_handle();
        tokio::spawn(async move {
            closed.await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        });
        Ok(send.respond(HttpResponseStart::ok(), "").await?)
    }
    Client::new(app).get("/").await.unwrap();
}

/// The client has left, so a last `send` in another task is no fault.
#[tokio::test]
async fn a_send_that_comes_late_because_the_client_left_is_no_fault() {
    async fn app(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
        receive.receive().await;
        send.send(WebSocketAccept::new()).await?;
        let (returned, wait) = oneshot::channel::<()>();
        tokio::spawn(async move {
            assert!(wait.await.is_err());
            let late = send.send(WebSocketSend::text("late")).await;
            assert!(late.unwrap_err().is_over());
        });
        receive.receive().await;
        // The other task goes on when this is dropped, after the app has returned.
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            drop(returned);
        });
        Ok(())
    }
    let socket = Client::new(app).websocket("/").connect().await.unwrap();
    socket.close(1_000, "").await.unwrap();
    // If the app itself ends, the same is a fault.
    let failure = failure(async {
        let mut socket = Client::new(app).websocket("/").connect().await.unwrap();
        socket.send_text("end").await;
        socket.finish().await
    });
    let failure = failure.await;
    let expected =
        "the app broke a rule: a task of it sent websocket.send after the app had returned";
    assert!(failure.starts_with(expected), "{failure}");
}

#[tokio::test]
async fn a_startup_that_never_completes_is_reported() {
    async fn app(_: Scope, mut receive: Receiver, _: Sender) -> Result<(), AppError> {
        receive.receive().await;
        receive.receive().await;
        Ok(())
    }
    let failure = failure(async { Client::new(app).limit(SHORT).startup().await }).await;
    let expected = "the app is stuck: after 0.05 s, the test still waits for the startup, \
         and the app waits in `receive`\n";
    assert!(failure.starts_with(expected), "{failure}");
    assert!(failure.contains("receives lifespan.startup"), "{failure}");
}

#[tokio::test]
async fn a_websocket_without_an_answer_is_reported() {
    async fn app(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
        receive.receive().await;
        send.send(WebSocketAccept::new()).await?;
        loop {
            if let ReceiveEvent::WebSocketDisconnect(_) = receive.receive().await {
                return Ok(());
            }
        }
    }
    let failure = failure(async {
        let client = Client::new(app).limit(SHORT);
        let mut socket = client.websocket("/room").connect().await.unwrap();
        socket.send_text("hello").await;
        socket.receive().await
    })
    .await;
    for expected in [
        "for a message, and the app waits in `receive`",
        "history of the WebSocket /room:",
        "client  sends text \"hello\"",
        "app     receives websocket.receive: text \"hello\"",
    ] {
        assert!(failure.contains(expected), "{failure}");
    }
}

#[tokio::test]
async fn a_websocket_that_breaks_a_rule_is_reported() {
    async fn app(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
        receive.receive().await;
        send.send(WebSocketAccept::new()).await?;
        let _ = send.send(WebSocketAccept::new()).await;
        send.send(WebSocketSend::text("a")).await?;
        Ok(())
    }
    let failure = failure(async {
        let socket = Client::new(app).websocket("/").connect().await.unwrap();
        socket.finish().await
    })
    .await;
    assert!(failure.starts_with("the app broke a rule: "), "{failure}");
}

#[tokio::test]
async fn a_failed_unwrap_prints_the_history() {
    async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        send.send(HttpResponseStart::ok()).await?;
        send.send(HttpResponseBody::more("half")).await?;
        Err("no disk".into())
    }
    let broken = get(app).await.unwrap_err();
    assert_eq!(
        masked(&format!("{broken:?}")),
        "the app stopped its response after 4 bytes: the app failed: no disk
history of GET /:
  1  TIME s  client  sends GET / HTTP/1.1
  2  TIME s  app     sends http.response.start: 200
  3  TIME s  app     sends http.response.body: 4 bytes \"half\", more follows
  4  TIME s  app     returns an error: no disk
  5  TIME s  client  receives the head: 200, and 4 bytes \"half\"
  6  TIME s  client  sees that the response breaks off"
    );
}

#[tokio::test]
async fn a_history_shortens_bodies_and_counts_what_repeats() {
    async fn app(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
        receive.body(1_000_000).await?;
        send.respond(HttpResponseStart::ok(), "ä".repeat(10_000))
            .await?;
        for _ in 0..1_000 {
            receive.receive().await;
        }
        Ok(())
    }
    let client = Client::new(app);
    let response = client.post("/").body("x".repeat(10_000)).await.unwrap();
    let history = response.history().to_string();
    assert!(history.len() < 2_000, "{history}");
    assert!(history.contains("20000 bytes \"ää"), "{history}");
    let expected = "receives http.disconnect: the exchange is over (1000 times)";
    assert!(history.contains(expected), "{history}");
}

#[tokio::test]
async fn a_long_history_keeps_its_beginning_and_its_end() {
    async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        send.send(HttpResponseStart::ok()).await?;
        for number in 0..2_000 {
            send.send(HttpResponseBody::more(number.to_string()))
                .await?;
        }
        Ok(send.send(HttpResponseBody::last("")).await?)
    }
    let response = Client::new(app).get("/").await.unwrap();
    let history = response.history().to_string();
    assert_eq!(history.lines().count(), 1_002, "{history}");
    assert!(history.contains("lines are left out"), "{history}");
    assert!(history.contains("   1  0."), "{history}");
    assert!(history.ends_with("app     returns") || history.contains("receives the end: 0 bytes"));
}

/// A task that has a half while the app runs is none that was left.
#[tokio::test]
async fn a_task_may_have_a_half_while_the_app_runs() {
    let (go, wait) = oneshot::channel::<()>();
    let wait = std::sync::Mutex::new(Some(wait));
    let app = move |_: Scope, receive: Receiver, mut send: Sender| {
        let wait = wait.lock().unwrap().take().unwrap();
        async move {
            let task = tokio::spawn(async move {
                let _receive = receive;
                wait.await
            });
            send.respond(HttpResponseStart::ok(), "").await?;
            task.await??;
            Ok(())
        }
    };
    let mut exchange = Client::new(app).get("/").start();
    exchange.head().await;
    go.send(()).unwrap();
    exchange.finish().await.unwrap();
}

/// A thread that an app blocks cannot be ended. The report goes to the standard error at once, so this
/// runs the test below in a process of its own.
#[test]
fn an_app_that_blocks_its_thread_is_reported_while_it_does() {
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new(program)
        .args([
            "--ignored",
            "--exact",
            "faults::an_app_that_blocks_its_thread",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let expected =
        "the app has blocked its thread for 0.05 s, and still does\n  the test waits at ";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("app     receives http.request"), "{text}");
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
#[ignore = "the test above runs it"]
async fn an_app_that_blocks_its_thread() {
    async fn app(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
        receive.body(10).await?;
        std::thread::sleep(Duration::from_millis(500));
        Ok(send.respond(HttpResponseStart::ok(), "").await?)
    }
    get(app).await.unwrap();
}
