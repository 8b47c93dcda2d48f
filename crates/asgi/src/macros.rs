//! Macros for code that many types have in common.

/// The names of events in ASGI, and the conversions of events into their enum.
macro_rules! event_names {
    ($all:ident $($event:ident = $name:literal,)*) => {
        impl $all {
            /// Returns the name of this event in ASGI.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$event(_) => $name,)*
                }
            }
        }

        $(impl From<$event> for $all {
            fn from(event: $event) -> Self {
                Self::$event(event)
            }
        })*
    };
}

/// Conversions with `From`: `Source => Target: value => expression`.
macro_rules! conversions {
    ($($(#[$doc:meta])* $from:ty => $to:ty: $value:ident => $convert:expr;)*) => {$(
        impl From<$from> for $to {
            $(#[$doc])*
            fn from($value: $from) -> Self {
                $convert
            }
        }
    )*};
}

/// The constructors of a part of a body.
macro_rules! body_part {
    ($part:ident) => {
        impl $part {
            /// Creates a part of a body.
            pub fn new(body: impl Into<Bytes>, more_body: bool) -> Self {
                Self {
                    body: body.into(),
                    more_body,
                    ..Self::default()
                }
            }

            /// Creates a part that is not the last one.
            pub fn more(body: impl Into<Bytes>) -> Self {
                Self::new(body, true)
            }

            /// Creates the last part, or the only one.
            pub fn last(body: impl Into<Bytes>) -> Self {
                Self::new(body, false)
            }
        }
    };
}

/// The constructors of types with default values.
macro_rules! new_is_default {
    ($($type:ident)*) => {
        $(impl $type {
            /// Creates a value with the default content.
            pub fn new() -> Self {
                Self::default()
            }
        })*
    };
}

/// Implements `Debug` without the content, which has no `Debug`.
macro_rules! opaque_debug {
    ($type:ident) => {
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type)).finish_non_exhaustive()
            }
        }
    };
}

/// Formats a tuple struct as its first member.
macro_rules! forward_fmt {
    ($type:ident: $($format:ident)*) => {
        $(impl std::fmt::$format for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::$format::fmt(&self.0, f)
            }
        })*
    };
}
