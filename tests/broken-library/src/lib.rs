//! A small app in a library that breaks the C ABI.
//!
//! The variable `ASGI_SPEC_ABI_BREAK` names the requirement that it breaks. Without it, it breaks none.

use asgi::{AppError, HttpResponseStart, Receiver, Scope, Sender};

/// Sends the body of the request back, and waits until its client has left.
async fn app(scope: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    if !matches!(scope, Scope::Http(_)) {
        return Err(AppError::unsupported(&scope));
    }
    let body = receive.body(64 * 1024).await?;
    send.respond(HttpResponseStart::ok(), body).await?;
    send.closed().await;
    Ok(())
}

asgi_abi::export!(good: app);
asgi_spec_abi::broken_library!("ASGI_APP_good");
