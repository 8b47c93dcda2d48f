//! The options of TLS: what is refused with which words, and what a server that runs says.

use std::fs;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{Running, assert_refused, static_app};

const ANY_PORT: [&str; 4] = ["--bind", "127.0.0.1:0", "--threads", "1"];

/// A folder with what an operator may mix up.
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
fn what_is_wrong_is_told_in_one_line_with_what_to_do() {
    let folder = folder();
    let pair = |certificate, key| vec!["--certfile", certificate, "--keyfile", key];
    let asking = |more: &[&'static str]| [&pair("cert.pem", "cert.key")[..], more].concat();
    let gone = "No such file or directory (os error 2)";
    let cases: Vec<(Vec<&str>, String)> =
        vec![
        (
            pair("gone.pem", "cert.key"),
            format!("gone.pem cannot be read ({gone}), expected a file of PEM with a certificate"),
        ),
        (
            pair("cert.pem", "gone.key"),
            format!("gone.key cannot be read ({gone}), expected a file of PEM with a private key"),
        ),
        (
            pair("empty.pem", "cert.key"),
            "empty.pem: found no certificate, expected PEM with a section \
             -----BEGIN CERTIFICATE-----"
                .to_owned(),
        ),
        (
            pair("garbage.pem", "cert.key"),
            "garbage.pem: found no certificate, expected PEM with a section \
             -----BEGIN CERTIFICATE-----"
                .to_owned(),
        ),
        (
            pair("cert.key", "cert.key"),
            "cert.key: found no certificate, expected PEM with a section \
             -----BEGIN CERTIFICATE-----"
                .to_owned(),
        ),
        (
            vec!["--certfile", "cert.pem"],
            "cert.pem: found no private key, expected PEM with a section \
             -----BEGIN PRIVATE KEY-----"
                .to_owned(),
        ),
        (
            pair("cert.pem", "other.key"),
            "other.key: the private key is not that of the certificate in cert.pem; the server's \
             own certificate must be the first in its file"
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
            "found 2 of --certfile and 1 of --keyfile, expected a --keyfile for each --certfile, \
             in the same order"
                .to_owned(),
        ),
        (
            vec!["--keyfile", "cert.key"],
            "--keyfile is given without a certificate, expected --certfile too".to_owned(),
        ),
        (
            vec!["--insecure-bind", "127.0.0.1:0"],
            "--insecure-bind is given without a certificate, expected --certfile for what --bind \
             names; without TLS all addresses are given with --bind"
                .to_owned(),
        ),
        (
            asking(&["--verify-mode", "required"]),
            "--verify-mode required is given without --ca-certs, expected the authorities that \
             vouch for clients"
                .to_owned(),
        ),
        (
            asking(&["--ca-certs", "cert.pem"]),
            "--ca-certs is given but clients are not asked for certificates, expected \
             --verify-mode optional or required"
                .to_owned(),
        ),
        (
            asking(&["--verify-mode", "optional", "--ca-certs", "empty.pem"]),
            "empty.pem: found no certificate, expected PEM with a section \
             -----BEGIN CERTIFICATE-----"
                .to_owned(),
        ),
        (
            asking(&["--verify-mode", "optional", "--ca-certs", "cert.pem", "--crl", "cert.pem"]),
            "cert.pem: found no revocation list, expected PEM with a section \
             -----BEGIN X509 CRL-----"
                .to_owned(),
        ),
        (
            asking(&["--bind", "unix:s"]),
            "--bind: TLS is not offered on a Unix socket (unix:s); make it --insecure-bind unix:s"
                .to_owned(),
        ),
        (
            asking(&["--dev-cert"]),
            "--dev-cert is given beside --certfile or --keyfile, expected one or the other"
                .to_owned(),
        ),
        (
            asking(&["--tls-min-version", "1.1"]),
            "--tls-min-version: found \"1.1\", expected 1.2 or 1.3".to_owned(),
        ),
        (
            asking(&["--verify-mode", "maybe"]),
            "--verify-mode: found \"maybe\", expected none, optional or required".to_owned(),
        ),
    ];
    for (arguments, line) in cases {
        let mut command = static_app(&arguments);
        command.current_dir(folder.path());
        assert_refused(&mut command, 2, &format!("static_app: error: {line}"));
    }
    // How the parser words it is its own affair.
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
fn with_a_certificate_bind_is_https_and_insecure_bind_is_not() {
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
fn a_throw_away_certificate_is_told_with_its_fingerprint() {
    let folder = folder();
    let mut server = serving(&folder, &["--dev-cert"]);
    let line = server.line_with("--dev-cert: a throw-away certificate for localhost");
    let (_, fingerprint) = line.split_once("SHA-256 fingerprint is ").unwrap();
    assert_eq!(fingerprint.split(':').count(), 32, "{line}");
    assert!(
        server
            .line_with(" serving ")
            .contains(" on https://127.0.0.1:")
    );
    server.signal(Signal::HUP);
    server.line_with("SIGHUP: nothing can be reloaded");
}
