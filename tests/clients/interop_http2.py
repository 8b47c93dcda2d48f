#!/usr/bin/env python3
"""Real clients of HTTP/2 against a running server: curl, nghttp, h2load, Node and Python's httpx.

    tests/clients/interop_http2.py FERRICORN LIBRARY

Each check prints a line; the first that fails ends the script. A client that is not installed is a
failure, not a skip: `pip install 'httpx[http2]'`, `apt-get install nghttp2-client nodejs curl`.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import httpx

from interop import Server, run

CLIENTS = ["curl", "nghttp", "h2load", "node"]
UPLOAD = 256 << 20  # bytes, through /echo
MOST_MEMORY = 64 << 10  # KiB of the server's high-water mark after it


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


def curl_sees_each_way_to_fail(server):
    for path in ["/panic", "/error"]:
        assert curl(server, path, "-o", os.devnull, "-w", "%{http_code}") == b"500"
    # 92: the stream was reset.
    curl(server, "/abort", code=92)


def curl_without_http2_is_still_served(server):
    assert run("curl", "-sS", "--http2", server.url + "/") == b"Hello, world!\n"


def curl_waits_for_100_continue(server):
    trace = subprocess.run(
        ["curl", "-sSv", "--http2-prior-knowledge", "-H", "Expect: 100-continue",
         "--expect100-timeout", "50", "-d", "x" * 10_000, server.url + "/echo"],
        capture_output=True, check=True, timeout=40,
    )
    assert b"HTTP/2 100" in trace.stderr, trace.stderr.decode()
    assert trace.stdout == b"x" * 10_000


def nghttp_sees_one_sound_connection(server):
    log = run("nghttp", "-nv", server.url + "/", server.url + "/stream?n=2").decode()
    assert log.count(":status: 200") == 2, log
    assert "RST_STREAM" not in log and "recv GOAWAY" not in log, log


def h2load_gets_every_response(server):
    report = run("h2load", "-n", "20000", "-c", "10", "-m", "100", server.url + "/").decode()
    assert "20000 succeeded, 0 failed, 0 errored, 0 timeout" in report, report
    return re.search(r"finished in.*", report)[0]


def node_has_a_hundred_streams_at_once(server):
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


def httpx_gets_the_scope_as_it_asked(server):
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
    curl_sees_each_way_to_fail,
    curl_without_http2_is_still_served,
    curl_waits_for_100_continue,
    nghttp_sees_one_sound_connection,
    h2load_gets_every_response,
    node_has_a_hundred_streams_at_once,
    httpx_gets_the_scope_as_it_asked,
]


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    for client in CLIENTS:
        if shutil.which(client) is None:
            raise SystemExit(f"{client} is not installed")
    server = Server(*sys.argv[1:], "--graceful-timeout", "30s")
    try:
        for check in CHECKS:
            result = check(server)
            print(check.__name__.replace("_", " ") + (f": {result}" if result else ""), flush=True)
        server.stop()
    finally:
        server.process.kill()
    print(f"{len(CHECKS)} passed, 0 failed")


main()
