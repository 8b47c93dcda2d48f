#!/usr/bin/env python3
"""Chromium over TLS: it uses HTTP/2 and gets every response.

    tests/clients/browser.py FERRICORN LIBRARY

LIBRARY is the library of examples/hello. `pip install playwright` and Debian's chromium are needed; the
environment variable CHROMIUM names another program than /usr/bin/chromium.
"""

import harness

# What the page fetches, and what it gets: all on one connection.
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


def chromium_uses_http2_and_gets_every_response(server):
    with harness.chromium() as browser:
        page = browser.new_context(ignore_https_errors=True).new_page()
        answer = page.goto(f"https://localhost:{server.port}/")
        assert answer.status == 200 and answer.text() == "Hello, world!\n", answer.text()
        seen = page.evaluate(SCRIPT, 200)
        version = browser.version
    assert seen == {
        "wrong": 0, "large": 5_000_000, "stream": "line 1\nline 2\nline 3\n",
        "broken": "broken off", "page": "h2", "protocols": ["h2"],
    }, seen
    return f"chromium {version}"


if __name__ == "__main__":
    harness.check_servers(
        __doc__, {"library": [(["--dev-cert"], [chromium_uses_http2_and_gets_every_response])]}
    )
