#!/usr/bin/env python3
"""Runs the suite `httpwg` (RFC 9113, cleartext) and compares each case with tests/conformance/httpwg.txt.

    tests/conformance/httpwg.py FERRICORN LIBRARY
    tests/conformance/httpwg.py --address HOST:PORT

The list is held both ways: a case that fails and should pass is a regression, one that passes and
should fail is an improvement that the list must say. `httpwg` is found in PATH or named by the
environment variable HTTPWG; `cargo install --locked httpwg-cli` brings it. Exits with 0 only if every
case is as the list says.
"""

import os
import pathlib
import re
import subprocess
import sys

EXPECTED = pathlib.Path(__file__).with_suffix(".txt")
LIMIT = 120.0  # seconds for the whole suite, which takes two


def expected():
    """What the list says: {case: (pass, fail or either)}."""
    verdicts = {}
    for number, line in enumerate(EXPECTED.read_text().splitlines(), 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        verdict, _, case = line.partition(" ")
        if verdict not in ("pass", "fail", "either") or case.strip() in verdicts:
            raise SystemExit(f"{EXPECTED.name}:{number}: not `pass|fail|either CASE`, or there twice")
        verdicts[case.strip()] = verdict
    return verdicts


def run(address):
    """What happened: {case: (whether it passed, why not)}."""
    command = [os.environ.get("HTTPWG", "httpwg"), "--verbose", "--address", address]
    # One after the other: the suite would else open all of its connections at once.
    environment = {**os.environ, "SEQUENTIAL": "1", "NO_COLOR": "1"}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=LIMIT, check=False,
    )
    output = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout.decode(errors="replace"))
    cases = {}
    for case, report in re.findall(r"Running test: RFC 9113 :: (.+)\n((?:(?!.*Running test:).*\n)*)", output):
        # A case may also panic, and says then neither that it passed nor that it failed.
        passed = "Test passed: " in report
        why = re.search(r"^ +0: (.+)|^Message: +(.+)", report, re.MULTILINE)
        cases[case] = passed, (why and (why[1] or why[2])) or "no reason given"
    if not cases:
        raise SystemExit(f"httpwg ran no case:\n{output}")
    return cases


def compare(cases):
    """The number of cases that are not as the list says; says each."""
    wrong = 0
    verdicts = expected()
    for case in sorted(verdicts.keys() | cases.keys()):
        if case not in cases:
            print(f"not run: {case}")
        elif case not in verdicts:
            print(f"not in {EXPECTED.name}: {case}")
        else:
            passed, why = cases[case]
            if verdicts[case] in ("either", "pass" if passed else "fail"):
                continue
            print(f"passes now, say so in {EXPECTED.name}: {case}" if passed else f"fails: {case}\n    {why}")
        wrong += 1
    print(f"httpwg: {sum(passed for passed, _ in cases.values())}/{len(cases)} cases pass, {wrong} are not as expected")
    return wrong


def serve(binary, library):
    """A running server and its address, which the banner tells."""
    process = subprocess.Popen(
        [binary, library, "--bind", "127.0.0.1:0", "--no-access-log"],
        stderr=subprocess.PIPE, text=True,
    )
    for line in process.stderr:
        if found := re.search(r"on http://(127\.0\.0\.1:\d+)", line):
            return process, found[1]
    raise SystemExit("the server ended before it served")


def main(arguments):
    if len(arguments) != 2:
        raise SystemExit(__doc__)
    if arguments[0] == "--address":
        return compare(run(arguments[1]))
    process, address = serve(*arguments)
    # Whatever it logs of the suite's misdeeds must not fill the pipe.
    with subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL):
        try:
            return compare(run(address))
        finally:
            process.terminate()
            process.wait(30)


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
