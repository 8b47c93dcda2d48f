#!/usr/bin/env python3
"""Scans the TLS of a running server with sslyze, and with testssl.sh if you ask for it.

    tests/conformance/tls_scan.py [--testssl] FERRICORN LIBRARY

A finding above LOW is a failure. There are two exceptions: findings that every self-signed certificate has, and
response headers that belong to the app.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "clients"))

import harness

SSLYZE = pathlib.Path(sys.executable).with_name("sslyze")
# sslyze compares with Mozilla's intermediate configuration.
ALLOWED_BY_SSLYZE = {"certificate_path_validation"}
ALLOWED_BY_TESTSSL = {"cert_chain_of_trust", "cert_revocation", "security_headers", "HSTS"}


def sslyze_finds_nothing_above_low(server):
    done = subprocess.run(
        [SSLYZE, "--mozilla_config=intermediate", server.address],
        capture_output=True, text=True, timeout=120, check=False,
    )
    assert "COMPLIANCE AGAINST TLS CONFIGURATION" in done.stdout, done.stdout + done.stderr
    verdict = done.stdout.split("COMPLIANCE AGAINST TLS CONFIGURATION")[1]
    assert "VULNERABLE -" not in done.stdout, done.stdout
    faults = re.findall(r"^ +\* (\w+): (.*)$", verdict, re.MULTILINE)
    assert faults or "OK - Compliant" in verdict, verdict
    findings = [f"{name}: {why}" for name, why in faults if name not in ALLOWED_BY_SSLYZE]
    assert not findings, "; ".join(findings)


def testssl_finds_nothing_above_low(server):
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.json"
        subprocess.run(
            ["testssl", "--quiet", "--warnings", "off", "--jsonfile", report, server.address],
            stdout=subprocess.DEVNULL, timeout=600, check=False,
        )
        results = json.loads(report.read_text())
    assert len(results) > 50, "testssl.sh has checked nothing"
    findings = [
        f"{result['id']}: {result['severity']}: {result['finding']}" for result in results
        if result["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL")
        and result["id"].split()[0] not in ALLOWED_BY_TESTSSL
    ]
    assert not findings, "; ".join(findings)


def main():
    parser = harness.argument_parser(__doc__, "ferricorn", "library")
    parser.add_argument("--testssl", action="store_true")
    options = parser.parse_args()
    scans = [sslyze_finds_nothing_above_low]
    if options.testssl:
        harness.require("testssl")
        scans.append(testssl_finds_nothing_above_low)
    checks = harness.Checks()
    checks.run_on_servers([options.ferricorn, options.library], [(["--dev-cert"], scans)])
    checks.exit()


if __name__ == "__main__":
    main()
