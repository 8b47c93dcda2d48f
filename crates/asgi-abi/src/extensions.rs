//! The bits of the extensions in the ABI.

use asgi::Extension;

use crate::abi;

/// All extensions that can cross, with their bits.
pub(crate) const EXTENSIONS: [(u64, Extension); 6] = [
    (abi::EXTENSION_PUSH, Extension::Push),
    (abi::EXTENSION_EARLY_HINT, Extension::EarlyHint),
    (abi::EXTENSION_TRAILERS, Extension::Trailers),
    (abi::EXTENSION_PATH_SEND, Extension::PathSend),
    (abi::EXTENSION_ZERO_COPY_SEND, Extension::ZeroCopySend),
    (
        abi::EXTENSION_WEBSOCKET_HTTP_RESPONSE,
        Extension::WebSocketHttpResponse,
    ),
];
