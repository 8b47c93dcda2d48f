//! How a server starts and stops: its app's lifespan, the drain and the graceful timeout.

use std::error::Error as _;
use std::time::Duration;

use asgi::{
    AppError, LifespanShutdownComplete, LifespanShutdownFailed, LifespanStartupComplete,
    LifespanStartupFailed, ReceiveEvent, Receiver, Sender, State,
};
use ferricorn::Config;
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::Instant;

use test_support::app::{Dropped, channel, gated, hello};
use test_support::{Http, Server, WithLifespan, eventually, http_with, logs, run, within};

#[test]
fn a_drain_waits_for_running_exchanges_and_then_closes() {
    run(async {
        let (go, app) = gated();
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client.get("/").await;
        server.wait_for_exchanges(1).await;
        server.handle().drain();
        go.send(true).unwrap();
        let response = client.expect_response(200).await;
        assert_eq!(response.body, "finished");
        assert!(response.head.connection_has("close"), "{response:#?}");
        client.expect_eof().await;
        server.ended().await.unwrap();
    });
}

#[test]
fn a_drain_refuses_new_connections_while_open_ones_finish() {
    run(async {
        let (go, app) = gated();
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client.get("/").await;
        server.wait_for_exchanges(1).await;
        server.handle().drain();
        let began = Instant::now();
        loop {
            // A connection may still succeed before the listener is closed.
            let connecting = TcpStream::connect(server.address());
            match tokio::time::timeout(Duration::from_millis(500), connecting).await {
                Ok(Err(error)) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
                    break;
                }
                _ => assert!(began.elapsed() < Duration::from_secs(5), "still accepted"),
            }
        }
        go.send(true).unwrap();
        assert_eq!(client.expect_response(200).await.body, "finished");
        server.ended().await.unwrap();
    });
}

#[test]
fn a_drain_closes_idle_connections_soon() {
    run(async {
        let server = Server::start(hello()).await;
        let mut used = server.connect().await;
        used.get("/").await;
        used.expect_response(200).await;
        let mut unused = server.connect().await;
        server.wait_for_connections(2).await;
        let began = Instant::now();
        server.handle().drain();
        used.expect_eof().await;
        unused.expect_eof().await;
        server.ended().await.unwrap();
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
    });
}

/// For its client, the connection is idle.
#[test]
fn a_drain_closes_a_connection_whose_app_runs_on_after_its_response() {
    run(async {
        let (go, gate) = watch::channel(false);
        let app = http_with(gate, async |mut gate, mut http: Http| {
            http.respond("").await?;
            gate.wait_for(|open| *open).await?;
            Ok(())
        });
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client.get("/").await;
        client.expect_response(200).await;
        server.handle().drain();
        client.expect_eof().await;
        go.send(true).unwrap();
        server.ended().await.unwrap();
    });
}

/// A client that sends a request before it can know of the drain must not get a reset.
#[test]
fn a_request_that_crosses_the_drain_is_served() {
    run(async {
        let server = Server::start(hello()).await;
        let mut client = server.connect().await;
        client.get("/").await;
        client.expect_response(200).await;
        server.handle().drain();
        client.get("/").await;
        let response = client.expect_response(200).await;
        assert_eq!(response.body, "hello");
        assert!(response.head.connection_has("close"), "{response:#?}");
        client.expect_eof().await;
        server.ended().await.unwrap();
    });
}

#[test]
fn a_connection_in_the_backlog_when_the_drain_begins_is_served() {
    run(async {
        let server = Server::start(hello()).await;
        // There is no await in between, so the server drains before it can accept.
        let stream = std::net::TcpStream::connect(server.address()).unwrap();
        server.handle().drain();
        stream.set_nonblocking(true).unwrap();
        let mut client = test_support::Client::tcp(TcpStream::from_std(stream).unwrap());
        client.get("/").await;
        assert_eq!(client.expect_response(200).await.body, "hello");
        client.expect_eof().await;
        server.ended().await.unwrap();
    });
}

/// HTTP-048
#[test]
fn the_graceful_timeout_ends_running_exchanges() {
    run(async {
        let (report, mut dropped) = channel();
        let mut config = Config::default();
        config.graceful_timeout = Some(Duration::from_millis(300));
        let app = http_with(report, async |report, mut http: Http| {
            let _dropped = Dropped::new(report, ());
            http.begin().await?;
            http.more("half").await?;
            std::future::pending().await
        });
        let server = Server::start_with(config, app).await;
        let mut client = server.connect().await;
        client.get("/").await;
        client.expect_head(200).await;
        assert_eq!(client.read_chunk().await.unwrap(), "half");
        let began = Instant::now();
        server.handle().drain();
        // No last chunk.
        client.expect_end().await;
        assert!(
            began.elapsed() >= Duration::from_millis(250),
            "{:?}",
            began.elapsed()
        );
        within("the app to be dropped", dropped.recv())
            .await
            .unwrap();
        server.ended().await.unwrap();
    });
}

/// HTTP-084
#[test]
fn the_graceful_timeout_ends_detached_apps_too() {
    run(async {
        let mut config = Config::default();
        config.graceful_timeout = Some(Duration::from_millis(300));
        config.disconnect_grace = None;
        let (report, mut dropped) = channel();
        let app = http_with(report, async |report, _: Http| {
            let _dropped = Dropped::new(report, ());
            std::future::pending().await
        });
        let server = Server::start_with(config, app).await;
        let handle = server.handle();
        let mut client = server.connect().await;
        client.get("/").await;
        server.wait_for_exchanges(1).await;
        client.reset();
        eventually("the app is detached", || handle.statistics().detached == 1).await;
        handle.drain();
        server.ended().await.unwrap();
        within("the app to be dropped", dropped.recv())
            .await
            .unwrap();
    });
}

#[test]
fn an_abort_ends_at_once_and_skips_the_shutdown() {
    run(async {
        let (report, mut received) = channel();
        let app = WithLifespan {
            lifespan: lifespan(report.clone()),
            http: http_with(report, async |report, _: Http| {
                let _dropped = Dropped::new(report, "app dropped");
                std::future::pending().await
            }),
        };
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client.get("/").await;
        server.wait_for_exchanges(1).await;
        server.handle().abort();
        let error = server.ended().await.unwrap_err();
        assert!(error.is_aborted(), "{error}");
        client.expect_end().await;
        assert_eq!(received.recv().await, Some("startup"));
        assert_eq!(
            within("the app", received.recv()).await,
            Some("app dropped")
        );
        // The app is dropped and has sent no more reports.
        assert_eq!(within("the end of the app", received.recv()).await, None);
    });
}

/// A lifespan that reports its steps.
fn lifespan(
    report: UnboundedSender<&'static str>,
) -> impl Fn(Receiver, Sender) -> asgi::AppFuture<'static> + Send + Sync {
    move |mut receive, mut send| {
        let report = report.clone();
        Box::pin(async move {
            let ReceiveEvent::LifespanStartup(_) = receive.receive().await else {
                return Err("expected the startup".into());
            };
            report.send("startup")?;
            let mut state = State::new();
            state.insert(String::from("from the startup"));
            send.send(LifespanStartupComplete::with_state(state))
                .await?;
            let ReceiveEvent::LifespanShutdown(_) = receive.receive().await else {
                return Err("expected the shutdown".into());
            };
            report.send("shutdown")?;
            send.send(LifespanShutdownComplete::new()).await?;
            Ok(())
        })
    }
}

/// LIFE-001, LIFE-004, LIFE-012, CORE §6
#[test]
fn the_app_starts_before_the_first_request_and_stops_after_the_last() {
    run(async {
        let (report, mut received) = channel();
        let app = WithLifespan {
            lifespan: lifespan(report.clone()),
            http: http_with(report, async |report, mut http: Http| {
                let state = http.scope.state.get::<String>().ok_or("no state")?;
                report.send("request")?;
                http.respond((*state).clone()).await
            }),
        };
        let server = Server::start(app).await;
        for _ in 0..2 {
            let mut client = server.connect().await;
            client.get("/").await;
            assert_eq!(client.expect_response(200).await.body, "from the startup");
        }
        server.stop().await;
        let mut lines = Vec::new();
        while let Some(line) = received.recv().await {
            lines.push(line);
        }
        assert_eq!(lines, ["startup", "request", "request", "shutdown"]);
    });
}

/// LIFE-012
#[test]
fn the_shutdown_waits_for_the_last_exchange() {
    run(async {
        let (report, mut received) = channel();
        let (go, gate) = watch::channel(false);
        let app = WithLifespan {
            lifespan: lifespan(report.clone()),
            http: http_with(
                (report, gate),
                async |(report, mut gate), mut http: Http| {
                    http.respond("").await?;
                    // The client has its response, but the app has not ended.
                    gate.wait_for(|open| *open).await?;
                    report.send("last of a request")?;
                    Ok(())
                },
            ),
        };
        let server = Server::start(app).await;
        let mut client = server.connect().await;
        client.get("/").await;
        client.expect_response(200).await;
        server.handle().drain();
        drop(client);
        assert_eq!(received.recv().await, Some("startup"));
        go.send(true).unwrap();
        assert_eq!(
            within("the app", received.recv()).await,
            Some("last of a request")
        );
        assert_eq!(within("the app", received.recv()).await, Some("shutdown"));
        server.ended().await.unwrap();
    });
}

/// LIFE-003
#[test]
fn no_request_is_served_before_the_startup_is_complete() {
    run(async {
        let (go, gate) = watch::channel(false);
        let app = WithLifespan {
            lifespan: move |mut receive: Receiver, mut send: Sender| {
                let mut gate = gate.clone();
                async move {
                    receive.receive().await;
                    gate.wait_for(|open| *open).await?;
                    send.send(LifespanStartupComplete::new()).await?;
                    receive.receive().await;
                    Ok(())
                }
            },
            http: hello(),
        };
        let server = Server::start_unready(Config::default(), app);
        let mut client = server.connect().await;
        client.get("/").await;
        client.expect_silence(Duration::from_millis(200)).await;
        assert_eq!(server.handle().statistics().connections, 0);
        go.send(true).unwrap();
        assert!(within("the server to be ready", server.handle().ready()).await);
        assert_eq!(client.expect_response(200).await.body, "hello");
        // LIFE-015: the app returns without an answer to the shutdown.
        drop(client);
        server.stop().await;
    });
}

/// LIFE-009
#[test]
fn an_app_without_lifespan_support_is_served() {
    run(async {
        // An app of `http` returns the error `unsupported` for a lifespan.
        for returns in [false, true] {
            let server = if returns {
                let lifespan = async |_: Receiver, _: Sender| Ok(());
                Server::start(WithLifespan {
                    lifespan,
                    http: hello(),
                })
                .await
            } else {
                Server::start(hello()).await
            };
            let mut client = server.connect().await;
            client.get("/").await;
            client.expect_response(200).await;
            drop(client);
            server.stop().await;
        }
    });
}

/// Starts a server with this lifespan and returns its error.
async fn startup_error<L, Fut>(config: Config, lifespan: L) -> ferricorn::ServeError
where
    L: Fn(Receiver, Sender) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), AppError>> + Send,
{
    let app = WithLifespan {
        lifespan,
        http: hello(),
    };
    let server = Server::start_unready(config, app);
    let handle = server.handle();
    let error = server.ended().await.unwrap_err();
    assert!(
        !within("the end of the startup", handle.ready()).await,
        "the server was ready"
    );
    error
}

/// LIFE-006, LIFE-008
#[test]
fn a_failed_startup_ends_the_server_with_the_apps_message() {
    run(async {
        let error = startup_error(
            Config::default(),
            async |mut receive: Receiver, mut send: Sender| {
                receive.receive().await;
                send.send(LifespanStartupFailed::new("no database at db:5432"))
                    .await?;
                Err("and so I return".into())
            },
        )
        .await;
        assert!(error.is_startup());
        assert!(
            error.to_string().contains("no database at db:5432"),
            "{error}"
        );
    });
}

/// LIFE-010
#[test]
fn an_app_that_fails_before_it_is_ready_ends_the_server_with_its_error() {
    run(async {
        let error = startup_error(Config::default(), async |_: Receiver, _: Sender| {
            Err("no database at db:5432".into())
        })
        .await;
        assert!(error.is_startup());
        let source = error.source().expect("the app's error").to_string();
        assert!(source.contains("no database at db:5432"), "{source}");
    });
}

/// LIFE-010
#[test]
fn an_app_that_panics_before_it_is_ready_ends_the_server() {
    run(async {
        async fn lifespan(_: Receiver, _: Sender) -> Result<(), AppError> {
            panic!("the app's message")
        }
        let error = startup_error(Config::default(), lifespan).await;
        assert!(error.is_startup());
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "it panicked: the app's message");
    });
}

/// LIFE-007
#[test]
fn a_startup_that_takes_too_long_ends_the_server() {
    run(async {
        let mut config = Config::default();
        config.startup_timeout = Some(Duration::from_millis(200));
        let error = startup_error(config, async |_: Receiver, _: Sender| {
            std::future::pending().await
        })
        .await;
        assert!(error.is_startup());
        assert!(error.to_string().contains("200ms"), "{error}");
    });
}

#[test]
fn a_drain_during_the_startup_ends_the_server() {
    run(async {
        let lifespan = async |_: Receiver, _: Sender| std::future::pending().await;
        let app = WithLifespan {
            lifespan,
            http: hello(),
        };
        let server = Server::start_unready(Config::default(), app);
        tokio::task::yield_now().await;
        server.stop().await;
    });
}

/// LIFE-011
#[test]
fn an_app_whose_lifespan_ends_early_is_still_served() {
    run(async {
        for fails in [false, true] {
            let (ended, mut received) = channel();
            let lifespan = move |mut receive: Receiver, mut send: Sender| {
                let ended = ended.clone();
                async move {
                    receive.receive().await;
                    send.send(LifespanStartupComplete::new()).await?;
                    let _dropped = Dropped::new(ended, ());
                    match fails {
                        true => Err("the ticker broke".into()),
                        false => Ok(()),
                    }
                }
            };
            let server = Server::start(WithLifespan {
                lifespan,
                http: hello(),
            })
            .await;
            within("the end of the lifespan", received.recv())
                .await
                .unwrap();
            let mut client = server.connect().await;
            client.get("/").await;
            client.expect_response(200).await;
            drop(client);
            server.stop().await;
            if fails {
                logs::expect_error(&["the ticker broke"]);
            }
        }
    });
}

/// Starts and stops a server whose app answers the shutdown with `answer`.
async fn shutdown_result<F, Fut>(config: Config, answer: F) -> Result<(), ferricorn::ServeError>
where
    F: Fn(Sender) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), AppError>> + Send,
{
    let lifespan = move |mut receive: Receiver, mut send: Sender| {
        let answer = answer.clone();
        async move {
            receive.receive().await;
            send.send(LifespanStartupComplete::new()).await?;
            receive.receive().await;
            answer(send).await
        }
    };
    let server = Server::start_with(
        config,
        WithLifespan {
            lifespan,
            http: hello(),
        },
    )
    .await;
    server.handle().drain();
    server.ended().await
}

/// LIFE-014
#[test]
fn a_failed_shutdown_ends_the_server_with_the_apps_message() {
    run(async {
        let result = shutdown_result(Config::default(), async |mut send: Sender| {
            send.send(LifespanShutdownFailed::new("the queue is not empty"))
                .await?;
            Ok(())
        })
        .await;
        let error = result.unwrap_err();
        assert!(error.is_shutdown());
        assert!(
            error.to_string().contains("the queue is not empty"),
            "{error}"
        );
    });
}

/// LIFE-016
#[test]
fn an_error_during_the_shutdown_is_an_error_of_the_server() {
    run(async {
        let result = shutdown_result(Config::default(), async |_: Sender| {
            Err("the queue is not empty".into())
        })
        .await;
        let error = result.unwrap_err();
        assert!(error.is_shutdown());
        // The caller of the server reports it. The server does not log it.
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "the queue is not empty");
    });
}

/// LIFE-013
#[test]
fn a_shutdown_that_takes_too_long_is_abandoned() {
    run(async {
        let mut config = Config::default();
        config.shutdown_timeout = Some(Duration::from_millis(200));
        let result = shutdown_result(config, async |_: Sender| std::future::pending().await).await;
        let error = result.unwrap_err();
        assert!(error.is_shutdown());
        assert!(error.to_string().contains("200ms"), "{error}");
    });
}
