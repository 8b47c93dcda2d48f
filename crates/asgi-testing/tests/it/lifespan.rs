//! Startup and shutdown.

use std::sync::{Arc, Mutex};

use asgi::{
    AppError, HttpResponseBody, HttpResponseStart, LifespanShutdownComplete,
    LifespanShutdownFailed, LifespanStartupComplete, LifespanStartupFailed, ReceiveEvent, Receiver,
    Scope, Sender, State,
};
use asgi_testing::Client;
use tokio::sync::mpsc;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn put(&self, line: &'static str) {
        self.0.lock().unwrap().push(line);
    }
}

/// CORE-022
#[tokio::test]
async fn each_scope_of_a_started_client_has_the_state_that_the_app_made() {
    let log = Log::default();
    let client = Client::new({
        let log = log.clone();
        move |scope: Scope, mut receive: Receiver, mut send: Sender| {
            let log = log.clone();
            async move {
                match scope {
                    Scope::Lifespan(_) => {
                        assert!(matches!(
                            receive.receive().await,
                            ReceiveEvent::LifespanStartup(_)
                        ));
                        log.put("startup");
                        let mut state = State::new();
                        state.insert(7_u8);
                        send.send(LifespanStartupComplete::with_state(state))
                            .await?;
                        for _ in 0..2 {
                            let event = receive.receive().await;
                            assert!(matches!(event, ReceiveEvent::LifespanShutdown(_)));
                        }
                        log.put("shutdown");
                        send.send(LifespanShutdownComplete::new()).await?;
                    }
                    Scope::Http(http) => {
                        log.put("request");
                        let seven = http.state.get::<u8>().unwrap();
                        send.send(HttpResponseStart::ok()).await?;
                        send.send(HttpResponseBody::last(seven.to_string())).await?;
                    }
                    other => return Err(AppError::unsupported(&other)),
                }
                Ok(())
            }
        }
    });
    let client = client.startup().await.unwrap();
    assert_eq!(client.get("/").await.unwrap().text(), "7");
    client.shutdown().await.unwrap();
    assert_eq!(*log.0.lock().unwrap(), ["startup", "request", "shutdown"]);
}

/// LIFE-002
#[tokio::test]
async fn the_lifespan_runs_while_requests_run() {
    let client = Client::new(
        async |scope: Scope, mut receive: Receiver, mut send: Sender| {
            match scope {
                Scope::Lifespan(_) => {
                    // The lifespan answers questions from the requests.
                    let (asked, mut questions) = mpsc::channel::<mpsc::Sender<&'static str>>(1);
                    let mut state = State::new();
                    state.insert(asked);
                    receive.receive().await;
                    send.send(LifespanStartupComplete::with_state(state))
                        .await?;
                    while let Some(answer) = questions.recv().await {
                        answer.send("from the lifespan").await?;
                    }
                }
                Scope::Http(http) => {
                    let (answer, mut answers) = mpsc::channel(1);
                    let lifespan = http.state.get::<mpsc::Sender<mpsc::Sender<&'static str>>>();
                    lifespan.unwrap().send(answer).await?;
                    let body = answers.recv().await.unwrap();
                    send.send(HttpResponseStart::ok()).await?;
                    send.send(HttpResponseBody::last(body)).await?;
                }
                other => return Err(AppError::unsupported(&other)),
            }
            Ok::<_, AppError>(())
        },
    );
    let client = client.startup().await.unwrap();
    let response = client.get("/").await.unwrap();
    assert_eq!(response.text(), "from the lifespan");
}

#[tokio::test]
async fn an_app_without_a_lifespan_works() {
    let client = Client::new(async |scope: Scope, _: Receiver, mut send: Sender| {
        if !matches!(scope, Scope::Http(_)) {
            return Err(AppError::unsupported(&scope));
        }
        send.send(HttpResponseStart::ok()).await?;
        send.send(HttpResponseBody::last("")).await?;
        Ok(())
    });
    let client = client.startup().await.unwrap();
    assert_eq!(client.get("/").await.unwrap().status(), 200);
    client.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_error_of_a_refused_startup_has_the_apps_message() {
    let client = Client::new(async |_: Scope, mut receive: Receiver, mut send: Sender| {
        receive.receive().await;
        send.send(LifespanStartupFailed::new("no database")).await?;
        Ok::<_, AppError>(())
    });
    let error = client.startup().await.unwrap_err();
    assert_eq!(error.message(), "no database");
    assert_eq!(error.to_string(), "the app did not start: no database");
}

#[tokio::test]
async fn an_app_that_fails_before_it_is_ready_is_an_error() {
    let client = Client::new(async |_: Scope, _: Receiver, _: Sender| {
        Err::<(), AppError>("no database".into())
    });
    let error = client.startup().await.unwrap_err();
    assert_eq!(error.app_error().unwrap().to_string(), "no database");
}

#[tokio::test]
async fn the_error_of_a_failed_shutdown_has_the_apps_message() {
    let client = Client::new(async |_: Scope, mut receive: Receiver, mut send: Sender| {
        receive.receive().await;
        send.send(LifespanStartupComplete::new()).await?;
        receive.receive().await;
        send.send(LifespanShutdownFailed::new("still busy")).await?;
        Ok::<_, AppError>(())
    });
    let client = client.startup().await.unwrap();
    let error = client.shutdown().await.unwrap_err();
    assert_eq!(error.message(), "still busy");
}

#[tokio::test]
async fn another_task_of_the_app_can_complete_the_startup() {
    let client = Client::new(async |_: Scope, mut receive: Receiver, mut send: Sender| {
        receive.receive().await;
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            send.send(LifespanStartupComplete::new()).await.unwrap();
        });
        std::future::pending::<Result<(), AppError>>().await
    });
    client.startup().await.unwrap();
}

#[tokio::test]
async fn an_app_may_return_right_after_it_is_ready() {
    let client = Client::new(
        async |scope: Scope, _: Receiver, mut send: Sender| match scope {
            Scope::Lifespan(_) => {
                let mut state = State::new();
                state.insert(7_u8);
                send.send(LifespanStartupComplete::with_state(state))
                    .await?;
                Ok(())
            }
            Scope::Http(http) => {
                let seven = http.state.get::<u8>().unwrap();
                send.send(HttpResponseStart::ok()).await?;
                send.send(HttpResponseBody::last(seven.to_string())).await?;
                Ok(())
            }
            other => Err(AppError::unsupported(&other)),
        },
    );
    let client = client.startup().await.unwrap();
    assert_eq!(client.get("/").await.unwrap().text(), "7");
    client.shutdown().await.unwrap();
}
