//! Zero copy send: parts of an open file in the body.

use super::file::{
    LARGE, SuiteFile, begins, is_broken_off, is_first_content, need_files, outcomes, response,
};
use crate::result::{Checked, equal};
use crate::suite::Subject;

cases! {
    [Http]
    "ZERO-001" a_part_of_a_file_is_a_part_of_the_body,
    "ZERO-002" an_offset_leaves_the_position_of_the_file,
    "ZERO-003" without_an_offset_the_position_moves,
    "ZERO-004" without_a_count_a_part_goes_to_the_end_of_that_moment,
    "ZERO-005" a_part_that_the_file_does_not_have_is_refused,
    "ZERO-006" a_file_that_the_app_has_closed_is_sent,
    "ZERO-007" a_file_that_shrinks_breaks_its_response_off,
}

const ZERO_COPY_SEND: &str = "http.response.zerocopysend";

async fn a_part_of_a_file_is_a_part_of_the_body(server: Subject) -> Checked {
    need_files(&server, ZERO_COPY_SEND).await?;
    let file = SuiteFile::new(".txt", b"0123456789")?;
    let path = file.argument();
    let mixed = "more=a&zerocopy=more;offset:2;count:3&more=b&zerocopy=last;offset:9;count:1";
    let run = server.run(&format!(
        "open={path}&start=200&{mixed}&more=late&zerocopy=last"
    ));
    let received = response(&server, &run, "GET").await?;
    equal("the body", received.text().as_str(), "a234b9")?;
    let all = ["ok", "ok", "ok", "ok", "ok", "ok", "misuse", "misuse"];
    outcomes(&run, &all).await?;

    // HTTP-025: a part does not wait for a later one.
    let run = server.run(&format!(
        "open={path}&start=200&zerocopy=more;count:4&wait=go&last=end"
    ));
    let mut client = server.connect().await?;
    client.send(run.request()).await?;
    client.expect_bytes(b"0123").await?;
    run.signal("go").await?;
    client.expect_bytes(b"end").await?;

    // HTTP-026: nothing is sent for HEAD. HTTP-030 and HTTP-031: the length is that of the app.
    let run = server.run(&format!("open={path}&start=200&zerocopy=last"));
    let received = response(&server, &run, "HEAD").await?;
    equal("the body", received.body.len(), 0)?;
    for (length, count) in [(4, 5), (6, 5)] {
        let run = server.run(&format!(
            "open={path}&start=200;content-length:{length}&zerocopy=last;count:{count}&\
             zerocopy=last;offset:0;count:{length}"
        ));
        let received = response(&server, &run, "GET").await?;
        equal("the length of the body", received.body.len(), length)?;
        outcomes(&run, &["ok", "ok", "misuse", "ok"]).await?;
    }
    Ok(())
}

async fn an_offset_leaves_the_position_of_the_file(server: Subject) -> Checked {
    need_files(&server, ZERO_COPY_SEND).await?;
    let file = SuiteFile::new(".txt", b"0123456789")?;
    let run = server.run(&format!(
        "open={}&position=2&start=200&zerocopy=last;offset:5;count:3&closed&position",
        file.argument()
    ));
    let received = response(&server, &run, "GET").await?;
    equal("the body", received.text().as_str(), "567")?;
    outcomes(&run, &["ok", "2", "ok", "ok", "Complete", "2"])
        .await
        .map(drop)
}

async fn without_an_offset_the_position_moves(server: Subject) -> Checked {
    need_files(&server, ZERO_COPY_SEND).await?;
    let file = SuiteFile::new(".txt", b"0123456789")?;
    let run = server.run(&format!(
        "open={}&position=2&start=200&zerocopy=more;count:3&zerocopy=last;count:4&closed&position",
        file.argument()
    ));
    let received = response(&server, &run, "GET").await?;
    equal("the body", received.text().as_str(), "2345678")?;
    outcomes(&run, &["ok", "2", "ok", "ok", "ok", "Complete", "9"])
        .await
        .map(drop)
}

async fn without_a_count_a_part_goes_to_the_end_of_that_moment(server: Subject) -> Checked {
    need_files(&server, ZERO_COPY_SEND).await?;
    let small = SuiteFile::new(".txt", b"0123456789")?;
    let run = server.run(&format!(
        "open={}&start=200&zerocopy=last;offset:7",
        small.argument()
    ));
    let received = response(&server, &run, "GET").await?;
    equal("the body", received.text().as_str(), "789")?;

    let file = SuiteFile::new(".bin", &vec![b'x'; LARGE])?;
    let run = server.run(&format!("open={}&start=200&zerocopy=last", file.argument()));
    let client = begins(&server, &run, 3).await?;
    file.grow(&[b'y'; 1000])?;
    is_first_content(client, LARGE).await
}

async fn a_part_that_the_file_does_not_have_is_refused(server: Subject) -> Checked {
    need_files(&server, ZERO_COPY_SEND).await?;
    let file = SuiteFile::new(".txt", b"0123456789")?;
    let run = server.run(&format!(
        "open={}&start=200&zerocopy=last;count:11&zerocopy=last;offset:5;count:6&position&last=ok",
        file.argument()
    ));
    let received = response(&server, &run, "GET").await?;
    equal("the body", received.text().as_str(), "ok")?;
    let expected = ["ok", "ok", "refused", "refused", "0", "ok"];
    outcomes(&run, &expected).await?;

    for other in [
        std::env::temp_dir().display().to_string(),
        "/dev/zero".into(),
    ] {
        let run = server.run(&format!(
            "open={other}&start=200&zerocopy=last;offset:0;count:1&last=ok"
        ));
        let received = response(&server, &run, "GET").await?;
        equal("the body", received.text().as_str(), "ok")?;
        outcomes(&run, &["ok", "ok", "refused", "ok"]).await?;
    }
    Ok(())
}

async fn a_file_that_the_app_has_closed_is_sent(server: Subject) -> Checked {
    need_files(&server, ZERO_COPY_SEND).await?;
    let file = SuiteFile::new(".bin", &vec![b'x'; LARGE])?;
    let run = server.run(&format!(
        "open={}&start=200&zerocopy=more&close-file&state=closed&last",
        file.argument()
    ));
    let client = begins(&server, &run, 3).await?;
    file.remove();
    is_first_content(client, LARGE).await
}

async fn a_file_that_shrinks_breaks_its_response_off(server: Subject) -> Checked {
    need_files(&server, ZERO_COPY_SEND).await?;
    let file = SuiteFile::new(".bin", &vec![b'x'; LARGE])?;
    let run = server.run(&format!("open={}&start=200&zerocopy=last", file.argument()));
    let client = begins(&server, &run, 3).await?;
    file.shrink(1000)?;
    is_broken_off(client).await
}
