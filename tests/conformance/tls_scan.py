#!/usr/bin/env python3
"""Scans a running server's TLS with sslyze, and with testssl.sh where that is asked for.

    tests/conformance/tls_scan.py [--testssl] FERRICORN LIBRARY

Fails for whatever is worse than LOW, but for what every self-signed certificate has, and for the
fields of a response that are the app's to set.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

SSLYZE = pathlib.Path(sys.executable).with_name("sslyze")
# Mozilla's intermediate configuration, against which sslyze measures.
ALLOWED_BY_SSLYZE = {"certificate_path_validation"}
ALLOWED_BY_TESTSSL = {"cert_chain_of_trust", "cert_revocation", "security_headers", "HSTS"}


def serve(binary, library):
    process = subprocess.Popen(
        [binary, library, "--bind", "127.0.0.1:0", "--dev-cert"],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )
    for line in process.stderr:
        found = re.search(r"on https://(127\.0\.0\.1:\d+)", line)
        if found:
            return process, found[1]
    raise SystemExit("the server ended before it served")


def sslyze(address):
    """What sslyze holds against the server."""
    done = subprocess.run(
        [SSLYZE, "--mozilla_config=intermediate", address],
        capture_output=True, text=True, timeout=120, check=False,
    )
    assert "COMPLIANCE AGAINST TLS CONFIGURATION" in done.stdout, done.stdout + done.stderr
    verdict = done.stdout.split("COMPLIANCE AGAINST TLS CONFIGURATION")[1]
    assert "VULNERABLE -" not in done.stdout, done.stdout
    faults = re.findall(r"^ +\* (\w+): (.*)$", verdict, re.MULTILINE)
    assert faults or "OK - Compliant" in verdict, verdict
    return [f"{name}: {why}" for name, why in faults if name not in ALLOWED_BY_SSLYZE]


def testssl(address):
    """What testssl.sh holds against the server."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.json"
        subprocess.run(
            ["testssl", "--quiet", "--warnings", "off", "--jsonfile", report, address],
            stdout=subprocess.DEVNULL, timeout=600, check=False,
        )
        findings = json.loads(report.read_text())
    assert len(findings) > 50, "testssl.sh has looked at nothing"
    return [
        f"{finding['id']}: {finding['severity']}: {finding['finding']}" for finding in findings
        if finding["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL")
        and finding["id"].split()[0] not in ALLOWED_BY_TESTSSL
    ]


def main():
    scanners = [sslyze, testssl] if "--testssl" in sys.argv else [sslyze]
    files = [argument for argument in sys.argv[1:] if argument != "--testssl"]
    if len(files) != 2:
        raise SystemExit(__doc__)
    process, address = serve(*files)
    faults = []
    try:
        for scanner in scanners:
            found = scanner(address)
            print(f"{scanner.__name__}: {'; '.join(found) or 'nothing above LOW'}", flush=True)
            faults += found
    finally:
        process.kill()
    sys.exit(1 if faults else 0)


main()
