#!/usr/bin/env python3
"""Clients of WebSockets over HTTP/1.1 against a running server: Python's websockets and wsproto, and one
of a few lines for what neither of them would do.

    tests/clients/websocket.py FERRICORN WS_ECHO HELLO

WS_ECHO and HELLO are the libraries of examples/ws-echo and examples/hello; the second knows of no
sockets, so that a handshake that reaches it is answered with 500. Each check prints a line; the first
that fails ends the script. A client that is not installed is a failure, not a skip: `pip install
websockets wsproto`, `npm install ws` where NODE_PATH leads to.
"""

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import struct
import sys
import time
import zlib

import websockets.asyncio.client
import websockets.exceptions
import websockets.extensions.permessage_deflate
import websockets.sync.client
import wsproto
import wsproto.events
import wsproto.extensions

from interop import Server

LIMIT = 20.0  # seconds for each wait
SOCKETS = 200  # open when the server is told to stop
MOST_TO_STOP = 5.0  # seconds
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 §1.3

# The certificate is made for each run.
ANYONE = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ANYONE.check_hostname = False
ANYONE.verify_mode = ssl.CERT_NONE


def tcp(server):
    """A connection, through TLS if the server speaks it."""
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ANYONE.wrap_socket(plain) if server.url.startswith("https") else plain


class Http:
    """A connection of HTTP/1.1 that asks whatever it is told to."""

    def __init__(self, server):
        self.socket = tcp(server)
        self.file = self.socket.makefile("rb")

    def close(self):
        self.file.close()
        self.socket.close()

    def ask(self, line, fields):
        """The status, the fields and the body of the answer."""
        head = [line, "host: localhost", *(f"{name}: {value}" for name, value in fields)]
        self.socket.sendall("".join(f"{line}\r\n" for line in [*head, ""]).encode())
        status = int(self.file.readline().split()[1])
        answer = {}
        while line := self.file.readline().decode().rstrip("\r\n"):
            name, _, value = line.partition(":")
            answer[name.lower()] = value.strip()
        return status, answer, self.file.read(int(answer.get("content-length", 0)))


def handshake(**changed):
    """The fields of a sound handshake, but for those that are changed, added, or left out (None)."""
    fields = {
        "upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13",
        "sec-websocket-key": KEY,
    } | {name.replace("_", "-"): value for name, value in changed.items()}
    return [(name, value) for name, value in fields.items() if value is not None]


def masked(opcode, payload=b"", first=0x80):
    """A frame of a client, masked with zeros; `first` are the bits FIN and RSV."""
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", first | opcode, 0x80 | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", first | opcode, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", first | opcode, 0x80 | 127, length)
    return head + bytes(4) + payload


class Wire:
    """A client that shows each frame as it came, and sends any."""

    def __init__(self, server, **fields):
        self.http = Http(server)
        status, self.fields, _ = self.http.ask("GET / HTTP/1.1", handshake(**fields))
        assert status == 101, status
        assert self.fields["sec-websocket-accept"] == ACCEPT, self.fields
        assert self.fields["upgrade"] == "websocket" and self.fields["connection"].lower() == "upgrade"

    def send(self, opcode, payload=b"", first=0x80):
        self.http.socket.sendall(masked(opcode, payload, first))

    def frame(self):
        """The next frame: its FIN and RSV bits, its opcode and its payload; None behind the last."""
        head = self.http.file.read(2)
        if not head:
            return None
        assert head[1] < 128, "a server masks nothing"
        length = head[1]
        if length > 125:
            size = 2 if length == 126 else 8
            length = int.from_bytes(self.http.file.read(size), "big")
        return head[0] & 0xF0, head[0] & 0x0F, self.http.file.read(length)

    def closed(self):
        """The code of the close frame that comes next; answers it, and sees the connection end."""
        first, opcode, payload = self.frame()
        assert (first, opcode) == (0x80, CLOSE), (first, opcode, payload)
        self.send(CLOSE, payload[:2])
        assert self.frame() is None
        return int.from_bytes(payload[:2], "big")


def connect(server, **options):
    """A socket of `websockets`."""
    tls = ANYONE if server.url.startswith("https") else None
    return websockets.sync.client.connect(
        server.url.replace("http", "ws", 1) + "/", ssl=tls, proxy=None, max_size=None,
        ping_interval=None, open_timeout=LIMIT, close_timeout=LIMIT, **options,
    )


def closed(client):
    """The code and the reason with which the server closes."""
    try:
        message = client.recv(LIMIT)
    except websockets.exceptions.ConnectionClosed as error:
        return error.rcvd.code, error.rcvd.reason
    raise AssertionError(message[:100])


def websockets_gets_back_what_it_sends(server):
    with connect(server) as client:
        for message in ["", "Grüße", b"", b"\x00\xff", "x" * 65536, os.urandom(1 << 20)]:
            client.send(message)
            assert client.recv(LIMIT) == message
        # A message in frames of a few characters each.
        parts = [f"part {n} " for n in range(100)]
        client.send(iter(parts))
        assert client.recv(LIMIT) == "".join(parts)
        # Pipelined, and in order.
        for n in range(1000):
            client.send(f"{n}")
        assert [client.recv(LIMIT) for _ in range(1000)] == [f"{n}" for n in range(1000)]


def websockets_gets_pongs(server):
    with connect(server) as client:
        assert client.ping(b"are you there?").wait(LIMIT)
        # In the middle of a message.
        client.send(part + (client.ping() and "") for part in ["one", "two"])
        assert client.recv(LIMIT) == "onetwo"


def websockets_compresses(server):
    with connect(server) as client:
        [deflate] = client.protocol.extensions
        assert isinstance(deflate, websockets.extensions.permessage_deflate.PerMessageDeflate)
        bits = deflate.remote_max_window_bits, deflate.local_max_window_bits
        assert bits == (12, 12), bits
        assert not deflate.remote_no_context_takeover and not deflate.local_no_context_takeover
        message = "all the same " * 1000
        for _ in range(20):
            client.send(message)
            assert client.recv(LIMIT) == message


def websockets_compresses_nothing(server):
    with connect(server) as client:
        assert client.protocol.extensions == [], client.protocol.extensions
        client.send("all the same " * 1000)
        assert client.recv(LIMIT) == "all the same " * 1000


def websockets_closes_with_a_code_and_a_reason(server):
    for code, reason in [(1000, ""), (1001, "gone"), (3000, "Grüße"), (4999, "x" * 123)]:
        with connect(server) as client:
            client.close(code, reason)
            assert client.protocol.close_rcvd.code == code, client.protocol.close_rcvd
            # Each side has said it, so the server ends the connection.
            assert client.protocol.close_rcvd_then_sent is False


def websockets_is_told_of_what_is_not_utf8(server):
    with connect(server, compression=None) as client:
        client.send(b"Gr\xc3", text=True)
        assert closed(client)[0] == 1007
    with connect(server) as client:
        client.send(b"\xff" * 100, text=True)
        assert closed(client)[0] == 1007


def websockets_may_send_a_message_of_16_mib(server):
    largest = b"\xa5" * (16 << 20)
    with connect(server, compression=None) as client:
        client.send(largest)
        assert client.recv(LIMIT) == largest
        client.send(largest + b"\xa5")
        assert closed(client)[0] == 1009


def wsproto_gets_back_what_it_sends(server):
    deflate = wsproto.extensions.PerMessageDeflate()
    peer = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    connection = tcp(server)

    def send(*events):
        for event in events:
            connection.sendall(peer.send(event))

    def events():
        while True:
            peer.receive_data(connection.recv(65536) or None)
            yield from peer.events()

    send(wsproto.events.Request(
        host="localhost", target="/", subprotocols=["first", "second"], extensions=[deflate],
    ))
    coming = events()
    accepted = next(coming)
    assert isinstance(accepted, wsproto.events.AcceptConnection), accepted
    assert accepted.subprotocol == "first" and accepted.extensions == [deflate], accepted
    assert deflate.enabled()
    send(
        wsproto.events.TextMessage("Grü", message_finished=False),
        wsproto.events.Ping(b"between"),
        wsproto.events.TextMessage("ße"),
    )
    pong, text = next(coming), next(coming)
    assert isinstance(pong, wsproto.events.Pong) and pong.payload == b"between", pong
    assert isinstance(text, wsproto.events.TextMessage) and text.data == "Grüße", text
    sent = os.urandom(300_000)
    send(wsproto.events.BytesMessage(sent))
    received = bytearray()
    for event in coming:
        assert isinstance(event, wsproto.events.BytesMessage), event
        received += event.data
        if event.message_finished:
            break
    assert received == sent
    send(wsproto.events.CloseConnection(4000, "done"))
    end = next(coming)
    assert isinstance(end, wsproto.events.CloseConnection) and end.code == 4000, end
    assert connection.recv(1) == b"", "the server ends the connection"


def a_compressed_message_is_so_on_the_wire(server):
    wire = Wire(server, sec_websocket_extensions="permessage-deflate")
    assert wire.fields["sec-websocket-extensions"].startswith("permessage-deflate"), wire.fields
    deflate, inflate = zlib.compressobj(9, wbits=-12), zlib.decompressobj(wbits=-15)
    message = os.urandom(1000).hex().encode()
    sizes = []
    for _ in range(2):
        compressed = deflate.compress(message) + deflate.flush(zlib.Z_SYNC_FLUSH)
        wire.send(TEXT, compressed[:-4], first=0xC0)
        first, opcode, payload = wire.frame()
        assert (first, opcode) == (0xC0, TEXT), (first, opcode)
        assert inflate.decompress(payload + b"\x00\x00\xff\xff") == message
        sizes.append(len(payload))
    # The second time there is one to refer to.
    assert sizes[0] < len(message) and sizes[1] < 100, sizes
    # One that is not compressed is lawful too.
    wire.send(TEXT, b"short")
    first, opcode, payload = wire.frame()
    if first == 0xC0:
        payload = inflate.decompress(payload + b"\x00\x00\xff\xff")
    assert (opcode, payload) == (TEXT, b"short")
    return f"{len(message)} bytes in {sizes[0]}, then in {sizes[1]}"


def what_breaks_the_protocol_is_closed_with_its_code(server):
    for opcode, payload, first, code in [
        (3, b"", 0x80, 1002),  # a reserved opcode
        (TEXT, b"", 0xC0, 1002),  # compressed, which was not agreed upon
        (0, b"", 0x80, 1002),  # a continuation of nothing
        (PING, b"", 0x00, 1002),  # a control frame in fragments
        (PING, bytes(126), 0x80, 1002),
        (CLOSE, b"\x03", 0x80, 1002),
        (CLOSE, b"\x03\xed", 0x80, 1002),  # 1005 may not be sent
        (CLOSE, b"\x03\xe8\xff", 0x80, 1007),
        (TEXT, b"\xed\xa0\x80", 0x80, 1007),  # a surrogate
    ]:
        wire = Wire(server)
        wire.send(opcode, payload, first)
        assert wire.closed() == code, (opcode, payload, first)


def what_comes_before_the_answer_is_not_lost(server):
    """An eager client sends its first message together with the handshake."""
    connection = tcp(server)
    head = "".join(f"{name}: {value}\r\n" for name, value in handshake())
    frame = b"\x81\x85\x00\x00\x00\x00eager"
    connection.sendall(f"GET / HTTP/1.1\r\nhost: localhost\r\n{head}\r\n".encode() + frame)
    answer = b""
    while not answer.endswith(b"\x81\x05eager"):
        part = connection.recv(65536)
        assert part, answer
        answer += part
    assert answer.startswith(b"HTTP/1.1 101 "), answer


def the_largest_message_may_come_and_no_larger_one(server):
    """The limit is 64 KiB."""
    largest = "x" * 65536
    for compression in None, "deflate":
        with connect(server, compression=compression) as client:
            client.send(largest)
            assert client.recv(LIMIT) == largest
            # Neither whole nor in parts.
            client.send([largest, ""])
            assert client.recv(LIMIT) == largest
            client.send(largest + "x")
            assert closed(client)[0] == 1009
        with connect(server, compression=compression) as client:
            client.send([largest, "x"])
            assert closed(client)[0] == 1009
    with connect(server) as client:
        # 16 KiB of frame, 16 MiB of message.
        client.send(bytes(16 << 20))
        assert closed(client)[0] == 1009


def a_large_frame_is_refused_by_its_head(server):
    """The limit of a frame is 1 KiB; a message may have many."""
    with connect(server, compression=None) as client:
        client.send(["x" * 1024] * 10)
        assert client.recv(LIMIT) == "x" * 10240
    wire = Wire(server)
    wire.http.socket.sendall(struct.pack("!BBH", 0x82, 0x80 | 126, 1025) + bytes(4))
    assert wire.closed() == 1009


def a_client_that_answers_pings_stays(server):
    wire = Wire(server)
    for _ in range(5):
        first, opcode, payload = wire.frame()
        assert (first, opcode) == (0x80, PING), (first, opcode, payload)
        wire.send(PONG, payload)
    wire.send(TEXT, b"still here")
    assert wire.frame() == (0x80, TEXT, b"still here")
    with connect(server) as client:
        time.sleep(2)
        client.send("still here")
        assert client.recv(LIMIT) == "still here"


def a_client_that_answers_no_ping_is_closed(server):
    began = time.monotonic()
    wire = Wire(server)
    first, opcode, _ = wire.frame()
    assert (first, opcode) == (0x80, PING), (first, opcode)
    first, opcode, payload = wire.frame()
    assert (first, opcode, payload[:2]) == (0x80, CLOSE, b"\x03\xf3"), (first, opcode, payload)
    with contextlib.suppress(ConnectionResetError):
        assert wire.frame() is None
    took = time.monotonic() - began
    assert 0.6 < took < 5, took
    return f"1011 after {took:.1f} s"


def only_its_origins_reach_the_app(server):
    """Hello answers a handshake that it sees with 500."""
    http = Http(server)
    for origin, status in [
        ("https://one.example", 500), ("https://two.example:8443", 500), (None, 500),
        ("https://two.example", 403), ("http://one.example", 403), ("https://one.example.org", 403),
        ("null", 403),
    ]:
        answer, _, _ = http.ask("GET / HTTP/1.1", handshake(origin=origin))
        assert answer == status, (origin, answer)
        if status == 500:
            http = Http(server)
    status, _, body = http.ask("GET / HTTP/1.1", [("origin", "null")])
    assert (status, body) == (200, b"Hello, world!\n"), "what is no socket has every origin"


def malformed_handshakes_do_not_reach_the_app(server):
    """And the connection goes on."""
    http = Http(server)
    cases = 0
    for line, fields, status, told in [
        ("GET", handshake(sec_websocket_key=None), 400, {}),
        ("GET", handshake(sec_websocket_key="dGhlIHNhbXBsZQ=="), 400, {}),
        ("GET", handshake(sec_websocket_key="*" * 22 + "=="), 400, {}),
        ("GET", handshake() + [("sec-websocket-key", KEY)], 400, {}),
        ("GET", handshake(sec_websocket_version=None), 400, {}),
        ("GET", handshake(sec_websocket_version="12"), 426,
         {"sec-websocket-version": "13", "upgrade": "websocket"}),
        ("GET", handshake(connection=None), 400, {}),
        ("GET", handshake(connection="keep-alive"), 400, {}),
        ("GET", handshake(sec_websocket_protocol="a, b c"), 400, {}),
        ("GET", handshake(sec_websocket_protocol="a, a"), 400, {}),
        ("POST", handshake(content_length="0"), 405, {"allow": "GET"}),
    ]:
        answer, headers, _ = http.ask(f"{line} / HTTP/1.1", fields)
        assert answer == status, (line, fields, answer)
        assert told.items() <= headers.items(), (line, fields, headers)
        answer, _, body = http.ask("GET / HTTP/1.1", [])
        assert (answer, body) == (200, b"Hello, world!\n"), (line, fields, answer, body)
        cases += 1
    return f"{cases} of them"


def http_1_0_has_no_sockets(server):
    status, _, body = Http(server).ask("GET / HTTP/1.0", handshake())
    assert (status, body) == (200, b"Hello, world!\n"), (status, body)


def a_handshake_is_a_request_like_any(server):
    """With --no-ws."""
    http = Http(server)
    for fields in handshake(), handshake(sec_websocket_version="12"), handshake():
        status, headers, body = http.ask("GET / HTTP/1.1", fields)
        assert (status, body) == (200, b"Hello, world!\n"), (status, body)
        assert "upgrade" not in headers, headers


def two_hundred_sockets_are_told_that_the_server_stops(server):
    """Takes the server with it."""
    tls = ANYONE if server.url.startswith("https") else None

    async def until_closed(opened):
        async with websockets.asyncio.client.connect(
            server.url.replace("http", "ws", 1), ssl=tls, proxy=None, ping_interval=None,
            open_timeout=LIMIT,
        ) as client:
            await client.send("hello")
            assert await client.recv() == "hello"
            opened.release()
            try:
                await asyncio.wait_for(client.recv(), LIMIT)
            except websockets.exceptions.ConnectionClosed as error:
                return error.rcvd and error.rcvd.code

    async def all_of_them():
        opened = asyncio.Semaphore(0)
        sockets = [asyncio.create_task(until_closed(opened)) for _ in range(SOCKETS)]
        for _ in range(SOCKETS):
            await asyncio.wait_for(opened.acquire(), LIMIT)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        codes = await asyncio.gather(*sockets)
        await asyncio.to_thread(server.process.communicate, timeout=40)
        return codes, time.monotonic() - began

    codes, took = asyncio.run(all_of_them())
    assert codes == [1001] * SOCKETS, codes
    assert server.process.returncode == 0 and took < MOST_TO_STOP, (server.process.returncode, took)
    return f"stopped in {took:.1f} s"


def a_socket_that_does_not_answer_holds_nothing_up(server):
    """Takes the server with it; the close time-out is 1 s."""
    wires = [Wire(server) for _ in range(5)]
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    for wire in wires:
        first, opcode, payload = wire.frame()
        assert (first, opcode, payload[:2]) == (0x80, CLOSE, b"\x03\xe9"), (first, opcode, payload)
    for wire in wires:
        assert wire.frame() is None
        wire.http.close()
    server.process.communicate(timeout=40)
    took = time.monotonic() - began
    assert server.process.returncode == 0, server.process.returncode
    assert 0.8 < took < MOST_TO_STOP, took
    return f"stopped in {took:.1f} s"


EVERY = [
    websockets_gets_back_what_it_sends,
    websockets_gets_pongs,
    websockets_compresses,
    websockets_closes_with_a_code_and_a_reason,
    websockets_is_told_of_what_is_not_utf8,
    wsproto_gets_back_what_it_sends,
    a_compressed_message_is_so_on_the_wire,
    what_breaks_the_protocol_is_closed_with_its_code,
    what_comes_before_the_answer_is_not_lost,
    two_hundred_sockets_are_told_that_the_server_stops,
]
# What the server's options are, and what holds then.
ECHO = [
    ([], [websockets_may_send_a_message_of_16_mib, *EVERY]),
    (["--dev-cert"], EVERY),
    (["--no-ws-deflate"], [websockets_compresses_nothing]),
    (["--ws-max-message-size", "64KiB"], [the_largest_message_may_come_and_no_larger_one]),
    (["--ws-max-frame-size", "1KiB"], [a_large_frame_is_refused_by_its_head]),
    (["--ws-ping-interval", "300ms", "--ws-ping-timeout", "500ms"],
     [a_client_that_answers_pings_stays, a_client_that_answers_no_ping_is_closed]),
    (["--ws-close-timeout", "1s"], [a_socket_that_does_not_answer_holds_nothing_up]),
]
HELLO = [
    ([], [malformed_handshakes_do_not_reach_the_app, http_1_0_has_no_sockets]),
    (["--ws-origins", "https://one.example", "--ws-origins", "https://two.example:8443"],
     [only_its_origins_reach_the_app]),
    (["--no-ws"], [a_handshake_is_a_request_like_any]),
]


def check_all(checks, binary, library):
    """Runs the checks, with a server for each set of options; how many there were."""
    passed = 0
    for options, group in checks:
        server = Server(binary, library, "--log-level", "error", *options)
        try:
            for check in group:
                result = check(server)
                kind = f" ({' '.join(options)})" if options else ""
                said = f": {result}" if result else ""
                print(check.__name__.replace("_", " ") + kind + said, flush=True)
                passed += 1
            if server.process.poll() is None:
                server.stop()
        finally:
            server.process.kill()
    return passed


def main():
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    binary, echo, hello = sys.argv[1:]
    passed = check_all(ECHO, binary, echo) + check_all(HELLO, binary, hello)
    print(f"{passed} passed, 0 failed")


if __name__ == "__main__":
    main()
