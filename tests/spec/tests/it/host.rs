//! The suite sees each rule of the C ABI that a host breaks.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use asgi_spec::{Grade, Suite};
use test_support::library;

static FERRICORN: LazyLock<PathBuf> =
    LazyLock::new(|| library::build_program("ferricorn-cli", "ferricorn", &[]));
static BROKEN: LazyLock<PathBuf> = LazyLock::new(|| library::build("broken-host"));

/// What breaks each requirement of the host's side. `{ferricorn}` and `{good}` are filled in. Without a
/// command, the library with the broken host breaks it.
const SWITCHES: &[(&str, Option<&str>)] = &[
    ("ABI-001", Some("{ferricorn} {good}")),
    ("ABI-002", Some("{ferricorn} {good}")),
    ("ABI-003", Some("{ferricorn} {good}")),
    ("ABI-004", Some("{ferricorn} {probe} 2>/dev/null")),
    ("ABI-005", None),
    (
        "ABI-006",
        Some("env -u ASGI_SPEC_ABI_INIT {ferricorn} {probe}"),
    ),
    ("ABI-009", None),
    ("ABI-010", None),
    ("ABI-011", None),
    ("ABI-012", None),
    ("ABI-015", None),
    ("ABI-016", None),
    ("ABI-017", None),
    ("ABI-018", None),
    ("ABI-019", None),
    ("ABI-020", None),
    ("ABI-024", None),
    ("ABI-025", None),
    ("ABI-026", None),
    ("ABI-027", None),
    ("ABI-029", None),
    ("ABI-030", None),
    ("ABI-031", None),
    ("ABI-032", None),
    ("ABI-034", None),
    ("ABI-035", None),
];

/// The requirements with a case and no switch, each with the reason.
const WITHOUT_SWITCH: &[(&str, &str)] = &[
    (
        "ABI-021",
        "a host that breaks it crashes or does anything else",
    ),
    ("ABI-028", "Ferricorn does not offer zerocopysend"),
    (
        "ABI-033",
        "the state stays in the library, so a host can't break it",
    ),
];

fn suite(command: &str, library: &Path) -> Suite {
    let command = command
        .replace("{ferricorn}", &FERRICORN.display().to_string())
        .replace("{good}", &BROKEN.display().to_string());
    Suite::command(&format!("{command} --bind 127.0.0.1:{{port}}"), library)
}

#[test]
fn each_broken_host_fails_the_case_of_its_requirement() {
    let missed = crate::side_by_side(SWITCHES.to_vec(), |(id, command)| {
        let own = format!("env ASGI_SPEC_ABI_BREAK={id} {{ferricorn}} {{probe}}");
        let results = suite(command.unwrap_or(&own), &BROKEN).only(id).run();
        let mut own = results.iter();
        let is_found = own.any(|one| matches!(one.grade, Grade::Failed(_)));
        (!is_found).then(|| id.to_owned())
    });
    assert!(missed.is_empty(), "broken and not found: {missed:?}");
}

#[test]
fn a_host_without_a_switch_passes_and_each_case_has_a_switch_or_a_reason() {
    let results = suite("{ferricorn} {probe}", &BROKEN).only("ABI-*").run();
    let with_case = results.iter().filter(|one| one.case.is_some());
    let missing: Vec<&str> = with_case
        .map(|one| one.requirement.id)
        .filter(|id| !SWITCHES.iter().any(|(one, _)| one == id))
        .filter(|id| !WITHOUT_SWITCH.iter().any(|(one, _)| one == id))
        .collect();
    assert!(missing.is_empty(), "no switch: {missing:?}");
    results.assert();
}
