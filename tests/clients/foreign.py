#!/usr/bin/env python3
"""Builds tests/foreign, which shares nothing with the server but the ABI, and asks it for each page.

    tests/clients/foreign.py FERRICORN

The nightly toolchain builds it if there is one, with an older tokio and another allocator. At the end the
end-to-end tests of hello run with it too.
"""

import json
import os
import pathlib
import subprocess
import urllib.error
import urllib.request

import harness
from harness import ROOT, Server


def toolchain():
    """`+nightly`, or nothing and a line that says so."""
    try:
        found = subprocess.run(["cargo", "+nightly", "--version"], capture_output=True, check=False)
        if found.returncode == 0:
            return ["+nightly"]
    except OSError:
        pass
    print("there is no nightly toolchain: the server's own compiler builds the foreign app")
    return []


def build():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "foreign"
    # If cargo runs this script, these variables name its own toolchain.
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("RUSTUP_TOOLCHAIN", "RUSTC", "RUSTFLAGS")}
    subprocess.run(
        ["cargo", *toolchain(), "build", "--locked"], cwd=ROOT / "tests/foreign", check=True,
        env={**environment, "CARGO_TARGET_DIR": str(target)},
    )
    return target / "debug/libforeign.so"


class Client:
    """Counts its requests."""

    def __init__(self, server):
        self.server = server
        self.requests = 0

    def get(self, target, body=None):
        """The status and the body of the response."""
        self.requests += 1
        try:
            with urllib.request.urlopen(self.server.url + target, body, timeout=20) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def get_json(self, target):
        status, body = self.get(target)
        return status, json.loads(body)


def expect(found, expected):
    assert found == expected, f"{found!r}, expected {expected!r}"


def a_page_is_served(client):
    expect(client.get("/"), (200, b"Hello, world!\n"))


def a_megabyte_is_echoed(client):
    body = bytes(n % 251 for n in range(1_000_000))
    assert client.get("/echo", body) == (200, body)


def a_response_is_streamed(client):
    expect(client.get("/stream?n=2"), (200, b"line 1\nline 2\n"))


def the_app_sleeps(client):
    expect(client.get("/sleep?ms=5"), (200, b"slept 5 ms\n"))


def the_scope_describes_the_request(client):
    status, info = client.get_json("/info?a=%20b")
    known = {key: info[key] for key in ("method", "version", "path", "raw_path", "query_string")}
    expect((status, known), (200, {
        "method": "GET", "version": "HTTP/1.1", "path": "/info", "raw_path": "/info",
        "query_string": "a=%20b",
    }))


def the_state_of_the_startup_counts_each_request(client):
    _, info = client.get_json("/info")
    expect(info["state"]["requests"], client.requests)


def the_scope_has_the_address_of_the_server(client):
    _, info = client.get_json("/info")
    expect(info["server"], client.server.address)


def the_runtime_of_the_app_works(client):
    expect(client.get_json("/io"), (200, {
        "spawn": 42, "sleep": True, "tcp": "ping",
        "spawn_blocking": "worked on a thread of its own",
    }))


def an_unknown_path_gets_404(client):
    expect(client.get("/nowhere")[0], 404)


def a_panic_gets_500(client):
    expect(client.get("/panic")[0], 500)


def an_error_gets_500(client):
    expect(client.get("/error")[0], 500)


def the_app_serves_after_a_panic_and_an_error(client):
    expect(client.get("/")[0], 200)


def the_server_stops_with_0(client):
    client.server.stop(limit=30)


def the_log_reports_the_panic(client):
    assert "the app panicked: the client asked for a panic" in client.server.log(), client.server.log()


def the_log_reports_the_error(client):
    assert "the app failed: the client asked for an error" in client.server.log(), client.server.log()


# In this order: the last checks depend on the panic, the error and the stop.
CHECKS = [
    a_page_is_served,
    a_megabyte_is_echoed,
    a_response_is_streamed,
    the_app_sleeps,
    the_scope_describes_the_request,
    the_state_of_the_startup_counts_each_request,
    the_scope_has_the_address_of_the_server,
    the_runtime_of_the_app_works,
    an_unknown_path_gets_404,
    a_panic_gets_500,
    an_error_gets_500,
    the_app_serves_after_a_panic_and_an_error,
    the_server_stops_with_0,
    the_log_reports_the_panic,
    the_log_reports_the_error,
]


def the_end_to_end_tests_of_hello_pass(library):
    subprocess.run(
        ["cargo", "test", "--quiet", "-p", "e2e", "hello::"], cwd=ROOT, check=True,
        env={**os.environ, "FOREIGN_APP": str(library)},
    )


def main():
    options = harness.argument_parser(__doc__, "ferricorn").parse_args()
    library = build()
    checks = harness.Checks()
    with Server(options.ferricorn, library, "--no-access-log") as server:
        checks.run_all(CHECKS, Client(server))
    checks.run(the_end_to_end_tests_of_hello_pass, library)
    checks.exit()


if __name__ == "__main__":
    main()
