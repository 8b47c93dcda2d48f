//! What `--log-level` means: a level, or a list of tracing's directives.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::EnvFilter;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The libraries that read what clients send. Some of them log a client's fault as a warning, so that a
/// client could fill the log.
const LIBRARIES: [&str; 6] = [
    "h2",
    "hyper",
    "hyper_util",
    "rustls",
    "tokio_rustls",
    "tungstenite",
];

/// Parses a level, or a filter of tracing's directives.
///
/// Below `debug`, the libraries that speak with clients are off, unless a directive names them.
pub(super) fn filter(text: &str) -> Option<EnvFilter> {
    // tracing takes a single unknown word as a target and silences everything else.
    if !text.contains('=') && level(text).is_none() {
        return None;
    }
    // tracing takes a target without a level as `trace`.
    if text.split(',').any(|directive| directive.ends_with('=')) {
        return None;
    }
    let mut directives = text.to_owned();
    if default_level(text) < LevelFilter::DEBUG {
        for library in LIBRARIES {
            if !is_named(text, library) {
                directives.push_str(&format!(",{library}=off"));
            }
        }
    }
    EnvFilter::builder().parse(directives).ok()
}

/// Whether the filter turns off what no directive names.
pub(super) fn is_off(text: &str) -> bool {
    text.split(',')
        .any(|directive| level(directive) == Some(LevelFilter::OFF))
}

/// The level of what no directive names.
fn default_level(text: &str) -> LevelFilter {
    let mut levels = text.split(',').filter_map(level);
    // tracing's own default.
    levels.next_back().unwrap_or(LevelFilter::ERROR)
}

fn level(word: &str) -> Option<LevelFilter> {
    let word = word.trim().to_ascii_lowercase();
    LEVELS.contains(&&*word).then(|| word.parse().ok())?
}

/// Whether a directive is about this library or about a part of it.
fn is_named(text: &str, library: &str) -> bool {
    text.split(',').any(|directive| {
        let end = directive.find(['=', '[']).unwrap_or(directive.len());
        directive[..end].trim().split("::").next() == Some(library)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_or_a_filter_is_accepted_and_a_mistyped_level_is_not() {
        for text in [
            "info",
            "INFO",
            "Off",
            "off",
            "info,hyper=debug",
            "WARN,hyper=DEBUG",
            "ferricorn[exchange]=trace",
        ] {
            assert!(filter(text).is_some(), "{text}");
        }
        for text in [
            "",
            "inof",
            "2",
            "ferricorn=loud",
            "warn,ferricorn",
            "info,ferricorn=",
        ] {
            assert!(filter(text).is_none(), "{text}");
        }
    }

    #[test]
    fn libraries_are_off_below_debug_unless_they_are_named() {
        let shown = |text: &str| {
            let filter = filter(text).unwrap().to_string();
            let mut directives: Vec<_> = filter.split(',').map(str::to_owned).collect();
            directives.retain(|directive| directive.starts_with("h2"));
            directives.join(",")
        };
        assert_eq!(shown("info"), "h2=off");
        assert_eq!(shown("warn,ferricorn=debug"), "h2=off");
        assert_eq!(shown("ferricorn=debug"), "h2=off");
        assert_eq!(shown("info,h2=warn"), "h2=warn");
        assert_eq!(shown("info,h2::proto=warn"), "h2::proto=warn");
        assert_eq!(shown("debug"), "");
        assert_eq!(shown("TRACE"), "");
    }

    #[test]
    fn a_filter_is_off_if_its_default_is() {
        for (text, off) in [
            ("off", true),
            ("OFF,hyper=debug", true),
            ("error", false),
            ("info,hyper=off", false),
        ] {
            assert_eq!(is_off(text), off, "{text}");
        }
    }
}
