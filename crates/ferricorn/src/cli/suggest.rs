//! What an unknown name was probably meant to be.

/// `; did you mean X?`, or `; ` and what else helps.
pub(super) fn did_you_mean(
    name: &str,
    known: impl Iterator<Item = String>,
    otherwise: &str,
) -> String {
    match closest(name, known) {
        Some(close) => format!("; did you mean {close}?"),
        None => format!("; {otherwise}"),
    }
}

fn closest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    // All names of a kind share a beginning, which makes strangers look alike: edits tell more
    // than Jaro-Winkler's likeness. A third of the name may be wrong.
    known
        .map(|known| (strsim::damerau_levenshtein(name, &known), known))
        .min_by_key(|(edits, _)| *edits)
        .filter(|(edits, known)| {
            let own = known.trim_start_matches("FERRICORN_");
            *edits * 3 <= own.trim_start_matches("--").len()
        })
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suggest(name: &str) -> String {
        let known = ["bind", "threads", "graceful_timeout", "max_headers"];
        did_you_mean(name, known.map(str::to_owned).into_iter(), "see --help")
    }

    #[test]
    fn a_slip_is_recognised() {
        assert_eq!(suggest("thread"), "; did you mean threads?");
        assert_eq!(
            suggest("gracefull-timeout"),
            "; did you mean graceful_timeout?"
        );
        assert_eq!(suggest("max_haeders"), "; did you mean max_headers?");
    }

    #[test]
    fn another_word_is_not() {
        assert_eq!(suggest("workers"), "; see --help");
        assert_eq!(suggest("x"), "; see --help");
    }
}
