//! The TLS options: the text of each error, and reloading in a running server.

use std::fs;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{Running, assert_refused, static_app};

const ANY_PORT: [&str; 4] = ["--bind", "127.0.0.1:0", "--threads", "1"];

/// A folder with good files and with files that an operator may use by mistake.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    put_certificate(path, "one.example");
    let write = |name: &str, text: &[u8]| fs::write(path.join(name), text).unwrap();
    write("empty.pem", b"");
    write("garbage.pem", &[0xff, 0, 7, 9]);
    write(
        "other.key",
        KeyPair::generate().unwrap().serialize_pem().as_bytes(),
    );
    let key = KeyPair::generate().unwrap();
    write("key.der", key.serialized_der());
    let certificate = CertificateParams::default().self_signed(&key).unwrap();
    write("cert.der", certificate.der());
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n\
                     -----END ENCRYPTED PRIVATE KEY-----\n";
    write("encrypted.key", encrypted.as_bytes());
    let cut = fs::read(path.join("cert.pem")).unwrap();
    write("cut.pem", &cut[..200]);
    let damaged = "\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    write("damaged.pem", damaged.as_bytes());
    folder
}

fn put_certificate(folder: &Path, host: &str) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([host.to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("cert.key"), key.serialize_pem()).unwrap();
}

#[test]
fn each_error_is_one_line_that_says_what_to_do() {
    let folder = folder();
    let pair = |certificate, key| vec!["--certfile", certificate, "--keyfile", key];
    let with_pair = |more: &[&'static str]| [&pair("cert.pem", "cert.key")[..], more].concat();
    let gone = "No such file or directory (os error 2)";
    let cases: Vec<(Vec<&str>, String)> =
        vec![
        (
            pair("gone.pem", "cert.key"),
            format!("gone.pem cannot be read ({gone}), expected a PEM file with a certificate"),
        ),
        (
            pair("cert.pem", "gone.key"),
            format!("gone.key cannot be read ({gone}), expected a PEM file with a private key"),
        ),
        (
            pair("empty.pem", "cert.key"),
            "empty.pem: found no certificate, expected PEM with the line \
             -----BEGIN CERTIFICATE-----"
                .to_owned(),
        ),
        (
            pair("garbage.pem", "cert.key"),
            "garbage.pem: found no certificate, expected PEM with the line \
             -----BEGIN CERTIFICATE-----"
                .to_owned(),
        ),
        (
            pair("cert.key", "cert.key"),
            "cert.key: found no certificate, expected PEM with the line \
             -----BEGIN CERTIFICATE-----"
                .to_owned(),
        ),
        (
            vec!["--certfile", "cert.pem"],
            "cert.pem: found no private key, expected PEM with the line \
             -----BEGIN PRIVATE KEY-----"
                .to_owned(),
        ),
        (
            pair("cert.pem", "other.key"),
            "other.key: the private key does not belong to the certificate in cert.pem, expected the \
             key of that certificate; the server's certificate must come first in its file"
                .to_owned(),
        ),
        (
            pair("cert.pem", "encrypted.key"),
            "encrypted.key: the private key is encrypted, expected one that is not; decrypt it \
             with: openssl pkey -in encrypted.key -out decrypted.key"
                .to_owned(),
        ),
        (
            pair("cert.pem", "key.der"),
            "key.der: found DER, expected PEM; convert it with: openssl pkey -inform der -in \
             key.der"
                .to_owned(),
        ),
        (
            pair("cert.der", "cert.key"),
            "cert.der: found DER, expected PEM; convert it with: openssl x509 -inform der -in \
             cert.der"
                .to_owned(),
        ),
        (
            pair("cut.pem", "cert.key"),
            "cut.pem:1: malformed PEM: found no end of the section that begins here, expected \
             -----END CERTIFICATE-----"
                .to_owned(),
        ),
        (
            vec!["--certfile", "cert.pem", "--certfile", "cert.pem", "--keyfile", "cert.key"],
            "found 2 --certfile and 1 --keyfile, expected one --keyfile for each --certfile, in the \
             same order"
                .to_owned(),
        ),
        (
            vec!["--keyfile", "cert.key"],
            "found --keyfile without a certificate, expected --certfile too".to_owned(),
        ),
        (
            vec!["--insecure-bind", "127.0.0.1:0"],
            "found --insecure-bind without a certificate, expected --certfile too; without TLS, use \
             --bind for all addresses"
                .to_owned(),
        ),
        (
            with_pair(&["--verify-mode", "required"]),
            "found --verify-mode required without --ca-certs, expected the authorities that sign \
             client certificates"
                .to_owned(),
        ),
        (
            with_pair(&["--ca-certs", "cert.pem"]),
            "found --ca-certs with --verify-mode none, expected --verify-mode optional or required"
                .to_owned(),
        ),
        (
            with_pair(&["--verify-mode", "optional", "--ca-certs", "empty.pem"]),
            "empty.pem: found no certificate, expected PEM with the line \
             -----BEGIN CERTIFICATE-----"
                .to_owned(),
        ),
        (
            with_pair(&["--verify-mode", "optional", "--ca-certs", "cert.pem", "--crl", "cert.pem"]),
            "cert.pem: found no revocation list, expected PEM with the line \
             -----BEGIN X509 CRL-----"
                .to_owned(),
        ),
        (
            with_pair(&["--bind", "unix:s"]),
            "--bind: found unix:s, expected a TCP address for TLS; use --insecure-bind unix:s"
                .to_owned(),
        ),
        (
            with_pair(&["--dev-cert"]),
            "found --dev-cert together with --certfile or --keyfile, expected only one of them"
                .to_owned(),
        ),
        (
            with_pair(&["--tls-min-version", "1.1"]),
            "--tls-min-version: found \"1.1\", expected 1.2 or 1.3".to_owned(),
        ),
        (
            with_pair(&["--verify-mode", "maybe"]),
            "--verify-mode: found \"maybe\", expected none, optional or required".to_owned(),
        ),
    ];
    for (arguments, line) in cases {
        let mut command = static_app(&arguments);
        command.current_dir(folder.path());
        assert_refused(&mut command, 2, &format!("static_app: error: {line}"));
    }
    // The rest of the line is the text of the parser.
    let mut command = static_app(&pair("damaged.pem", "cert.key"));
    let ended = crate::process::run(command.current_dir(folder.path()));
    let line = "damaged.pem: found a certificate that cannot be used (";
    assert!(ended.stderr.contains(line), "{}", ended.stderr);
    assert_eq!((ended.code, ended.stderr.lines().count()), (2, 1));
}

fn serving(folder: &TempDir, arguments: &[&str]) -> Running {
    let mut command = static_app(&[&ANY_PORT[..], arguments].concat());
    Running::start(command.current_dir(folder.path()))
}

#[test]
fn with_a_certificate_bind_uses_https_and_insecure_bind_does_not() {
    let folder = folder();
    let arguments = [
        "--certfile",
        "cert.pem",
        "--keyfile",
        "cert.key",
        "--insecure-bind",
        "127.0.0.1:0",
    ];
    let mut server = serving(&folder, &arguments);
    assert!(
        server
            .line_with(" serving ")
            .contains(" on https://127.0.0.1:")
    );
    assert!(
        server
            .line_with(" serving ")
            .contains(" on http://127.0.0.1:")
    );
}

#[test]
fn a_hangup_reloads_certificates() {
    let folder = folder();
    let arguments = ["--certfile", "cert.pem", "--keyfile", "cert.key"];
    let mut server = serving(&folder, &arguments);
    server.line_with(" serving ");
    put_certificate(folder.path(), "two.example");
    server.signal(Signal::HUP);
    server.line_with("certificates reloaded: two.example (until ");
    fs::write(folder.path().join("cert.key"), "").unwrap();
    server.signal(Signal::HUP);
    server.line_with("ERROR");
    server.signal(Signal::TERM);
    assert_eq!(server.end().code, 0);
}

#[test]
fn changed_files_are_reloaded_without_a_signal() {
    let folder = folder();
    let arguments = [
        "--certfile",
        "cert.pem",
        "--keyfile",
        "cert.key",
        "--tls-check-interval",
        "50ms",
    ];
    let mut server = serving(&folder, &arguments);
    server.line_with(" serving ");
    put_certificate(folder.path(), "two.example");
    server.line_with("certificates reloaded: two.example (until ");
}

#[test]
fn the_log_shows_the_fingerprint_of_the_temporary_certificate() {
    let folder = folder();
    let mut server = serving(&folder, &["--dev-cert"]);
    let line = server.line_with("--dev-cert: a temporary certificate for localhost");
    let (_, fingerprint) = line.split_once("SHA-256 fingerprint is ").unwrap();
    assert_eq!(fingerprint.split(':').count(), 32, "{line}");
    assert!(
        server
            .line_with(" serving ")
            .contains(" on https://127.0.0.1:")
    );
    server.signal(Signal::HUP);
    server.line_with("SIGHUP: no certificate files to reload");
}
