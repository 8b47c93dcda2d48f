//! The table by chapter.

use std::time::Duration;

use super::{is, names};
use crate::suite::{Graded, Results};

/// A line for each chapter, and one for the sum.
pub(super) fn render(results: &Results) -> String {
    let mut chapters: Vec<&str> = Vec::new();
    for one in results.iter() {
        let chapter = one.requirement.chapter;
        if !chapters.contains(&chapter) {
            chapters.push(chapter);
        }
    }
    let mut text = format!("{:<15}", "chapter");
    for name in names() {
        text += &format!("{name:>16}");
    }
    text.push('\n');
    for chapter in chapters {
        let of_chapter = |one: &&Graded| one.requirement.chapter == chapter;
        row(
            chapter,
            results.iter().filter(of_chapter).collect(),
            &mut text,
        );
    }
    row("all", results.iter().collect(), &mut text);
    let slowest = results.iter().max_by_key(|one| one.time);
    if let Some(slowest) = slowest.filter(|one| one.time > Duration::from_secs(1)) {
        let id = slowest.requirement.id;
        text += &format!(
            "\nThe slowest case, {id}, took {:.1} s.\n",
            slowest.time.as_secs_f64()
        );
    }
    text
}

fn row(title: &str, graded: Vec<&Graded>, text: &mut String) {
    *text += &format!("{title:<15}");
    for name in names() {
        let count = graded.iter().filter(|one| is(&one.grade, name)).count();
        *text += &format!("{count:>16}");
    }
    text.push('\n');
}
