#!/usr/bin/env python3
"""Runs the suite httpwg (RFC 9113, cleartext) and compares each case with tests/conformance/httpwg.txt.

    tests/conformance/httpwg.py FERRICORN LIBRARY
    tests/conformance/httpwg.py --address HOST:PORT

LIBRARY is the library of examples/hello. Every case must have the listed result. An unexpected pass is a failure
too, so the list stays true. The environment variable HTTPWG names the program httpwg if it is not in PATH;
`cargo install --locked httpwg-cli` installs it.
"""

import os
import pathlib
import re
import subprocess
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "clients"))

import harness
from harness import Server

EXPECTED = pathlib.Path(__file__).with_suffix(".txt")
SUITE_LIMIT = 120.0  # seconds; the suite takes two


def expected():
    """The list: {case: pass, fail or either}."""
    verdicts = {}
    for number, line in harness.expected_lines(EXPECTED):
        verdict, _, case = line.partition(" ")
        if verdict not in ("pass", "fail", "either") or case.strip() in verdicts:
            raise SystemExit(f"{EXPECTED.name}:{number}: not `pass|fail|either CASE`, or a case appears twice")
        verdicts[case.strip()] = verdict
    return verdicts


def run(address):
    """The results: {case: (whether it passed, why not)}."""
    command = [os.environ.get("HTTPWG", "httpwg"), "--verbose", "--address", address]
    # Otherwise the suite opens all its connections at once.
    environment = {**os.environ, "SEQUENTIAL": "1", "NO_COLOR": "1"}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=SUITE_LIMIT, check=False,
    )
    output = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout.decode(errors="replace"))
    cases = {}
    for case, report in re.findall(r"Running test: RFC 9113 :: (.+)\n((?:(?!.*Running test:).*\n)*)", output):
        # A case that panics prints neither that it passed nor that it failed.
        passed = "Test passed: " in report
        why = re.search(r"^ +0: (.+)|^Message: +(.+)", report, re.MULTILINE)
        cases[case] = passed, (why and (why[1] or why[2])) or "no reason given"
    if not cases:
        raise SystemExit(f"httpwg ran no case:\n{output}")
    return cases


def every_case_is_as_listed(address):
    cases = run(address)
    verdicts = expected()
    wrong = 0
    for case in sorted(verdicts.keys() | cases.keys()):
        if case not in cases:
            print(f"not run: {case}")
        elif case not in verdicts:
            print(f"not in {EXPECTED.name}: {case}")
        else:
            passed, why = cases[case]
            if verdicts[case] in ("either", "pass" if passed else "fail"):
                continue
            print(f"passes now, change {EXPECTED.name}: {case}" if passed else f"fails: {case}\n    {why}")
        wrong += 1
    counts = f"{sum(passed for passed, _ in cases.values())} of {len(cases)} cases pass, {wrong} are not as listed"
    assert wrong == 0, counts
    return counts


def main():
    parser = harness.argument_parser(__doc__)
    parser.add_argument("ferricorn", metavar="FERRICORN", nargs="?")
    parser.add_argument("library", metavar="LIBRARY", nargs="?")
    parser.add_argument("--address", metavar="HOST:PORT", help="of a server that runs already")
    options = parser.parse_args()
    if (options.address is None) != (options.library is not None) or (options.address and options.ferricorn):
        parser.error("FERRICORN and LIBRARY, or --address")
    checks = harness.Checks()
    if options.address:
        checks.run(every_case_is_as_listed, options.address)
    else:
        with Server(options.ferricorn, options.library, "--no-access-log") as server:
            checks.run(every_case_is_as_listed, server.address)
    checks.exit()


if __name__ == "__main__":
    main()
