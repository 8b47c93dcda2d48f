#!/usr/bin/env python3
"""Real clients against a running server: curl, nc, ab, Node's and Python's HTTP clients.

    tests/clients/interop.py FERRICORN LIBRARY

Each check prints a line; the first that fails ends the script. A client that is not installed is a
failure, not a skip.
"""

import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

CLIENTS = ["curl", "nc", "ab", "node"]
UPLOAD = 1 << 30  # bytes, through /echo
MOST_MEMORY = 64 << 10  # KiB of the server's high-water mark after it


class Server:
    def __init__(self, binary, library, *arguments):
        self.process = subprocess.Popen(
            [binary, library, "--bind", "127.0.0.1:0", *arguments],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )
        for line in self.process.stderr:
            found = re.search(r"on (https?://127\.0\.0\.1:(\d+))", line)
            if found:
                self.url, self.port = found[1], int(found[2])
                return
        raise SystemExit("the server ended before it served")

    def memory(self):
        """The high-water mark of its resident memory, in KiB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=40)
        assert self.process.returncode == 0, self.process.returncode


def run(*command, stdin=None, code=0):
    """The command's standard output, as bytes."""
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False)
    assert done.returncode == code, (command, done.returncode, done.stderr.decode())
    return done.stdout


def curl(server, path, *arguments, code=0):
    return run("curl", "-sS", "--max-time", "60", *arguments, server.url + path, code=code)


def curl_gets_whole_and_streamed_responses(server):
    assert curl(server, "/") == b"Hello, world!\n"
    assert curl(server, "/stream?n=3") == b"line 1\nline 2\nline 3\n"
    head = curl(server, "/stream?n=1", "-i", "--http1.0").split(b"\r\n")
    assert head[0].startswith(b"HTTP/1.0 200") or head[0].startswith(b"HTTP/1.1 200"), head
    assert not any(line.lower().startswith(b"transfer-encoding") for line in head), head
    assert b"content-length: 14" in curl(server, "/", "-I").lower()


def curl_sees_each_way_to_fail(server):
    for path in ["/panic", "/error"]:
        assert curl(server, path, "-o", os.devnull, "-w", "%{http_code}") == b"500"
    # 18: a transfer that ended before it was complete.
    assert curl(server, "/abort", code=18) == b"the first half\n"
    # 52: nothing came, or 56: a reset; 0 would be a clean end.
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
        # The child writes while the parent reads.
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


def nc_gets_its_response_though_it_closes_its_side(server):
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


def python_gets_the_scope_as_it_asked(server):
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


def a_python_client_that_leaves_is_noticed(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/sleep?ms=600000")
    connection.close()
    # If it were not, the drain at the end would wait for the whole time-out.
    began = time.monotonic()
    server.stop()
    took = time.monotonic() - began
    assert took < 5, took
    return f"stopped in {took:.1f} s"


CHECKS = [
    # First: the backtrace of a panic reads the debug information, which is larger than any request.
    curl_uploads_a_gigabyte_through_echo,
    curl_gets_whole_and_streamed_responses,
    curl_sees_each_way_to_fail,
    curl_waits_for_100_continue,
    nc_gets_its_response_though_it_closes_its_side,
    ab_keeps_connections_alive,
    node_keeps_connections_alive,
    python_gets_the_scope_as_it_asked,
    a_python_client_that_leaves_is_noticed,
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
    finally:
        server.process.kill()
    print(f"{len(CHECKS)} passed, 0 failed")


if __name__ == "__main__":
    main()
