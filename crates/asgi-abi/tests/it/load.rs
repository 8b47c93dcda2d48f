//! Libraries that the loader refuses: each error is one line with the reason.

use std::fs;
use std::path::Path;
use std::process::Command;

use asgi_abi::{Library, LoadError, LoadOptions, abi};
use tempfile::TempDir;

#[track_caller]
fn refused(path: &Path) -> LoadError {
    let error = Library::load(path).expect_err("the library was loaded");
    assert_eq!(error.path(), path);
    error
}

/// Loads this file. Returns the text of the error after the path.
#[track_caller]
fn error_text(path: &Path) -> String {
    let text = refused(path).to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    let text = text.strip_prefix(&format!("{}: ", path.display()));
    text.expect("the path comes first").to_owned()
}

#[track_caller]
fn error_of(content: &[u8]) -> String {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("libapp.so");
    fs::write(&path, content).unwrap();
    error_text(&path)
}

const BUILD: &str = "`cargo build` puts an app's library at target/debug/lib<name>.so";

#[test]
fn a_missing_file() {
    let path = Path::new("/nowhere/libapp.so");
    assert!(refused(path).is_missing());
    assert_eq!(
        error_text(path),
        format!("no such file, expected the shared library of an app: {BUILD}")
    );
    assert!(refused(Path::new("/dev/null/libapp.so")).is_missing());
}

#[test]
fn a_directory() {
    let directory = TempDir::new().unwrap();
    assert_eq!(
        error_text(directory.path()),
        format!("a directory, expected the shared library of an app: {BUILD}")
    );
}

#[test]
fn an_empty_file() {
    assert_eq!(
        error_of(b""),
        "an empty file, expected the shared library of an app: build it again, and check whether \
         the disk is full"
    );
}

/// ABI-001
#[test]
fn a_file_that_is_not_a_library() {
    assert_eq!(
        error_of(b"#!/bin/sh\nexec true\n"),
        format!(
            "not a shared library (it begins with \"#!/bin/s\"), expected an ELF file: {BUILD}"
        )
    );
    assert_eq!(
        error_of(b"\x7fELF"),
        format!(
            "not a shared library (it begins with \"\\x7fELF\"), expected an ELF file: {BUILD}"
        )
    );
}

/// The head of an ELF file.
fn elf(class: u8, data: u8, kind: u16, machine: u16) -> Vec<u8> {
    let number = |number: u16| match data {
        1 => number.to_le_bytes(),
        _ => number.to_be_bytes(),
    };
    let mut head = vec![0x7f, b'E', b'L', b'F', class, data, 1];
    head.resize(16, 0);
    head.extend(number(kind));
    head.extend(number(machine));
    head.resize(64, 0);
    head
}

/// ABI-001
#[cfg(target_arch = "x86_64")]
#[test]
fn a_library_for_another_machine() {
    for (head, found) in [
        (elf(2, 1, 3, 183), "aarch64"),
        (elf(1, 1, 3, 3), "x86"),
        (elf(2, 2, 3, 22), "s390x"),
        (elf(2, 1, 3, 9999), "processor number 9999 (64 bits)"),
    ] {
        assert_eq!(
            error_of(&head),
            format!(
                "a library for {found}, expected one for x86_64: build it for this machine (see \
                 `cargo build --target`)"
            )
        );
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn an_elf_file_that_is_not_a_library() {
    for (kind, what) in [
        (1, "an object file, not linked yet"),
        (2, "a program"),
        (4, "an ELF file of another kind"),
    ] {
        assert_eq!(
            error_of(&elf(2, 1, kind, 62)),
            format!(
                "{what}, expected a shared library: put `crate-type = [\"cdylib\"]` under [lib] \
                 in the app's Cargo.toml"
            )
        );
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_library_that_the_systems_loader_refuses() {
    let text = error_of(&elf(2, 1, 3, 62));
    assert!(
        text.starts_with("the system's loader refuses it (")
            && text.contains("check it with `ldd`"),
        "{text}"
    );
    assert!(!text.contains("/proc/"), "{text}");
}

/// Compiles C code that may include `asgi.h` into a library.
#[track_caller]
pub(crate) fn compiled(directory: &TempDir, code: &str) -> std::path::PathBuf {
    let source = directory.path().join("app.c");
    let library = directory.path().join("libapp.so");
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    fs::write(&source, code).unwrap();
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-I"])
        .args([&include, &source])
        .arg("-o")
        .arg(&library)
        .output()
        .expect("a C compiler called `cc` is needed for this test");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    library
}

/// Compiles and loads this C code. Returns the text of the error.
#[track_caller]
fn error_of_c(code: &str) -> String {
    let directory = TempDir::new().unwrap();
    error_text(&compiled(&directory, code))
}

/// ABI-001
#[test]
fn a_library_without_an_app() {
    assert_eq!(
        error_of_c("int nothing;"),
        "a shared library without an app, expected the symbol ASGI_APP: add \
         `asgi_abi::export!(app);` to its lib.rs"
    );
}

// mimalloc has such thread-locals by default.
#[cfg(target_env = "gnu")]
#[test]
fn a_library_with_thread_locals_that_fit_only_into_a_program() {
    let code = "__thread __attribute__((tls_model(\"initial-exec\"))) char many[100000];
        char *any(void) { return many; }";
    assert_eq!(
        error_of_c(code),
        "its thread-locals (`initial-exec`) do not fit into a running process, expected dynamic \
         ones: if it uses mimalloc, turn on the feature `local_dynamic_tls`; if it uses jemalloc, \
         `disable_initial_exec_tls`"
    );
}

#[test]
fn a_library_with_a_missing_dependency() {
    let directory = TempDir::new().unwrap();
    let first = compiled(&directory, "int first;");
    let needed = directory.path().join("libneeded.so");
    fs::rename(&first, &needed).unwrap();
    let path = directory.path().join("libapp.so");
    let linked = Command::new("cc")
        .args(["-shared", "-nostdlib", "-Wl,--no-as-needed", "-o"])
        .args([&path, &needed])
        .status();
    assert!(linked.unwrap().success());
    fs::remove_file(&needed).unwrap();
    let text = error_text(&path);
    assert!(
        text.starts_with("the system's loader refuses it (/") && text.contains("libneeded.so: "),
        "{text}"
    );
}

// The system's loader would map the missing part, and SIGBUS would kill the server.
#[cfg(target_pointer_width = "64")]
#[test]
fn a_library_that_was_cut_off() {
    let directory = TempDir::new().unwrap();
    let path = compiled(&directory, "const char filler[100000] = { 1 };");
    let whole = fs::read(&path).unwrap();
    let expected = error_text(&path);
    let mut cut_off = 0;
    for len in (64..whole.len()).step_by(487) {
        let text = error_of(&whole[..len]);
        // The last part of a file is not loaded, so the loader does not need it.
        if text != expected {
            let end = format!(", but the file ends at byte {len}; copy it again");
            assert!(
                text.starts_with("cut off: its segments end at byte ") && text.ends_with(&end),
                "{len} bytes: {text}"
            );
            assert_eq!(cut_off, (len - 64) / 487, "a shorter file was accepted");
            cut_off += 1;
        }
    }
    assert!(cut_off > 200, "{cut_off}");
}

/// ABI-001
#[test]
fn an_app_of_another_project() {
    assert_eq!(
        error_of_c("const unsigned long long ASGI_APP = 0x1234;"),
        "its symbol ASGI_APP begins with 0x0000000000001234, expected 0x5050415f49475341: the \
         library is damaged or is not a Ferricorn app; export the app with `asgi_abi::export!(app);`"
    );
}

/// ABI-002, ABI-004
#[test]
fn an_app_of_another_version() {
    // Shorter than our struct: the loader must not read more than the head.
    let code = "#include <asgi.h>
        struct { uint64_t magic; uint16_t major, minor; uint32_t size; } const ASGI_APP =
            { ASGI_MAGIC, 7, 5, 16 };";
    assert_eq!(
        error_of_c(code),
        format!(
            "built for version 7.5 of the app ABI, expected {}.{}: rebuild it with `asgi-abi = \
             \"{}\"`, or run it with the server that it was built for",
            abi::MAJOR,
            abi::MINOR,
            env!("CARGO_PKG_VERSION")
        )
    );
}

/// ABI-003
#[test]
fn an_app_of_another_size() {
    let code = "#include <asgi.h>
        const AsgiApp ASGI_APP =
            { .magic = ASGI_MAGIC, .major = ASGI_MAJOR, .minor = ASGI_MINOR, .size = 16 };";
    let text = error_of_c(code);
    assert!(
        text.starts_with("the size of its ASGI_APP is 16 bytes, expected "),
        "{text}"
    );
}

/// An app in C with this `init`.
fn app_in_c(init: &str) -> String {
    format!(
        "#include <asgi.h>
        {init}
        static uint32_t call(void *app, const AsgiScope *scope, AsgiReceive *r, AsgiSend *s,
                             AsgiTask *t)
            {{ (void)app; (void)scope; (void)r; (void)s; (void)t; return ASGI_FAILED; }}
        static uint32_t poll(AsgiTask *t, const AsgiWaker *w, AsgiOutcome *o)
            {{ (void)t; (void)w; (void)o; return ASGI_READY; }}
        static void drop_task(AsgiTask *t) {{ (void)t; }}
        static void stop(void *app, uint32_t ms) {{ (void)app; (void)ms; }}
        const AsgiApp ASGI_APP = {{ .magic = ASGI_MAGIC, .major = ASGI_MAJOR,
            .minor = ASGI_MINOR, .size = sizeof(AsgiApp), .init = INIT, .call = call,
            .poll = poll, .drop_task = drop_task, .shutdown = stop }};"
    )
}

/// ABI-003
#[test]
fn an_app_without_a_function() {
    assert_eq!(
        error_of_c(&app_in_c("#define INIT 0")),
        "its ASGI_APP has no function `init`, expected all five: fill in the struct as asgi.h says"
    );
}

/// ABI-006
#[test]
fn an_app_that_refuses_to_start() {
    let code = app_in_c(
        "#define INIT init
        static uint32_t init(const AsgiHost *h, const AsgiStart *n, void **app, AsgiBuffer *error) {
            (void)h; (void)n; (void)app;
            *error = (AsgiBuffer){ (const uint8_t *)\"no\\ndatabase\", 11, 0, {0} };
            return ASGI_FAILED;
        }",
    );
    let directory = TempDir::new().unwrap();
    let path = compiled(&directory, &code);
    assert!(refused(&path).is_refused());
    assert_eq!(
        error_text(&path),
        "the app did not start (no database), expected its init to succeed: fix the cause, \
         then start again"
    );
}

/// Apps in C, exported under these names. Their `init` fails with the configuration as its error.
fn apps_in_c(names: &[&str]) -> String {
    let code = app_in_c(
        "#define INIT init
        static uint32_t init(const AsgiHost *h, const AsgiStart *start, void **app,
                             AsgiBuffer *error) {
            (void)h; (void)app;
            *error = (AsgiBuffer){ start->config.ptr, start->config.len, 0, {0} };
            return ASGI_FAILED;
        }",
    );
    let (code, value) = code.split_once("const AsgiApp ASGI_APP = ").unwrap();
    let exports = names
        .iter()
        .map(|name| format!("\nconst AsgiApp {name} = {value}"));
    code.to_owned() + &exports.collect::<String>()
}

#[test]
fn the_options_choose_the_app_and_its_configuration() {
    let directory = TempDir::new().unwrap();
    let library = compiled(&directory, &apps_in_c(&["ASGI_APP", "ASGI_APP_admin"]));
    let options = LoadOptions::new().name("admin").config("debug = true");
    let error = Library::load_with(&library, &options).unwrap_err();
    assert!(error.is_refused());
    assert!(error.to_string().contains("(debug = true)"), "{error}");
}

#[test]
fn the_error_for_an_unknown_name_lists_the_apps_of_the_library() {
    let directory = TempDir::new().unwrap();
    let library = compiled(&directory, &apps_in_c(&["ASGI_APP_shop", "ASGI_APP_admin"]));
    let error_text = |options: &LoadOptions| {
        let error = Library::load_with(&library, options)
            .unwrap_err()
            .to_string();
        error
            .strip_prefix(&format!("{}: ", library.display()))
            .unwrap()
            .to_owned()
    };
    let rest = error_text(&LoadOptions::new());
    let rest = rest.strip_prefix("no app without a name, expected one that the library has: ");
    let (apps, rest) = rest.unwrap().split_once("; ").unwrap();
    let mut apps: Vec<_> = apps.split(", ").collect();
    apps.sort_unstable();
    assert_eq!(apps, ["`admin`", "`shop`"]);
    assert_eq!(rest, "give the name as in `libapp.so:name`");
    assert!(
        error_text(&LoadOptions::new().name("shopp"))
            .starts_with("no app called `shopp`, expected ")
    );
}

// `cp` over a library crashes the processes that have loaded it, unless they use a copy.
#[test]
fn a_library_may_be_overwritten_and_loaded_again() {
    let code = |answer| {
        app_in_c(&format!(
            "#define INIT init
            static uint32_t init(const AsgiHost *h, const AsgiStart *n, void **app, AsgiBuffer *error) {{
                (void)h; (void)n; (void)app;
                *error = (AsgiBuffer){{ (const uint8_t *)\"{answer}\", 3, 0, {{0}} }};
                return ASGI_FAILED;
            }}"
        ))
    };
    let directory = TempDir::new().unwrap();
    let first = compiled(&directory, &code("one"));
    assert!(error_text(&first).contains("(one)"));
    let second = compiled(&directory, &code("two"));
    assert_eq!(first, second);
    assert!(error_text(&second).contains("(two)"));
}
