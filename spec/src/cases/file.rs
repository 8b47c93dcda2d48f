//! Path send: a file as the body, by its path.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::client::{CaseClient, Received};
use crate::result::{Checked, ensure, equal, fail, not_observable, not_supported};
use crate::suite::{Run, RunReport, Subject};

cases! {
    [Http]
    "HTTP-060" files_are_offered_only_if_they_are_sent,
    "PATH-001" a_pathsend_is_the_whole_body,
    "PATH-002" a_pathsend_after_a_part_is_misuse,
    "PATH-003" a_path_that_is_not_absolute_is_misuse,
    "PATH-004" a_path_without_a_regular_file_is_refused,
    "PATH-005" the_length_of_the_file_is_that_of_the_body,
    "PATH-006" a_file_that_grows_is_sent_with_its_first_length,
    "PATH-007" a_file_that_shrinks_breaks_the_response_off,
    "PATH-008" a_file_does_not_change_the_headers,
}

const PATH_SEND: &str = "http.response.pathsend";

/// More than a server and two kernels can hold for one connection.
pub(super) const LARGE: usize = 24 << 20;

/// A file that the suite has written. Dropping it removes the file.
pub(super) struct SuiteFile(PathBuf);

impl SuiteFile {
    /// Writes a file with this content.
    pub(super) fn new(ending: &str, content: &[u8]) -> Checked<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("asgi-spec-{}-{number}{ending}", std::process::id());
        let path = std::env::temp_dir().join(name);
        match fs::write(&path, content) {
            Ok(()) => Ok(Self(path)),
            Err(error) => not_observable(format!("the suite can't write a file: {error}")),
        }
    }

    /// Its path as the argument of a step.
    pub(super) fn argument(&self) -> String {
        let path = self.0.display().to_string().replace('%', "%25");
        path.replace('&', "%26")
            .replace(';', "%3b")
            .replace('#', "%23")
            .replace(' ', "%20")
    }

    /// Makes the file longer.
    pub(super) fn grow(&self, more: &[u8]) -> Checked {
        let file = OpenOptions::new().append(true).open(&self.0);
        match file.and_then(|mut file| file.write_all(more)) {
            Ok(()) => Ok(()),
            Err(error) => not_observable(format!("the suite can't write a file: {error}")),
        }
    }

    /// Makes the file shorter.
    pub(super) fn shrink(&self, length: u64) -> Checked {
        let file = OpenOptions::new().write(true).open(&self.0);
        match file.and_then(|file| file.set_len(length)) {
            Ok(()) => Ok(()),
            Err(error) => not_observable(format!("the suite can't write a file: {error}")),
        }
    }

    pub(super) fn remove(&self) {
        // It may be gone already.
        fs::remove_file(&self.0).ok();
    }
}

impl Drop for SuiteFile {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Ends a case whose server does not offer an extension, or can't read the files of the suite.
pub(super) async fn need_files(server: &Subject, extension: &str) -> Checked {
    let run = server.run("start=200&last=ok");
    run.get().await?;
    if !run.report().await?.offers(extension) {
        return not_supported(format!("the scope does not offer {extension}"));
    }
    if !server.endpoint().address.ip().is_loopback() {
        return not_observable("the server can't read the files of the suite");
    }
    Ok(())
}

/// Fails unless the outcomes of a run, once its app has ended, are these.
pub(super) async fn outcomes(run: &Run, expected: &[&str]) -> Checked<RunReport> {
    run.expect(expected).await
}

/// Sends a request with this method, and returns the response.
pub(super) async fn response(server: &Subject, run: &Run, method: &str) -> Checked<Received> {
    let mut client = server.connect().await?;
    client.send(run.request_as(method, "")).await?;
    client.response_to(method).await
}

async fn files_are_offered_only_if_they_are_sent(server: Subject) -> Checked {
    let run = server.run("start=200&last=ok");
    run.get().await?;
    let report = run.report().await?;
    let file = SuiteFile::new(".txt", b"hello")?;
    let path = file.argument();
    for (extension, steps) in [
        (PATH_SEND, format!("start=200&pathsend={path}")),
        (
            "http.response.zerocopysend",
            format!("open={path}&start=200&zerocopy=last"),
        ),
    ] {
        if report.offers(extension) {
            need_files(&server, extension).await?;
            let received = server.get(&steps).await?;
            equal(extension, received.text().as_str(), "hello")?;
        }
    }
    Ok(())
}

async fn a_pathsend_is_the_whole_body(server: Subject) -> Checked {
    need_files(&server, PATH_SEND).await?;
    let content = b"a\r\n\0\xff".repeat(5000);
    let file = SuiteFile::new(".bin", &content)?;
    let path = file.argument();
    let run = server.run(&format!(
        "start=201;x-a:b&pathsend={path}&more=late&pathsend={path}"
    ));
    let received = response(&server, &run, "GET").await?;
    equal("the status", received.head.status, 201)?;
    equal("x-a", received.head.header("x-a"), Some("b"))?;
    ensure(received.body == content, "the file", received.body.len())?;
    ensure(!received.end.is_cut(), "a complete body", received.end)?;
    outcomes(&run, &["ok", "ok", "misuse", "misuse"]).await?;

    let run = server.run(&format!("pathsend={path}&start=200&last=ok"));
    response(&server, &run, "GET").await?;
    outcomes(&run, &["misuse", "ok", "ok"]).await.map(drop)
}

async fn a_pathsend_after_a_part_is_misuse(server: Subject) -> Checked {
    need_files(&server, PATH_SEND).await?;
    let file = SuiteFile::new(".txt", b"hello")?;
    let path = file.argument();
    let run = server.run(&format!("start=200&more=a&pathsend={path}&last=b"));
    let received = response(&server, &run, "GET").await?;
    equal("the body", received.text().as_str(), "ab")?;
    let report = outcomes(&run, &["ok", "ok", "misuse", "ok"]).await?;
    if !report.offers("http.response.zerocopysend") {
        return Ok(());
    }
    let run = server.run(&format!(
        "open={path}&start=200&zerocopy=more&pathsend={path}&last=b"
    ));
    let received = response(&server, &run, "GET").await?;
    equal("the body", received.text().as_str(), "hellob")?;
    outcomes(&run, &["ok", "ok", "ok", "misuse", "ok"])
        .await
        .map(drop)
}

async fn a_path_that_is_not_absolute_is_misuse(server: Subject) -> Checked {
    need_files(&server, PATH_SEND).await?;
    let run = server.run("start=200&pathsend=a.txt&pathsend=./a.txt&pathsend=&last=ok");
    let received = response(&server, &run, "GET").await?;
    equal("the body", received.text().as_str(), "ok")?;
    outcomes(&run, &["ok", "misuse", "misuse", "misuse", "ok"])
        .await
        .map(drop)
}

async fn a_path_without_a_regular_file_is_refused(server: Subject) -> Checked {
    need_files(&server, PATH_SEND).await?;
    let file = SuiteFile::new(".txt", b"hello")?;
    let missing = file.argument();
    file.remove();
    let folder = std::env::temp_dir().display().to_string();
    let run = server.run(&format!(
        "start=200&pathsend={missing}&pathsend={folder}&pathsend=/dev/zero&last=ok"
    ));
    let received = response(&server, &run, "GET").await?;
    equal("the body", received.text().as_str(), "ok")?;
    outcomes(&run, &["ok", "refused", "refused", "refused", "ok"])
        .await
        .map(drop)
}

async fn the_length_of_the_file_is_that_of_the_body(server: Subject) -> Checked {
    need_files(&server, PATH_SEND).await?;
    let file = SuiteFile::new(".txt", b"hello")?;
    let path = file.argument();
    // HTTP-027: also for HEAD, and not with 304. HTTP-026: nothing is sent there.
    for (method, status, length, body) in [
        ("GET", 200, Some("5"), "hello"),
        ("HEAD", 200, Some("5"), ""),
        ("GET", 304, None, ""),
    ] {
        let run = server.run(&format!("start={status}&pathsend={path}"));
        let received = response(&server, &run, method).await?;
        let what = format!("content-length of {status} for {method}");
        equal(&what, received.head.header("content-length"), length)?;
        equal("the body", received.text().as_str(), body)?;
        outcomes(&run, &["ok", "ok"]).await?;
    }
    // HTTP-030 and HTTP-031.
    for wrong in [4, 6] {
        let run = server.run(&format!(
            "start=200;content-length:{wrong}&pathsend={path}&last-fill={wrong}"
        ));
        let received = response(&server, &run, "GET").await?;
        equal("the length of the body", received.body.len(), wrong)?;
        outcomes(&run, &["ok", "misuse", "ok"]).await?;
    }
    Ok(())
}

/// Asks for a large file and waits until the server has sent the head. The client then reads nothing.
pub(super) async fn begins(server: &Subject, run: &Run, taken: usize) -> Checked<CaseClient> {
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    run.after_steps(taken).await?;
    Ok(client)
}

/// Reads the response, which must be the first content of a large file.
pub(super) async fn is_first_content(mut client: CaseClient, length: usize) -> Checked {
    let received = client.response().await?;
    ensure(!received.end.is_cut(), "a complete body", received.end)?;
    equal("the length of the body", received.body.len(), length)?;
    let right = received.body == vec![b'x'; length];
    ensure(right, "the bytes of the file", "others")
}

/// Reads the response to a file that has become shorter, which must be broken off unless the server
/// had read all of it before.
pub(super) async fn is_broken_off(mut client: CaseClient) -> Checked {
    let received = client.response().await?;
    if received.end.is_cut() {
        return Ok(());
    }
    if received.body == vec![b'x'; LARGE] {
        return not_observable("the server had read the whole file before it became shorter");
    }
    fail(
        "a body that is broken off",
        format!("{} bytes", received.body.len()),
    )
}

async fn a_file_that_grows_is_sent_with_its_first_length(server: Subject) -> Checked {
    need_files(&server, PATH_SEND).await?;
    let file = SuiteFile::new(".bin", &vec![b'x'; LARGE])?;
    let run = server.run(&format!("start=200&pathsend={}", file.argument()));
    let client = begins(&server, &run, 2).await?;
    file.grow(&[b'y'; 1000])?;
    is_first_content(client, LARGE).await
}

async fn a_file_that_shrinks_breaks_the_response_off(server: Subject) -> Checked {
    need_files(&server, PATH_SEND).await?;
    let file = SuiteFile::new(".bin", &vec![b'x'; LARGE])?;
    let run = server.run(&format!("start=200&pathsend={}", file.argument()));
    let client = begins(&server, &run, 2).await?;
    file.shrink(1000)?;
    is_broken_off(client).await
}

async fn a_file_does_not_change_the_headers(server: Subject) -> Checked {
    need_files(&server, PATH_SEND).await?;
    let file = SuiteFile::new(".html.gz", b"<!doctype html><p>hello")?;
    let run = server.run(&format!("start=200;x-a:b&pathsend={}", file.argument()));
    let received = response(&server, &run, "GET").await?;
    let usual = server.get("start=200;x-a:b&last=hello").await?;
    let names = |received: &Received| -> Vec<String> {
        let names = received.head.headers.iter().map(|(name, _)| name.clone());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    equal("the headers", names(&received), names(&usual))?;

    let steps = format!("start=200;content-type:a/b&pathsend={}", file.argument());
    let received = server.get(&steps).await?;
    equal("content-type", received.head.all("content-type"), ["a/b"])
}
