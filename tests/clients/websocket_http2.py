#!/usr/bin/env python3
"""WebSockets over HTTP/2 (RFC 8441): Python's h2 for the streams, and wsproto for the frames in them.

    tests/clients/websocket_http2.py FERRICORN WS_ECHO HELLO

WS_ECHO and HELLO are the libraries of examples/ws-echo and examples/hello. Hello does not support WebSockets,
so a handshake that reaches it gets a 403. `pip install h2 websockets wsproto` installs the clients.
"""

import collections
import os
import time

import h2.config
import h2.connection
import h2.events
import h2.settings
import wsproto
import wsproto.connection
import wsproto.events
import wsproto.extensions

import harness
from websocket import CLOSE, MOST_TO_STOP, PING, SOCKETS, TEXT, masked

SOCKETS_PER_CONNECTION = 50  # open when the server stops


class Connection(h2.connection.H2Connection):
    def _receive_goaway_frame(self, frame):
        # h2 closes the connection here, but open streams continue (RFC 9113 §6.8).
        return [], [h2.events.ConnectionTerminated()]


class Peer:
    """A connection of Python's h2 with its streams."""

    def __init__(self, server):
        self.scheme = server.scheme
        self.socket = server.connect("h2")
        self.h2 = Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.streams = {}
        self.settings = None
        self.going_away = self.gone = False
        self.until(lambda: self.settings is not None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self):
        self.socket.sendall(self.h2.data_to_send())

    def until(self, is_so):
        """Reads until `is_so()`, or until the server closes the connection. Returns `is_so()`."""
        self.send()
        while not is_so() and not self.gone:
            data = self.socket.recv(65536)
            if not data:
                self.gone = True
                self.socket.close()
                break
            for event in self.h2.receive_data(data):
                self.take(event)
            self.send()
        return is_so()

    def take(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        match event:
            case h2.events.RemoteSettingsChanged() if self.settings is None:
                self.settings = {
                    code: change.new_value for code, change in event.changed_settings.items()
                }
            case h2.events.ConnectionTerminated():
                self.going_away = True
            case h2.events.ResponseReceived():
                stream.headers = dict(event.headers)
            case h2.events.DataReceived():
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                stream.take(event.data)
            case h2.events.StreamEnded():
                stream.ended = True
            case h2.events.StreamReset():
                stream.reset = event.error_code

    def ask(self, headers, end_stream, **options):
        """Sends a request's headers; returns the stream."""
        number = self.h2.get_next_available_stream_id()
        stream = self.streams[number] = Stream(self, number, **options)
        headers = [(":scheme", self.scheme), (":path", "/"), (":authority", "localhost"), *headers]
        self.h2.send_headers(number, headers, end_stream=end_stream)
        return stream

    def get(self):
        """The status of a plain request."""
        stream = self.ask([(":method", "GET")], end_stream=True)
        assert self.until(lambda: stream.ended)
        return stream.headers[":status"]

    def connect(self, protocol="websocket", deflate=None, **changed):
        """Sends a handshake with changed headers; None removes a header. Returns the stream."""
        headers = {"sec-websocket-version": "13"} | {
            name.replace("_", "-"): value for name, value in changed.items()
        }
        if deflate:
            headers["sec-websocket-extensions"] = f"permessage-deflate; {deflate.offer()}"
        headers = [(name, value) for name, value in headers.items() if value is not None]
        return self.ask(
            [(":method", "CONNECT"), (":protocol", protocol), *headers], end_stream=False, deflate=deflate,
        )

    def open(self, **options):
        """A WebSocket that the app has accepted."""
        stream = self.connect(**options)
        assert self.until(lambda: stream.headers) and stream.headers[":status"] == "200", stream.headers
        return stream

    def status(self, **options):
        """The status of the answer to a handshake; None if the server resets the stream."""
        stream = self.connect(**options)
        assert self.until(lambda: stream.headers or stream.reset is not None)
        return stream.headers and stream.headers[":status"]


class Stream:
    """A stream, which may carry a WebSocket."""

    def __init__(self, peer, number, deflate=None):
        self.peer = peer
        self.number = number
        self.deflate = deflate
        self.headers = None
        self.ended = False
        self.reset = None
        self.connection = None
        self.bytes = bytearray()
        self.events = collections.deque()

    def take(self, data):
        self.bytes += data
        if self.headers[":status"] != "200":
            return
        if self.connection is None:
            extensions = [self.deflate] if self.deflate else []
            for extension in extensions:
                extension.finalize(self.headers["sec-websocket-extensions"])
            self.connection = wsproto.connection.Connection(wsproto.ConnectionType.CLIENT, extensions)
        if data:
            self.connection.receive_data(data)
        self.events.extend(self.connection.events())

    def send(self, *events):
        if self.connection is None:
            self.take(b"")
        for event in events:
            self.send_data(self.connection.send(event))

    def send_data(self, data):
        data = memoryview(data)
        while data:
            room = self.peer.h2.local_flow_control_window(self.number)
            size = min(room, self.peer.h2.max_outbound_frame_size, len(data))
            if size == 0:
                assert self.peer.until(
                    lambda: self.peer.h2.local_flow_control_window(self.number) > 0
                )
                continue
            self.peer.h2.send_data(self.number, bytes(data[:size]))
            self.peer.send()
            data = data[size:]

    def next(self):
        """The next event of the WebSocket."""
        assert self.peer.until(lambda: self.events), (self.ended, self.reset)
        return self.events.popleft()

    def message(self):
        """The next message, with all its frames."""
        parts = [self.next()]
        while not parts[-1].message_finished:
            parts.append(self.next())
        return type(parts[0].data)().join(part.data for part in parts)

    def closed(self):
        """The code of the server's close frame, which must be next. Both sides must end the stream then."""
        close = self.next()
        assert isinstance(close, wsproto.events.CloseConnection), close
        if self.connection.state is wsproto.connection.ConnectionState.REMOTE_CLOSING:
            self.send(close.response())
        assert self.peer.until(lambda: self.ended or self.reset is not None) and self.reset is None
        self.peer.h2.end_stream(self.number)
        self.peer.send()
        return close.code


def a_socket_gets_back_what_it_sends(server):
    with Peer(server) as peer:
        assert peer.settings.get(h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL) == 1, peer.settings
        stream = peer.open(sec_websocket_protocol="first, second")
        assert stream.headers["sec-websocket-protocol"] == "first", stream.headers
        # These headers belong to HTTP/1.1 only.
        assert not {"sec-websocket-accept", "connection", "upgrade"} & stream.headers.keys(), stream.headers
        for message in "", "Grüße", "x" * 65536:
            stream.send(wsproto.events.TextMessage(message))
            assert stream.message() == message
        sent = os.urandom(1 << 20)
        stream.send(wsproto.events.BytesMessage(sent))
        assert stream.message() == sent
        stream.send(
            wsproto.events.TextMessage("one", message_finished=False), wsproto.events.Ping(b"between"),
            wsproto.events.TextMessage("two"),
        )
        pong = stream.next()
        assert isinstance(pong, wsproto.events.Pong) and pong.payload == b"between", pong
        assert stream.message() == "onetwo"
        stream.send(wsproto.events.CloseConnection(4000, "done"))
        assert stream.closed() == 4000


def a_socket_is_compressed(server):
    with Peer(server) as peer:
        stream = peer.open(deflate=wsproto.extensions.PerMessageDeflate())
        message = "all the same " * 1000
        for _ in range(2):
            stream.send(wsproto.events.TextMessage(message))
            assert stream.message() == message
        assert stream.deflate.enabled() and stream.bytes[0] == 0xC0 | TEXT, stream.bytes[:2]
        assert len(stream.bytes) < len(message) / 10, len(stream.bytes)
        return f"{2 * len(message)} bytes in {len(stream.bytes)}"


def fifty_sockets_share_a_connection(server):
    with Peer(server) as peer:
        streams = [peer.open() for _ in range(50)]
        for round in range(3):
            for n, stream in enumerate(streams):
                stream.send(wsproto.events.TextMessage(f"{n} of round {round}"))
            for n, stream in enumerate(streams):
                assert stream.message() == f"{n} of round {round}"
        # Three sockets end badly: a protocol error, a reset, and an end without a close frame.
        streams[0].send_data(b"\xff\x80\x00\x00\x00\x00")
        assert streams[0].closed() == 1002
        peer.h2.reset_stream(streams[1].number)
        peer.h2.end_stream(streams[2].number)
        assert peer.until(lambda: streams[2].ended or streams[2].reset is not None)
        for n, stream in enumerate(streams[3:]):
            stream.send(wsproto.events.TextMessage(f"{n}"), wsproto.events.CloseConnection(1000))
            assert stream.message() == f"{n}" and stream.closed() == 1000
        assert not peer.going_away


def a_socket_that_is_not_read_does_not_block_others(server):
    with Peer(server) as peer:
        peer.h2.increment_flow_control_window(1 << 20)
        slow, other = peer.open(), peer.open()
        acknowledge, owed = peer.h2.acknowledge_received_data, []
        peer.h2.acknowledge_received_data = lambda size, stream: (
            owed.append(size) if stream == slow.number else acknowledge(size, stream)
        )
        sent = [os.urandom(10_000) for _ in range(12)]
        for message in sent:
            slow.send(wsproto.events.BytesMessage(message))
        assert peer.until(lambda: sum(owed) == 65_535), "the server must fill the window"
        for n in range(20):
            other.send(wsproto.events.TextMessage(f"{n}"))
            assert other.message() == f"{n}"
        peer.h2.acknowledge_received_data = acknowledge
        acknowledge(sum(owed), slow.number)
        assert [slow.message() for _ in sent] == sent


def each_protocol_error_closes_with_its_code(server):
    for data, code in [
        (b"\x81\x05hello", 1002),  # not masked
        (masked(3), 1002),
        (masked(PING, bytes(126)), 1002),
        (masked(CLOSE, b"\x03"), 1002),
        (masked(TEXT, b"\xff"), 1007),
    ]:
        with Peer(server) as peer:
            stream = peer.open()
            stream.send_data(data)
            assert stream.closed() == code, data


def a_message_above_the_limit_closes_with_1009(server):
    """The limit is 64 KiB."""
    with Peer(server) as peer:
        stream = peer.open()
        stream.send(wsproto.events.BytesMessage(bytes(65536)))
        assert stream.message() == bytes(65536)
        stream.send(wsproto.events.BytesMessage(bytes(65537)))
        assert stream.closed() == 1009


def a_client_that_answers_pings_stays(server):
    with Peer(server) as peer:
        stream = peer.open()
        for _ in range(5):
            ping = stream.next()
            assert isinstance(ping, wsproto.events.Ping), ping
            stream.send(ping.response())
        stream.send(wsproto.events.TextMessage("still here"))
        assert stream.message() == "still here"


def a_client_that_answers_no_ping_is_closed_with_1011(server):
    with Peer(server) as peer:
        stream = peer.open()
        began = time.monotonic()
        ping, close = stream.next(), stream.next()
        assert isinstance(ping, wsproto.events.Ping), ping
        assert isinstance(close, wsproto.events.CloseConnection) and close.code == 1011, close
        assert peer.until(lambda: stream.ended or stream.reset is not None)
        took = time.monotonic() - began
        assert 0.6 < took < 5, took
        assert not peer.going_away
        return f"1011 after {took:.1f} s"


def malformed_handshakes_do_not_reach_the_app(server):
    """The connection stays open. Hello answers a handshake that reaches it with 403."""
    with Peer(server) as peer:
        assert peer.status() == "403"
        # RFC 9110 §7.8: the names of protocols are case-insensitive.
        assert peer.status(protocol="WebSocket") == "403"
        for changed, status in [
            ({"sec_websocket_version": "12"}, "400"),
            ({"sec_websocket_version": None}, "400"),
            ({"sec_websocket_protocol": "a, b c"}, "400"),
            ({"protocol": "connect-udp"}, "501"),
        ]:
            assert peer.status(**changed) == status, changed
            assert peer.get() == "200"


def only_allowed_origins_reach_the_app(server):
    with Peer(server) as peer:
        for origin, status in [
            ("https://one.example", "200"), (None, "200"), ("https://two.example", "403"),
            ("null", "403"),
        ]:
            assert peer.status(origin=origin) == status, origin
        assert peer.get() == "200"


def without_websockets_the_server_does_not_offer_them(server):
    with Peer(server) as peer:
        assert h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL not in peer.settings, peer.settings
        assert peer.status() is None, "an unknown pseudo-header makes a request malformed"
        assert peer.get() == "200"


def two_hundred_sockets_close_with_1001_when_the_server_stops(server):
    """Stops the server."""
    peers = [Peer(server) for _ in range(SOCKETS // SOCKETS_PER_CONNECTION)]
    streams = [peer.open() for peer in peers for _ in range(SOCKETS_PER_CONNECTION)]
    for stream in streams:
        stream.send(wsproto.events.TextMessage("hello"))
        assert stream.message() == "hello"
    began = time.monotonic()
    server.terminate()
    codes = [stream.closed() for stream in streams]
    assert codes == [1001] * SOCKETS, codes
    for peer in peers:
        assert not peer.until(lambda: False) and peer.going_away
    code = server.wait()
    took = time.monotonic() - began
    assert code == 0 and took < MOST_TO_STOP, (code, took)
    return f"stopped in {took:.1f} s"


def a_silent_socket_delays_the_stop_by_the_close_timeout(server):
    """Stops the server. The close time-out is 1 s."""
    with Peer(server) as peer:
        streams = [peer.open() for _ in range(5)]
        began = time.monotonic()
        server.terminate()
        for stream in streams:
            close = stream.next()
            assert isinstance(close, wsproto.events.CloseConnection) and close.code == 1001, close
        assert not peer.until(lambda: False) and peer.going_away
        code = server.wait()
        took = time.monotonic() - began
        assert code == 0, code
        assert 0.8 < took < MOST_TO_STOP, took
        return f"stopped in {took:.1f} s"


EVERY = [
    a_socket_gets_back_what_it_sends,
    a_socket_is_compressed,
    fifty_sockets_share_a_connection,
    a_socket_that_is_not_read_does_not_block_others,
    each_protocol_error_closes_with_its_code,
    two_hundred_sockets_close_with_1001_when_the_server_stops,
]
# Options of the server, and the checks that use this server.
ECHO = [
    ([], EVERY),
    (["--dev-cert"], EVERY),
    (["--ws-max-message-size", "64KiB"], [a_message_above_the_limit_closes_with_1009]),
    (["--ws-ping-interval", "300ms", "--ws-ping-timeout", "500ms"],
     [a_client_that_answers_pings_stays, a_client_that_answers_no_ping_is_closed_with_1011]),
    (["--ws-close-timeout", "1s"], [a_silent_socket_delays_the_stop_by_the_close_timeout]),
    (["--ws-origins", "https://one.example"], [only_allowed_origins_reach_the_app]),
]
HELLO = [
    ([], [malformed_handshakes_do_not_reach_the_app]),
    (["--no-ws"], [without_websockets_the_server_does_not_offer_them]),
]


if __name__ == "__main__":
    harness.check_servers(__doc__, {"ws_echo": ECHO, "hello": HELLO}, ["--log-level", "error"])
