//! The pings and the closing handshake of a WebSocket, in every phase and in random order.

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

/// A socket that has just been opened.
fn open() -> WebSocketKeepAlive {
    WebSocketKeepAlive::new(TIMEOUTS)
}

/// How a socket came to a phase, a second after it was opened.
type Phase = (&'static str, fn(&mut WebSocketKeepAlive, Duration));

const PHASES: [Phase; 6] = [
    ("open", |_, _| {}),
    ("asked", |life, now| {
        assert_eq!(life.overdue(now + after(20.0)), WebSocketDue::Ping);
    }),
    ("closing", |life, now| {
        life.close(now);
    }),
    ("closed by them", |life, _| {
        life.closed();
    }),
    ("closed by both", |life, now| {
        life.close(now);
        life.closed();
    }),
    ("failed", |life, _| {
        life.fail();
    }),
];

/// Whether it is over; whether our close frame goes out when we close, they close, they break a rule;
/// what becomes of a ping; what is due next.
#[test]
fn what_goes_out_and_what_is_due_in_every_phase() {
    let now = Duration::ZERO;
    let in_phase = |reach: fn(&mut WebSocketKeepAlive, Duration)| {
        let mut life = open();
        reach(&mut life, now);
        life
    };
    let due = |mut life: WebSocketKeepAlive| match life.deadline() {
        None => "never".to_owned(),
        Some(at) => {
            let early = life.overdue(at - after(0.001));
            assert_eq!(early, WebSocketDue::Nothing);
            let due = life.overdue(at);
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
fn any_word_of_the_clients_breaks_its_silence() {
    let now = Duration::ZERO;
    let mut life = open();
    assert_eq!(life.overdue(now + after(20.0)), WebSocketDue::Ping);
    life.heard(now + after(26.9));
    assert_eq!(life.overdue(now + after(27.0)), WebSocketDue::Nothing);
    assert_eq!(life.deadline(), Some(now + after(46.9)));
    assert_eq!(life.overdue(now + after(46.9)), WebSocketDue::Ping);
    assert_eq!(life.overdue(now + after(53.9)), WebSocketDue::NoPong);
    assert!(life.is_over());
    assert_eq!(life.deadline(), None);
}

#[test]
fn without_an_interval_nobody_is_asked() {
    let now = Duration::ZERO;
    let timeouts = WebSocketTimeouts {
        ping_interval: None,
        ..TIMEOUTS
    };
    let mut life = WebSocketKeepAlive::new(timeouts);
    assert_eq!(life.deadline(), None);
    assert_eq!(life.overdue(now + after(1e6)), WebSocketDue::Nothing);
    life.close(now);
    assert_eq!(life.deadline(), Some(now + after(10.0)));
}

#[test]
fn a_client_that_talks_on_does_not_put_off_the_end_of_a_close() {
    let now = Duration::ZERO;
    let mut life = open();
    life.close(now);
    life.heard(now + after(9.0));
    assert_eq!(life.overdue(now + after(10.0)), WebSocketDue::NoClose);
    assert!(life.is_over());
}

#[test]
fn pings_beyond_the_burst_and_what_time_and_messages_put_back_are_a_flood() {
    let now = Duration::ZERO;
    let mut life = open();
    let answered = |life: &mut WebSocketKeepAlive, at| {
        let mut count = 0;
        while life.ping(at) == WebSocketPing::Answer {
            count += 1;
            assert!(count < 1_000);
        }
        count
    };
    assert_eq!(answered(&mut life, now), 100);
    assert_eq!(answered(&mut life, now + after(0.019)), 0);
    assert_eq!(answered(&mut life, now + after(0.02)), 1);
    assert_eq!(answered(&mut life, now + after(1.02)), 50);
    life.message();
    life.message();
    assert_eq!(answered(&mut life, now + after(1.02)), 2);
    // Nobody saves up.
    assert_eq!(answered(&mut life, now + after(1e4)), 100);
    assert_eq!(answered(&mut life, now + after(1e4)), 0);
    for _ in 0..1_000 {
        life.message();
    }
    assert_eq!(answered(&mut life, now + after(1e4)), 100);
    // One a 20 ms can go on for ever.
    let mut life = open();
    for step in 0..10_000 {
        let at = now + Duration::from_millis(20) * step;
        assert_eq!(life.ping(at), WebSocketPing::Answer, "{step}");
    }
}

#[test]
fn no_sequence_sends_two_close_frames_or_outlasts_its_deadlines() {
    let mut ends = [0; 4];
    for seed in 0..4_000 {
        let mut random = Random::new(seed);
        let mut now = Duration::ZERO;
        let mut life = open();
        let (mut closes, mut over, mut silent_since) = (0, false, now);
        let mut asked = false;
        for _ in 0..random.below(40) {
            now += Duration::from_millis(random.below(9_000));
            match random.below(12) {
                0 => closes += u32::from(life.close(now)),
                1 if random.one_in(3) => {
                    closes += u32::from(life.closed());
                    ends[0] += u32::from(!over);
                    over = true;
                }
                2 if random.one_in(3) => {
                    closes += u32::from(life.fail());
                    ends[1] += u32::from(!over);
                    over = true;
                }
                3 | 4 => {
                    life.heard(now);
                    (silent_since, asked) = (now, false);
                }
                5 => {
                    let answered = life.ping(now) == WebSocketPing::Answer;
                    assert_eq!(answered, closes == 0 && !over, "seed {seed}");
                }
                _ => {
                    let due = life.deadline().filter(|at| *at <= now);
                    match life.overdue(now) {
                        WebSocketDue::Nothing => assert_eq!(due, None, "seed {seed}"),
                        WebSocketDue::Ping => {
                            assert!(!asked && closes == 0 && !over, "seed {seed}");
                            assert!(now - silent_since >= after(20.0), "seed {seed}");
                            asked = true;
                        }
                        WebSocketDue::NoPong => {
                            assert!(asked && closes == 0 && !over, "seed {seed}");
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
            assert_eq!(life.is_over(), over, "seed {seed}");
            assert_eq!(life.deadline().is_none(), over, "seed {seed}");
        }
    }
    assert!(ends.iter().all(|times| *times > 100), "{ends:?}");
}
