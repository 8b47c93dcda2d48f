//! The lingering close: the last bytes that the server wrote reach the peer.

use std::future::poll_fn;
use std::time::Duration;

use super::buffered_socket::BufferedSocket;
use crate::deadlines::LINGER;

/// Has a socket that can be closed. HTTP/2 keeps its socket in a mutex.
pub(crate) trait HasSocket {
    fn with_socket<R>(&mut self, f: impl FnOnce(&mut BufferedSocket) -> R) -> R;
}

impl HasSocket for BufferedSocket {
    fn with_socket<R>(&mut self, f: impl FnOnce(&mut Self) -> R) -> R {
        f(self)
    }
}

/// Sends the bytes that wait, closes our side, then discards what still comes for [`LINGER`].
///
/// Sending takes no longer than `write_timeout`. The close ends early when the peer closes its side,
/// or when `cut` is ready.
pub(crate) async fn close<S: HasSocket>(socket: &mut S, write_timeout: Duration, cut: impl Future) {
    let close = async {
        let shut = poll_fn(|cx| socket.with_socket(|socket| socket.poll_shutdown(cx)));
        let shut = tokio::time::timeout(write_timeout, shut).await;
        if !matches!(shut, Ok(Ok(()))) || socket.with_socket(|socket| socket.is_read_end()) {
            return;
        }
        let gone = async {
            while !poll_fn(|cx| socket.with_socket(|socket| socket.poll_discard(cx))).await {
                tokio::task::yield_now().await;
            }
        };
        // The socket is closed now, whether the peer closed in time or not.
        let _ = tokio::time::timeout(LINGER, gone).await;
    };
    tokio::select! {
        () = close => {}
        _ = cut => {}
    }
}
