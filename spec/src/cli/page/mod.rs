//! The page for people: one server or several side by side.
//!
//! It is one file that loads nothing. The filters need its script, the table does not.

mod rows;
mod sheet;

use self::rows::Row;
use self::sheet::{Sheet, Shown};

/// Makes the page of results in the form of `--json`, each with the name of its file. The first server
/// is the one that the others are compared with.
pub(super) fn render(results: &[(String, String)]) -> Result<String, String> {
    let sheets = results
        .iter()
        .map(|(name, text)| Sheet::parse(text, name))
        .collect::<Result<Vec<_>, _>>()?;
    let Some(first) = sheets.first() else {
        return Err("expected results of at least one server".into());
    };
    let rows = rows::rows(&sheets);
    let title = match sheets.len() {
        1 => format!("{} and the spec", escape(&first.name)),
        count => format!("What {count} servers do, requirement by requirement"),
    };
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{}</style>\n</head>\n<body{}>\n<h1>{title}</h1>\n\
         <p class=\"quiet\">Made by asgi-spec {}. Each row is a requirement of the spec and the case that \
         checks it.</p>\n",
        include_str!("style.css"),
        if sheets.len() == 1 {
            " class=\"one\""
        } else {
            ""
        },
        env!("CARGO_PKG_VERSION"),
    );
    cards(&sheets, &mut page);
    legend(&sheets, &mut page);
    if sheets.len() > 1 {
        lead(&sheets, &rows, &mut page);
    }
    page += "<h2>Requirements</h2>\n";
    filters(&sheets, &rows, &mut page);
    table(&sheets, &rows, &mut page);
    page += &format!(
        "<script>\n{}</script>\n</body>\n</html>\n",
        include_str!("script.js")
    );
    Ok(page)
}

/// A summary of each server.
fn cards(sheets: &[Sheet], page: &mut String) {
    *page += "<ul class=\"cards\">\n";
    for sheet in sheets {
        let apps = if sheet.python { "Python" } else { "Rust" };
        *page += &format!(
            "<li class=\"card\"><h3>{}</h3><span class=\"quiet\">apps in {apps}</span>\n\
             <div class=\"bar\" aria-hidden=\"true\">",
            escape(&sheet.name)
        );
        let counts: Vec<(Shown, usize)> = Shown::ALL
            .iter()
            .map(|shown| (*shown, sheet.count(*shown)))
            .filter(|(_, count)| *count > 0)
            .collect();
        let barred = |shown: Shown| !matches!(shown, Shown::NotObservable | Shown::NoCase);
        for (shown, count) in counts.iter().filter(|(shown, _)| barred(*shown)) {
            *page += &format!(
                "<span class=\"{}\" style=\"flex:{count}\"></span>",
                shown.class()
            );
        }
        *page += "</div>\n<ul class=\"counts\">";
        for (shown, count) in counts {
            *page += &format!("<li>{} {count} {}</li>", sign(shown), shown.name());
        }
        *page += "</ul></li>\n";
    }
    *page += "</ul>\n";
}

fn legend(sheets: &[Sheet], page: &mut String) {
    let meaning = |shown: Shown| match shown {
        Shown::Passed => "The server does what the requirement says.",
        Shown::Failed => "It does not.",
        Shown::Differs => {
            "A server of Python apps does not, and the requirement goes further than ASGI and the RFCs, at \
             least in part. So this alone is no fault."
        }
        Shown::NotSupported => {
            "The server does not have what the requirement is about, or Python\u{2019}s ASGI can\u{2019}t \
             express it. The row says which."
        }
        Shown::NotObservable => "It can\u{2019}t be seen from outside, or not with this server.",
        Shown::NoCase => "The suite has no case for it yet.",
    };
    *page += "<details><summary>What the signs mean</summary>\n<dl class=\"legend\">\n";
    for shown in Shown::ALL {
        if sheets.iter().any(|sheet| sheet.count(shown) > 0) {
            *page += &format!(
                "<dt>{} {}</dt><dd>{}</dd>\n",
                sign(shown),
                shown.name(),
                meaning(shown)
            );
        }
    }
    *page += "</dl>\n<p>ASGI, RFC and ours say where a requirement comes from. Some cases ask a server of Python apps only \
              for the part that comes from ASGI.</p>\n</details>\n";
}

/// What another server passes and the first one does not.
fn lead(sheets: &[Sheet], rows: &[Row], page: &mut String) {
    let (first, others) = sheets.split_at(1);
    let first = &first[0];
    let name = escape(&first.name);
    *page += &format!("<h2>What another server passes and {name} does not</h2>\n");
    let mut items = String::new();
    for row in rows {
        let own = first.shown(&row.key);
        if own == Some(Shown::Passed) {
            continue;
        }
        let passing: Vec<String> = others
            .iter()
            .filter(|sheet| sheet.shown(&row.key) == Some(Shown::Passed))
            .map(|sheet| escape(&sheet.name))
            .collect();
        if !passing.is_empty() {
            items += &format!(
                "<li><a class=\"id\" href=\"#{}\">{}</a> {}, {} ({}; {name}: {})</li>\n",
                row.anchor(),
                row.key.id,
                escape(&row.key.case),
                escape(&row.key.transport),
                passing.join(", "),
                own.map_or("no result", Shown::name)
            );
        }
    }
    if items.is_empty() {
        *page += "<p>Nothing.</p>\n";
    } else {
        *page += &format!("<ul>\n{items}</ul>\n");
    }
}

fn filters(sheets: &[Sheet], rows: &[Row], page: &mut String) {
    let select = |label: &str, name: &str, options: Vec<(String, String)>| {
        let options: String = options
            .iter()
            .map(|(value, text)| {
                format!(
                    "<option value=\"{}\">{}</option>",
                    escape(value),
                    escape(text)
                )
            })
            .collect();
        format!(
            "<label>{label}<select name=\"{name}\"><option value=\"\">all</option>{options}</select></label>\n"
        )
    };
    let distinct = |of: fn(&Row) -> &str| {
        let mut values: Vec<(String, String)> = Vec::new();
        for row in rows {
            let value = (of(row).to_owned(), of(row).to_owned());
            if !value.0.is_empty() && !values.contains(&value) {
                values.push(value);
            }
        }
        values
    };
    let grades = Shown::ALL
        .iter()
        .filter(|shown| sheets.iter().any(|sheet| sheet.count(**shown) > 0))
        .map(|shown| (shown.class().to_owned(), shown.name().to_owned()));
    let basis = ["ASGI", "RFC", "ours"].map(|kind| (kind.to_owned(), kind.to_owned()));
    *page += "<form class=\"filters\" hidden>\n<label class=\"wide\">Search<input type=\"search\" name=\"text\" \
              placeholder=\"for example: content-length\"></label>\n";
    *page += &select("Chapter", "chapter", distinct(|row| &row.chapter));
    *page += &select("Protocol", "transport", distinct(|row| &row.key.transport));
    *page += &select("Level", "level", distinct(|row| &row.level));
    *page += &select("From", "basis", basis.into());
    *page += &select("Result", "grade", grades.collect());
    if sheets.len() > 1 {
        let servers = sheets.iter();
        let servers = servers.map(|sheet| (sheet.name.clone(), sheet.name.clone()));
        *page += &select("Server", "server", servers.collect());
    }
    *page += "<output></output>\n</form>\n";
}

fn table(sheets: &[Sheet], rows: &[Row], page: &mut String) {
    *page += "<table>\n<thead><tr><th scope=\"col\">Requirement</th>";
    for sheet in sheets {
        let name = match sheets.len() {
            1 => "Result".into(),
            _ => escape(&sheet.name),
        };
        *page += &format!("<th scope=\"col\" class=\"server\">{name}</th>");
    }
    *page += "</tr></thead>\n";
    let mut chapter = "";
    for row in rows {
        if row.chapter != chapter {
            if !chapter.is_empty() {
                *page += "</tbody>\n";
            }
            chapter = &row.chapter;
            *page += &format!(
                "<tbody>\n<tr class=\"chapter\"><th colspan=\"{}\" scope=\"rowgroup\">{}</th></tr>\n",
                sheets.len() + 1,
                escape(chapter)
            );
        }
        row.render(sheets, page);
    }
    *page += "</tbody>\n</table>\n";
}

/// The sign of a result. Its name is for readers that don't see it.
fn sign(shown: Shown) -> String {
    let (class, sign) = (shown.class(), shown.sign());
    format!("<span class=\"sign {class}\" aria-hidden=\"true\">{sign}</span>")
}

/// Escapes text, and shows what stands in backticks as code.
fn marked(text: &str) -> String {
    let mut marked = String::new();
    for (number, part) in text.split('`').enumerate() {
        let part = escape(part);
        marked += &match number % 2 {
            0 => part,
            _ => format!("<code>{part}</code>"),
        };
    }
    marked
}

/// Escapes text for HTML, also inside of quotes.
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

    fn results(server: &str, interface: &str, grades: &[(&str, &str)]) -> (String, String) {
        let results: Vec<serde_json::Value> = grades
            .iter()
            .map(|(id, grade)| {
                serde_json::json!({
                    "id": id, "level": "MUST", "chapter": "core", "transport": "http1", "case": "it <works>",
                    "text": "It MUST `work`.", "basis": ["ASGI", "ours"], "grade": grade,
                    "expected": "a & b", "got": "\"c\"",
                })
            })
            .collect();
        let value =
            serde_json::json!({ "server": server, "interface": interface, "results": results });
        ("file".into(), value.to_string())
    }

    #[test]
    fn a_server_that_passes_more_than_the_first_is_named() {
        let ours = results(
            "Ours 1",
            "rust",
            &[("CORE-001", "failed"), ("CORE-002", "passed")],
        );
        let theirs = results(
            "Theirs 2",
            "python",
            &[("CORE-001", "passed"), ("CORE-002", "failed")],
        );
        let page = render(&[ours, theirs]).unwrap_or_default();
        let lead = page.split("<h2>Requirements").next().unwrap_or_default();
        assert!(
            lead.contains("CORE-001</a> it &lt;works&gt;, http1 (Theirs 2; Ours 1: failed)"),
            "{lead}"
        );
        assert!(!lead.contains("CORE-002</a>"), "{lead}");
    }

    #[test]
    fn a_rule_of_ours_that_a_python_server_fails_is_a_difference() {
        let theirs = results("Theirs 2", "python", &[("CORE-001", "failed")]);
        let page = render(&[theirs]).unwrap_or_default();
        assert!(page.contains("1 differs"), "{page}");
        assert!(!page.contains("1 failed"), "{page}");
        assert!(page.contains("It MUST <code>work</code>."), "{page}");
        assert!(
            page.contains("a &amp; b") && page.contains("&quot;c&quot;"),
            "{page}"
        );
    }

    #[test]
    fn the_page_loads_nothing() {
        let page =
            render(&[results("Ours 1", "rust", &[("CORE-001", "passed")])]).unwrap_or_default();
        for outside in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn a_file_that_holds_no_results_is_an_error() {
        let error = render(&[("a.json".into(), "{}".into())]).unwrap_err();
        assert!(error.starts_with("a.json has no results"), "{error}");
    }
}
