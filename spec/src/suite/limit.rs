//! Limits of the operator that the author of a server states.

use std::time::Duration;

/// A limit that the server under test has. The suite can't know it, and some cases need it.
///
/// Give the server small limits for such a run, of one or two seconds: a case with a limit of more than
/// five seconds does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatedLimit {
    /// `head-timeout`: how long a client may take for the head of a request (HTTP-074).
    HeadTimeout(Duration),
    /// `body-timeout`: how long a client may send nothing of a body (HTTP-075).
    BodyTimeout(Duration),
    /// `write-timeout`: how long a client may read nothing of a response (HTTP-076).
    WriteTimeout(Duration),
    /// `idle-timeout`: how long a connection may be without a request (HTTP-077).
    IdleTimeout(Duration),
    /// `disconnect-grace`: how long an app may run after its client has left (HTTP-047, HTTP-048,
    /// HTTP-084).
    DisconnectGrace(Duration),
    /// `startup-timeout`: how long the startup of an app may take (LIFE-007).
    StartupTimeout(Duration),
    /// `ping-interval`: after how long without a message the server pings a WebSocket (WS-032).
    PingInterval(Duration),
    /// `max-message-size`: how many bytes a message of a WebSocket may have (WS-017).
    MaxMessageSize(usize),
}

/// Makes a limit of a time.
type OfTime = fn(Duration) -> StatedLimit;

/// The names of the limits with a time, as the command line has them.
const TIMES: &[(&str, OfTime)] = &[
    ("head-timeout", StatedLimit::HeadTimeout),
    ("body-timeout", StatedLimit::BodyTimeout),
    ("write-timeout", StatedLimit::WriteTimeout),
    ("idle-timeout", StatedLimit::IdleTimeout),
    ("disconnect-grace", StatedLimit::DisconnectGrace),
    ("startup-timeout", StatedLimit::StartupTimeout),
    ("ping-interval", StatedLimit::PingInterval),
];

impl StatedLimit {
    /// Reads a limit as the command line has it, such as `head-timeout=2s`.
    ///
    /// # Errors
    ///
    /// Returns a message that says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || {
            let names = TIMES.iter().map(|(name, _)| *name);
            let names: Vec<&str> = names.chain(["max-message-size"]).collect();
            format!(
                "{text}: expected NAME=VALUE, with a time such as 2s or 500ms, or a number of bytes; \
                 the names are {}",
                names.join(", ")
            )
        };
        let (name, value) = text.split_once('=').ok_or_else(expected)?;
        if name == "max-message-size" {
            let bytes = value.parse().map_err(|_| expected())?;
            return Ok(Self::MaxMessageSize(bytes));
        }
        let (_, make) = TIMES
            .iter()
            .find(|(one, _)| *one == name)
            .ok_or_else(expected)?;
        let (number, unit) = match value.strip_suffix("ms") {
            Some(number) => (number, 1),
            None => (value.strip_suffix('s').ok_or_else(expected)?, 1000),
        };
        let number: u64 = number.parse().map_err(|_| expected())?;
        Ok(make(Duration::from_millis(number * unit)))
    }

    /// The limit with this name, if it is a time.
    pub(crate) fn time(&self, name: &str) -> Option<Duration> {
        let time = match *self {
            Self::HeadTimeout(time)
            | Self::BodyTimeout(time)
            | Self::WriteTimeout(time)
            | Self::IdleTimeout(time)
            | Self::DisconnectGrace(time)
            | Self::StartupTimeout(time)
            | Self::PingInterval(time) => time,
            Self::MaxMessageSize(_) => return None,
        };
        let (_, make) = TIMES.iter().find(|(one, _)| *one == name)?;
        (make(time) == *self).then_some(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_has_a_name_and_a_value_with_a_unit() {
        let grace = StatedLimit::parse("disconnect-grace=1500ms").unwrap();
        let time = Duration::from_millis(1500);
        assert_eq!(grace, StatedLimit::DisconnectGrace(time));
        assert_eq!(grace.time("disconnect-grace"), Some(time));
        assert_eq!(grace.time("idle-timeout"), None);
        let size = StatedLimit::parse("max-message-size=1000").unwrap();
        assert_eq!(size, StatedLimit::MaxMessageSize(1000));
        for wrong in ["grace", "grace=2s", "idle-timeout=2", "max-message-size=2s"] {
            let message = StatedLimit::parse(wrong).unwrap_err();
            assert!(message.starts_with(wrong), "{message}");
        }
    }
}
