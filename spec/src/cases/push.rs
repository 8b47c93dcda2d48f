//! Server push §1 to §3: the offer, the promise and refusals.

use crate::client::http2::{
    HeaderList, Http2, NO_PUSH, RawHttp2Frame, StreamStep, TAKES_PUSH, kind, pairs, setting,
};
use crate::result::{Checked, ensure, equal, not_observable, not_supported};
use crate::suite::{Run, RunReport, Subject};

cases! {
    [Http2]
    "HTTP-057" a_push_promises_a_get_and_calls_the_app,
    "PUSH-001" no_push_is_offered_to_a_client_that_forbids_it,
    "PUSH-002" no_push_is_offered_to_a_client_without_streams,
    "PUSH-004" a_promise_comes_before_what_follows_the_push,
    "PUSH-005" a_promise_has_the_scheme_and_authority_of_the_page,
    "PUSH-006" headers_of_the_push_replace_those_of_the_page,
    "PUSH-007" a_promise_has_the_headers_on_which_responses_depend,
    "PUSH-008" a_promise_has_no_conditions_and_no_body,
    "PUSH-009" a_promise_leaves_out_headers_of_the_connection,
    "PUSH-010" a_promise_has_no_headers_of_a_response,
    "PUSH-011" a_push_after_the_client_has_forbidden_it_is_refused,
    "PUSH-012" a_push_beyond_the_streams_of_the_client_is_refused,
    "PUSH-013" a_second_push_of_a_path_is_refused,
    "PUSH-014" a_push_without_a_slash_is_refused,
    "PUSH-016" a_page_has_a_limit_of_pushes,
}

/// The step that pushes a run, with headers such as `;x-a:1`.
pub(super) fn push(run: &Run, headers: &str) -> String {
    let path = run.target.replace('%', "%25");
    let path = path.replace('&', "%26").replace(';', "%3b");
    format!("push={path}{headers}")
}

/// Ends a case whose server offers no push.
pub(super) fn need_push(report: &RunReport) -> Checked {
    if report.offers("http.response.push") {
        return Ok(());
    }
    not_supported("the scope does not offer push")
}

/// A page that has pushed one run.
pub(super) struct PushedPage {
    pub(super) client: Http2,
    pub(super) page: Run,
    pub(super) stream: u32,
    pub(super) pushed: Run,
    pub(super) promised: u32,
    pub(super) promise: HeaderList,
}

impl PushedPage {
    /// The values of a header of the promise.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.promise.iter().filter(|(one, _)| one == name);
        named.map(|(_, value)| value.as_str()).collect()
    }
}

/// Opens a page that pushes a run with these steps, and then does more.
pub(super) async fn pushes(server: &Subject, pushed: &str, more: &str) -> Checked<PushedPage> {
    let pushed = server.run(pushed);
    let page = server.run(&format!("{}&{more}", push(&pushed, "")));
    opens(server, page, pushed, "").await
}

/// Sends the request for a page with these headers, and waits for its promise.
async fn opens(server: &Subject, page: Run, pushed: Run, headers: &str) -> Checked<PushedPage> {
    let mut client = server.connect_http2(TAKES_PUSH).await?;
    let stream = client.get(&page.request_with(headers)).await?;
    need_push(&page.after_steps(1).await?)?;
    let (promised, promise) = client.promise(stream).await?;
    Ok(PushedPage {
        client,
        page,
        stream,
        pushed,
        promised,
        promise,
    })
}

async fn a_push_promises_a_get_and_calls_the_app(server: Subject) -> Checked {
    let mut page = pushes(&server, "start=200&last=pushed", "start=200&last=page").await?;
    equal("the method", page.all(":method"), ["GET"])?;
    equal("the path", page.all(":path"), [page.pushed.target.as_str()])?;
    equal("the authority", page.all(":authority"), ["suite"])?;
    equal("calls of the app", page.pushed.report().await?.calls(), 1)?;
    let response = page.client.response(page.stream).await?;
    equal("the page", response.text().as_str(), "page")
}

/// Whether the scope of a request on this connection offers push.
pub(super) async fn offers_push(server: &Subject, client: &mut Http2) -> Checked<bool> {
    let run = server.run("start=200&last=ok");
    let stream = client.get(&run.request()).await?;
    client.response(stream).await?;
    Ok(run.report().await?.offers("http.response.push"))
}

async fn no_push_is_offered_to_a_client_that_forbids_it(server: Subject) -> Checked {
    let mut client = server.connect_http2(NO_PUSH).await?;
    equal(
        "push is offered",
        offers_push(&server, &mut client).await?,
        false,
    )?;

    let mut client = server.connect_http2(TAKES_PUSH).await?;
    let forbids = RawHttp2Frame::settings(&[(setting::ENABLE_PUSH, 0)]);
    client.frame_is_read(&forbids).await?;
    equal(
        "push is offered later",
        offers_push(&server, &mut client).await?,
        false,
    )
}

async fn no_push_is_offered_to_a_client_without_streams(server: Subject) -> Checked {
    let settings = [
        (setting::ENABLE_PUSH, 1),
        (setting::MAX_CONCURRENT_STREAMS, 0),
    ];
    let mut client = server.connect_http2(&settings).await?;
    equal(
        "push is offered",
        offers_push(&server, &mut client).await?,
        false,
    )
}

async fn a_promise_comes_before_what_follows_the_push(server: Subject) -> Checked {
    let (one, two) = (
        server.run("start=200&last=1"),
        server.run("start=200&last=2"),
    );
    let (first, second) = (push(&one, ""), push(&two, ""));
    let page = server.run(&format!("{first}&start=200&more=a&{second}&last=b"));
    let mut page = opens(&server, page, one, "").await?;
    let (other, _) = page.client.promise(page.stream).await?;
    page.client.response(page.stream).await?;
    let steps = &page.client.stream(page.stream).steps;
    let at = |step| steps.iter().rposition(|one| *one == step);
    let (head, data) = (at(StreamStep::Head(200)), at(StreamStep::Data));
    ensure(
        at(StreamStep::Promise(page.promised)) < head && at(StreamStep::Promise(other)) < data,
        "each promise before the head or the part after it",
        steps,
    )
}

async fn a_promise_has_the_scheme_and_authority_of_the_page(server: Subject) -> Checked {
    let pushed = server.run_at("/a%20b", "start=200&last=%6f%6b");
    let page = server.run(&format!("{}&start=200&last=ok", push(&pushed, "")));
    let page = opens(&server, page, pushed, "").await?;
    let scheme = page.client.scheme();
    equal("the scheme", page.all(":scheme"), [scheme])?;
    equal("the authority", page.all(":authority"), ["suite"])?;
    equal("the path", page.all(":path"), [page.pushed.target.as_str()])
}

async fn headers_of_the_push_replace_those_of_the_page(server: Subject) -> Checked {
    let pushed = server.run("start=200&last=ok");
    let step = push(&pushed, ";accept-language:fr;x-a:1;x-a:2");
    let page = server.run(&format!("{step}&start=200&last=ok"));
    let page = opens(&server, page, pushed, "accept-language: de\r\n").await?;
    equal("accept-language", page.all("accept-language"), ["fr"])?;
    equal("x-a", page.all("x-a"), ["1", "2"])
}

async fn a_promise_has_the_headers_on_which_responses_depend(server: Subject) -> Checked {
    let headers = [
        ("accept-encoding", "gzip"),
        ("accept-language", "de"),
        ("authorization", "basic YTpi"),
        ("cookie", "a=b"),
        ("user-agent", "suite/1"),
    ];
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let pushed = server.run("start=200&last=ok");
    let page = server.run(&format!("{}&start=200&last=ok", push(&pushed, "")));
    let page = opens(&server, page, pushed, &lines).await?;
    for (name, value) in headers {
        equal(name, page.all(name), [value])?;
    }
    Ok(())
}

async fn a_promise_has_no_conditions_and_no_body(server: Subject) -> Checked {
    const HEADERS: [(&str, &str); 11] = [
        ("if-match", "\"a\""),
        ("if-none-match", "\"a\""),
        ("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("if-range", "\"a\""),
        ("range", "bytes=0-1"),
        ("content-type", "text/plain"),
        ("content-encoding", "gzip"),
        ("content-language", "de"),
        ("content-length", "2"),
        ("expect", "100-continue"),
    ];

    let pushed = server.run("start=200&last=ok");
    let page = server.run(&format!("{}&start=200&last=ok", push(&pushed, "")));
    let mut client = server.connect_http2(TAKES_PUSH).await?;
    let mut headers = page.request_as("POST", "").http2(client.scheme());
    headers.extend(HEADERS.map(|(name, value)| (name.into(), value.into())));
    let stream = client.begin(&pairs(&headers), false).await?;
    client.data(stream, b"ok", true).await?;
    need_push(&page.after_steps(1).await?)?;
    let (_, promise) = client.promise(stream).await?;
    let wrong = promise
        .iter()
        .find(|(name, _)| HEADERS.iter().any(|(one, _)| one == name));
    equal("a header about the page", wrong, None)
}

async fn a_promise_leaves_out_headers_of_the_connection(server: Subject) -> Checked {
    const HEADERS: &str = ";connection:close;content-length:5;expect:100-continue;host:other;\
                           keep-alive:x;proxy-connection:x;te:trailers;trailer:x-a;\
                           transfer-encoding:chunked;upgrade:h9;x-a:b";

    let pushed = server.run("start=200&last=ok");
    let page = server.run(&format!("{}&start=200&last=ok", push(&pushed, HEADERS)));
    let page = opens(&server, page, pushed, "").await?;
    for header in HEADERS.split(';').skip(1) {
        let name = header.split(':').next().unwrap_or_default();
        let expected: &[&str] = if name == "x-a" { &["b"] } else { &[] };
        equal(name, page.all(name), expected)?;
    }
    equal("the authority", page.all(":authority"), ["suite"])
}

async fn a_promise_has_no_headers_of_a_response(server: Subject) -> Checked {
    let page = pushes(&server, "start=200&last=ok", "start=200&last=ok").await?;
    let names = page.promise.iter().map(|(name, _)| name.as_str());
    let mut names = names.filter(|name| ["date", "server", ":status"].contains(name));
    equal("a header of a response", names.next(), None)
}

async fn a_push_after_the_client_has_forbidden_it_is_refused(server: Subject) -> Checked {
    let forbids = RawHttp2Frame::settings(&[(setting::ENABLE_PUSH, 0)]);
    let leaves = RawHttp2Frame::new(kind::GOAWAY, 0, 0, [0; 8]);
    for frame in [forbids, leaves] {
        let page = server.run("state=begun&wait=go&push=/report/x&start=200&last=ok");
        let mut client = server.connect_http2(TAKES_PUSH).await?;
        let stream = client.get(&page.request()).await?;
        need_push(&page.after_steps(1).await?)?;
        client.frame_is_read(&frame).await?;
        page.signal("go").await?;
        let response = client.response(stream).await?;
        equal("the page", response.text().as_str(), "ok")?;
        page.expect(&["set", "refused", "ok", "ok"]).await?;
    }
    Ok(())
}

async fn a_push_beyond_the_streams_of_the_client_is_refused(server: Subject) -> Checked {
    let slow = server.run("start=200&wait=go&last=slow");
    let later = server.run("start=200&last=later");
    let steps = format!(
        "{}&push=/report/x&wait=go&{}&start=200&last=page",
        push(&slow, ""),
        push(&later, "")
    );
    let page = server.run(&steps);
    let settings = [
        (setting::ENABLE_PUSH, 1),
        (setting::MAX_CONCURRENT_STREAMS, 1),
    ];
    let mut client = server.connect_http2(&settings).await?;
    let stream = client.get(&page.request()).await?;
    need_push(&page.after_steps(2).await?)?;
    let (promised, _) = client.promise(stream).await?;
    slow.signal("go").await?;
    let response = client.response(promised).await?;
    equal("the pushed body", response.text().as_str(), "slow")?;
    // The last frame is written, so there is a place again. The server may learn that a little later.
    slow.report().await?;
    let ping = RawHttp2Frame::new(kind::PING, 0, 0, [0; 8]);
    client.frame_is_read(&ping).await?;
    page.signal("go").await?;
    client.response(stream).await?;
    page.expect(&["ok", "refused", "ok", "ok", "ok"])
        .await
        .map(drop)
}

async fn a_second_push_of_a_path_is_refused(server: Subject) -> Checked {
    let page = server.run("push=/report/x&push=/report/x&push=/report/x?2&start=200&last=ok");
    let mut client = server.connect_http2(TAKES_PUSH).await?;
    let stream = client.get(&page.request()).await?;
    client.response(stream).await?;
    need_push(&page.report().await?)?;
    page.expect(&["ok", "refused", "ok", "ok", "ok"])
        .await
        .map(drop)
}

async fn a_push_without_a_slash_is_refused(server: Subject) -> Checked {
    let page = server.run("push=*&start=200&last=ok");
    let mut client = server.connect_http2(TAKES_PUSH).await?;
    let stream = client.get(&page.request()).await?;
    let response = client.response(stream).await?;
    need_push(&page.report().await?)?;
    equal("the page", response.text().as_str(), "ok")?;
    page.expect(&["refused", "ok", "ok"]).await.map(drop)
}

async fn a_page_has_a_limit_of_pushes(server: Subject) -> Checked {
    const PUSHES: usize = 300;

    let steps: String = (0..PUSHES)
        .map(|number| format!("push=/report/x?{number}&"))
        .collect();
    let page = server.run(&format!("{steps}start=200&last=ok"));
    let mut client = server.connect_http2(TAKES_PUSH).await?;
    let stream = client.get(&page.request()).await?;
    client.response(stream).await?;
    let report = page.report().await?;
    need_push(&report)?;
    if report.outcomes().contains(&"refused") {
        return Ok(());
    }
    not_observable(format!("the limit of this server is above {PUSHES}"))
}
