//! The app that Ferricorn serves, linked in or from a shared library.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use asgi::{AppError, HttpResponseBody, HttpResponseStart, Receiver, Scope, Sender};

/// What every peer answers with.
pub const BODY: &str = "Hello, world!\n";
pub const CONTENT_TYPE: &str = "text/plain; charset=utf-8";

/// A request for this path is one of the uneven load.
pub const UNEVEN: &str = "/uneven";

pub async fn app(scope: Scope, _receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    let Scope::Http(http) = scope else {
        return Err(AppError::unsupported(&scope));
    };
    if http.path.as_str() == UNEVEN {
        spin_now_and_then();
    }
    send.send(HttpResponseStart::ok().content_type(CONTENT_TYPE))
        .await?;
    send.send(HttpResponseBody::last(BODY)).await?;
    Ok(())
}

/// Blocks the thread for 2 ms, one time in a hundred.
pub fn spin_now_and_then() {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    if CALLS.fetch_add(1, Ordering::Relaxed) % 100 == 99 {
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(2) {
            std::hint::spin_loop();
        }
    }
}
