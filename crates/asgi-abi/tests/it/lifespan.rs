//! A lifespan crosses the boundary; the app's state stays in the library.

use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use asgi::{
    AppError, LifespanScope, LifespanShutdown, LifespanShutdownComplete, LifespanStartup,
    LifespanStartupComplete, Receiver, Scope, SendError, SendEvent, Sender, State,
};

use crate::support::{Exchange, call_in, get, own_library};

struct Visits(AtomicU32);

async fn app(scope: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    match scope {
        Scope::Lifespan(_) => {
            receive.receive().await;
            let mut state = State::new();
            state.insert(Visits(AtomicU32::new(0)));
            send.send(LifespanStartupComplete::with_state(state))
                .await?;
            receive.receive().await;
            send.send(LifespanShutdownComplete::new()).await?;
        }
        Scope::Http(mut http) => {
            assert!(http.state.get::<&str>().is_none(), "each scope has a clone");
            http.state.insert("of this request");
            let visits = http.state.get::<Visits>().ok_or("no state")?;
            visits.0.fetch_add(1, Ordering::Relaxed);
            return Err(visits.0.load(Ordering::Relaxed).to_string().into());
        }
        _ => {}
    }
    Ok(())
}

/// ABI-033
#[test]
fn the_state_of_the_startup_reaches_each_later_scope() {
    let library = own_library();
    let request = || {
        let running = call_in(&library, app, get("/"), &Exchange::default());
        running.end().unwrap_err().to_string()
    };
    assert_eq!(request(), "no state");

    let server = Exchange::default();
    let mut lifespan = call_in(&library, app, LifespanScope::new(), &server);
    assert!(lifespan.poll().is_pending());
    server.push(LifespanStartup::new());
    assert!(lifespan.poll().is_pending());
    let complete = |event: &SendEvent| matches!(event, SendEvent::LifespanStartupComplete(complete) if complete.state.is_empty());
    assert!(server.lock().sent.iter().all(complete));

    assert_eq!(request(), "1");
    assert_eq!(request(), "2");

    server.push(LifespanShutdown::new());
    assert!(matches!(lifespan.poll(), Poll::Ready(Ok(()))));
    library.shutdown(Duration::from_secs(1));
}

#[test]
fn a_startup_that_the_server_refuses_does_not_change_the_state() {
    let library = own_library();
    let server = Exchange::of([LifespanStartup::new()]);
    server.lock().start_error = Some(SendError::over());
    let error = call_in(&library, app, LifespanScope::new(), &server)
        .end()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the app has returned, its exchange is over"
    );
    let error = call_in(&library, app, get("/"), &Exchange::default())
        .end()
        .unwrap_err();
    assert_eq!(error.to_string(), "no state");
    library.shutdown(Duration::from_secs(1));
}
