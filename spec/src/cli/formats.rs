//! Results for programs.

use serde_json::{Value, json};

use crate::suite::{Grade, Graded, Results};

/// All results as JSON.
pub(super) fn json(results: &Results, server: &str) -> String {
    let graded: Vec<Value> = results
        .iter()
        .map(|one| value(one, results.basis(one)))
        .collect();
    let mut text = json!({
        "server": server,
        "version": env!("CARGO_PKG_VERSION"),
        "interface": results.interface().name(),
        "results": graded,
    })
    .to_string();
    text.push('\n');
    text
}

fn value(one: &Graded, basis: Vec<&'static str>) -> Value {
    let mut value = json!({
        "id": one.requirement.id,
        "level": one.requirement.level.word(),
        "chapter": one.requirement.chapter,
        "basis": basis,
        "text": one.requirement.text,
        "case": one.case,
        "transport": one.transport,
        "grade": one.grade.name(),
        "reason": one.grade.reason(),
        "seconds": one.time.as_secs_f64(),
    });
    if let Grade::Failed(mismatch) = &one.grade {
        value["expected"] = mismatch.expected.as_str().into();
        value["got"] = mismatch.got.as_str().into();
        value["trace"] = json!(one.trace);
    }
    value
}

/// All results as JUnit writes them: what was not checked counts as skipped.
pub(super) fn junit(results: &Results) -> String {
    let count = results.iter().count();
    let failed = results.count("failed");
    let skipped = count - failed - results.count("passed");
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuite name=\"asgi-spec\" tests=\"{count}\" failures=\"{failed}\" skipped=\"{skipped}\">\n"
    );
    for one in results.iter() {
        text += &format!(
            "  <testcase classname=\"{}\" name=\"{} {}\" time=\"{:.3}\"",
            one.requirement.chapter,
            one.requirement.id,
            escape(one.case.as_deref().unwrap_or_default()),
            one.time.as_secs_f64()
        );
        let inside = match &one.grade {
            Grade::Passed => None,
            Grade::Failed(mismatch) => Some(format!(
                "<failure message=\"{}\">{}</failure>",
                escape(&mismatch.to_string()),
                escape(&one.trace.join("\n"))
            )),
            other => Some(format!(
                "<skipped message=\"{}: {}\"/>",
                other.name(),
                escape(other.reason().unwrap_or_default())
            )),
        };
        match inside {
            None => text += "/>\n",
            Some(inside) => text += &format!(">{inside}</testcase>\n"),
        }
    }
    text + "</testsuite>\n"
}

/// Escapes text for XML, and leaves out what XML can't hold.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            letter if letter.is_control() && letter != '\n' => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_xml_is_escaped() {
        assert_eq!(
            escape("<a b=\"c\">\u{1}&"),
            "&lt;a b=&quot;c&quot;&gt;\u{fffd}&amp;"
        );
    }
}
