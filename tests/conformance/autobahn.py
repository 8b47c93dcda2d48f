#!/usr/bin/env python3
"""Runs the suite Autobahn (RFC 6455 and permessage-deflate) and compares each case with
tests/conformance/autobahn.txt.

    tests/conformance/autobahn.py FERRICORN WS_ECHO [--all] [--http2] [--runs N] [--reports FOLDER]

WS_ECHO is the library of examples/ws-echo. Without --all, 303 of the 517 cases run, which takes two to three
minutes. With --http2, haproxy translates Autobahn's HTTP/1.1 to HTTP/2 (RFC 8441); the access log must prove it.
The list is the same for both. Every case must have the listed result. A better result is a failure too, so the
list stays true. Some cases depend on timing: with --runs N, the median of N runs counts. --reports keeps the
reports, with each byte that was sent.

The environment variables WSTEST and HAPROXY name the programs wstest and haproxy if they are not in PATH.
tests/conformance/install_autobahn installs wstest, and Debian has haproxy.
"""

import collections
import contextlib
import fnmatch
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "clients"))

import harness
from harness import Server

EXPECTED = pathlib.Path(__file__).with_suffix(".txt")
# Patterns of Autobahn. For compression: all sizes of one kind of text and of one set of parameters. For each
# other kind and set: messages of 1 KiB, and of 8 KiB in fragments.
QUICK = [
    "1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*", "12.1.*", "13.1.*",
    *(f"12.{text}.{size}" for text in range(2, 6) for size in (4, 11)),
    *(f"13.{parameters}.{size}" for parameters in range(2, 8) for size in (4, 11)),
]
ALL = ["*"]
QUICK_LIMIT, ALL_LIMIT = 900.0, 3600.0  # seconds for one run
# From the best to the worst.
BEHAVIORS = [
    "OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED", "WRONG CODE", "FAILED BY CLIENT", "UNCLEAN",
    "FAILED",
]
# The list may contain only these. In 6.4.3 and 6.4.4 a text becomes invalid in the middle of a frame: the server
# may refuse it at once, or at the end of the frame.
ALLOWED = {"OK", "INFORMATIONAL"}
MAY_BE_NON_STRICT = {"6.4.3", "6.4.4"}
HAPROXY = """
global
    maxconn 100
defaults
    mode http
    timeout connect 10s
    timeout client 600s
    timeout server 600s
    timeout tunnel 600s
frontend one
    bind fd@{listener}
    default_backend two
backend two
    server ferricorn {address} proto h2 ws h2
"""


def tool(name):
    path = shutil.which(os.environ.get(name.upper(), name))
    if path is None:
        raise SystemExit(f"{name} is not installed: the first lines of tests/conformance/autobahn.py say how")
    return path


def in_order(case):
    return [int(number) for number in case.split(".")]


def is_among(case, patterns):
    return any(fnmatch.fnmatchcase(case, pattern) for pattern in patterns)


def expected():
    """The list: {case: (behavior, behavior at the close)}."""
    verdicts = {}
    for number, line in harness.expected_lines(EXPECTED):
        behavior, *groups = line.split()
        behavior, _, at_close = behavior.partition(",")
        for case in (case for group in groups for case in cases_of(group)):
            may_be = ALLOWED | {"NON-STRICT"} if case in MAY_BE_NON_STRICT else ALLOWED
            if case in verdicts or behavior not in may_be or at_close not in ALLOWED | {""}:
                raise SystemExit(f"{EXPECTED.name}:{number}: {case} may not be {behavior}, or appears twice")
            verdicts[case] = behavior, at_close or "OK"
    return verdicts


def cases_of(group):
    """`1.2.3-5` is 1.2.3, 1.2.4 and 1.2.5."""
    section, _, last = group.rpartition(".")
    first, _, last = last.partition("-")
    return [f"{section}.{number}" for number in range(int(first), int(last or first) + 1)]


def run(url, patterns, folder):
    """One run of the suite: {case: Autobahn's report on it}."""
    folder.mkdir()
    specification = folder / "specification.json"
    specification.write_text(json.dumps({
        "outdir": str(folder),
        "servers": [{"agent": "ferricorn", "url": url}],
        "cases": patterns,
    }))
    limit = QUICK_LIMIT if patterns is QUICK else ALL_LIMIT
    log, index = folder / "wstest.log", folder / "index.json"
    with log.open("w") as file, contextlib.suppress(subprocess.TimeoutExpired):
        # It always exits with 0, and writes its report at the end.
        subprocess.run(
            [tool("wstest"), "-m", "fuzzingclient", "-s", specification], cwd=folder,
            stdout=file, stderr=subprocess.STDOUT, timeout=limit, check=False,
        )
    if not index.exists():
        last = "".join(log.read_text(errors="replace").splitlines(keepends=True)[-20:])
        raise SystemExit(f"Autobahn wrote no report. The end of its log:\n{last}")
    return {
        case: json.loads((folder / found["reportfile"]).read_text())
        for case, found in json.loads(index.read_text())["ferricorn"].items()
    }


def median(behaviors):
    return sorted(behaviors, key=BEHAVIORS.index)[len(behaviors) // 2]


def every_case_is_as_listed(runs, patterns):
    verdicts = {case: verdict for case, verdict in expected().items() if is_among(case, patterns)}
    counts = collections.Counter()
    wrong = 0
    for case in sorted(verdicts.keys() | set().union(*runs), key=in_order):
        reports = [reports[case] for reports in runs if case in reports]
        if len(reports) < len(runs):
            print(f"not run: {case}")
            wrong += 1
            continue
        found = tuple(
            median([report[field] for report in reports]) for field in ("behavior", "behaviorClose")
        )
        counts.update([found[0]])
        if found[1] not in ALLOWED:
            counts.update([f"{found[1]} at the close"])
        if found == verdicts.get(case):
            continue
        wrong += 1
        print(f"{case}: {', at the close '.join(found)}; {EXPECTED.name} says "
              f"{', at the close '.join(verdicts.get(case, ['nothing']))}")
        for number, report in enumerate(reports, 1):
            print(f"    run {number}: {report['behavior']}: {report['result']}\n"
                  f"        at the close {report['behaviorClose']}: {report['resultClose']}")
    counts = ", ".join(f"{count} {behavior}" for behavior, count in sorted(counts.items()))
    counts += f"; {wrong} are not as listed"
    assert wrong == 0, counts
    return counts


def every_connection_used_the_version(version, cases, access_log):
    versions = collections.Counter(re.findall(r' HTTP/([\d.]+)"', access_log.read_text()))
    assert versions == {version: cases}, f"{cases} cases over HTTP/{version}, but {dict(versions)}"


@contextlib.contextmanager
def over_http2(address, folder):
    """The address of a proxy that forwards each WebSocket over HTTP/2 to `address`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        configuration = folder / "haproxy.cfg"
        configuration.write_text(HAPROXY.format(listener=listener.fileno(), address=address))
        proxy = subprocess.Popen(
            [tool("haproxy"), "-q", "-db", "-f", configuration], pass_fds=[listener.fileno()]
        )
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            proxy.kill()
            proxy.wait()


def main():
    parser = harness.argument_parser(__doc__, "ferricorn", "ws_echo")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--http2", action="store_true")
    parser.add_argument("--runs", metavar="N", type=int, default=1)
    parser.add_argument("--reports", metavar="FOLDER", type=pathlib.Path)
    options = parser.parse_args()
    patterns = ALL if options.all else QUICK
    version = "2.0" if options.http2 else "1.1"
    expected()
    tool("wstest")
    checks = harness.Checks()
    with contextlib.ExitStack() as stack:
        folder = options.reports or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "access.log"
        command = [options.ferricorn, options.ws_echo, "--access-log", "--log-level", "error"]
        with log.open("w") as file, Server(*command, stdout=file, echo=True) as server:
            address = server.address
            if options.http2:
                address = stack.enter_context(over_http2(address, folder))
            runs = []
            for number in range(1, options.runs + 1):
                runs.append(run(f"ws://{address}/", patterns, folder / f"run-{number}"))
            server.stop(limit=60)
        checks.run(every_case_is_as_listed, runs, patterns, note=f"HTTP/{version}")
        checks.run(every_connection_used_the_version, version, sum(map(len, runs)), log)
    checks.exit()


if __name__ == "__main__":
    main()
