#!/usr/bin/env python3
"""HTTP/2 clients against a running server: curl, nghttp, h2load, Node and Python's httpx.

    tests/clients/interop_http2.py FERRICORN LIBRARY

LIBRARY is the library of examples/hello. `pip install 'httpx[http2]'` and `apt-get install nghttp2-client
nodejs curl` install the clients.
"""

import hashlib
import json
import os
import re
import subprocess
import tempfile

import httpx

import harness
from harness import run

UPLOAD = 256 << 20  # bytes, through /echo
MOST_MEMORY = 64 << 10  # KiB of the server's high-water mark after the upload


def curl(server, path, *arguments, code=0):
    return run(
        "curl", "-sS", "--max-time", "60", "--http2-prior-knowledge", *arguments,
        server.url + path, code=code,
    )


def curl_uploads_through_echo(server):
    with tempfile.NamedTemporaryFile() as file:
        sent = hashlib.sha256()
        for _ in range(UPLOAD >> 20):
            block = os.urandom(1 << 20)
            sent.update(block)
            file.write(block)
        file.flush()
        received = hashlib.sha256(curl(server, "/echo", "-T", file.name))
    assert sent.digest() == received.digest(), "the echo differs"
    memory = server.memory()
    assert memory < MOST_MEMORY, f"{memory} KiB"
    return f"VmHWM {memory} KiB"


def curl_gets_whole_and_streamed_responses(server):
    assert curl(server, "/", "-o", os.devnull, "-w", "%{http_version}") == b"2"
    assert curl(server, "/") == b"Hello, world!\n"
    assert curl(server, "/stream?n=3") == b"line 1\nline 2\nline 3\n"
    head = curl(server, "/", "-I").lower()
    assert b"content-length: 14\r\n" in head and b"\r\ndate: " in head, head


def curl_notices_each_failure_of_the_app(server):
    for path in ["/panic", "/error"]:
        assert curl(server, path, "-o", os.devnull, "-w", "%{http_code}") == b"500"
    # 92: the stream was reset.
    curl(server, "/abort", code=92)


def curl_that_asks_for_an_upgrade_to_http2_gets_a_response(server):
    assert run("curl", "-sS", "--http2", server.url + "/") == b"Hello, world!\n"


def curl_waits_for_100_continue(server):
    trace = subprocess.run(
        ["curl", "-sSv", "--http2-prior-knowledge", "-H", "Expect: 100-continue",
         "--expect100-timeout", "50", "-d", "x" * 10_000, server.url + "/echo"],
        capture_output=True, check=True, timeout=40,
    )
    assert b"HTTP/2 100" in trace.stderr, trace.stderr.decode()
    assert trace.stdout == b"x" * 10_000


def nghttp_gets_two_responses_without_reset_or_goaway(server):
    log = run("nghttp", "-nv", server.url + "/", server.url + "/stream?n=2").decode()
    assert log.count(":status: 200") == 2, log
    assert "RST_STREAM" not in log and "recv GOAWAY" not in log, log


def h2load_gets_every_response(server):
    report = run("h2load", "-n", "20000", "-c", "10", "-m", "100", server.url + "/").decode()
    assert "20000 succeeded, 0 failed, 0 errored, 0 timeout" in report, report
    return re.search(r"finished in.*", report)[0]


def node_gets_the_responses_of_many_streams_at_once(server):
    script = """
        const http2 = require('node:http2');
        const session = http2.connect('URL');
        const ask = (headers, body) => new Promise((done, fail) => {
            const stream = session.request(headers);
            let status, text = '';
            stream.on('response', (head) => status = head[':status']);
            stream.on('data', (part) => text += part);
            stream.on('end', () => done([status, text]));
            stream.on('error', fail);
            for (const part of body || []) stream.write(part);
            stream.end();
        });
        (async () => {
            const answers = await Promise.all(Array.from({ length: 300 }, (_, n) =>
                ask({ ':method': 'POST', ':path': '/echo' }, [`part ${n} `, 'end'])));
            answers.forEach(([status, text], n) => {
                if (status !== 200 || text !== `part ${n} end`) throw [n, text];
            });
            const aborted = await ask({ ':path': '/abort' }).catch((error) => error.message);
            if (!/NGHTTP2_INTERNAL_ERROR/.test(aborted)) throw aborted;
            const [status] = await ask({ ':path': '/' });
            if (status !== 200) throw status;
            session.close();
        })().catch((error) => { console.error(error); process.exit(1); });
    """
    run("node", "-e", script.replace("URL", server.url))


def httpx_gets_the_scope_of_its_request(server):
    with httpx.Client(http1=False, http2=True, base_url=server.url, timeout=10) as client:
        answer = client.get("/info?a=b%20c", headers={"cookie": "a=1", "x-twice": "1"})
        assert answer.http_version == "HTTP/2", answer.http_version
        scope = json.loads(answer.text)
        assert (scope["path"], scope["query_string"]) == ("/info", "a=b%20c"), scope
        names = [name for name, _ in scope["headers"]]
        assert "host" in names and not any(name.startswith(":") for name in names), names
        body = [os.urandom(100_000) for _ in range(20)]
        assert client.post("/echo", content=iter(body)).content == b"".join(body)


CHECKS = [
    curl_uploads_through_echo,
    curl_gets_whole_and_streamed_responses,
    curl_notices_each_failure_of_the_app,
    curl_that_asks_for_an_upgrade_to_http2_gets_a_response,
    curl_waits_for_100_continue,
    nghttp_gets_two_responses_without_reset_or_goaway,
    h2load_gets_every_response,
    node_gets_the_responses_of_many_streams_at_once,
    httpx_gets_the_scope_of_its_request,
]


if __name__ == "__main__":
    harness.check_servers(
        __doc__, {"library": [([], CHECKS)]}, ["--graceful-timeout", "30s"], ["curl", "nghttp", "h2load", "node"]
    )
