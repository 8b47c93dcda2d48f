#!/usr/bin/env python3
"""Chromium against a running server, over TLS: which protocol it takes, and that all arrives.

    tests/clients/browser.py FERRICORN LIBRARY

Needs `pip install playwright` and Debian's chromium, whose path CHROMIUM names if it is another than
/usr/bin/chromium. Nothing is skipped.
"""

import os
import re
import signal
import subprocess
import sys

from playwright.sync_api import sync_playwright

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")

# What the page asks for, and what it makes of it: all on one connection.
SCRIPT = """
async (count) => {
    const bodies = await Promise.all(Array.from({ length: count }, async (_, n) => {
        const answer = await fetch('/echo', { method: 'POST', body: `part ${n} `.repeat(1000) });
        return answer.text();
    }));
    const wrong = bodies.filter((body, n) => body !== `part ${n} `.repeat(1000)).length;
    const large = await (await fetch('/echo', { method: 'POST', body: 'x'.repeat(5000000) })).text();
    const stream = await (await fetch('/stream?n=3')).text();
    const broken = await fetch('/abort').then((answer) => answer.text()).catch(() => 'broken off');
    const protocols = performance.getEntriesByType('resource')
        .filter((entry) => entry.responseStatus === 200).map((entry) => entry.nextHopProtocol);
    const page = performance.getEntriesByType('navigation')[0].nextHopProtocol;
    return { wrong, large: large.length, stream, broken, page, protocols: [...new Set(protocols)] };
}
"""


def serve(binary, library):
    process = subprocess.Popen(
        [binary, library, "--bind", "127.0.0.1:0", "--dev-cert"],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )
    for line in process.stderr:
        found = re.search(r"on https://127\.0\.0\.1:(\d+)", line)
        if found:
            return process, f"https://localhost:{found[1]}"
    raise SystemExit("the server ended before it served")


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    process, url = serve(*sys.argv[1:])
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM,
                args=["--no-sandbox", "--disable-gpu", "--disable-background-networking",
                      "--disable-component-update", "--disable-sync", "--no-first-run",
                      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost"],
            )
            page = browser.new_context(ignore_https_errors=True).new_page()
            answer = page.goto(url + "/")
            assert answer.status == 200 and answer.text() == "Hello, world!\n", answer.text()
            seen = page.evaluate(SCRIPT, 200)
            version = browser.version
            browser.close()
        assert seen == {
            "wrong": 0, "large": 5_000_000, "stream": "line 1\nline 2\nline 3\n",
            "broken": "broken off", "page": "h2", "protocols": ["h2"],
        }, seen
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=40)
        assert process.returncode == 0, process.returncode
    finally:
        process.kill()
    print(f"chromium {version} takes h2, 200 fetches at once are echoed, a broken response is told")


main()
