#!/usr/bin/env python3
"""TLS with Python's ssl, which is OpenSSL, as the client; openssl makes the certificates.

    tests/clients/tls.py FERRICORN LIBRARY

LIBRARY is the library of examples/hello.
"""

import os
import pathlib
import shutil
import signal
import socket
import ssl
import tempfile
import threading

import harness
from harness import LIMIT, CertificateAuthority, Server

REPLACEMENTS = 20
CLIENTS = 8
VERSIONS = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def client_context(authority, certificate=None, version=None):
    """The settings of a client that trusts the authority, and may have a certificate of its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.certificate)
    if certificate:
        context.load_cert_chain(*certificate)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def get(server, context, host="localhost", session=None):
    """Asks once on a new connection: (names in the certificate, session, whether it was resumed)."""
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT)
    with context.wrap_socket(plain, server_hostname=host, session=session) as tls:
        tls.sendall(f"GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
        response = b""
        while part := tls.recv(65536):
            response += part
        assert response.startswith(b"HTTP/1.1 200 "), response
        names = tls.getpeercert()["subjectAltName"]
        return [name for _, name in names], tls.session, tls.session_reused


def certificate_options(*pairs):
    return [option for certificate, key in pairs for option in ("--certfile", certificate, "--keyfile", key)]


def a_session_is_resumed_in_tls_1_2_and_1_3(start, authority):
    with start(*certificate_options(authority.pair("first"))) as server:
        for version in VERSIONS:
            context = client_context(authority, version=version)
            _, session, reused = get(server, context)
            assert not reused, version
            _, session, reused = get(server, context, session=session)
            assert reused, version


def server_that_asks_for_certificates(start, authority):
    return start(
        *certificate_options(authority.pair("first")), "--ca-certs", authority.certificate,
        "--verify-mode", "required", "--crl", authority.folder / "crl.pem",
    )


def is_refused(start, authority, certificate, *alerts):
    """The server must send one of these alerts to a client with this certificate."""
    with server_that_asks_for_certificates(start, authority) as server:
        for version in VERSIONS:
            try:
                get(server, client_context(authority, certificate, version))
            except ssl.SSLError as error:
                assert any(alert in str(error).lower() for alert in alerts), (version, error)
            else:
                raise AssertionError(f"{version}: the server accepted the client")


def a_valid_client_certificate_is_accepted(start, authority):
    with server_that_asks_for_certificates(start, authority) as server:
        for version in VERSIONS:
            get(server, client_context(authority, authority.pair("valid"), version))


def a_client_without_a_certificate_is_refused(start, authority):
    # TLS 1.2 has no alert for this case.
    is_refused(start, authority, None, "certificate required", "handshake failure")


def an_expired_client_certificate_is_refused(start, authority):
    is_refused(start, authority, authority.pair("expired"), "certificate expired")


def a_client_certificate_of_another_authority_is_refused(start, authority):
    is_refused(start, authority, authority.other.pair("stranger"), "unknown ca")


def a_revoked_client_certificate_is_refused(start, authority):
    is_refused(start, authority, authority.pair("revoked"), "certificate revoked")


def the_host_chooses_the_certificate(start, authority):
    pairs = [authority.pair(name) for name in ("first", "wildcard", "exact")]
    with start(*certificate_options(*pairs)) as server:
        context = client_context(authority)
        for host, expected in [
            ("localhost", ["localhost", "first.example"]),
            ("small.shop.example", ["*.shop.example"]),
            ("big.shop.example", ["big.shop.example"]),
        ]:
            assert get(server, context, host)[0] == expected, host
        # Other hosts get the first certificate, which does not match them.
        context.check_hostname = False
        assert get(server, context, "unknown.example")[0][1] == "first.example"


def certificates_are_replaced_under_load_without_a_failed_request(start, authority):
    pair = authority.folder / "live.pem", authority.folder / "live.key"

    def put(name):
        for source, target in zip(authority.pair(name), pair):
            shutil.copy(source, f"{target}.new")
            os.replace(f"{target}.new", target)

    put("first")
    failed, served, stop = [], [0], threading.Event()
    with start(*certificate_options(pair), "--tls-check-interval", "100ms") as server:
        def ask():
            context = client_context(authority)
            while not stop.is_set():
                try:
                    get(server, context)
                    served[0] += 1
                except Exception as error:  # Each one is a failed request.
                    failed.append(error)

        clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            context = client_context(authority)
            for number in range(REPLACEMENTS):
                name, host = [("second", "second.example"), ("first", "first.example")][number % 2]
                put(name)
                # The server reloads after a signal, or when it sees the new file.
                if number % 4 < 2:
                    server.send_signal(signal.SIGHUP)
                server.wait_for_line("certificates reloaded")
                assert get(server, context)[0][1] == host, number
        finally:
            stop.set()
            for client in clients:
                client.join()
    assert not failed, (len(failed), failed[0])
    assert served[0] > REPLACEMENTS, served
    return f"{served[0]} requests, {REPLACEMENTS} replacements"


CHECKS = [
    a_session_is_resumed_in_tls_1_2_and_1_3,
    a_valid_client_certificate_is_accepted,
    a_client_without_a_certificate_is_refused,
    an_expired_client_certificate_is_refused,
    a_client_certificate_of_another_authority_is_refused,
    a_revoked_client_certificate_is_refused,
    the_host_chooses_the_certificate,
    certificates_are_replaced_under_load_without_a_failed_request,
]


def make_certificates(folder):
    authority = CertificateAuthority(folder / "one")
    authority.other = CertificateAuthority(folder / "two")
    authority.sign("first", ["localhost", "first.example"])
    authority.sign("second", ["localhost", "second.example"])
    authority.sign("wildcard", ["*.shop.example"])
    authority.sign("exact", ["big.shop.example"])
    authority.sign("valid")
    authority.sign("expired", dates=("20200101000000Z", "20210101000000Z"))
    authority.sign("revoked")
    authority.revoke("revoked")
    authority.revocation_list()
    authority.other.sign("stranger")
    return authority


def main():
    options = harness.argument_parser(__doc__, "ferricorn", "library").parse_args()
    harness.require("openssl")
    checks = harness.Checks()

    def start(*arguments):
        return Server(options.ferricorn, options.library, "--no-access-log", *arguments)

    with tempfile.TemporaryDirectory() as folder:
        checks.run_all(CHECKS, start, make_certificates(pathlib.Path(folder)))
    checks.exit()


if __name__ == "__main__":
    main()
