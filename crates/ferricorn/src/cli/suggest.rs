//! Suggests a known name for an unknown one.

/// Flags of Uvicorn, Hypercorn and Gunicorn that have another name here.
const ELSEWHERE: [(&str, &str); 13] = [
    ("--host", "--bind HOST:PORT"),
    ("--port", "--bind HOST:PORT"),
    ("--uds", "--bind unix:PATH"),
    ("--workers", "--threads"),
    ("--worker-processes", "--threads"),
    ("--limit-concurrency", "--max-exchanges"),
    ("--worker-connections", "--max-connections"),
    ("--keep-alive", "--keep-alive-timeout"),
    ("--timeout-keep-alive", "--keep-alive-timeout"),
    ("--timeout-graceful-shutdown", "--graceful-timeout"),
    ("--ssl-certfile", "--certfile"),
    ("--ssl-keyfile", "--keyfile"),
    ("--ssl-ca-certs", "--ca-certs"),
];

/// The flag here that does what a flag of another server does.
pub(super) fn counterpart(flag: &str) -> Option<&'static str> {
    let pair = ELSEWHERE.iter().find(|(other, _)| *other == flag);
    pair.map(|(_, own)| *own)
}

/// `; did you mean X?`, or `; ` and `otherwise` if no known name is close.
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
    // All names of a kind share a prefix, and Jaro-Winkler then finds unrelated names similar. So
    // this counts edits instead. Up to a third of the name may be wrong.
    known
        .map(|known| (strsim::damerau_levenshtein(name, &known), known))
        .min_by_key(|(edits, _)| *edits)
        .filter(|(edits, known)| {
            let name = known.trim_start_matches("FERRICORN_");
            *edits * 3 <= name.trim_start_matches("--").len()
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
    fn a_typing_error_gets_a_suggestion() {
        assert_eq!(suggest("thread"), "; did you mean threads?");
        assert_eq!(
            suggest("gracefull-timeout"),
            "; did you mean graceful_timeout?"
        );
        assert_eq!(suggest("max_haeders"), "; did you mean max_headers?");
    }

    #[test]
    fn a_counterpart_is_a_flag_that_exists() {
        use crate::cli::options::{all, by_name};
        for (other, own) in ELSEWHERE {
            let own = own.split(' ').next().unwrap();
            assert!(all().any(|option| option.flag() == own), "{own}");
            assert!(by_name(other.trim_start_matches('-')).is_none(), "{other}");
        }
    }

    #[test]
    fn an_unrelated_word_gets_none() {
        assert_eq!(suggest("workers"), "; see --help");
        assert_eq!(suggest("x"), "; see --help");
    }
}
