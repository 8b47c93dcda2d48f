//! Tests of the token buckets: no useful client runs out, and every flood is caught.

use std::time::{Duration, Instant};

use super::*;

/// A connection whose client has sent the preface and SETTINGS.
struct Conversation {
    check: FrameCheck,
    now: Instant,
    stream: u32,
}

impl Conversation {
    fn new() -> Self {
        let now = Instant::now();
        let check = after_preface(now);
        Self {
            check,
            now,
            stream: 1,
        }
    }

    fn after(&mut self, time: Duration) {
        self.now += time;
    }

    fn client(&mut self, frame: &[u8]) -> Result<(), ConnectionFault> {
        self.check
            .check_received(frame, self.now)
            .map_err(|refused| refused.fault)
    }

    fn server(&mut self, frame: &[u8]) -> Result<(), ConnectionFault> {
        self.check.check_sent(frame, self.now)
    }

    fn request(&mut self) -> Result<u32, ConnectionFault> {
        self.stream += 2;
        self.client(&request(self.stream))?;
        Ok(self.stream)
    }

    fn respond(&mut self, stream: u32) -> Result<(), ConnectionFault> {
        self.server(&frame(HEADERS, END_HEADERS, stream, b"200"))?;
        self.server(&frame(DATA, END_STREAM, stream, &[0; 1000]))
    }
}

#[test]
fn a_browser_that_cancels_pages_is_served() {
    let mut conversation = Conversation::new();
    let setup = [
        settings(&[(1, 65_536), (2, 0), (4, 6_291_456), (6, 262_144)]),
        window_update(0, 15_663_105),
    ];
    conversation.client(&setup.concat()).unwrap();
    conversation.client(&frame(SETTINGS, ACK, 0, b"")).unwrap();
    for page in 0..200 {
        let streams: Vec<u32> = (0..100).map(|_| conversation.request().unwrap()).collect();
        for stream in &streams {
            let update = [&stream.to_be_bytes()[..], b"u=3, i"].concat();
            conversation
                .client(&frame(PRIORITY_UPDATE, 0, 0, &update))
                .unwrap();
            conversation
                .client(&frame(UNKNOWN, 0, *stream, b"grease"))
                .unwrap();
        }
        conversation.client(&ping()).unwrap();
        let cancelled = if page % 3 == 0 { 100 } else { 5 };
        for (index, stream) in streams.iter().enumerate() {
            if index < cancelled {
                conversation.client(&cancel(*stream)).unwrap();
            } else {
                conversation.respond(*stream).unwrap();
                conversation.client(&window_update(*stream, 1000)).unwrap();
                conversation.client(&window_update(0, 1000)).unwrap();
            }
        }
        conversation.after(Duration::from_millis(700));
    }
}

#[test]
fn a_client_that_works_with_the_server_never_runs_out_of_tokens() {
    // One ping a round trip and two updates a frame. No time passes at all.
    let mut conversation = Conversation::new();
    let stream = conversation.request().unwrap();
    for _ in 0..20_000 {
        conversation
            .server(&frame(DATA, 0, stream, &[0; 256]))
            .unwrap();
        for frame in [ping(), window_update(0, 256), window_update(stream, 256)] {
            conversation.client(&frame).unwrap();
        }
    }
    // A chatty client, before the server answers anything.
    for _ in 0..20_000 {
        let stream = conversation.request().unwrap();
        let mut chat = [ping(), frame(UNKNOWN, 0, 0, b"")].concat();
        chat.extend(window_update(stream, 9).repeat(4));
        chat.extend(frame(PRIORITY, 0, stream, &[0; 5]).repeat(5));
        conversation.client(&chat).unwrap();
    }
    // A proxy that cancels every other request.
    for _ in 0..20_000 {
        let answered = conversation.request().unwrap();
        conversation.respond(answered).unwrap();
        let cancelled = conversation.request().unwrap();
        conversation.client(&cancel(cancelled)).unwrap();
    }
    // The same with responses that have no body.
    for _ in 0..20_000 {
        let answered = conversation.request().unwrap();
        conversation
            .server(&frame(HEADERS, WHOLE, answered, b"304"))
            .unwrap();
        let cancelled = conversation.request().unwrap();
        conversation.client(&cancel(cancelled)).unwrap();
    }
    // Uploads that end with an empty frame.
    for (flags, payload) in [(0, &b""[..]), (PADDED, &b"\0"[..])].repeat(20_000) {
        conversation.stream += 2;
        conversation.client(&upload(conversation.stream)).unwrap();
        let end = frame(DATA, END_STREAM | flags, conversation.stream, payload);
        conversation.client(&end).unwrap();
    }
    // A client that wants no pushes and has not said so.
    for promised in (2..20_000).step_by(2) {
        conversation
            .server(&frame(PUSH_PROMISE, END_HEADERS, stream, &[0; 5]))
            .unwrap();
        conversation.client(&cancel(promised)).unwrap();
    }
}

/// Checks how many frames the client may send at once, how many per second after that, and the name of
/// the flood.
#[track_caller]
fn flood(
    name: &str,
    burst: u32,
    a_second: u32,
    mut send: impl FnMut(&mut Conversation) -> Result<(), ConnectionFault>,
) {
    let mut conversation = Conversation::new();
    // The buckets are full again after the start, and an hour of silence does not overfill them.
    conversation.after(Duration::from_secs(3600));
    for n in 0..burst {
        assert_eq!(send(&mut conversation), Ok(()), "{n}");
    }
    let mut paced = |conversation: &mut Conversation, sent| {
        for _ in 0..60 {
            conversation.after(Duration::from_secs(1));
            for _ in 0..sent {
                send(conversation)?;
            }
        }
        Ok(())
    };
    assert_eq!(paced(&mut conversation, a_second), Ok(()));
    let fault: ConnectionFault = paced(&mut conversation, a_second + 1).unwrap_err();
    assert_eq!((fault.code, fault.why), (ErrorCode::EnhanceYourCalm, name));
}

#[test]
fn floods_of_single_frames_are_caught_in_a_burst_and_over_time() {
    let mut settings_of_ten = vec![(0xa, 0); 10];
    settings_of_ten[3] = (4, 9);
    #[rustfmt::skip]
    let floods = [
        ("too many PING frames", 100, 50, ping()),
        ("too many PING frames", 100, 50, frame(PING, ACK, 0, &[0; 8])),
        ("too many SETTINGS", 100, 10, settings(&[])),
        ("too many SETTINGS", 100, 10, settings(&[(4, 9)])),
        ("too many SETTINGS", 10, 1, settings(&settings_of_ten)),
        ("too many PRIORITY frames", 200, 50, frame(PRIORITY, 0, 9, &[0; 5])),
        ("too many PRIORITY frames", 200, 50, frame(PRIORITY_UPDATE, 0, 0, &[0; 5])),
        ("too many WINDOW_UPDATE frames", 10_000, 500, window_update(0, 1)),
        ("too many frames of other types", 100, 50, frame(UNKNOWN, 0, 0, b"")),
        ("too many frames of other types", 100, 50, frame(GOAWAY, 0, 0, &[0; 8])),
    ];
    for (name, burst, a_second, frame) in floods {
        flood(name, burst, a_second, |conversation| {
            conversation.client(&frame)
        });
    }
}

#[test]
fn one_long_settings_frame_can_be_a_flood() {
    let fault = verdict(&[settings(&[(0xa, 0); 101])]).unwrap();
    assert_eq!(fault.why, "too many SETTINGS");
}

#[test]
fn empty_data_is_caught_with_and_without_padding() {
    for (flags, payload) in [
        (0, &b""[..]),
        (PADDED, &b"\0"[..]),
        (PADDED, &b"\x02\0\0"[..]),
    ] {
        let mut opened = false;
        flood("too many empty DATA frames", 100, 50, |conversation| {
            if !std::mem::replace(&mut opened, true) {
                conversation.client(&upload(1)).unwrap();
            }
            conversation.client(&frame(DATA, flags, 1, payload))
        });
    }
}

/// CVE-2023-44487
#[test]
fn rapid_reset_is_caught_in_a_burst_and_over_time() {
    flood(
        "too many requests were cancelled",
        200,
        50,
        |conversation| {
            let stream = conversation.request()?;
            conversation.client(&cancel(stream))
        },
    );
}

#[test]
fn a_clock_that_goes_back_earns_nothing() {
    let mut conversation = Conversation::new();
    let (early, late) = (conversation.now, conversation.now + Duration::from_secs(60));
    for n in 0..=100 {
        conversation.now = if n % 2 == 0 { late } else { early };
        assert_eq!(conversation.client(&ping()).is_ok(), n < 100, "{n}");
    }
}

#[test]
fn more_concurrent_streams_allow_more_cancelled_requests() {
    let now = Instant::now();
    let limits = FrameLimits {
        max_concurrent_streams: 1000,
        ..LIMITS
    };
    let mut conversation = Conversation {
        check: FrameCheck::new(limits, now),
        now,
        stream: 1,
    };
    conversation
        .client(&[&PREFACE[..], &settings(&[])].concat())
        .unwrap();
    for n in 0..=2000 {
        let stream = conversation.request().unwrap();
        assert_eq!(conversation.client(&cancel(stream)).is_ok(), n < 2000);
    }
}

/// CVE-2025-8671
#[test]
fn resets_that_the_client_provokes_are_counted_and_those_of_the_app_are_not() {
    let reset = |code: u32| frame(RST_STREAM, 0, 1, &code.to_be_bytes());
    for code in [0x1, 0x3, 0x5, 0x6, 0x7, 0x9] {
        flood(
            "too many streams had to be reset",
            200,
            50,
            |conversation| conversation.server(&reset(code)),
        );
    }
    let mut conversation = Conversation::new();
    for code in [0x0, 0x2, 0x8, 0xb].repeat(1000) {
        conversation.server(&reset(code)).unwrap();
    }
    // Split anywhere; the next read returns the fault again.
    let bytes = reset(1).repeat(201);
    for cut in [1, 8, 9, 10, 12] {
        let mut conversation = Conversation::new();
        let ends = bytes
            .chunks(cut)
            .map(|piece| conversation.server(piece))
            .collect::<Vec<_>>();
        assert_eq!(ends.iter().filter(|end| end.is_err()).count(), 1);
        conversation.client(&ping()).unwrap_err();
    }
}

/// CVE-2024-27316
#[test]
fn field_blocks_in_many_pieces_are_caught() {
    // Each request earns two.
    flood("too many CONTINUATION frames", 98, 50, |conversation| {
        conversation.stream += 2;
        let stream = conversation.stream;
        conversation.client(&frame(HEADERS, END_STREAM, stream, b""))?;
        conversation.client(&frame(CONTINUATION, 0, stream, b""))?;
        conversation.client(&frame(CONTINUATION, 0, stream, b""))?;
        conversation.client(&frame(CONTINUATION, END_HEADERS, stream, b""))
    });
    let mut conversation = Conversation::new();
    conversation.client(&frame(HEADERS, 0, 1, b"")).unwrap();
    let endless = frame(CONTINUATION, 0, 1, b"").repeat(103);
    conversation.client(&endless).unwrap_err();
}

/// CVE-2019-9511
#[test]
fn a_window_that_opens_one_byte_at_a_time_earns_nothing() {
    flood(
        "too many WINDOW_UPDATE frames",
        10_000,
        500,
        |conversation| {
            conversation.server(&frame(DATA, 0, 1, b"x")).unwrap();
            conversation.client(&window_update(0, 1))
        },
    );
}
