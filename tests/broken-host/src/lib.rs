//! The probe of `asgi-spec` with its lint, and a broken host before the lint.
//!
//! A server that loads this library calls the app as that host does. The variable `ASGI_SPEC_ABI_BREAK`
//! names the requirement that it breaks.

asgi_abi::export!(probe: asgi_spec::probe::Probe::from_env());
asgi_spec_abi::lint!("ASGI_APP_checked", "ASGI_APP_probe", declare);
asgi_spec_abi::broken_host!("ASGI_APP_checked");
