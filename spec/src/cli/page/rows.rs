//! The rows of the table.

use super::sheet::{Entry, Key, Sheet};
use super::{escape, marked};
use crate::requirement;

/// One requirement and one case of it.
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) chapter: String,
    pub(super) level: String,
    text: String,
    basis: Vec<String>,
}

/// The rows of all sheets, in the order of the first one that has them.
pub(super) fn rows(sheets: &[Sheet]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for sheet in sheets {
        // A row that only a later sheet has stands after the one that it follows there.
        let mut at = 0;
        for key in &sheet.order {
            if let Some(found) = rows.iter().position(|row| row.key == *key) {
                at = found + 1;
                continue;
            }
            let Some(entry) = sheet.entries.get(key) else {
                continue;
            };
            rows.insert(at, Row::new(key, entry));
            at += 1;
        }
    }
    rows
}

impl Row {
    fn new(key: &Key, entry: &Entry) -> Self {
        Self {
            key: key.clone(),
            chapter: entry.chapter.clone(),
            level: entry.level.clone(),
            text: entry.text.clone(),
            basis: entry.basis.clone(),
        }
    }

    /// The name for links.
    pub(super) fn anchor(&self) -> String {
        let parts = [&self.key.id, &self.key.transport, &self.key.case];
        let parts = parts.iter().filter(|part| !part.is_empty());
        let parts: Vec<String> = parts
            .map(|part| part.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-"))
            .collect();
        parts.join("-")
    }

    pub(super) fn render(&self, sheets: &[Sheet], page: &mut String) {
        *page += &format!(
            "<tr id=\"{}\" data-id=\"{}\" data-chapter=\"{}\" data-transport=\"{}\" data-level=\"{}\" \
             data-basis=\"{}\">\n<td class=\"what\"><details><summary><span class=\"id\">{}</span> ",
            self.anchor(),
            escape(&self.key.id),
            escape(&self.chapter),
            escape(&self.key.transport),
            escape(&self.level),
            escape(&self.basis.join(" ")),
            escape(&self.key.id),
        );
        for badge in [&self.key.transport, &self.basis.join(", ")] {
            if !badge.is_empty() {
                *page += &format!("<span class=\"badge\">{}</span> ", escape(badge));
            }
        }
        *page += &format!("{}</summary>\n<dl class=\"more\">\n", marked(&self.text));
        self.details(sheets, page);
        *page += "</dl></details></td>\n";
        for sheet in sheets {
            let name = escape(&sheet.name);
            *page += &match sheet.shown(&self.key) {
                Some(shown) => format!(
                    "<td class=\"result {}\" data-server=\"{name}\"><b aria-hidden=\"true\">{}</b> <i>{}</i></td>\n",
                    shown.class(),
                    shown.sign(),
                    shown.name()
                ),
                None => format!("<td class=\"result\" data-server=\"{name}\"></td>\n"),
            };
        }
        *page += "</tr>\n";
    }

    /// The case, the reason, the sources, and what each server did.
    fn details(&self, sheets: &[Sheet], page: &mut String) {
        let mut item = |name: &str, text: &str| {
            if !text.is_empty() {
                *page += &format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), marked(text));
            }
        };
        item("Case", &self.key.case);
        if let Some(one) = requirement(&self.key.id) {
            item("Why", &one.reason);
            item("From", &one.sources);
        }
        let alike = self.alike(sheets);
        if let Some(reason) = alike {
            let shown = sheets[0].shown(&self.key).map_or("", super::Shown::name);
            return item(shown, reason);
        }
        for sheet in sheets {
            let Some(entry) = sheet.entries.get(&self.key) else {
                continue;
            };
            if let Some(reason) = &entry.reason {
                item(&format!("{}: {}", sheet.name, entry.shown.name()), reason);
            }
            if let (Some(expected), Some(got)) = (&entry.expected, &entry.got) {
                let text = format!("expected {expected}, got {got}");
                item(&format!("{}: {}", sheet.name, entry.shown.name()), &text);
            }
        }
        for sheet in sheets {
            let trace = sheet.entries.get(&self.key).map(|entry| &entry.trace);
            if let Some(trace) = trace.filter(|trace| !trace.is_empty()) {
                *page += &format!(
                    "<dt>Trace of {}</dt><dd><pre>{}</pre></dd>\n",
                    escape(&sheet.name),
                    escape(&trace.join("\n"))
                );
            }
        }
    }

    /// The reason that all sheets give, if it is the same.
    fn alike<'a>(&self, sheets: &'a [Sheet]) -> Option<&'a str> {
        let mut reasons = sheets.iter().map(|sheet| {
            let entry = sheet.entries.get(&self.key)?;
            Some((entry.shown, entry.reason.as_deref()?))
        });
        let (shown, reason) = reasons.next()??;
        let same = reasons.all(|other| other == Some((shown, reason)));
        same.then_some(reason)
    }
}
