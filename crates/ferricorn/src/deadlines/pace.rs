//! A lowest rate beside a time-out for silence.
//!
//! A client that sends or takes a byte now and then is never silent, and could hold a connection for ever.
//! So a byte does not start the time-out again: it only takes off the time in which the lowest rate would
//! have moved it. Apache (`mod_reqtimeout`) and Kestrel have such rates too.

use std::time::{Duration, Instant};

/// How late a client is, measured by the lowest rate, while the server waits for it.
///
/// A client does not get ahead: what it moved fast before does not excuse a slow time after that.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    late: Duration,
    /// The bytes so far at the last look.
    moved: u64,
    /// When the last look was.
    looked: Option<Instant>,
    /// Whether the server waited at the last look.
    waited: bool,
}

impl Pace {
    /// Looks at the client, and returns how late it is.
    ///
    /// `since` is when the server began to wait, or `None` if it does not. If it waited at the last look
    /// too, then it waited all the time between: a client that is fast in between moves many bytes. `moved`
    /// counts the bytes since the connection or stream began.
    pub(crate) fn look(
        &mut self,
        rate: usize,
        since: Option<Instant>,
        moved: u64,
        now: Instant,
    ) -> Duration {
        let from = match (since, self.looked) {
            (Some(_), Some(looked)) if self.waited => Some(looked),
            (Some(since), Some(looked)) => Some(since.max(looked)),
            (since, _) => since,
        };
        if let Some(from) = from {
            self.late += now.saturating_duration_since(from);
        }
        let fresh = moved.saturating_sub(self.moved).saturating_mul(1000);
        let earned = fresh.checked_div(rate as u64).unwrap_or(u64::MAX);
        self.late = self.late.saturating_sub(Duration::from_millis(earned));
        self.moved = moved;
        self.looked = Some(now);
        self.waited = since.is_some();
        self.late
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, Pace};

    const SECOND: Duration = Duration::from_secs(1);

    /// Looks once a second at a client that is waited for and moves so many bytes in each second.
    fn late_after(rate: usize, bytes_a_second: u64, seconds: u32) -> Duration {
        let start = Instant::now();
        let mut pace = Pace::default();
        let mut late = Duration::ZERO;
        for second in 0..=seconds {
            let moved = u64::from(second) * bytes_a_second;
            late = pace.look(rate, Some(start), moved, start + second * SECOND);
        }
        late
    }

    #[test]
    fn a_silent_client_is_late_by_the_whole_time() {
        assert_eq!(late_after(240, 0, 60), 60 * SECOND);
    }

    #[test]
    fn a_byte_takes_off_only_its_own_time() {
        assert_eq!(late_after(240, 24, 60), 54 * SECOND);
    }

    #[test]
    fn a_client_at_the_lowest_rate_is_never_late() {
        assert_eq!(late_after(240, 240, 600), Duration::ZERO);
        assert_eq!(late_after(240, 1 << 40, 600), Duration::ZERO);
    }

    #[test]
    fn a_rate_of_zero_never_makes_a_client_late() {
        assert_eq!(late_after(0, 0, 600), Duration::ZERO);
    }

    #[test]
    fn bytes_that_came_before_do_not_excuse_a_slow_time() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.look(240, Some(start), 1 << 30, start);
        let late = pace.look(240, Some(start), 1 << 30, start + 10 * SECOND);
        assert_eq!(late, 10 * SECOND);
    }

    #[test]
    fn only_the_time_counts_in_which_the_server_waits() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.look(240, None, 0, start), Duration::ZERO);
        assert_eq!(pace.look(240, None, 0, start + 9 * SECOND), Duration::ZERO);
        let waits = Some(start + 9 * SECOND);
        assert_eq!(pace.look(240, waits, 0, start + 10 * SECOND), SECOND);
        // It waits again, since a moment ago, and did so at the last look.
        let waits = Some(start + 11 * SECOND);
        assert_eq!(pace.look(240, waits, 0, start + 11 * SECOND), 2 * SECOND);
    }
}
