#!/usr/bin/env python3
"""OpenSSL's clients against a running server that speaks TLS.

    tests/clients/tls.py FERRICORN LIBRARY

openssl makes an authority, certificates and a revocation list; Python's ssl is the client. Prints ok
or FAIL for each check, and exits with 0 only if none failed.
"""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

LIMIT = 20.0  # seconds for each wait
REPLACEMENTS = 20
CLIENTS = 8

CONFIG = """
[ca]
default_ca = this
[this]
dir = .
database = ./index.txt
serial = ./serial
crlnumber = ./crlnumber
new_certs_dir = .
default_md = sha256
default_days = 30
default_crl_days = 30
policy = any
unique_subject = no
copy_extensions = copy
x509_extensions = leaf
crl_extensions = crl
[any]
commonName = supplied
[crl]
authorityKeyIdentifier = keyid
[leaf]
basicConstraints = CA:FALSE
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[req]
distinguished_name = name
[name]
"""


class Authority:
    """A folder in which openssl signs."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        (self.folder / "openssl.cnf").write_text(CONFIG)
        (self.folder / "index.txt").touch()
        for number in "serial", "crlnumber":
            (self.folder / number).write_text("01\n")
        self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out",
                     "ca.pem", "-subj", f"/CN=authority {self.folder.name}", "-days", "30", "-config", "openssl.cnf",
                     "-extensions", "authority")

    def openssl(self, *arguments):
        done = subprocess.run(["openssl", *arguments], cwd=self.folder, capture_output=True,
                              timeout=60, check=False)
        assert done.returncode == 0, (arguments, done.stderr.decode())

    def sign(self, name, hosts=(), dates=()):
        """Makes name.pem and name.key."""
        names = ",".join(f"DNS:{host}" for host in hosts)
        extensions = ["-addext", f"subjectAltName={names}"] if names else []
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                     "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj",
                     f"/CN={name}", "-config", "openssl.cnf", *extensions)
        between = ["-startdate", dates[0], "-enddate", dates[1]] if dates else []
        self.ca("-in", f"{name}.csr", "-out", f"{name}.pem", "-notext", *between)
        return self.pair(name)

    def ca(self, *arguments):
        self.openssl("ca", "-batch", "-config", "openssl.cnf", "-cert", "ca.pem", "-keyfile",
                     "ca.key", *arguments)

    def revoke(self, name):
        self.ca("-revoke", f"{name}.pem")

    def revocations(self):
        self.ca("-gencrl", "-out", "crl.pem")
        return self.folder / "crl.pem"

    def pair(self, name):
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    @property
    def certificate(self):
        return self.folder / "ca.pem"


class Server:
    def __init__(self, binary, library, *arguments):
        self.process = subprocess.Popen(
            [binary, library, "--bind", "127.0.0.1:0", "--no-access-log", *map(str, arguments)],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )
        said = ""
        for line in self.process.stderr:
            said += line
            found = re.search(r"on https://127\.0\.0\.1:(\d+)", line)
            if found:
                self.address = "127.0.0.1", int(found[1])
                return
        raise RuntimeError(f"the server ended before it served: {said}")

    def line_with(self, part):
        for line in self.process.stderr:
            if part in line:
                return
        raise RuntimeError(f"the server ended before it said {part!r}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=40)
        assert self.process.returncode == 0, self.process.returncode


def context(authority, certificate=None, version=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(authority.certificate)
    if certificate:
        made.load_cert_chain(*certificate)
    if version:
        made.minimum_version = made.maximum_version = version
    return made


def get(server, made, host="localhost", session=None):
    """Asks once on a connection of its own: (body, certificate, session, whether it was resumed)."""
    plain = socket.create_connection(server.address, timeout=LIMIT)
    with made.wrap_socket(plain, server_hostname=host, session=session) as tls:
        tls.sendall(f"GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
        response = b""
        while part := tls.recv(65536):
            response += part
        head, _, body = response.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), response
        shown = tls.getpeercert()["subjectAltName"]
        return body, [name for _, name in shown], tls.session, tls.session_reused


def refused(server, made, *alerts):
    try:
        get(server, made)
    except ssl.SSLError as error:
        assert any(alert in str(error).lower() for alert in alerts), error
        return
    raise AssertionError("it was let in")


def check_resumption(start, authority):
    certificate, key = authority.pair("first")
    with start("--certfile", certificate, "--keyfile", key) as server:
        for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
            made = context(authority, version=version)
            _, _, session, reused = get(server, made)
            assert not reused, version
            _, _, session, reused = get(server, made, session=session)
            assert reused, version


def asking(start, authority):
    certificate, key = authority.pair("first")
    return start("--certfile", certificate, "--keyfile", key, "--ca-certs", authority.certificate,
                 "--verify-mode", "required", "--crl", authority.folder / "crl.pem")


def both_versions(check):
    for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
        check(version)


def check_valid(start, authority):
    with asking(start, authority) as server:
        both_versions(lambda version: get(
            server, context(authority, authority.pair("valid"), version)))


def check_none(start, authority):
    # TLS 1.2 has no alert of its own for it.
    with asking(start, authority) as server:
        both_versions(lambda version: refused(
            server, context(authority, None, version), "certificate required",
            "handshake failure"))


def check_expired(start, authority):
    with asking(start, authority) as server:
        both_versions(lambda version: refused(
            server, context(authority, authority.pair("expired"), version),
            "certificate expired"))


def check_wrong_authority(start, authority):
    with asking(start, authority) as server:
        both_versions(lambda version: refused(
            server, context(authority, authority.other.pair("stranger"), version), "unknown ca"))


def check_revoked(start, authority):
    with asking(start, authority) as server:
        both_versions(lambda version: refused(
            server, context(authority, authority.pair("revoked"), version),
            "certificate revoked"))


def check_host(start, authority):
    arguments = []
    for name in "first", "wildcard", "exact":
        certificate, key = authority.pair(name)
        arguments += ["--certfile", certificate, "--keyfile", key]
    with start(*arguments) as server:
        made = context(authority)
        for host, expected in [
            ("localhost", ["localhost", "first.example"]),
            ("small.shop.example", ["*.shop.example"]),
            ("big.shop.example", ["big.shop.example"]),
        ]:
            assert get(server, made, host)[1] == expected, host
        # The first one for all others: its names do not fit.
        made.check_hostname = False
        assert get(server, made, "unknown.example")[1][1] == "first.example"


def check_replacement(start, authority):
    certificate, key = authority.folder / "live.pem", authority.folder / "live.key"

    def put(name):
        for source, target in zip(authority.pair(name), (certificate, key)):
            shutil.copy(source, f"{target}.new")
            os.replace(f"{target}.new", target)

    put("first")
    failed, served, stop = [], [0], threading.Event()
    with start("--certfile", certificate, "--keyfile", key, "--tls-check-interval",
               "100ms") as server:
        def ask():
            made = context(authority)
            while not stop.is_set():
                try:
                    get(server, made)
                    served[0] += 1
                except Exception as error:  # any is a failed request
                    failed.append(error)

        clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            made = context(authority)
            for number in range(REPLACEMENTS):
                name, host = [("second", "second.example"), ("first", "first.example")][number % 2]
                put(name)
                # By a signal and by itself in turns.
                if number % 4 < 2:
                    server.process.send_signal(signal.SIGHUP)
                server.line_with("certificates reloaded")
                assert get(server, made)[1][1] == host, number
        finally:
            stop.set()
            for client in clients:
                client.join()
    assert not failed, (len(failed), failed[0])
    assert served[0] > REPLACEMENTS, served
    return f"{served[0]} requests, {REPLACEMENTS} replacements"


CHECKS = [
    ("a session is resumed, TLS 1.2 and 1.3", check_resumption),
    ("a valid client certificate is let in", check_valid),
    ("no client certificate is refused", check_none),
    ("an expired client certificate is refused", check_expired),
    ("a client certificate of another authority is refused", check_wrong_authority),
    ("a revoked client certificate is refused", check_revoked),
    ("the host chooses the certificate", check_host),
    ("a certificate is replaced under load without a failed request", check_replacement),
]


def main():
    binary, library = sys.argv[1:]

    def start(*arguments):
        return Server(binary, library, *arguments)

    failures = 0
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        authority = Authority(folder / "one")
        authority.other = Authority(folder / "two")
        authority.sign("first", ["localhost", "first.example"])
        authority.sign("second", ["localhost", "second.example"])
        authority.sign("wildcard", ["*.shop.example"])
        authority.sign("exact", ["big.shop.example"])
        authority.sign("valid")
        authority.sign("expired", dates=("20200101000000Z", "20210101000000Z"))
        authority.sign("revoked")
        authority.revoke("revoked")
        authority.revocations()
        authority.other.sign("stranger")
        for name, check in CHECKS:
            began = time.monotonic()
            try:
                note = check(start, authority)
            except Exception as error:  # whatever it is, the other checks go on
                failures += 1
                print(f"FAIL  {name}: {type(error).__name__}: {error}")
            else:
                note = f" ({note})" if note else ""
                print(f"ok    {name}{note}, {time.monotonic() - began:.1f} s")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
