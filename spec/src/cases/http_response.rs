//! HTTP §3 and §4: the response and its framing.

use crate::client::{BodyEnd, Received};
use crate::result::{Checked, ensure, equal};
use crate::suite::Subject;

cases! {
    [Http]
    "HTTP-021" a_response_is_a_start_parts_and_a_last_part,
    "HTTP-022" a_status_below_200_is_misuse,
    "HTTP-023" the_head_waits_for_the_first_part,
    "HTTP-024" the_head_goes_out_when_the_app_waits,
    "HTTP-025" a_part_does_not_wait_for_the_next_one,
    "HTTP-026" a_body_that_has_no_place_is_taken_and_not_sent,
    "HTTP-027" a_body_in_one_part_has_its_length,
    "HTTP-028" headers_of_the_connection_are_not_sent,
    "HTTP-029" an_invalid_content_length_is_misuse,
    "HTTP-030" a_body_that_is_too_long_is_misuse,
    "HTTP-031" a_body_that_is_too_short_is_misuse,
    "HTTP-034" no_length_with_204_and_zero_with_205,
    "HTTP-049" a_complete_response_does_not_change,
    "HTTP-062" any_status_from_200_to_999_is_taken,
    "HTTP-085" a_complete_response_in_one_step_is_the_same,
    "HTTP-086" the_framing_is_the_same_each_time,
    "HTTP-087" headers_of_the_response_stay_separate_and_in_order,
    "HTTP-070" a_response_has_a_date,
    "HTTP-072" a_date_or_server_of_the_app_stays,
    [Http1]
    "HTTP-032" the_app_can_close_the_connection,
    "HTTP-033" a_body_of_unknown_length_has_a_sign_of_its_end,
    "HTTP-035" a_connection_serves_one_request_after_the_other,
    "HTTP-088" responses_come_in_the_order_of_the_requests,
}

async fn a_response_is_a_start_parts_and_a_last_part(server: Subject) -> Checked {
    let run = server.run("more=x&start=200&start=200&more=a&more=&last=b&last=c");
    let received = run.get().await?;
    equal("the body", received.text().as_str(), "ab")?;
    let mut outcomes = vec!["misuse", "ok", "misuse", "ok", "ok", "ok", "misuse"];
    if server.is_python() && run.report().await?.last() == "ok" {
        // ASGI ignores what comes after the last part.
        outcomes[6] = "ok";
    }
    run.expect(&outcomes).await.map(drop)
}

async fn a_status_below_200_is_misuse(server: Subject) -> Checked {
    let run = server.run("start=100&start=101&start=199&start=200&last=ok");
    equal("the status", run.get().await?.head.status, 200)?;
    run.expect(&["misuse", "misuse", "misuse", "ok", "ok"])
        .await
        .map(drop)
}

async fn the_head_waits_for_the_first_part(server: Subject) -> Checked {
    // The app fails before the first part, without waiting. So the server can still answer 500.
    let received = server.get("start=200;x-held:1&error=early").await?;
    equal("the status", received.head.status, 500)?;
    equal("x-held", received.head.header("x-held"), None)
}

async fn the_head_goes_out_when_the_app_waits(server: Subject) -> Checked {
    let run = server.run("start=200;x-a:b&wait=go&last=ok");
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    let head = client.head().await?;
    equal("x-a", head.header("x-a"), Some("b"))?;
    run.signal("go").await?;
    let received = client.body_of(Vec::new(), head, "GET").await?;
    equal("the body", received.text().as_str(), "ok")
}

async fn a_part_does_not_wait_for_the_next_one(server: Subject) -> Checked {
    let run = server.run("start=200&more=first&wait=one&more=second&wait=two&last=third");
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    for (part, signal) in [("first", "one"), ("second", "two")] {
        client.expect_bytes(part.as_bytes()).await?;
        run.signal(signal).await?;
    }
    client.expect_bytes(b"third").await
}

async fn a_body_that_has_no_place_is_taken_and_not_sent(server: Subject) -> Checked {
    for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 205), ("GET", 304)] {
        let run = server.run(&format!("start={status}&more=hidden&last=body"));
        let next = server.run("start=200&last=next");
        let mut client = server.connect().await?;
        client.send(run.request_as(method, "")).await?;
        let received = client.response_to(method).await?;
        equal("the status", received.head.status, status)?;
        equal("the body", received.text().as_str(), "")?;
        // A body would stand before the next head, or before the end.
        if server.needs_http_1_1().is_err() {
            let (more, _) = client.end().await?;
            equal("bytes after the head", more.len(), 0)?;
            continue;
        }
        client.send(next.request()).await?;
        equal(
            "the next body",
            client.response().await?.text().as_str(),
            "next",
        )?;
        run.expect(&["ok", "ok", "ok"]).await?;
    }
    Ok(())
}

async fn a_body_in_one_part_has_its_length(server: Subject) -> Checked {
    async fn lengths(server: &Subject, method: &str, steps: &str) -> Checked<Vec<String>> {
        let run = server.run(steps);
        let mut client = server.connect().await?;
        client.send(run.request_as(method, "")).await?;
        let received = client.response_to(method).await?;
        let lengths = received.head.all("content-length");
        Ok(lengths.into_iter().map(str::to_owned).collect())
    }

    equal(
        "length",
        lengths(&server, "GET", "start=200&last=hello").await?,
        ["5"],
    )?;
    equal(
        "length",
        lengths(&server, "GET", "start=200&last").await?,
        ["0"],
    )?;
    let set = "start=200;content-length:5&last=hello";
    equal("length", lengths(&server, "GET", set).await?, ["5"])?;
    let none: [&str; 0] = [];
    equal(
        "length with 304",
        lengths(&server, "GET", "start=304&last=hello").await?,
        none,
    )?;
    equal(
        "length for HEAD",
        lengths(&server, "HEAD", "start=200&last").await?,
        none,
    )
}

async fn headers_of_the_connection_are_not_sent(server: Subject) -> Checked {
    if server.is_python() {
        // ASGI leaves the other headers to the app.
        let received = server
            .get("start=200;x-a:b;transfer-encoding:gzip&last=ok")
            .await?;
        let coding = received.head.header("transfer-encoding");
        ensure(
            coding != Some("gzip"),
            "no transfer-encoding of the app",
            coding,
        )?;
        return equal("the body", received.text().as_str(), "ok");
    }
    let received = server
        .get(
            "start=200;x-a:b;keep-alive:timeout=9;proxy-connection:x;te:trailers;upgrade:h9;\
             transfer-encoding:gzip;connection:x-a&last=ok",
        )
        .await?;
    for name in ["keep-alive", "proxy-connection", "te", "upgrade"] {
        equal(name, received.head.header(name), None)?;
    }
    let coding = received.head.header("transfer-encoding");
    ensure(
        coding != Some("gzip"),
        "no transfer-encoding of the app",
        coding,
    )?;
    let connection = received.head.header("connection");
    ensure(
        connection != Some("x-a"),
        "no connection of the app",
        connection,
    )?;
    equal("x-a", received.head.header("x-a"), Some("b"))?;
    equal("the body", received.text().as_str(), "ok")
}

async fn an_invalid_content_length_is_misuse(server: Subject) -> Checked {
    let run = server.run(
        "start=200;content-length:2;content-length:2&start=200;content-length:%2b2&\
         start=200;content-length:0x2&start=200;content-length:&start=200;content-length:2&last=ok",
    );
    equal("the body", run.get().await?.text().as_str(), "ok")?;
    run.expect(&["misuse", "misuse", "misuse", "misuse", "ok", "ok"])
        .await
        .map(drop)
}

async fn a_body_that_is_too_long_is_misuse(server: Subject) -> Checked {
    let run = server.run("start=200;content-length:5&more=hel&more=lo!&last=lo!&last=lo");
    equal("the body", run.get().await?.text().as_str(), "hello")?;
    run.expect(&["ok", "ok", "misuse", "misuse", "ok"]).await?;
    let run = server.run("start=200;content-length:1&last=long");
    let mut client = server.connect().await?;
    client.send(run.request_as("HEAD", "")).await?;
    let received = client.response_to("HEAD").await?;
    equal(
        "content-length",
        received.head.header("content-length"),
        Some("1"),
    )?;
    run.expect(&["ok", "ok"]).await.map(drop)
}

async fn a_body_that_is_too_short_is_misuse(server: Subject) -> Checked {
    let run = server.run("start=200;content-length:5&last=hel&last=hello");
    equal("the body", run.get().await?.text().as_str(), "hello")?;
    run.expect(&["ok", "misuse", "ok"]).await?;
    let run = server.run("start=200;content-length:100&last");
    let mut client = server.connect().await?;
    client.send(run.request_as("HEAD", "")).await?;
    client.response_to("HEAD").await?;
    run.expect(&["ok", "ok"]).await.map(drop)
}

async fn the_app_can_close_the_connection(server: Subject) -> Checked {
    let run = server.run("start=200;connection:close&last=ok");
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    let received = client.response().await?;
    equal("the body", received.text().as_str(), "ok")?;
    let (more, _) = client.end().await?;
    ensure(more.is_empty(), "nothing after the response", more)
}

async fn a_body_of_unknown_length_has_a_sign_of_its_end(server: Subject) -> Checked {
    if server.needs_http_1_1().is_ok() {
        let received = server.get("start=200&more=a&last=b").await?;
        equal("the end on HTTP/1.1", received.end, BodyEnd::Marked)?;
        equal("the body", received.text().as_str(), "ab")?;
    }
    let received = http_1_0(&server, "start=200&more=a&last=b").await?;
    equal("the end on HTTP/1.0", received.end, BodyEnd::Closed)?;
    equal("the body", received.text().as_str(), "ab")
}

async fn http_1_0(server: &Subject, steps: &str) -> Checked<Received> {
    let run = server.run(steps);
    let mut client = server.connect_http1().await?;
    client
        .send(format!("GET {} HTTP/1.0\r\n\r\n", run.target))
        .await?;
    client.response().await
}

async fn no_length_with_204_and_zero_with_205(server: Subject) -> Checked {
    let received = server.get("start=204;content-length:5&last=hello").await?;
    equal(
        "length with 204",
        received.head.header("content-length"),
        None,
    )?;
    let received = server.get("start=205;content-length:5&last=hello").await?;
    equal(
        "length with 205",
        received.head.header("content-length"),
        Some("0"),
    )
}

async fn a_connection_serves_one_request_after_the_other(server: Subject) -> Checked {
    server.needs_http_1_1()?;
    let mut client = server.connect().await?;
    for steps in [
        "start=200&last=one",
        "start=200&more=t&last=wo",
        "start=404&last",
    ] {
        let run = server.run(steps);
        client.send(run.request()).await?;
        client.response().await?;
    }
    let run = server.run("body&start=200&last=ok");
    client
        .send(run.request_as("POST", "content-length: 5\r\n"))
        .await?;
    client.part("hello").await?;
    client.response().await?;
    let run = server.run("start=200&last=after");
    client.send(run.request()).await?;
    equal(
        "the last body",
        client.response().await?.text().as_str(),
        "after",
    )
}

async fn a_complete_response_does_not_change(server: Subject) -> Checked {
    let mut client = server.connect().await?;
    let run =
        server.run("start=200;content-length:2&last=ok&more=evil&start=500&last=evil&error=late");
    client.send(run.request()).await?;
    let received = client.response().await?;
    equal("the status", received.head.status, 200)?;
    equal("the body", received.text().as_str(), "ok")?;
    run.report().await?;
    let after = client.anything().await?;
    ensure(
        after.is_empty(),
        "nothing after the response",
        after.escape_ascii().to_string(),
    )
}

async fn any_status_from_200_to_999_is_taken(server: Subject) -> Checked {
    for status in [200, 299, 418, 599, 999] {
        let received = server.get(&format!("start={status}&last=ok")).await?;
        equal("the status", received.head.status, status)?;
    }
    Ok(())
}

async fn a_response_has_a_date(server: Subject) -> Checked {
    let received = server.get("start=200&last=ok").await?;
    let dates = received.head.all("date");
    equal("headers named date", dates.len(), 1)?;
    ensure(dates[0].ends_with(" GMT"), "a date of HTTP", dates[0])
}

async fn a_date_or_server_of_the_app_stays(server: Subject) -> Checked {
    let date = "Thu, 01 Jan 1970 00:00:00 GMT";
    let steps = format!(
        "start=200;date:{};server:mine/1&last=ok",
        date.replace(' ', "%20")
    );
    let received = server.get(&steps).await?;
    equal("date", received.head.all("date"), [date])?;
    equal("server", received.head.all("server"), ["mine/1"])
}

async fn a_complete_response_in_one_step_is_the_same(server: Subject) -> Checked {
    let mut shapes = Vec::new();
    for steps in ["respond=hello", "start=200&last=hello"] {
        let run = server.run(&format!("{steps}&respond=late&receive"));
        let received = run.get().await?;
        let length = received.head.header("content-length").map(str::to_owned);
        let outcomes: Vec<String> = {
            let report = run.report().await?;
            let ends = report.outcomes();
            ends.iter().rev().take(2).map(|end| (*end).into()).collect()
        };
        shapes.push((received.text(), received.end, length, outcomes));
    }
    equal("the response in one step", &shapes[0], &shapes[1])
}

async fn the_framing_is_the_same_each_time(server: Subject) -> Checked {
    for _ in 0..30 {
        let received = server.get("yield=3&start=200&last=hello").await?;
        equal("the end", received.end, BodyEnd::Length)?;
    }
    Ok(())
}

async fn headers_of_the_response_stay_separate_and_in_order(server: Subject) -> Checked {
    let received = server
        .get("start=200;set-cookie:b=2;x-a:1;set-cookie:a=1;set-cookie:b=3&last=ok")
        .await?;
    let cookies = received.head.all("set-cookie");
    equal("set-cookie", cookies, ["b=2", "a=1", "b=3"])
}

async fn responses_come_in_the_order_of_the_requests(server: Subject) -> Checked {
    server.needs_http_1_1()?;
    let slow = server.run("busy=100&start=200&last=first");
    let quick = server.run("start=200&last=second");
    let mut client = server.connect_http1().await?;
    client
        .send(slow.request().http1() + &quick.request().http1())
        .await?;
    equal(
        "the first body",
        client.response().await?.text().as_str(),
        "first",
    )?;
    equal(
        "the second body",
        client.response().await?.text().as_str(),
        "second",
    )
}
