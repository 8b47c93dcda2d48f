#!/usr/bin/env python3
"""Clients that take pushes, and some that do not, against a running server.

    tests/clients/push.py FERRICORN PUSH C_HELLO

PUSH and C_HELLO are the libraries of examples/push and examples/c-hello. The clients are nghttp, Node,
Java's and Python's h2. Each check prints a line; the first that fails ends the script. A client that
is not installed is a failure, not a skip: `pip install 'httpx[http2]'`, `apt-get install
nghttp2-client nodejs default-jdk-headless`.
"""

import pathlib
import re
import shutil
import socket
import sys
import tempfile

import h2.config
import h2.connection
import h2.events
import h2.settings

from interop import Server, run

CLIENTS = ["nghttp", "node", "java"]
NEEDED = 66  # by the page of examples/push
MOST_GROWTH = 1 << 10  # KiB of the server's high-water mark, over 10,000 pushes


class Peer:
    """A connection of Python's h2; `pushed` has what the server promised, by path."""

    def __init__(self, server, **settings):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.authority = f"127.0.0.1:{server.port}"
        self.h2.initiate_connection()
        codes = h2.settings.SettingCodes
        if settings:
            self.h2.update_settings({codes[name]: value for name, value in settings.items()})
        self.promises = {}  # stream: the promised request's fields
        self.answers = {}  # stream: [fields, body, whether it ended]

    def get(self, path):
        """The response, when it and all that was promised with it is here."""
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, [
            (":method", "GET"), (":scheme", "http"), (":authority", self.authority),
            (":path", path), ("accept-language", "de"), ("accept", "text/html"),
        ], end_stream=True)
        self.promises.clear()
        self.answers = {stream: [None, b"", False]}
        while not all(ended for _, _, ended in self.answers.values()):
            self.socket.sendall(self.h2.data_to_send())
            data = self.socket.recv(65536)
            assert data, "the server closed the connection"
            for event in self.h2.receive_data(data):
                self.take(event)
        self.socket.sendall(self.h2.data_to_send())
        fields, body, _ = self.answers[stream]
        return fields, body

    def take(self, event):
        match event:
            case h2.events.PushedStreamReceived():
                self.promises[event.pushed_stream_id] = dict(event.headers)
                self.answers[event.pushed_stream_id] = [None, b"", False]
            case h2.events.ResponseReceived():
                fields = dict(event.headers)
                # It may be another second, and the server's own.
                fields.pop("date")
                self.answers[event.stream_id][0] = fields
            case h2.events.DataReceived():
                self.answers[event.stream_id][1] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                self.answers[event.stream_id][2] = True
            case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                raise AssertionError(event)

    def pushed(self):
        return {
            promise[":path"]: (promise, *self.answers[stream][:2])
            for stream, promise in self.promises.items()
        }


def nghttp_gets_every_push(server):
    log = run("nghttp", "-nvs", server.url + "/push").decode()
    assert log.count("recv PUSH_PROMISE") == NEEDED, log
    assert log.count(":status: 200") == NEEDED + 1, log
    assert "RST_STREAM" not in log and "recv GOAWAY" not in log, log
    # One line each; those with a star were pushed.
    assert len(re.findall(r"^ *\d+ .* \* .* 200 .* /", log, re.M)) == NEEDED, log


def nghttp_without_push_gets_the_page(server):
    log = run("nghttp", "-nvs", "--no-push", server.url + "/push").decode()
    assert log.count("recv PUSH_PROMISE") == 0 and log.count(":status: 200") == 1, log


def nghttp_gets_an_early_hint(server):
    log = run("nghttp", "-nv", server.url + "/hints").decode()
    assert log.count(":status: 103") == 1 and log.count("recv PUSH_PROMISE") == 0, log
    # Once in the hint, once in the response.
    assert log.count("rel=preload") == 2 * NEEDED, log


def node_gets_every_push(server):
    script = """
        const http2 = require('node:http2');
        const session = http2.connect('URL', { rejectUnauthorized: false });
        session.on('error', (error) => { throw error; });
        const pushes = [];
        const whole = (stream) => new Promise((done, fail) => {
            let length = 0;
            stream.on('data', (part) => length += part.length);
            stream.on('end', () => done(length));
            stream.on('error', fail);
        });
        session.on('stream', (stream, promise) => pushes.push(new Promise((done, fail) => {
            stream.on('push', async (head) => {
                const length = await whole(stream).catch(fail);
                done([promise[':path'], head[':status'], +head['content-length'], length]);
            });
        })));
        (async () => {
            const page = session.request({ ':path': '/push' });
            if (!await whole(page)) throw 'the page is empty';
            const answers = await Promise.all(pushes);
            if (answers.length !== NEEDED) throw answers;
            for (const [path, status, expected, length] of answers)
                if (status !== 200 || expected !== length) throw [path, status, expected, length];
            session.close();
        })().catch((error) => { console.error(error); process.exit(1); });
    """
    run("node", "-e", script.replace("URL", server.url).replace("NEEDED", str(NEEDED)))


JAVA = """
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.security.cert.X509Certificate;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509ExtendedTrustManager;

class Pushes {
    public static void main(String[] arguments) throws Exception {
        var tls = SSLContext.getInstance("TLS");
        tls.init(null, new TrustManager[] { new Anyone() }, null);
        var client = HttpClient.newBuilder().sslContext(tls).build();
        var request = HttpRequest.newBuilder(URI.create(arguments[0])).build();
        var pushes = new ConcurrentHashMap<
            HttpRequest, java.util.concurrent.CompletableFuture<HttpResponse<byte[]>>>();
        var bytes = BodyHandlers.ofByteArray();
        var handler = HttpResponse.PushPromiseHandler.of(promise -> bytes, pushes);
        var page = client.sendAsync(request, bytes, handler).get(20, TimeUnit.SECONDS);
        System.out.println(page.version() + " " + page.statusCode() + " " + page.body().length);
        for (var push : pushes.entrySet()) {
            var response = push.getValue().get(20, TimeUnit.SECONDS);
            var path = push.getKey().uri().getPath();
            System.out.println(path + " " + response.statusCode() + " " + response.body().length);
        }
        System.exit(0);
    }

    /** The certificate is made for this run. */
    static class Anyone extends X509ExtendedTrustManager {
        public X509Certificate[] getAcceptedIssuers() { return new X509Certificate[0]; }
        public void checkClientTrusted(X509Certificate[] c, String a) {}
        public void checkServerTrusted(X509Certificate[] c, String a) {}
        public void checkClientTrusted(X509Certificate[] c, String a, java.net.Socket s) {}
        public void checkServerTrusted(X509Certificate[] c, String a, java.net.Socket s) {}
        public void checkClientTrusted(X509Certificate[] c, String a, SSLEngine e) {}
        public void checkServerTrusted(X509Certificate[] c, String a, SSLEngine e) {}
    }
}
"""


def java_gets_every_push(server):
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "Pushes.java")
        source.write_text(JAVA)
        lines = run("java", str(source), server.url + "/push").decode().splitlines()
    assert re.fullmatch(r"HTTP_2 200 \d{4}", lines[0]), lines[0]
    assert len(lines) == 1 + NEEDED, lines
    assert all(re.search(r" 200 [1-9]\d+$", line) for line in lines), lines


def h2_sees_no_difference_between_pushed_and_asked_for(server):
    peer = Peer(server)
    _, page = peer.get("/push")
    pushed = peer.pushed()
    assert len(pushed) == NEEDED, pushed.keys()
    for path, (promise, fields, body) in pushed.items():
        assert path in page.decode(), path
        assert promise.pop(":path") == path
        assert promise == {
            ":method": "GET", ":scheme": "http", ":authority": peer.authority,
            "accept-language": "de",
        }, promise
        assert peer.get(path) == (fields, body), path
        assert fields[":status"] == "200" and len(body) == int(fields["content-length"])


def h2_with_room_for_ten_gets_ten_at_a_time(server):
    peer = Peer(server, MAX_CONCURRENT_STREAMS=10)
    peer.get("/")
    for _ in range(3):
        fields, page = peer.get("/push")
        # Some may have left before the eleventh is promised: then there is room again.
        assert 10 <= len(peer.pushed()) <= NEEDED, len(peer.pushed())
        assert page.count(b"/tile/") == 64 and fields[":status"] == "200"


def h2_that_forbids_pushes_later_gets_none(server):
    peer = Peer(server)
    peer.get("/push")
    assert len(peer.pushed()) == NEEDED
    peer.h2.update_settings({h2.settings.SettingCodes.ENABLE_PUSH: 0})
    peer.get("/push")
    assert not peer.pushed()


def ten_thousand_pushes_leave_nothing_in_memory(server):
    peer = Peer(server)
    warm = 0
    for round in range(10_000 // NEEDED + 1):
        peer.get("/push")
        assert len(peer.pushed()) == NEEDED, len(peer.pushed())
        if round == 20:
            warm = server.memory()
    memory = server.memory()
    assert memory - warm < MOST_GROWTH, f"{warm} KiB, then {memory} KiB"
    return f"VmHWM {warm} KiB after 20 pages, {memory} KiB after {round + 1}"


def an_app_in_c_pushes(server):
    peer = Peer(server)
    _, body = peer.get("/push")
    pushed = peer.pushed()
    assert body == b"pushed 2\n" and set(pushed) == {"/stream?n=2", "/info"}, (body, pushed)
    assert pushed["/stream?n=2"][2] == b"line 1\nline 2\n", pushed
    # Asked for in another version, or with other fields, it would tell so.
    assert b'"method":"GET"' in pushed["/info"][2], pushed
    _, body = Peer(server, ENABLE_PUSH=0).get("/push")
    assert body == b"pushed 0\n", body


PLAIN = [
    nghttp_gets_every_push,
    nghttp_without_push_gets_the_page,
    nghttp_gets_an_early_hint,
    node_gets_every_push,
    h2_sees_no_difference_between_pushed_and_asked_for,
    h2_with_room_for_ten_gets_ten_at_a_time,
    h2_that_forbids_pushes_later_gets_none,
    ten_thousand_pushes_leave_nothing_in_memory,
]
TLS = [nghttp_gets_every_push, node_gets_every_push, java_gets_every_push]
IN_C = [an_app_in_c_pushes]


def check_all(checks, binary, library, *arguments):
    server = Server(binary, library, *arguments)
    try:
        for check in checks:
            result = check(server)
            kind = " over TLS" if arguments else ""
            said = f": {result}" if result else ""
            print(check.__name__.replace("_", " ") + kind + said, flush=True)
        server.stop()
    finally:
        server.process.kill()
    return len(checks)


def main():
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    for client in CLIENTS:
        if shutil.which(client) is None:
            raise SystemExit(f"{client} is not installed")
    binary, push, c_hello = sys.argv[1:]
    passed = check_all(PLAIN, binary, push)
    passed += check_all(TLS, binary, push, "--dev-cert")
    passed += check_all(IN_C, binary, c_hello)
    print(f"{passed} passed, 0 failed")


main()
