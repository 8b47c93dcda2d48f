//! `asgi.h` and the module `abi` have the same layout and the same constants.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::mem::{offset_of, size_of};
use std::path::Path;
use std::process::Command;

use asgi_abi::abi;

/// Sizes, offsets and constants: the name and the number of each.
type Facts = BTreeMap<String, u64>;

macro_rules! structs {
    ($($rust:ident $c:ident { $($field:ident)* })*) => {
        /// The layout in Rust.
        fn layout_in_rust() -> Facts {
            let mut facts = Facts::new();
            $(
                facts.insert(stringify!($c).into(), size_of::<abi::$rust>() as u64);
                $(
                    let name = concat!(stringify!($c), ".", stringify!($field));
                    facts.insert(name.into(), offset_of!(abi::$rust, $field) as u64);
                )*
                // This compiles only if the list has every field.
                const _: fn(&abi::$rust) = |abi::$rust { $($field: _),* }| {};
            )*
            facts
        }

        /// C code that prints the layout.
        fn layout_in_c() -> String {
            let mut code = String::new();
            $(
                writeln!(code, "FACT(\"{0}\", sizeof({0}));", stringify!($c)).unwrap();
                $(
                    let (c, field) = (stringify!($c), stringify!($field));
                    writeln!(code, "FACT(\"{c}.{field}\", offsetof({c}, {field}));").unwrap();
                )*
            )*
            code
        }
    };
}

structs! {
    Str AsgiStr { ptr len }
    Header AsgiHeader { name value flags }
    Buffer AsgiBuffer { ptr len drop store }
    Waker AsgiWaker { vtable }
    WakerVtable AsgiWakerVtable { clone wake wake_by_ref drop }
    Address AsgiAddress { kind port reserved ip flow scope_id path }
    Tls AsgiTls {
        version cipher_suite server_cert client_cert_chain n_client_cert_chain client_cert_name
        client_cert_error server_name
    }
    Scope AsgiScope {
        size kind http_version flags method scheme target path root_path headers n_headers
        subprotocols n_subprotocols client server exchange extensions tls
    }
    Disconnect AsgiDisconnect { reason reserved code }
    ReceiveEvent AsgiReceiveEvent { kind flags disconnect body headers n_headers }
    SendEvent AsgiSendEvent { kind flags status file offset count body text headers n_headers }
    SendError AsgiSendError { kind reserved disconnect text expected }
    Outcome AsgiOutcome { kind reserved disconnect messages n_messages }
    Receive AsgiReceive { store }
    Send AsgiSend { store }
    Closed AsgiClosed { store }
    Task AsgiTask { store }
    LogField AsgiLogField { name value flags }
    LogLine AsgiLogLine { level reserved exchange target message fields n_fields }
    Host AsgiHost {
        magic major minor size receive_poll receive_drop send_poll_ready send_start send_respond
        send_poll_closed send_closed_handle send_drop closed_poll closed_drop log_enabled log
    }
    Start AsgiStart { size threads config }
    App AsgiApp {
        magic major minor size name version toolchain flags init call poll drop_task shutdown
    }
}

fn crate_file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The constants of `abi.rs`. They are read from its text, so that the test misses none.
fn constants_in_rust() -> Facts {
    let value = |text: &str| -> u64 {
        let text = text.replace('_', "");
        match text.split_once(" << ") {
            Some((one, shift)) => one.parse::<u64>().unwrap() << shift.parse::<u32>().unwrap(),
            None => match text.strip_prefix("0x") {
                Some(hex) => u64::from_str_radix(hex, 16).unwrap(),
                None => text.parse().unwrap(),
            },
        }
    };
    crate_file("src/abi.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.strip_suffix(';'))
        .map(|line| {
            let (name, rest) = line.split_once(": ").unwrap();
            let (_, text) = rest.split_once(" = ").unwrap();
            (format!("ASGI_{name}"), value(text))
        })
        .collect()
}

/// C code that prints every constant of `asgi.h`.
fn constants_in_c() -> String {
    crate_file("include/asgi.h")
        .lines()
        .filter_map(|line| line.strip_prefix("#define ")?.split_once(' '))
        .map(|(name, _)| format!("FACT(\"{name}\", {name});\n"))
        .collect()
}

/// Compiles and runs C code that includes only `asgi.h` and `stdio.h`.
fn facts_in_c(body: &str) -> Facts {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("facts.c");
    let program = directory.path().join("facts");
    let code = format!(
        "#include <asgi.h>\n#include <stdio.h>\n\
         #define FACT(name, value) printf(\"%s %llu\\n\", name, (unsigned long long)(value))\n\
         int main(void) {{\n{body}return 0;\n}}\n"
    );
    fs::write(&source, code).unwrap();
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let output = Command::new("cc")
        .args(["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-I"])
        .args([&include, &source])
        .arg("-o")
        .arg(&program)
        .output()
        .expect("a C compiler called `cc` is needed for this test");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let output = Command::new(&program).output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let (name, value) = line.split_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

#[test]
fn every_struct_has_the_same_layout_in_c() {
    assert_eq!(facts_in_c(&layout_in_c()), layout_in_rust());
}

#[test]
fn every_constant_has_the_same_value_in_c() {
    let rust = constants_in_rust();
    assert!(rust.len() > 60, "{}", rust.len());
    assert_eq!(facts_in_c(&constants_in_c()), rust);
}
