#!/usr/bin/env python3
"""WebSockets over HTTP/1.1: Python's websockets and wsproto, and a raw client for what these cannot send.

    tests/clients/websocket.py FERRICORN WS_ECHO HELLO

WS_ECHO and HELLO are the libraries of examples/ws-echo and examples/hello. Hello does not support WebSockets,
so a handshake that reaches it gets a 403. `pip install websockets wsproto` installs the clients.
"""

import asyncio
import contextlib
import os
import struct
import time
import zlib

import websockets.asyncio.client
import websockets.exceptions
import websockets.extensions.permessage_deflate
import websockets.sync.client
import wsproto
import wsproto.events
import wsproto.extensions

import harness
from harness import LIMIT, unverified_tls

SOCKETS = 200  # open when the server stops
MOST_TO_STOP = 5.0  # seconds
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 §1.3


class Http:
    """An HTTP/1.1 connection that sends any request."""

    def __init__(self, server):
        self.socket = server.connect()
        self.file = self.socket.makefile("rb")

    def close(self):
        self.file.close()
        self.socket.close()

    def ask(self, line, headers):
        """The status, the headers and the body of the response."""
        head = [line, "host: localhost", *(f"{name}: {value}" for name, value in headers)]
        self.socket.sendall("".join(f"{line}\r\n" for line in [*head, ""]).encode())
        status = int(self.file.readline().split()[1])
        received = {}
        while line := self.file.readline().decode().rstrip("\r\n"):
            name, _, value = line.partition(":")
            received[name.lower()] = value.strip()
        return status, received, self.file.read(int(received.get("content-length", 0)))


def handshake(**changed):
    """The headers of a valid handshake, with changes: a value adds or replaces a header, None removes it."""
    headers = {
        "upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13",
        "sec-websocket-key": KEY,
    } | {name.replace("_", "-"): value for name, value in changed.items()}
    return [(name, value) for name, value in headers.items() if value is not None]


def masked(opcode, payload=b"", first=0x80):
    """A frame of a client, masked with zeros; `first` has the FIN and RSV bits."""
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", first | opcode, 0x80 | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", first | opcode, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", first | opcode, 0x80 | 127, length)
    return head + bytes(4) + payload


class RawWebSocket:
    """A client that returns each frame as it arrived, and sends any frame."""

    def __init__(self, server, **headers):
        self.http = Http(server)
        status, self.headers, _ = self.http.ask("GET / HTTP/1.1", handshake(**headers))
        assert status == 101, status
        assert self.headers["sec-websocket-accept"] == ACCEPT, self.headers
        assert self.headers["upgrade"] == "websocket" and self.headers["connection"].lower() == "upgrade"

    def send(self, opcode, payload=b"", first=0x80):
        self.http.socket.sendall(masked(opcode, payload, first))

    def frame(self):
        """The next frame: its FIN and RSV bits, its opcode and its payload. None after the last frame."""
        head = self.http.file.read(2)
        if not head:
            return None
        assert head[1] < 128, "a server must not mask its frames"
        length = head[1]
        if length > 125:
            size = 2 if length == 126 else 8
            length = int.from_bytes(self.http.file.read(size), "big")
        return head[0] & 0xF0, head[0] & 0x0F, self.http.file.read(length)

    def closed(self):
        """The code of the close frame, which must be next. Answers it; the connection must end then."""
        first, opcode, payload = self.frame()
        assert (first, opcode) == (0x80, CLOSE), (first, opcode, payload)
        self.send(CLOSE, payload[:2])
        assert self.frame() is None
        return int.from_bytes(payload[:2], "big")


def tls_of(server):
    return unverified_tls() if server.scheme == "https" else None


def connect(server, **options):
    """A client of the package `websockets`."""
    return websockets.sync.client.connect(
        server.url.replace("http", "ws", 1) + "/", ssl=tls_of(server), proxy=None, max_size=None,
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
        # One message in a hundred small frames.
        parts = [f"part {n} " for n in range(100)]
        client.send(iter(parts))
        assert client.recv(LIMIT) == "".join(parts)
        # Many messages at once keep their order.
        for n in range(1000):
            client.send(f"{n}")
        assert [client.recv(LIMIT) for _ in range(1000)] == [f"{n}" for n in range(1000)]


def websockets_gets_pongs(server):
    with connect(server) as client:
        assert client.ping(b"are you there?").wait(LIMIT)
        # A ping between the frames of a message.
        client.send(part + (client.ping() and "") for part in ["one", "two"])
        assert client.recv(LIMIT) == "onetwo"


def websockets_negotiates_compression(server):
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


def websockets_negotiates_no_compression(server):
    with connect(server) as client:
        assert client.protocol.extensions == [], client.protocol.extensions
        client.send("all the same " * 1000)
        assert client.recv(LIMIT) == "all the same " * 1000


def websockets_closes_with_a_code_and_a_reason(server):
    for code, reason in [(1000, ""), (1001, "gone"), (3000, "Grüße"), (4999, "x" * 123)]:
        with connect(server) as client:
            client.close(code, reason)
            assert client.protocol.close_rcvd.code == code, client.protocol.close_rcvd
            # The server answers the close frame of the client.
            assert client.protocol.close_rcvd_then_sent is False


def text_that_is_not_utf8_closes_with_1007(server):
    with connect(server, compression=None) as client:
        client.send(b"Gr\xc3", text=True)
        assert closed(client)[0] == 1007
    with connect(server) as client:
        client.send(b"\xff" * 100, text=True)
        assert closed(client)[0] == 1007


def a_message_of_16_mib_arrives_and_a_larger_one_closes_with_1009(server):
    largest = b"\xa5" * (16 << 20)
    with connect(server, compression=None) as client:
        client.send(largest)
        assert client.recv(LIMIT) == largest
        client.send(largest + b"\xa5")
        assert closed(client)[0] == 1009


def wsproto_gets_back_what_it_sends(server):
    deflate = wsproto.extensions.PerMessageDeflate()
    peer = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    connection = server.connect()

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
    assert connection.recv(1) == b"", "the server must close the connection"


def the_server_compresses_and_refers_to_the_last_message(server):
    client = RawWebSocket(server, sec_websocket_extensions="permessage-deflate")
    assert client.headers["sec-websocket-extensions"].startswith("permessage-deflate"), client.headers
    deflate, inflate = zlib.compressobj(9, wbits=-12), zlib.decompressobj(wbits=-15)
    message = os.urandom(1000).hex().encode()
    sizes = []
    for _ in range(2):
        compressed = deflate.compress(message) + deflate.flush(zlib.Z_SYNC_FLUSH)
        client.send(TEXT, compressed[:-4], first=0xC0)
        first, opcode, payload = client.frame()
        assert (first, opcode) == (0xC0, TEXT), (first, opcode)
        assert inflate.decompress(payload + b"\x00\x00\xff\xff") == message
        sizes.append(len(payload))
    # The second message refers back to the first.
    assert sizes[0] < len(message) and sizes[1] < 100, sizes
    # A client may also send an uncompressed message.
    client.send(TEXT, b"short")
    first, opcode, payload = client.frame()
    if first == 0xC0:
        payload = inflate.decompress(payload + b"\x00\x00\xff\xff")
    assert (opcode, payload) == (TEXT, b"short")
    return f"{len(message)} bytes in {sizes[0]}, then in {sizes[1]}"


def each_protocol_error_closes_with_its_code(server):
    for opcode, payload, first, code in [
        (3, b"", 0x80, 1002),  # a reserved opcode
        (TEXT, b"", 0xC0, 1002),  # compressed without negotiation
        (0, b"", 0x80, 1002),  # a continuation without a first frame
        (PING, b"", 0x00, 1002),  # a fragmented control frame
        (PING, bytes(126), 0x80, 1002),
        (CLOSE, b"\x03", 0x80, 1002),
        (CLOSE, b"\x03\xed", 0x80, 1002),  # 1005 must not be sent
        (CLOSE, b"\x03\xe8\xff", 0x80, 1007),
        (TEXT, b"\xed\xa0\x80", 0x80, 1007),  # a surrogate
    ]:
        client = RawWebSocket(server)
        client.send(opcode, payload, first)
        assert client.closed() == code, (opcode, payload, first)


def a_message_sent_with_the_handshake_arrives(server):
    """The client does not wait for the response."""
    connection = server.connect()
    head = "".join(f"{name}: {value}\r\n" for name, value in handshake())
    frame = b"\x81\x85\x00\x00\x00\x00eager"
    connection.sendall(f"GET / HTTP/1.1\r\nhost: localhost\r\n{head}\r\n".encode() + frame)
    answer = b""
    while not answer.endswith(b"\x81\x05eager"):
        part = connection.recv(65536)
        assert part, answer
        answer += part
    assert answer.startswith(b"HTTP/1.1 101 "), answer


def a_message_above_the_limit_closes_with_1009(server):
    """The limit is 64 KiB."""
    largest = "x" * 65536
    for compression in None, "deflate":
        with connect(server, compression=compression) as client:
            client.send(largest)
            assert client.recv(LIMIT) == largest
            # The limit holds for one frame and for several.
            client.send([largest, ""])
            assert client.recv(LIMIT) == largest
            client.send(largest + "x")
            assert closed(client)[0] == 1009
        with connect(server, compression=compression) as client:
            client.send([largest, "x"])
            assert closed(client)[0] == 1009
    with connect(server) as client:
        # The compressed frame has 16 KiB, the message 16 MiB.
        client.send(bytes(16 << 20))
        assert closed(client)[0] == 1009


def a_frame_above_the_limit_closes_with_1009_at_its_head(server):
    """The limit of a frame is 1 KiB; a message may have many frames."""
    with connect(server, compression=None) as client:
        client.send(["x" * 1024] * 10)
        assert client.recv(LIMIT) == "x" * 10240
    client = RawWebSocket(server)
    client.http.socket.sendall(struct.pack("!BBH", 0x82, 0x80 | 126, 1025) + bytes(4))
    assert client.closed() == 1009


def a_client_that_answers_pings_stays(server):
    client = RawWebSocket(server)
    for _ in range(5):
        first, opcode, payload = client.frame()
        assert (first, opcode) == (0x80, PING), (first, opcode, payload)
        client.send(PONG, payload)
    client.send(TEXT, b"still here")
    assert client.frame() == (0x80, TEXT, b"still here")
    with connect(server) as client:
        time.sleep(2)
        client.send("still here")
        assert client.recv(LIMIT) == "still here"


def a_client_that_answers_no_ping_is_closed_with_1011(server):
    began = time.monotonic()
    client = RawWebSocket(server)
    first, opcode, _ = client.frame()
    assert (first, opcode) == (0x80, PING), (first, opcode)
    first, opcode, payload = client.frame()
    assert (first, opcode, payload[:2]) == (0x80, CLOSE, b"\x03\xf3"), (first, opcode, payload)
    with contextlib.suppress(ConnectionResetError):
        assert client.frame() is None
    took = time.monotonic() - began
    assert 0.6 < took < 5, took
    return f"1011 after {took:.1f} s"


def only_allowed_origins_reach_the_app(server):
    http = Http(server)
    for origin, status in [
        ("https://one.example", 101), ("https://two.example:8443", 101), (None, 101),
        ("https://two.example", 403), ("http://one.example", 403), ("https://one.example.org", 403),
        ("null", 403),
    ]:
        answer, _, _ = http.ask("GET / HTTP/1.1", handshake(origin=origin))
        assert answer == status, (origin, answer)
        if status == 101:
            http = Http(server)
    status, _, _ = http.ask("GET / HTTP/1.1", [("origin", "null")])
    assert status == 200, "a plain request may have any origin"


def malformed_handshakes_do_not_reach_the_app(server):
    """The connection stays open."""
    http = Http(server)
    cases = 0
    for method, headers, status, expected in [
        ("GET", handshake(sec_websocket_key=None), 400, {}),
        ("GET", handshake(sec_websocket_key="dGhlIHNhbXBsZQ=="), 400, {}),
        ("GET", handshake(sec_websocket_key="*" * 22 + "=="), 400, {}),
        ("GET", handshake() + [("sec-websocket-key", KEY)], 400, {}),
        ("GET", handshake(sec_websocket_version=None), 400, {}),
        ("GET", handshake(sec_websocket_version="12"), 426,
         {"sec-websocket-version": "13", "upgrade": "websocket"}),
        ("GET", handshake(sec_websocket_protocol="a, b c"), 400, {}),
        ("GET", handshake(sec_websocket_protocol="a, a"), 400, {}),
    ]:
        answer, received, _ = http.ask(f"{method} / HTTP/1.1", headers)
        assert answer == status, (method, headers, answer)
        assert expected.items() <= received.items(), (method, headers, received)
        answer, _, body = http.ask("GET / HTTP/1.1", [])
        assert (answer, body) == (200, b"Hello, world!\n"), (method, headers, answer, body)
        cases += 1
    return f"{cases} handshakes"


def an_upgrade_that_is_no_handshake_is_a_plain_request(server):
    """RFC 9110 §7.8: without the connection option, and in a request that is not a GET."""
    for headers in handshake(connection=None), handshake(connection="keep-alive"):
        status, _, body = Http(server).ask("GET / HTTP/1.1", headers)
        assert (status, body) == (200, b"Hello, world!\n"), (headers, status, body)
    status, _, body = Http(server).ask("POST / HTTP/1.1", handshake(content_length="0"))
    assert (status, body) == (200, b"Hello, world!\n"), (status, body)


def a_handshake_over_http_1_0_is_a_plain_request(server):
    status, _, body = Http(server).ask("GET / HTTP/1.0", handshake())
    assert (status, body) == (200, b"Hello, world!\n"), (status, body)


def without_websockets_a_handshake_is_a_plain_request(server):
    http = Http(server)
    for sent in handshake(), handshake(sec_websocket_version="12"), handshake():
        status, headers, body = http.ask("GET / HTTP/1.1", sent)
        assert (status, body) == (200, b"Hello, world!\n"), (status, body)
        assert "upgrade" not in headers, headers


def two_hundred_sockets_close_with_1001_when_the_server_stops(server):
    """Stops the server."""
    async def until_closed(opened):
        async with websockets.asyncio.client.connect(
            server.url.replace("http", "ws", 1), ssl=tls_of(server), proxy=None, ping_interval=None,
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
        server.terminate()
        codes = await asyncio.gather(*sockets)
        return codes, await asyncio.to_thread(server.wait), time.monotonic() - began

    codes, code, took = asyncio.run(all_of_them())
    assert codes == [1001] * SOCKETS, codes
    assert code == 0 and took < MOST_TO_STOP, (code, took)
    return f"stopped in {took:.1f} s"


def a_silent_socket_delays_the_stop_by_the_close_timeout(server):
    """Stops the server. The close time-out is 1 s."""
    clients = [RawWebSocket(server) for _ in range(5)]
    began = time.monotonic()
    server.terminate()
    for client in clients:
        first, opcode, payload = client.frame()
        assert (first, opcode, payload[:2]) == (0x80, CLOSE, b"\x03\xe9"), (first, opcode, payload)
    for client in clients:
        assert client.frame() is None
        client.http.close()
    code = server.wait()
    took = time.monotonic() - began
    assert code == 0, code
    assert 0.8 < took < MOST_TO_STOP, took
    return f"stopped in {took:.1f} s"


EVERY = [
    websockets_gets_back_what_it_sends,
    websockets_gets_pongs,
    websockets_negotiates_compression,
    websockets_closes_with_a_code_and_a_reason,
    text_that_is_not_utf8_closes_with_1007,
    wsproto_gets_back_what_it_sends,
    the_server_compresses_and_refers_to_the_last_message,
    each_protocol_error_closes_with_its_code,
    a_message_sent_with_the_handshake_arrives,
    two_hundred_sockets_close_with_1001_when_the_server_stops,
]
# Options of the server, and the checks that use this server.
ECHO = [
    ([], [a_message_of_16_mib_arrives_and_a_larger_one_closes_with_1009, *EVERY]),
    (["--dev-cert"], EVERY),
    (["--no-ws-deflate"], [websockets_negotiates_no_compression]),
    (["--ws-max-message-size", "64KiB"], [a_message_above_the_limit_closes_with_1009]),
    (["--ws-max-frame-size", "1KiB"], [a_frame_above_the_limit_closes_with_1009_at_its_head]),
    (["--ws-ping-interval", "300ms", "--ws-ping-timeout", "500ms"],
     [a_client_that_answers_pings_stays, a_client_that_answers_no_ping_is_closed_with_1011]),
    (["--ws-close-timeout", "1s"], [a_silent_socket_delays_the_stop_by_the_close_timeout]),
    (["--ws-origins", "https://one.example", "--ws-origins", "https://two.example:8443"],
     [only_allowed_origins_reach_the_app]),
]
HELLO = [
    ([], [malformed_handshakes_do_not_reach_the_app, an_upgrade_that_is_no_handshake_is_a_plain_request,
          a_handshake_over_http_1_0_is_a_plain_request]),
    (["--no-ws"], [without_websockets_a_handshake_is_a_plain_request]),
]


if __name__ == "__main__":
    harness.check_servers(__doc__, {"ws_echo": ECHO, "hello": HELLO}, ["--log-level", "error"])
