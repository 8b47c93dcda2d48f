//! The scripts on the raw ABI. Each is about one requirement, answers the request, and reports what the
//! host did.
//!
//! | name | requirement | what it does |
//! | --- | --- | --- |
//! | `report` | | answers with the report |
//! | `scope` | ABI-031 | answers with the scope |
//! | `order` | ABI-025 | sends events without room for them |
//! | `malformed` | ABI-027 | sends events that are not well-formed |
//! | `body` | ABI-026 | sends a body that the host refuses |
//! | `borrowed` | ABI-011 | overwrites what it lent for a call |
//! | `keep` | ABI-010 | keeps the parts of a request's body |
//! | `respond` | ABI-029 | sends a complete response in one step |
//! | `closed` | ABI-030 | waits for the close after its task |
//! | `file` | ABI-028 | sends a file and closes it at once |
//! | `failed`, `unsupported`, `aborted` | ABI-034 | ends so |
//! | `panicked` | ABI-015 | ends with PANICKED |
//! | `log` | ABI-035 | writes a line into the log |

use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::host::{CHECKED, real};
use crate::layout::*;
use crate::raw::{End, HostAnswer, Raw, Sent};
use crate::report;
use crate::waker::NOOP;

/// Starts a script.
pub(crate) fn script(name: &str, raw: Arc<Raw>) -> Pin<Box<dyn Future<Output = End>>> {
    match name {
        "report" => Box::pin(async move { respond(&raw, &report::render()).await }),
        "scope" => Box::pin(async move {
            let dump = raw.dump.clone();
            respond(&raw, &dump).await
        }),
        "order" => Box::pin(async move { order(&raw).await }),
        "malformed" => Box::pin(async move { malformed(&raw).await }),
        "body" => Box::pin(async move { body(&raw).await }),
        "borrowed" => Box::pin(async move { borrowed(&raw).await }),
        "keep" => Box::pin(async move { keep(&raw).await }),
        "respond" => Box::pin(async move { one_step(&raw).await }),
        "closed" => Box::pin(async move { closed(&raw).await }),
        "file" => Box::pin(async move { file(&raw).await }),
        "failed" => Box::pin(async move {
            let messages = ["outer of abi-034", "cause of abi-034"];
            End::Failed(OUTCOME_FAILED, messages.map(String::from).into())
        }),
        "unsupported" => {
            Box::pin(
                async move { End::Failed(OUTCOME_UNSUPPORTED, vec!["a kind of abi-034".into()]) },
            )
        }
        "aborted" => Box::pin(async move { End::Failed(OUTCOME_ABORTED, Vec::new()) }),
        "panicked" => Box::pin(async move { End::Panicked }),
        "log" => Box::pin(async move {
            let is_wanted = log(raw.exchange);
            respond(&raw, if is_wanted { "logged" } else { "not wanted" }).await
        }),
        _ => Box::pin(async move {
            let start = Sent {
                status: 404,
                ..start()
            };
            raw.send_event(start).await;
            raw.send_event(last("there is no such script")).await;
            End::Ok
        }),
    }
}

fn start() -> Sent {
    Sent {
        kind: SEND_HTTP_RESPONSE_START,
        status: 200,
        ..Sent::default()
    }
}

fn last(body: &str) -> Sent {
    Sent {
        kind: SEND_HTTP_RESPONSE_BODY,
        body: body.into(),
        ..Sent::default()
    }
}

async fn respond(raw: &Raw, body: &str) -> End {
    raw.send_event(start()).await;
    raw.send_event(last(body)).await;
    End::Ok
}

fn expect(id: &'static str, what: &str, answer: &HostAnswer, expected: &HostAnswer) {
    report::check(id, answer == expected, || {
        format!("{what}: expected {expected:?}, got {answer:?}")
    });
}

async fn order(raw: &Raw) -> End {
    let early = raw.start(start());
    expect(
        "ABI-025",
        "an event before send_poll_ready",
        &early,
        &HostAnswer::Misuse,
    );
    let first = raw.send_event(start()).await;
    expect("ABI-025", "an event after it", &first, &HostAnswer::Taken);
    let second = raw.start(last("one READY, two events"));
    expect(
        "ABI-025",
        "a second event after one READY",
        &second,
        &HostAnswer::Misuse,
    );
    raw.send_event(last("in order")).await;
    End::Ok
}

async fn malformed(raw: &Raw) -> End {
    let wrong = [
        (
            "an unknown kind",
            Sent {
                kind: 99,
                ..start()
            },
        ),
        (
            "a status of four digits",
            Sent {
                status: 1000,
                ..start()
            },
        ),
        (
            "a name with a space",
            Sent {
                headers: vec![(b"x y".to_vec(), b"z".to_vec())],
                ..start()
            },
        ),
        (
            "a value with a line end",
            Sent {
                headers: vec![(b"x-a".to_vec(), b"a\r\nb".to_vec())],
                ..start()
            },
        ),
    ];
    for (what, event) in wrong {
        let answer = raw.send_event(event).await;
        expect("ABI-027", what, &answer, &HostAnswer::Misuse);
    }
    for event in [start(), last("well-formed")] {
        let answer = raw.send_event(event).await;
        expect(
            "ABI-027",
            "an event that is well-formed",
            &answer,
            &HostAnswer::Taken,
        );
    }
    End::Ok
}

async fn body(raw: &Raw) -> End {
    let refused = raw.send_event(last("before the start")).await;
    expect(
        "ABI-026",
        "a body before the start",
        &refused,
        &HostAnswer::Misuse,
    );
    // Its drop is checked with ABI-009.
    respond(raw, "the host owns each body").await
}

async fn borrowed(raw: &Raw) -> End {
    let start = Sent {
        headers: vec![(b"x-lent".to_vec(), b"as it was".to_vec())],
        ..start()
    };
    raw.send_event(start).await;
    raw.send_event(last("ok")).await;
    End::Ok
}

async fn keep(raw: &Raw) -> End {
    let mut parts = Vec::new();
    loop {
        let event = raw.receive().await;
        if event.kind != RECEIVE_HTTP_REQUEST {
            break;
        }
        // The structure moves, and the bytes must not.
        // SAFETY: the buffer is ours, and it is not dropped yet.
        let before = unsafe { event.body.to_vec() };
        parts.push(Box::new((event.body, before)));
        if event.flags & FLAG_MORE == 0 {
            break;
        }
    }
    let mut whole = Vec::new();
    for part in parts {
        let (body, before) = *part;
        // SAFETY: as above; this is the only drop.
        let now = unsafe {
            let now = body.to_vec();
            body.give_back();
            now
        };
        report::check("ABI-010", now == before, || {
            "the bytes of a part have changed".into()
        });
        whole.extend(now);
    }
    respond(raw, &String::from_utf8_lossy(&whole)).await
}

async fn one_step(raw: &Raw) -> End {
    let response = || Sent {
        body: b"in one step".to_vec(),
        ..start()
    };
    let (answer, left) = raw.respond(response()).await;
    match answer {
        HostAnswer::Taken => {
            let (again, _) = raw.respond(response()).await;
            let is_right = matches!(again, HostAnswer::Misuse | HostAnswer::Code(DECLINED));
            report::check("ABI-029", is_right, || {
                format!("a second response in one step: {again:?}")
            });
        }
        HostAnswer::Code(DECLINED) => {
            report::check("ABI-029", left == b"in one step", || {
                "the host declined a response and took its body".into()
            });
            respond(raw, "in one step").await;
        }
        other => report::broken("ABI-029", format!("a response in one step: {other:?}")),
    }
    End::Ok
}

/// A handle for the close, for the thread that outlives the task.
struct Waiting(Closed);

impl Waiting {
    /// Polls until the close, within a limit, and gives the handle back.
    fn wait(mut self) {
        let began = Instant::now();
        let mut code = PENDING;
        while code == PENDING && began.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(10));
            let mut reason = std::mem::MaybeUninit::uninit();
            // SAFETY: the handle is ours, and the waker is a static.
            code = unsafe {
                (CHECKED.closed_poll)(&raw mut self.0, &raw const NOOP.0, reason.as_mut_ptr())
            };
        }
        report::check("ABI-030", code == READY, || {
            format!("a handle for the close after its task: the code {code}")
        });
        // SAFETY: this is its only drop.
        unsafe { (CHECKED.closed_drop)(&raw mut self.0) };
    }
}

// SAFETY: a handle may be used from another thread each time.
unsafe impl std::marker::Send for Waiting {}

async fn closed(raw: &Raw) -> End {
    let Some(handle) = raw.closed_handle() else {
        report::broken("ABI-030", "the host makes no handle for the close");
        return respond(raw, "none").await;
    };
    let waiting = Waiting(handle);
    thread::spawn(move || {
        // The task and its halves are gone by then.
        thread::sleep(Duration::from_millis(200));
        waiting.wait();
    });
    respond(raw, "a handle waits").await
}

async fn file(raw: &Raw) -> End {
    if raw.extensions & EXTENSION_ZERO_COPY_SEND == 0 {
        return respond(raw, "not offered").await;
    }
    let path = std::env::temp_dir().join(format!("asgi-spec-abi-{}", std::process::id()));
    let opened = std::fs::write(&path, "from a file").and_then(|()| std::fs::File::open(&path));
    let Ok(opened) = opened else {
        return respond(raw, "no file").await;
    };
    raw.send_event(start()).await;
    raw.ready().await;
    let answer = raw.start(Sent {
        kind: SEND_HTTP_RESPONSE_ZERO_COPY_SEND,
        file: opened.as_raw_fd(),
        ..Sent::default()
    });
    drop(opened);
    std::fs::remove_file(&path).ok();
    expect("ABI-028", "a file", &answer, &HostAnswer::Taken);
    End::Ok
}

/// Writes a line if the host wants it. False if not.
fn log(exchange: u64) -> bool {
    let target = Str::new("abi::script");
    let line = LogLine {
        level: LOG_WARN,
        reserved: 0,
        exchange,
        target,
        message: Str::new("line-of-abi-035"),
        fields: std::ptr::null(),
        n_fields: 0,
    };
    // SAFETY: the line and its texts are valid during the call.
    unsafe {
        let is_wanted = (real().log_enabled)(LOG_WARN, target) & LOG_ENABLED != 0;
        if is_wanted {
            (real().log)(&raw const line);
        }
        is_wanted
    }
}
