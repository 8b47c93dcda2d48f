#!/usr/bin/env python3
"""HTTP/2 clients that accept or refuse pushes, against a running server: nghttp, Node, Java and Python's h2.

    tests/clients/push.py FERRICORN PUSH C_HELLO

PUSH and C_HELLO are the libraries of examples/push and examples/c-hello. `pip install h2` and `apt-get install
nghttp2-client nodejs default-jdk-headless` install the clients.
"""

import pathlib
import re
import tempfile

import h2.config
import h2.connection
import h2.events
import h2.settings

import harness
from harness import run

NEEDED = 66  # files that the page of examples/push needs
MOST_GROWTH = 1 << 10  # KiB of the server's high-water mark, over 10,000 pushes


class Peer:
    """A connection of Python's h2, which collects the pushes of one request at a time."""

    def __init__(self, server, **settings):
        self.socket = server.connect()
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.authority = server.address
        self.h2.initiate_connection()
        codes = h2.settings.SettingCodes
        if settings:
            self.h2.update_settings({codes[name]: value for name, value in settings.items()})
        self.promises = {}  # stream: the headers of the promised request
        self.responses = {}  # stream: [headers, body, whether it ended]

    def get(self, path):
        """The headers and the body of the response, after it and all promised responses have arrived."""
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, [
            (":method", "GET"), (":scheme", "http"), (":authority", self.authority),
            (":path", path), ("accept-language", "de"), ("accept", "text/html"),
        ], end_stream=True)
        self.promises.clear()
        self.responses = {stream: [None, b"", False]}
        while not all(ended for _, _, ended in self.responses.values()):
            self.socket.sendall(self.h2.data_to_send())
            data = self.socket.recv(65536)
            assert data, "the server closed the connection"
            for event in self.h2.receive_data(data):
                self.take(event)
        self.socket.sendall(self.h2.data_to_send())
        headers, body, _ = self.responses[stream]
        return headers, body

    def take(self, event):
        match event:
            case h2.events.PushedStreamReceived():
                self.promises[event.pushed_stream_id] = dict(event.headers)
                self.responses[event.pushed_stream_id] = [None, b"", False]
            case h2.events.ResponseReceived():
                headers = dict(event.headers)
                headers.pop("date")  # The responses that are compared may come in different seconds.
                self.responses[event.stream_id][0] = headers
            case h2.events.DataReceived():
                self.responses[event.stream_id][1] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                self.responses[event.stream_id][2] = True
            case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                raise AssertionError(event)

    def pushed(self):
        """By path: the headers of the promise, and the headers and the body of the response."""
        return {
            promise[":path"]: (promise, *self.responses[stream][:2])
            for stream, promise in self.promises.items()
        }


def nghttp_gets_every_push(server):
    log = run("nghttp", "-nvs", server.url + "/push").decode()
    assert log.count("recv PUSH_PROMISE") == NEEDED, log
    assert log.count(":status: 200") == NEEDED + 1, log
    assert "RST_STREAM" not in log and "recv GOAWAY" not in log, log
    # nghttp prints one line a response, with a star if it was pushed.
    assert len(re.findall(r"^ *\d+ .* \* .* 200 .* /", log, re.M)) == NEEDED, log


def nghttp_without_push_gets_the_page(server):
    log = run("nghttp", "-nvs", "--no-push", server.url + "/push").decode()
    assert log.count("recv PUSH_PROMISE") == 0 and log.count(":status: 200") == 1, log


def nghttp_gets_an_early_hint(server):
    log = run("nghttp", "-nv", server.url + "/hints").decode()
    assert log.count(":status: 103") == 1 and log.count("recv PUSH_PROMISE") == 0, log
    # Each link is in the hint and in the response.
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


def a_pushed_response_equals_the_requested_one(server):
    peer = Peer(server)
    _, page = peer.get("/push")
    pushed = peer.pushed()
    assert len(pushed) == NEEDED, pushed.keys()
    for path, (promise, headers, body) in pushed.items():
        assert path in page.decode(), path
        assert promise.pop(":path") == path
        assert promise == {
            ":method": "GET", ":scheme": "http", ":authority": peer.authority,
            "accept-language": "de",
        }, promise
        assert peer.get(path) == (headers, body), path
        assert headers[":status"] == "200" and len(body) == int(headers["content-length"])


def a_client_that_allows_ten_streams_gets_at_least_ten_pushes(server):
    peer = Peer(server, MAX_CONCURRENT_STREAMS=10)
    peer.get("/")
    for _ in range(3):
        headers, page = peer.get("/push")
        # The server may promise more than ten, because the first pushes may end before it makes the last promise.
        assert 10 <= len(peer.pushed()) <= NEEDED, len(peer.pushed())
        assert page.count(b"/tile/") == 64 and headers[":status"] == "200"


def a_client_that_disables_push_later_gets_none(server):
    peer = Peer(server)
    peer.get("/push")
    assert len(peer.pushed()) == NEEDED
    peer.h2.update_settings({h2.settings.SettingCodes.ENABLE_PUSH: 0})
    peer.get("/push")
    assert not peer.pushed()


def ten_thousand_pushes_leak_no_memory(server):
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
    # The app returns the scope of the promised request.
    assert b'"method":"GET"' in pushed["/info"][2], pushed
    _, body = Peer(server, ENABLE_PUSH=0).get("/push")
    assert body == b"pushed 0\n", body


PLAINTEXT = [
    nghttp_gets_every_push,
    nghttp_without_push_gets_the_page,
    nghttp_gets_an_early_hint,
    node_gets_every_push,
    a_pushed_response_equals_the_requested_one,
    a_client_that_allows_ten_streams_gets_at_least_ten_pushes,
    a_client_that_disables_push_later_gets_none,
    ten_thousand_pushes_leak_no_memory,
]
TLS = [nghttp_gets_every_push, node_gets_every_push, java_gets_every_push]
PUSH = [([], PLAINTEXT), (["--dev-cert"], TLS)]
C_HELLO = [([], [an_app_in_c_pushes])]


if __name__ == "__main__":
    harness.check_servers(__doc__, {"push": PUSH, "c_hello": C_HELLO}, programs=["nghttp", "node", "java"])
