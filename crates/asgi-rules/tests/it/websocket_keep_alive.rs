//! Tests of `WebSocketKeepAlive`, in every phase and in random order.

use std::time::Duration;

use asgi_rules::{WebSocketDue, WebSocketKeepAlive, WebSocketPing, WebSocketTimeouts};

use crate::support::{Random, assert_text};

const TIMEOUTS: WebSocketTimeouts = WebSocketTimeouts {
    ping_interval: Some(Duration::from_secs(20)),
    ping_timeout: Duration::from_secs(7),
    close_timeout: Duration::from_secs(10),
};

fn after(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Returns the tracker of a WebSocket that has just been opened.
fn open() -> WebSocketKeepAlive {
    WebSocketKeepAlive::new(TIMEOUTS)
}

/// The name of a phase, and how to reach it.
type NamedPhase = (&'static str, fn(&mut WebSocketKeepAlive, Duration));

const PHASES: [NamedPhase; 6] = [
    ("open", |_, _| {}),
    ("pinged", |keep_alive, now| {
        assert_eq!(keep_alive.overdue(now + after(20.0)), WebSocketDue::Ping);
    }),
    ("closing", |keep_alive, now| {
        keep_alive.close(now);
    }),
    ("closed by the client", |keep_alive, _| {
        keep_alive.closed();
    }),
    ("closed by both sides", |keep_alive, now| {
        keep_alive.close(now);
        keep_alive.closed();
    }),
    ("failed", |keep_alive, _| {
        keep_alive.fail();
    }),
];

/// The columns: whether it is over; whether the server sends its close frame if it closes, if the
/// client closes, and if the client breaks a rule; what the server does with a ping; what is due
/// next.
#[test]
fn every_call_in_every_phase() {
    let now = Duration::ZERO;
    let in_phase = |reach: fn(&mut WebSocketKeepAlive, Duration)| {
        let mut keep_alive = open();
        reach(&mut keep_alive, now);
        keep_alive
    };
    let due = |mut keep_alive: WebSocketKeepAlive| match keep_alive.deadline() {
        None => "never".to_owned(),
        Some(at) => {
            let early = keep_alive.overdue(at - after(0.001));
            assert_eq!(early, WebSocketDue::Nothing);
            let due = keep_alive.overdue(at);
            format!("{due:?} after {:?}", at - now)
        }
    };
    let mut table = String::new();
    for (phase, reach) in PHASES {
        table += &format!(
            "{phase} | {} | {} | {} | {} | {:?} | {}\n",
            in_phase(reach).is_over(),
            in_phase(reach).close(now),
            in_phase(reach).closed(),
            in_phase(reach).fail(),
            in_phase(reach).ping(now),
            due(in_phase(reach)),
        );
    }
    assert_text(&table, include_str!("tables/websocket_keep_alive.txt"));
}

#[test]
fn any_byte_from_the_client_ends_its_silence() {
    let now = Duration::ZERO;
    let mut keep_alive = open();
    assert_eq!(keep_alive.overdue(now + after(20.0)), WebSocketDue::Ping);
    keep_alive.heard(now + after(26.9));
    assert_eq!(keep_alive.overdue(now + after(27.0)), WebSocketDue::Nothing);
    assert_eq!(keep_alive.deadline(), Some(now + after(46.9)));
    assert_eq!(keep_alive.overdue(now + after(46.9)), WebSocketDue::Ping);
    assert_eq!(keep_alive.overdue(now + after(53.9)), WebSocketDue::NoPong);
    assert!(keep_alive.is_over());
    assert_eq!(keep_alive.deadline(), None);
}

#[test]
fn without_an_interval_no_ping_is_sent() {
    let now = Duration::ZERO;
    let timeouts = WebSocketTimeouts {
        ping_interval: None,
        ..TIMEOUTS
    };
    let mut keep_alive = WebSocketKeepAlive::new(timeouts);
    assert_eq!(keep_alive.deadline(), None);
    assert_eq!(keep_alive.overdue(now + after(1e6)), WebSocketDue::Nothing);
    keep_alive.close(now);
    assert_eq!(keep_alive.deadline(), Some(now + after(10.0)));
}

#[test]
fn a_client_that_still_sends_does_not_extend_the_close_timeout() {
    let now = Duration::ZERO;
    let mut keep_alive = open();
    keep_alive.close(now);
    keep_alive.heard(now + after(9.0));
    assert_eq!(keep_alive.overdue(now + after(10.0)), WebSocketDue::NoClose);
    assert!(keep_alive.is_over());
}

#[test]
fn pings_beyond_the_budget_are_a_flood() {
    let now = Duration::ZERO;
    let mut keep_alive = open();
    let answered = |keep_alive: &mut WebSocketKeepAlive, at| {
        let mut count = 0;
        while keep_alive.ping(at) == WebSocketPing::Answer {
            count += 1;
            assert!(count < 1_000);
        }
        count
    };
    assert_eq!(answered(&mut keep_alive, now), 100);
    assert_eq!(answered(&mut keep_alive, now + after(0.019)), 0);
    assert_eq!(answered(&mut keep_alive, now + after(0.02)), 1);
    assert_eq!(answered(&mut keep_alive, now + after(1.02)), 50);
    keep_alive.message();
    keep_alive.message();
    assert_eq!(answered(&mut keep_alive, now + after(1.02)), 2);
    // The budget never grows above its first size.
    assert_eq!(answered(&mut keep_alive, now + after(1e4)), 100);
    assert_eq!(answered(&mut keep_alive, now + after(1e4)), 0);
    for _ in 0..1_000 {
        keep_alive.message();
    }
    assert_eq!(answered(&mut keep_alive, now + after(1e4)), 100);
    // One ping every 20 ms is always allowed.
    let mut keep_alive = open();
    for step in 0..10_000 {
        let at = now + Duration::from_millis(20) * step;
        assert_eq!(keep_alive.ping(at), WebSocketPing::Answer, "{step}");
    }
}

#[test]
fn no_sequence_sends_two_close_frames_or_misses_a_deadline() {
    let mut ends = [0; 4];
    for seed in 0..4_000 {
        let mut random = Random::new(seed);
        let mut now = Duration::ZERO;
        let mut keep_alive = open();
        let (mut closes, mut over, mut silent_since) = (0, false, now);
        let mut pinged = false;
        for _ in 0..random.below(40) {
            now += Duration::from_millis(random.below(9_000));
            match random.below(12) {
                0 => closes += u32::from(keep_alive.close(now)),
                1 if random.one_in(3) => {
                    closes += u32::from(keep_alive.closed());
                    ends[0] += u32::from(!over);
                    over = true;
                }
                2 if random.one_in(3) => {
                    closes += u32::from(keep_alive.fail());
                    ends[1] += u32::from(!over);
                    over = true;
                }
                3 | 4 => {
                    keep_alive.heard(now);
                    (silent_since, pinged) = (now, false);
                }
                5 => {
                    let answered = keep_alive.ping(now) == WebSocketPing::Answer;
                    assert_eq!(answered, closes == 0 && !over, "seed {seed}");
                }
                _ => {
                    let due = keep_alive.deadline().filter(|at| *at <= now);
                    match keep_alive.overdue(now) {
                        WebSocketDue::Nothing => assert_eq!(due, None, "seed {seed}"),
                        WebSocketDue::Ping => {
                            assert!(!pinged && closes == 0 && !over, "seed {seed}");
                            assert!(now - silent_since >= after(20.0), "seed {seed}");
                            pinged = true;
                        }
                        WebSocketDue::NoPong => {
                            assert!(pinged && closes == 0 && !over, "seed {seed}");
                            assert!(now - silent_since >= after(27.0), "seed {seed}");
                            ends[2] += 1;
                            over = true;
                        }
                        WebSocketDue::NoClose => {
                            assert!(closes == 1 && !over, "seed {seed}");
                            ends[3] += 1;
                            over = true;
                        }
                    }
                }
            }
            assert!(closes <= 1, "seed {seed}");
            assert_eq!(keep_alive.is_over(), over, "seed {seed}");
            assert_eq!(keep_alive.deadline().is_none(), over, "seed {seed}");
        }
    }
    assert!(ends.iter().all(|times| *times > 100), "{ends:?}");
}
