//! The probe app of `asgi-spec`, for servers that load their app from a library.
//!
//! Its settings come from the environment: see `asgi_spec::probe::Probe::from_env`.

asgi_abi::export!(asgi_spec::probe::Probe::from_env());
