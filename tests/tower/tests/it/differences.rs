//! What differs between the two servers, each as `docs/axum.md` says.
