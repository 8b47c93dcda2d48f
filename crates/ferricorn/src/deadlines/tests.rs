use std::time::{Duration, Instant};

use super::{
    BodyWait, ConnectionDeadlines, ConnectionDue, FAREWELL, LINGER, RequestDeadlines, WriteWait,
};
use crate::config::Config;

const SECOND: Duration = Duration::from_secs(1);

fn config() -> Config {
    Config {
        header_timeout: 5 * SECOND,
        keep_alive_timeout: 20 * SECOND,
        write_timeout: 8 * SECOND,
        body_timeout: 6 * SECOND,
        disconnect_grace: Some(3 * SECOND),
        min_body_rate: 0,
        min_read_rate: 0,
        ..Config::default()
    }
}

/// The client takes all that is written.
const FLOWS: WriteWait = WriteWait {
    since: None,
    taken: 0,
};

/// The client takes nothing since then.
fn stuck(since: Instant) -> WriteWait {
    WriteWait {
        since: Some(since),
        taken: 0,
    }
}

/// Deadlines of a connection that was opened now, their settings, and now.
fn opened() -> (ConnectionDeadlines, Config, Instant) {
    let (config, now) = (config(), Instant::now());
    (ConnectionDeadlines::new(&config, now), config, now)
}

#[test]
fn a_new_connection_has_the_head_time_out_and_a_used_one_the_idle_time_out() {
    let (mut deadlines, config, now) = opened();
    let next = deadlines.next_look(&config, || {
        unreachable!("an idle connection reads no clock")
    });
    assert_eq!(next, now + 5 * SECOND);
    assert_eq!(deadlines.due(&config, FLOWS, now + 4 * SECOND), None);
    assert_eq!(
        deadlines.due(&config, FLOWS, now + 5 * SECOND),
        Some(ConnectionDue::Idle)
    );
    deadlines.served(now + SECOND);
    assert_eq!(deadlines.next_look(&config, || now), now + 21 * SECOND);
    assert_eq!(
        deadlines.due(&config, FLOWS, now + 21 * SECOND),
        Some(ConnectionDue::Idle)
    );
}

#[test]
fn a_connection_is_idle_from_the_end_of_its_last_request() {
    let (mut deadlines, config, now) = opened();
    deadlines.served(now);
    deadlines.turn(true, false, || now);
    assert_eq!(deadlines.next_look(&config, || now), now + SECOND);
    assert_eq!(deadlines.due(&config, FLOWS, now + 100 * SECOND), None);
    deadlines.turn(false, false, || now + 100 * SECOND);
    assert_eq!(deadlines.next_look(&config, || now), now + 120 * SECOND);
    // A turn without news reads no clock.
    deadlines.turn(false, false, || unreachable!());
}

#[test]
fn a_head_counts_from_its_first_byte() {
    let (mut deadlines, config, now) = opened();
    deadlines.turn(false, true, || now + SECOND);
    deadlines.turn(false, true, || unreachable!("the head has begun before"));
    assert_eq!(deadlines.due(&config, FLOWS, now + 5 * SECOND), None);
    assert_eq!(
        deadlines.due(&config, FLOWS, now + 6 * SECOND),
        Some(ConnectionDue::Head)
    );
    deadlines.turn(false, false, || unreachable!());
    assert_eq!(
        deadlines.due(&config, FLOWS, now + 6 * SECOND),
        Some(ConnectionDue::Idle)
    );
}

#[test]
fn after_the_farewell_an_idle_connection_ends_soon_and_a_busy_one_does_not() {
    let (mut deadlines, config, now) = opened();
    deadlines.served(now);
    deadlines.said_farewell(now + SECOND);
    deadlines.said_farewell(now + 50 * SECOND);
    let end = now + SECOND + FAREWELL;
    assert_eq!(
        deadlines.due(&config, FLOWS, end),
        Some(ConnectionDue::Idle),
        "the first farewell counts"
    );
    deadlines.turn(true, false, || now + 9 * SECOND);
    assert_eq!(deadlines.due(&config, FLOWS, now + 90 * SECOND), None);
    deadlines.turn(false, false, || now + 90 * SECOND);
    assert_eq!(deadlines.due(&config, FLOWS, now + 90 * SECOND), None);
    assert!(deadlines.is_farewell_past(89 * SECOND, now + 90 * SECOND));
    assert!(!deadlines.is_farewell_past(90 * SECOND, now + 90 * SECOND));
}

#[test]
fn a_client_that_does_not_read_is_given_up_whatever_runs() {
    let (mut deadlines, config, now) = opened();
    deadlines.turn(true, false, || now);
    assert_eq!(
        deadlines.due(&config, stuck(now), now + 8 * SECOND),
        Some(ConnectionDue::Write)
    );
    assert_eq!(deadlines.due(&config, stuck(now), now + 7 * SECOND), None);
    deadlines.closes(now);
    assert_eq!(deadlines.due(&config, FLOWS, now + SECOND), None);
    assert_eq!(
        deadlines.due(&config, FLOWS, now + LINGER),
        Some(ConnectionDue::Close)
    );
}

#[test]
fn a_tick_is_as_short_as_the_shortest_time_out() {
    let mut config = config();
    let now = Instant::now();
    let tick = |config: &Config| {
        let mut deadlines = ConnectionDeadlines::new(config, now);
        deadlines.turn(true, false, || now);
        deadlines.next_look(config, || now) - now
    };
    assert_eq!(tick(&config), SECOND);
    config.body_timeout = Duration::from_millis(200);
    assert_eq!(tick(&config), Duration::from_millis(200));
    config.write_timeout = Duration::ZERO;
    assert_eq!(tick(&config), Duration::from_millis(10));
}

#[test]
fn a_body_counts_from_its_last_byte_and_the_grace_from_its_time_out() {
    let (config, now) = (config(), Instant::now());
    let mut deadlines = RequestDeadlines::default();
    let wait = |last_byte: Option<Duration>| {
        let last_byte = last_byte.map(|after| now + after);
        let since = now + SECOND;
        Some(BodyWait { since, last_byte })
    };
    let mut due = |wait, seconds| {
        let due = deadlines.due(&config, wait, 0, now + seconds * SECOND);
        (due.body, due.grace)
    };
    assert_eq!(due(wait(None), 6), (false, false));
    // A byte from before the app waited: the app has to wait the whole time-out nonetheless.
    assert_eq!(due(wait(Some(Duration::ZERO)), 6), (false, false));
    // Bytes that keep coming keep the request alive.
    assert_eq!(due(wait(Some(4 * SECOND)), 9), (false, false));
    assert_eq!(due(None, 60), (false, false), "the app does not wait");
    assert_eq!(due(wait(Some(4 * SECOND)), 10), (true, false));
    assert_eq!(due(wait(Some(4 * SECOND)), 11), (false, false), "once");
    assert_eq!(due(None, 13), (false, true));
    let ends = deadlines.grace_ends(&config, now + 12 * SECOND);
    assert_eq!(ends, Some(now + 13 * SECOND));
}

#[test]
fn the_grace_counts_from_when_the_client_left_first() {
    let (mut config, now) = (config(), Instant::now());
    let mut deadlines = RequestDeadlines::default();
    let ends = deadlines.grace_ends(&config, now);
    assert_eq!(ends, Some(now + 3 * SECOND));
    deadlines.client_left(now + SECOND);
    deadlines.client_left(now + 2 * SECOND);
    assert!(!deadlines.due(&config, None, 0, now + 3 * SECOND).grace);
    assert!(deadlines.due(&config, None, 0, now + 4 * SECOND).grace);
    config.disconnect_grace = None;
    assert!(!deadlines.due(&config, None, 0, now + 400 * SECOND).grace);
    assert_eq!(deadlines.grace_ends(&config, now), None);
}

#[test]
fn a_client_that_reads_a_byte_now_and_then_is_given_up_like_a_silent_one() {
    let (mut deadlines, mut config, now) = opened();
    config.min_read_rate = 240;
    deadlines.turn(true, false, || now);
    for second in 0..9 {
        // It took some a moment ago, and waits again since then.
        let writes = WriteWait {
            since: Some(now + second * SECOND),
            taken: u64::from(second) * 10,
        };
        let due = deadlines.due(&config, writes, now + second * SECOND);
        assert_eq!(due, None, "after {second} s");
    }
    let due = deadlines.due(&config, stuck(now + 8 * SECOND), now + 9 * SECOND);
    assert_eq!(due, Some(ConnectionDue::Write));
}

#[test]
fn a_client_that_sends_a_byte_now_and_then_is_given_up_like_a_silent_one() {
    let (mut config, now) = (config(), Instant::now());
    config.min_body_rate = 240;
    let mut deadlines = RequestDeadlines::default();
    let mut due = |second: u32| {
        let at = now + second * SECOND;
        let wait = BodyWait {
            since: at,
            last_byte: Some(at),
        };
        let due = deadlines.due(&config, Some(wait), u64::from(second), at);
        due.body
    };
    for second in 0..=6 {
        assert!(!due(second), "after {second} s");
    }
    assert!(due(7));
    assert!(!due(8), "once");
}

#[test]
fn a_client_at_the_lowest_rate_may_go_on_for_ever() {
    let (mut config, now) = (config(), Instant::now());
    config.min_body_rate = 240;
    let mut deadlines = RequestDeadlines::default();
    for second in 0..1_000 {
        let at = now + second * SECOND;
        let wait = BodyWait {
            since: at,
            last_byte: Some(at),
        };
        let due = deadlines.due(&config, Some(wait), u64::from(second) * 240, at);
        assert!(!due.body, "after {second} s");
    }
}
