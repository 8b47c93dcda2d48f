#!/usr/bin/env python3
"""HTTP/1.1 clients against a running server: curl, nc, ab, and the HTTP clients of Node and Python.

    tests/clients/interop.py FERRICORN LIBRARY

LIBRARY is the library of examples/hello. `apt-get install curl netcat-openbsd apache2-utils nodejs` installs
the clients.
"""

import hashlib
import http.client
import json
import os
import re
import subprocess
import tempfile
import time

import harness
from harness import run

UPLOAD = 1 << 30  # bytes, through /echo
MOST_MEMORY = 64 << 10  # KiB of the server's high-water mark after the upload


def curl(server, path, *arguments, code=0):
    return run("curl", "-sS", "--max-time", "60", *arguments, server.url + path, code=code)


def curl_gets_whole_and_streamed_responses(server):
    assert curl(server, "/") == b"Hello, world!\n"
    assert curl(server, "/stream?n=3") == b"line 1\nline 2\nline 3\n"
    head = curl(server, "/stream?n=1", "-i", "--http1.0").split(b"\r\n")
    assert head[0].startswith(b"HTTP/1.0 200") or head[0].startswith(b"HTTP/1.1 200"), head
    assert not any(line.lower().startswith(b"transfer-encoding") for line in head), head
    assert b"content-length: 14" in curl(server, "/", "-I").lower()


def curl_notices_each_failure_of_the_app(server):
    for path in ["/panic", "/error"]:
        assert curl(server, path, "-o", os.devnull, "-w", "%{http_code}") == b"500"
    # 18: the transfer ended too early.
    assert curl(server, "/abort", code=18) == b"the first half\n"
    # 52: the response is empty, 56: the connection was reset. 0 would be a clean end.
    done = subprocess.run(
        ["curl", "-sS", "--http1.0", server.url + "/abort"], capture_output=True, check=False
    )
    assert done.returncode in (52, 56), done


def curl_waits_for_100_continue(server):
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x" * 100_000)
        file.flush()
        trace = subprocess.run(
            ["curl", "-sSv", "-H", "Expect: 100-continue", "-T", file.name, server.url + "/echo"],
            capture_output=True, check=True, timeout=60,
        )
    assert b"HTTP/1.1 100 Continue" in trace.stderr, trace.stderr.decode()
    assert trace.stdout == b"x" * 100_000


def curl_uploads_a_gigabyte_through_echo(server):
    upload = subprocess.Popen(
        ["curl", "-sST", "-", server.url + "/echo"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )
    block = os.urandom(1 << 20)
    sent = hashlib.sha256()
    received = hashlib.sha256()
    pid = os.fork()
    if pid == 0:
        # The child process writes while the parent reads.
        upload.stdout.close()
        with upload.stdin as pipe:
            for _ in range(UPLOAD // len(block)):
                pipe.write(block)
        os._exit(0)
    upload.stdin.close()
    while part := upload.stdout.read(1 << 20):
        received.update(part)
    for _ in range(UPLOAD // len(block)):
        sent.update(block)
    os.waitpid(pid, 0)
    assert upload.wait(timeout=60) == 0
    assert sent.digest() == received.digest(), "the echo differs"
    memory = server.memory()
    assert memory < MOST_MEMORY, f"{memory} KiB"
    return f"VmHWM {memory} KiB"


def nc_gets_a_response_after_it_has_closed_its_side(server):
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    answer = run("nc", "-N", "127.0.0.1", str(server.port), stdin=request)
    assert answer.endswith(b"\r\n\r\nHello, world!\n"), answer


def ab_keeps_connections_alive(server):
    for arguments in (["-k"], []):
        report = run("ab", *arguments, "-q", "-n", "2000", "-c", "20", server.url + "/").decode()
        assert re.search(r"Failed requests:\s+0\n", report), report
        assert re.search(r"Complete requests:\s+2000\n", report), report
    return re.search(r"Requests per second:.*", report)[0]


def node_keeps_connections_alive(server):
    script = """
        const http = require('node:http');
        const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
        const ask = (options, body) => new Promise((done, fail) => {
            const request = http.request({ port: PORT, agent, ...options }, (response) => {
                let text = '';
                response.on('data', (part) => text += part);
                response.on('end', () => done([response.statusCode, text, response.complete]));
                response.on('error', fail);
            });
            request.on('error', fail);
            if (body) for (const part of body) request.write(part);
            request.end();
        });
        (async () => {
            const answers = await Promise.all(Array.from({ length: 200 }, (_, n) =>
                ask({ method: 'POST', path: '/echo' }, [`part ${n} `, 'end'])));
            answers.forEach(([status, text, complete], n) => {
                if (status !== 200 || text !== `part ${n} end` || !complete) throw [n, text];
            });
            const aborted = await ask({ path: '/abort' }).catch((error) => error.code);
            if (aborted !== 'ECONNRESET') throw aborted;
            agent.destroy();
        })().catch((error) => { console.error(error); process.exit(1); });
    """
    run("node", "-e", script.replace("PORT", str(server.port)))


def python_gets_the_scope_of_its_request(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/info?a=b%20c", headers={"x-twice": "1"})
    scope = json.loads(connection.getresponse().read())
    assert (scope["path"], scope["query_string"]) == ("/info", "a=b%20c"), scope
    assert ["x-twice", "1"] in scope["headers"], scope
    connection.request("POST", "/echo", body=iter([b"one", b"two"]), encode_chunked=True,
                       headers={"transfer-encoding": "chunked"})
    assert connection.getresponse().read() == b"onetwo"
    connection.request("GET", "/io")
    io = json.loads(connection.getresponse().read())
    assert io["spawn"] == 42 and io["tcp"] == "ping" and io["sleep"], io


def a_client_that_leaves_does_not_delay_the_stop(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/sleep?ms=600000")
    connection.close()
    # Otherwise the server waits for this request until its graceful time-out, 30 s.
    began = time.monotonic()
    server.stop()
    took = time.monotonic() - began
    assert took < 5, took
    return f"stopped in {took:.1f} s"


CHECKS = [
    # First, because it looks at memory: the backtrace of a panic reads large debug information.
    curl_uploads_a_gigabyte_through_echo,
    curl_gets_whole_and_streamed_responses,
    curl_notices_each_failure_of_the_app,
    curl_waits_for_100_continue,
    nc_gets_a_response_after_it_has_closed_its_side,
    ab_keeps_connections_alive,
    node_keeps_connections_alive,
    python_gets_the_scope_of_its_request,
    a_client_that_leaves_does_not_delay_the_stop,
]


if __name__ == "__main__":
    harness.check_servers(
        __doc__, {"library": [([], CHECKS)]}, ["--graceful-timeout", "30s"], ["curl", "nc", "ab", "node"]
    )
