//! Checks both sides of the boundary of compiled apps against [the chapter on the C ABI][abi], for
//! `asgi-spec`.
//!
//! - [`library::check`] loads a library and checks its side.
//! - [`lint!`](crate::lint!) goes between a host and a library: it checks each call of the host, and plays
//!   scripts on the raw ABI that no app in Rust can play.
//!
//! A crate of its own, because it needs unsafe code. It shares no code with `asgi-abi`, so that both
//! cannot make the same mistake. The SAFETY comments refer to the rules in `asgi.h`.
//!
//! [abi]: https://github.com/ferricorn/ferricorn/blob/main/spec/abi.md

#![deny(unsafe_op_in_unsafe_fn)]
#![allow(unsafe_code)]

mod broken;
mod broken_library;
mod buffer;
mod host;
mod layout;
pub mod library;
mod lint;
mod raw;
mod report;
mod scripts;
mod waker;

#[doc(hidden)]
pub mod private {
    pub use crate::broken::declare as declare_broken;
    pub use crate::broken_library::declare as declare_broken_library;
    pub use crate::layout::App;
    pub use crate::lint::{Inner, declare};
}

/// The environment variable that makes the `init` of a library with [`lint!`](crate::lint!) fail, with this
/// message.
pub const INIT_VARIABLE: &str = "ASGI_SPEC_ABI_INIT";

/// The environment variable that names the requirement that [`broken_host!`](crate::broken_host!) or
/// [`broken_library!`](crate::broken_library!) breaks.
pub const BREAK_VARIABLE: &str = "ASGI_SPEC_ABI_BREAK";

/// The environment variable with the path of the file that gets the report after the shutdown.
pub const REPORT_VARIABLE: &str = "ASGI_SPEC_ABI_REPORT";

/// Exports `ASGI_APP`, which checks the host's calls and passes them to an app that the same library
/// exports under another name.
///
/// It answers `/report/abi` itself, with its report as JSON: how often each requirement was checked, and
/// what broke one. `/abi/NAME` plays a script on the raw ABI.
///
/// ```ignore
/// asgi_abi::export!(probe: app());
/// asgi_spec_abi::lint!("ASGI_APP_probe");
/// ```
#[macro_export]
macro_rules! lint {
    ($symbol:literal) => {
        $crate::lint!("ASGI_APP", $symbol, declare);
    };
    ($own:literal, $symbol:literal, $declare:ident) => {
        const _: () = {
            unsafe extern "C" {
                #[link_name = $symbol]
                static CHECKED_APP: $crate::private::App;
            }

            /// The symbol that servers look for.
            #[unsafe(export_name = $own)]
            static APP: $crate::private::App = {
                struct Checked;
                impl $crate::private::Inner for Checked {
                    fn app() -> *const $crate::private::App {
                        &raw const CHECKED_APP
                    }
                }
                $crate::private::$declare::<Checked>()
            };
        };
    };
}

/// Exports `ASGI_APP`, which passes the host's calls to a lint in another symbol and breaks the requirement
/// that [`BREAK_VARIABLE`] names. For tests of the lint.
///
/// ```ignore
/// asgi_abi::export!(probe: app());
/// asgi_spec_abi::lint!("ASGI_APP_checked", "ASGI_APP_probe", declare);
/// asgi_spec_abi::broken_host!("ASGI_APP_checked");
/// ```
#[macro_export]
macro_rules! broken_host {
    ($symbol:literal) => {
        $crate::lint!("ASGI_APP", $symbol, declare_broken);
    };
}

/// Exports `ASGI_APP`, which passes the host's calls to an app in another symbol and breaks the requirement
/// that [`BREAK_VARIABLE`] names. For tests of [`library::check`].
#[macro_export]
macro_rules! broken_library {
    ($symbol:literal) => {
        $crate::lint!("ASGI_APP", $symbol, declare_broken_library);
    };
}
