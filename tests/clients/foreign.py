#!/usr/bin/env python3
"""Builds tests/foreign, which has nothing of the server's but the ABI, and asks it for each page.

    tests/clients/foreign.py FERRICORN

Then the end-to-end tests of hello run with it too. It is built by the nightly toolchain if there is one, with an older tokio and another allocator.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests/foreign"


def toolchain():
    """`+nightly`, or nothing and a line that says so."""
    try:
        found = subprocess.run(["cargo", "+nightly", "--version"], capture_output=True, check=False)
        if found.returncode == 0:
            return ["+nightly"]
    except OSError:
        pass
    print("there is no nightly toolchain: the foreign app is built by the server's own compiler")
    return []


def build():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "foreign"
    # Whoever runs this under cargo has chosen a toolchain, which is not the one meant here.
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("RUSTUP_TOOLCHAIN", "RUSTC", "RUSTFLAGS")}
    subprocess.run(
        ["cargo", *toolchain(), "build", "--locked"], cwd=FOLDER, check=True,
        env={**environment, "CARGO_TARGET_DIR": str(target)},
    )
    return target / "debug/libforeign.so"


def get(url, body=None):
    """Status and body."""
    try:
        with urllib.request.urlopen(url, body, timeout=20) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def expect(what, found, expected):
    assert found == expected, f"{what}: {found!r}, expected {expected!r}"
    print(f"{what}: ok")


def ask(url):
    expect("/", get(f"{url}/"), (200, b"Hello, world!\n"))
    body = bytes(n % 251 for n in range(1_000_000))
    expect("/echo of a megabyte", get(f"{url}/echo", body) == (200, body), True)
    expect("/stream", get(f"{url}/stream?n=2"), (200, b"line 1\nline 2\n"))
    expect("/sleep", get(f"{url}/sleep?ms=5"), (200, b"slept 5 ms\n"))
    status, text = get(f"{url}/info?a=%20b")
    info = json.loads(text)
    known = {key: info[key] for key in ("method", "version", "path", "raw_path", "query_string")}
    expect("/info", (status, known), (200, {
        "method": "GET", "version": "HTTP/1.1", "path": "/info", "raw_path": "/info",
        "query_string": "a=%20b",
    }))
    expect("the state of start-up", info["state"]["requests"], 5)
    expect("the server's address", info["server"], url.removeprefix("http://"))
    status, text = get(f"{url}/io")
    expect("/io", (status, json.loads(text)), (200, {
        "spawn": 42, "sleep": True, "tcp": "ping",
        "spawn_blocking": "worked on a thread of its own",
    }))
    expect("/nowhere", get(f"{url}/nowhere")[0], 404)
    expect("/panic", get(f"{url}/panic")[0], 500)
    expect("/error", get(f"{url}/error")[0], 500)
    expect("/ after those", get(f"{url}/")[0], 200)


def run_tests(library):
    subprocess.run(
        ["cargo", "test", "--quiet", "-p", "e2e", "hello::"], cwd=ROOT, check=True,
        env={**os.environ, "FOREIGN_APP": str(library)},
    )


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    library = build()
    server = subprocess.Popen(
        [os.path.abspath(sys.argv[1]), library, "--bind", "127.0.0.1:0", "--no-access-log"],
        stderr=subprocess.PIPE, text=True,
    )
    try:
        for line in server.stderr:
            print(line, end="")
            found = re.search(r" on (http://\S+)", line)
            if found:
                break
        else:
            raise SystemExit("the foreign app is not served")
        ask(found[1])
        server.send_signal(signal.SIGTERM)
        log = server.communicate(timeout=30)[1]
        for part in ("the app panicked: the client asked for a panic",
                     "the app failed: the client asked for an error"):
            expect(f"the log: {part}", part in log, True)
        expect("exit code", server.returncode, 0)
    finally:
        server.kill()
    run_tests(library)


main()
