//! The app's own runtime: tasks that it spawns, and halves that it uses outside of the call.

use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::ThreadId;
use std::time::Duration;

use asgi::{
    AppError, DynApp, HttpRequest, HttpResponseBody, HttpResponseStart, ReceiveEvent, Receiver,
    Scope, SendError, Sender,
};
use asgi_abi::{Library, LoadOptions, abi};
use tokio::net::TcpListener;

use crate::support::{Exchange, call, call_in, eventually, get, library, own_library, run, start};

#[test]
fn tokio_works_on_a_thread_without_a_runtime() {
    async fn app(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        assert_eq!(tokio::spawn(async { 1 }).await?, 1);
        tokio::time::sleep(Duration::from_millis(2)).await;
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        assert_eq!(tokio::task::spawn_blocking(|| 2).await?, 2);
        Ok(())
    }
    run(app, get("/"), &Exchange::default()).unwrap();
}

// The server has another runtime, perhaps with a single thread.
#[test]
fn a_call_may_be_polled_in_another_runtime() {
    async fn app(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        let name = tokio::spawn(async { std::thread::current().name().map(str::to_owned) }).await?;
        assert_eq!(name.as_deref(), Some("app"));
        Ok(())
    }
    let server = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let running = call(app, get("/"), &Exchange::default());
    server.block_on(running.0).unwrap();
}

#[test]
fn both_halves_may_be_used_from_other_tasks() {
    async fn app(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
        let (give, mut take) = tokio::sync::mpsc::channel(1);
        let reader = tokio::spawn(async move {
            while let ReceiveEvent::HttpRequest(part) = receive.receive().await {
                let more = part.more_body;
                give.send(part.body).await.unwrap();
                if !more {
                    break;
                }
            }
        });
        let writer = tokio::spawn(async move {
            send.send(HttpResponseStart::ok()).await?;
            while let Some(body) = take.recv().await {
                send.send(HttpResponseBody::more(body)).await?;
            }
            send.send(HttpResponseBody::last("")).await
        });
        reader.await?;
        Ok(writer.await??)
    }
    let exchange = Exchange::default();
    let mut running = call(app, get("/"), &exchange);
    assert!(running.poll().is_pending());
    // The half waits in a task of the library; the server wakes it.
    eventually(|| exchange.lock().receive_waker.is_some());
    exchange.push(HttpRequest::more("one "));
    eventually(|| exchange.body() == b"one ");
    exchange.lock().full = true;
    exchange.push(HttpRequest::last("two"));
    std::thread::sleep(Duration::from_millis(5));
    exchange.make_room();
    running.end().unwrap();
    assert_eq!(exchange.body(), b"one two");
}

#[test]
fn a_half_may_outlive_its_call() {
    let (give, take) = mpsc::channel();
    let (resume, resumed) = tokio::sync::oneshot::channel::<()>();
    let resumed = Mutex::new(Some(resumed));
    let app = move |_: Scope, _: Receiver, mut send: Sender| {
        let give = give.clone();
        let resumed = resumed.lock().unwrap().take().unwrap();
        async move {
            tokio::spawn(async move {
                resumed.await.unwrap();
                give.send(send.send(HttpResponseStart::ok()).await).unwrap();
            });
            Ok::<(), AppError>(())
        }
    };
    let exchange = Exchange::default();
    run(app, get("/"), &exchange).unwrap();
    assert!(!exchange.lock().send_dropped, "the task still has it");
    exchange.lock().ready_error = Some(SendError::over());
    resume.send(()).unwrap();
    let answer = take.recv().unwrap();
    assert!(answer.unwrap_err().is_over());
    eventually(|| exchange.lock().send_dropped);
}

// The server gets back the same waker that it passed.
#[test]
fn the_servers_own_waker_comes_back_to_its_half() {
    async fn app(_: Scope, mut receive: Receiver, _: Sender) -> Result<(), AppError> {
        receive.receive().await;
        Ok(())
    }
    struct Mine;
    impl Wake for Mine {
        fn wake(self: Arc<Self>) {}
    }
    let waker = Waker::from(Arc::new(Mine));
    let exchange = Exchange::default();
    let mut running = call(app, get("/"), &exchange).0;
    assert!(
        running
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    let kept = exchange.lock().receive_waker.take().unwrap();
    assert_eq!(kept.data(), waker.data());
}

/// ABI-018
#[test]
fn a_call_may_move_to_another_thread_between_two_polls() {
    async fn app(_: Scope, mut receive: Receiver, _: Sender) -> Result<(), AppError> {
        // A timer may be ready at its first poll; `yield_now` never is.
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        receive.receive().await;
        Ok(())
    }
    let exchange = Exchange::of([HttpRequest::last("")]);
    let mut running = call(app, get("/"), &exchange);
    assert!(running.poll().is_pending());
    std::thread::spawn(|| running.end())
        .join()
        .unwrap()
        .unwrap();
}

#[test]
fn many_calls_run_at_once_on_many_threads() {
    async fn app(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
        let body = receive.body(100).await?;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let body = tokio::spawn(async move { body }).await?;
        send.send(HttpResponseBody::last(body)).await?;
        Ok(())
    }
    library();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(|| {
                for n in 0..25 {
                    let exchange = Exchange::of([HttpRequest::last(n.to_string())]);
                    run(app, get("/"), &exchange).unwrap();
                    assert_eq!(exchange.body(), n.to_string().as_bytes());
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

// No order in which a server stops may crash: here, all of it happens after the shutdown.
#[test]
fn a_call_outlives_the_shutdown_of_its_app() {
    async fn app(_: Scope, mut receive: Receiver, _: Sender) -> Result<(), AppError> {
        receive.receive().await;
        let task = tokio::spawn(async {}).await;
        assert!(task.unwrap_err().is_cancelled());
        Ok(())
    }
    let library = own_library();
    let exchange = Exchange::default();
    let mut polled = call_in(&library, app, get("/"), &exchange);
    assert!(polled.poll().is_pending());
    let mut dropped = call_in(&library, app, get("/"), &Exchange::default());
    assert!(dropped.poll().is_pending());

    library.shutdown(Duration::from_secs(1));
    library.shutdown(Duration::from_secs(1));

    exchange.push(HttpRequest::last(""));
    polled.end().unwrap();
    drop(dropped);
    let late = call_in(
        &library,
        app,
        get("/"),
        &Exchange::of([HttpRequest::last("")]),
    );
    late.end().unwrap();
}

/// ABI-024
#[test]
fn a_shutdown_waits_at_most_for_its_grace() {
    async fn app(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_secs(2)));
        Ok(())
    }
    let library = own_library();
    call_in(&library, app, get("/"), &Exchange::default())
        .end()
        .unwrap();
    let before = std::time::Instant::now();
    library.shutdown(Duration::from_millis(50));
    assert!(
        before.elapsed() < Duration::from_secs(1),
        "{:?}",
        before.elapsed()
    );
}

#[test]
fn a_poll_that_wakes_itself_is_polled_again() {
    async fn app(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        let mut turns = 0;
        poll_fn(|cx| {
            turns += 1;
            cx.waker().wake_by_ref();
            if turns > 10 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        Ok(())
    }
    run(app, get("/"), &Exchange::default()).unwrap();
}

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The threads that polled an app: before it waited, and after that.
type Threads = [ThreadId; 2];

/// Calls an app that waits for `wait`. Returns the threads that polled it.
#[track_caller]
fn threads<W: Future + Send>(
    declaration: &'static abi::App,
    wait: impl Fn(Receiver) -> W + Send + Sync + 'static,
) -> Threads {
    let (give, take) = mpsc::channel();
    let wait = Arc::new(wait);
    let app = move |_: Scope, receive: Receiver, _: Sender| {
        let (give, wait) = (give.clone(), Arc::clone(&wait));
        async move {
            let before = std::thread::current().id();
            wait(receive).await;
            Ok::<(), AppError>(give.send([before, std::thread::current().id()])?)
        }
    };
    // SAFETY: `declare` has made the declaration.
    let library = unsafe { Library::from_static(declaration, &LoadOptions::new()) }.unwrap();
    let exchange = Exchange::default();
    let _lock = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    *exported::TEST_APP.lock().unwrap() = Some(DynApp::new(app));
    let mut running = start(&library, get("/"), &exchange);
    assert!(running.poll().is_pending());
    exchange.push(HttpRequest::last(""));
    running.end().unwrap();
    library.shutdown(Duration::from_secs(1));
    take.recv().unwrap()
}

async fn sleep(_: Receiver) {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

async fn receive(mut receive: Receiver) {
    receive.receive().await;
}

async fn either(mut receive: Receiver) {
    tokio::select! {
        _ = receive.receive() => {}
        () = std::future::pending() => {}
    }
}

mod exported {
    use std::sync::Mutex;

    use asgi::{App, AppError, DynApp, Receiver, Scope, Sender};
    use asgi_abi::private::PollMode;
    use asgi_abi::{Config, Exported, abi, declare};

    /// The app that they call, on any thread. So only one test at a time may use them.
    pub(super) static TEST_APP: Mutex<Option<DynApp>> = Mutex::new(None);

    async fn test_app(scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
        let app = TEST_APP.lock().unwrap().clone();
        app.expect("the test's app")
            .call(scope, receive, send)
            .await
    }

    macro_rules! app {
        ($name:ident, $type:ident, $mode:ident) => {
            struct $type;
            impl Exported for $type {
                const NAME: &'static str = stringify!($type);
                const VERSION: &'static str = "";
                const POLL_MODE: PollMode = PollMode::$mode;
                fn app(config: Config) -> Result<DynApp, AppError> {
                    asgi_abi::private::make(|| test_app, config)
                }
            }
            pub(super) static $name: abi::App = declare::<$type>();
        };
    }

    app!(AUTO, Auto, Auto);
    app!(INLINE, Inline, Inline);
    app!(OWN_RUNTIME, OwnRuntime, OwnRuntime);
}

#[test]
fn a_call_that_waits_for_its_own_io_moves_to_the_apps_runtime() {
    let here = std::thread::current().id();
    let [before, after] = threads(&exported::AUTO, sleep);
    assert_eq!(before, here);
    assert_ne!(after, here);
}

#[test]
fn a_call_that_waits_for_the_server_stays_on_the_servers_thread() {
    let here = std::thread::current().id();
    assert_eq!(threads(&exported::AUTO, receive), [here; 2]);
    assert_eq!(threads(&exported::AUTO, either), [here; 2]);
}

#[test]
fn an_app_may_choose_its_threads() {
    let here = std::thread::current().id();
    assert_eq!(threads(&exported::INLINE, sleep), [here; 2]);
    assert!(!threads(&exported::OWN_RUNTIME, receive).contains(&here));
}

#[test]
fn a_moved_call_returns_its_error() {
    async fn fails(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Err("too late".into())
    }
    let error = run(fails, get("/"), &Exchange::default()).unwrap_err();
    assert_eq!(error.to_string(), "too late");
}

#[test]
fn a_moved_call_is_cancelled_in_the_apps_runtime() {
    struct OnDrop(mpsc::Sender<ThreadId>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            // This works only in the runtime.
            tokio::spawn(async {});
            self.0.send(std::thread::current().id()).unwrap();
        }
    }
    let (give, take) = mpsc::channel();
    let app = move |_: Scope, receive: Receiver, send: Sender| {
        let guard = OnDrop(give.clone());
        async move {
            let _held = (guard, receive, send);
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Ok::<(), AppError>(())
        }
    };
    let exchange = Exchange::default();
    let mut running = call(app, get("/"), &exchange);
    assert!(running.poll().is_pending());
    drop(running);
    take.recv_timeout(Duration::from_secs(60)).unwrap();
    eventually(|| exchange.lock().receive_dropped && exchange.lock().send_dropped);
}

#[test]
fn a_moved_call_fails_when_the_runtime_stops() {
    async fn app(_: Scope, _receive: Receiver, _send: Sender) -> Result<(), AppError> {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        Ok(())
    }
    let library = own_library();
    let mut running = call_in(&library, app, get("/"), &Exchange::default());
    assert!(running.poll().is_pending());
    library.shutdown(Duration::from_secs(1));
    let error = running.end().unwrap_err();
    assert_eq!(error.to_string(), "the app's runtime was shut down");
}

// A server holds back the head of a response while the app runs, on whatever thread.
/// ABI-022
#[test]
fn the_host_learns_that_the_app_runs_on_a_thread_of_the_library() {
    static WORKING: AtomicUsize = AtomicUsize::new(0);
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let app = move |_: Scope, mut receive: Receiver, mut send: Sender| {
        let wait = Arc::clone(&wait);
        async move {
            tokio::task::yield_now().await;
            send.send(HttpResponseStart::ok()).await?;
            wait.lock().unwrap().recv()?;
            send.send(HttpResponseBody::more("at once")).await?;
            receive.receive().await;
            Ok::<(), AppError>(())
        }
    };
    let options = LoadOptions::new().threads(1).app_is_working(|| {
        WORKING.fetch_add(1, Ordering::SeqCst);
    });
    // SAFETY: `export!` has made the declaration.
    let library = unsafe { Library::from_static(&crate::ASGI_APP, &options) }.unwrap();
    let exchange = Exchange::default();
    let mut running = call_in(&library, app, get("/"), &exchange);
    assert!(running.poll().is_pending());
    eventually(|| exchange.lock().sent.len() == 1);

    WORKING.store(0, Ordering::SeqCst);
    let woken = Arc::new(Woken::default());
    assert!(running.poll_with(&Waker::from(woken.clone())).is_pending());
    assert_eq!(WORKING.load(Ordering::SeqCst), 1, "the app runs");
    assert!(!woken.0.load(Ordering::SeqCst));

    go_on.send(()).unwrap();
    eventually(|| woken.0.load(Ordering::SeqCst));
    assert_eq!(exchange.body(), b"at once");
    assert!(running.poll().is_pending());
    assert_eq!(WORKING.load(Ordering::SeqCst), 1, "the app waits");
    exchange.push(HttpRequest::last(""));
    running.end().unwrap();
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}
