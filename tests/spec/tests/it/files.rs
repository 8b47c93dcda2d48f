//! Proof that the cases about files can pass: this server with a layer that offers path send and zero
//! copy send, and reads the files itself. Broken forms of the layer each fail their case.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::task::{Context, Poll};

use asgi::{
    App, AppError, Closed, DisconnectReason, DynApp, Extension, HttpResponseBody,
    HttpResponseZeroCopySend, Receiver, Scope, SendError, SendEvent, SendHalf, Sender,
};
use asgi_spec::{Grade, Suite};

use crate::linked::Linked;

/// The requirements that the layer can break.
const SWITCHES: &[&str] = &[
    "HTTP-060", "PATH-001", "PATH-002", "PATH-003", "PATH-004", "PATH-005", "PATH-006", "PATH-007",
    "PATH-008", "ZERO-001", "ZERO-002", "ZERO-003", "ZERO-004", "ZERO-005", "ZERO-006", "ZERO-007",
];

/// A layer that sends files. `broken` names a requirement that it does not keep.
#[derive(Clone)]
struct FileLayer {
    app: DynApp,
    broken: &'static str,
}

impl App for FileLayer {
    async fn call(
        &self,
        mut scope: Scope,
        receive: Receiver,
        send: Sender,
    ) -> Result<(), AppError> {
        if let Scope::Http(http) = &mut scope {
            let extensions = http.extensions.clone().with(Extension::PathSend);
            http.extensions = extensions.with(Extension::ZeroCopySend);
        }
        let files = FileSend {
            send,
            broken: self.broken,
            has_part: false,
        };
        self.app.call(scope, receive, Sender::new(files)).await
    }
}

struct FileSend {
    send: Sender,
    broken: &'static str,
    has_part: bool,
}

impl SendHalf for FileSend {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.send.poll_ready(cx)
    }

    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        match event {
            SendEvent::HttpResponsePathSend(event) => self.path_send(&event.path),
            SendEvent::HttpResponseZeroCopySend(event) => self.zero_copy_send(&event),
            SendEvent::HttpResponseStart(mut start) => {
                if self.broken == "PATH-008" {
                    start.headers.remove("content-type");
                }
                self.send.start_send(start.into())
            }
            event => {
                let is_part = matches!(event, SendEvent::HttpResponseBody(_));
                self.send.start_send(event)?;
                self.has_part |= is_part;
                Ok(())
            }
        }
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        self.send.poll_closed(cx)
    }

    fn closed_handle(&self) -> Closed {
        self.send.closed_handle()
    }
}

impl FileSend {
    fn body(&mut self, mut bytes: Vec<u8>, more: bool) -> Result<(), SendError> {
        if ["PATH-007", "ZERO-007"].contains(&self.broken) {
            bytes.truncate(1000);
        }
        if ["PATH-006", "ZERO-004"].contains(&self.broken) && bytes.len() > 1_000_000 {
            bytes.push(b'y');
        }
        let event = match more {
            true => HttpResponseBody::more(bytes),
            false => HttpResponseBody::last(bytes),
        };
        self.send.start_send(event.into())?;
        self.has_part = true;
        Ok(())
    }

    fn path_send(&mut self, path: &Path) -> Result<(), SendError> {
        if self.broken == "HTTP-060" {
            return Err(SendError::refused("no files"));
        }
        if self.has_part && self.broken != "PATH-002" {
            return Err(SendError::misuse("a pathsend after a part", "a part"));
        }
        if !path.is_absolute() && self.broken != "PATH-003" {
            return Err(SendError::misuse("a relative path", "an absolute one"));
        }
        let file = File::open(path).ok().filter(is_regular);
        let Some(mut file) = file else {
            return Err(match self.broken {
                "PATH-004" => SendError::misuse("no file", "a file"),
                _ => SendError::refused("no regular file"),
            });
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        if self.broken == "PATH-005" && bytes.len() == 5 {
            // A length that the server does not know.
            self.body(bytes, true)?;
            return self.body(Vec::new(), false);
        }
        self.body(bytes, self.broken == "PATH-001")
    }

    fn zero_copy_send(&mut self, event: &HttpResponseZeroCopySend) -> Result<(), SendError> {
        let mut file = &*event.file;
        if !is_regular(file) {
            return self.refuse();
        }
        let length = file.metadata().unwrap().len();
        let position = file.stream_position().unwrap();
        let offset = event.offset.unwrap_or(position);
        let rest = length.saturating_sub(offset);
        let count = event.count.unwrap_or(rest);
        if count > rest {
            return self.refuse();
        }
        let mut bytes = vec![0; count as usize];
        file.read_exact_at(&mut bytes, offset).unwrap();
        if self.broken == "ZERO-001" {
            bytes.reverse();
        }
        if self.broken == "ZERO-006" {
            bytes.truncate(1_000_000);
        }
        let moves = match self.broken {
            "ZERO-002" => true,
            "ZERO-003" => false,
            _ => event.offset.is_none(),
        };
        self.body(bytes, event.more_body)?;
        if moves {
            file.seek(SeekFrom::Start(offset + count)).unwrap();
        }
        Ok(())
    }

    fn refuse(&self) -> Result<(), SendError> {
        Err(match self.broken {
            "ZERO-005" => SendError::misuse("that part", "one that the file has"),
            _ => SendError::refused("the file has no such part"),
        })
    }
}

fn is_regular(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file())
}

fn start(app: DynApp, broken: &'static str) -> Result<Linked, String> {
    Linked::start(DynApp::new(FileLayer { app, broken }))
}

#[test]
fn a_layer_that_sends_files_passes() {
    let results = Suite::new(|app| start(app, "nothing"))
        .only("PATH-*")
        .only("ZERO-*")
        .only("HTTP-060")
        .run();
    // The layer reads a file at once, so it does not see that a file becomes shorter.
    for one in results.iter() {
        let id = one.requirement.id;
        let shrinks = ["PATH-007", "ZERO-007"].contains(&id);
        let passed = one.grade == Grade::Passed;
        assert_eq!(passed, !shrinks, "{id} {}: {:?}", one.transport, one.grade);
    }
    results.assert();
}

#[test]
fn each_broken_layer_fails_the_case_of_its_requirement() {
    for id in SWITCHES {
        let results = Suite::new(|app| start(app, id)).only(id).run();
        for one in results.iter() {
            let failed = matches!(one.grade, Grade::Failed(_));
            assert!(failed, "{id} {}: {:?}", one.transport, one.grade);
        }
    }
}
