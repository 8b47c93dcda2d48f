//! The probe app of `asgi-spec`, for servers that load their app from a library.
//!
//! Its settings come from the environment: see `asgi_spec::probe::Probe::from_env`. Between the host and
//! the probe, `asgi-spec-abi` checks the calls of the host.

asgi_abi::export!(probe: asgi_spec::probe::Probe::from_env());
asgi_spec_abi::lint!("ASGI_APP_probe");
