//! The app that Ferricorn serves, linked in or from a shared library.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use asgi::{AppError, HttpResponseStart, Receiver, Scope, Sender};
use tokio::sync::{mpsc, oneshot};

/// The body of every server's answer.
pub const BODY: &str = "Hello, world!\n";
pub const CONTENT_TYPE: &str = "text/plain; charset=utf-8";

/// A request for this path blocks its thread for 2 ms. The uneven load sends some of them.
pub const BLOCK: &str = "/block";

pub async fn app(scope: Scope, _receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    let Scope::Http(http) = scope else {
        return Err(AppError::unsupported(&scope));
    };
    match &*http.path() {
        BLOCK => block(),
        "/hops/1" => hop(1).await?,
        "/hops/5" => hop(5).await?,
        _ => {}
    }
    let start = HttpResponseStart::ok().content_type(CONTENT_TYPE);
    Ok(send.respond(start, BODY).await?)
}

/// Blocks the thread for 2 ms.
pub fn block() {
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(2) {
        std::hint::spin_loop();
    }
}

/// Asks a task of the app and waits for its answer, several times in a row. A call to a database pool
/// or an HTTP client does the same, plus the network.
async fn hop(times: usize) -> Result<(), AppError> {
    static TASK: OnceLock<mpsc::Sender<oneshot::Sender<()>>> = OnceLock::new();
    let task = TASK.get_or_init(|| {
        let (ask, mut asked) = mpsc::channel::<oneshot::Sender<()>>(1024);
        tokio::spawn(async move {
            while let Some(answer) = asked.recv().await {
                // The request that asked may be cancelled.
                let _ = answer.send(());
            }
        });
        ask
    });
    for _ in 0..times {
        let (answer, answered) = oneshot::channel();
        task.send(answer).await?;
        answered.await?;
    }
    Ok(())
}
