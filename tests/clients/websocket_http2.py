#!/usr/bin/env python3
"""Clients of WebSockets over HTTP/2 (RFC 8441) against a running server: Python's h2 for the streams, and
wsproto for what is in them.

    tests/clients/websocket_http2.py FERRICORN WS_ECHO HELLO

WS_ECHO and HELLO are the libraries of examples/ws-echo and examples/hello; the second knows of no
sockets, so that a handshake that reaches it is answered with 500. Each check prints a line; the first
that fails ends the script. A client that is not installed is a failure, not a skip: `pip install h2
wsproto`.
"""

import collections
import os
import signal
import socket
import sys
import time

import h2.config
import h2.connection
import h2.events
import h2.settings
import wsproto
import wsproto.connection
import wsproto.events as said
import wsproto.extensions

from websocket import (
    ANYONE, CLOSE, LIMIT, MOST_TO_STOP, PING, SOCKETS, TEXT, check_all, masked,
)

A_CONNECTION = 50  # of the sockets that are open when the server stops
ANYONE.set_alpn_protocols(["h2"])


class Connection(h2.connection.H2Connection):
    def _receive_goaway_frame(self, frame):
        # h2 takes it for the end, but what runs goes on (RFC 9113 §6.8).
        return [], [h2.events.ConnectionTerminated()]


class Peer:
    """A connection of h2, and the streams on it."""

    def __init__(self, server):
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.scheme = server.url.partition(":")[0]
        self.socket = ANYONE.wrap_socket(plain) if self.scheme == "https" else plain
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
        """Reads on until that is so; whether it is, when the server has closed the connection."""
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
                stream.fields = dict(event.headers)
            case h2.events.DataReceived():
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                stream.take(event.data)
            case h2.events.StreamEnded():
                stream.ended = True
            case h2.events.StreamReset():
                stream.reset = event.error_code

    def ask(self, fields, end_stream, **options):
        """A stream whose head is sent."""
        number = self.h2.get_next_available_stream_id()
        stream = self.streams[number] = Stream(self, number, **options)
        fields = [(":scheme", self.scheme), (":path", "/"), (":authority", "localhost"), *fields]
        self.h2.send_headers(number, fields, end_stream=end_stream)
        return stream

    def get(self):
        """The status of a request that is no socket."""
        stream = self.ask([(":method", "GET")], end_stream=True)
        assert self.until(lambda: stream.ended)
        return stream.fields[":status"]

    def connect(self, protocol="websocket", deflate=None, **changed):
        """A handshake, whatever comes of it."""
        fields = {"sec-websocket-version": "13"} | {
            name.replace("_", "-"): value for name, value in changed.items()
        }
        if deflate:
            fields["sec-websocket-extensions"] = f"permessage-deflate; {deflate.offer()}"
        fields = [(name, value) for name, value in fields.items() if value is not None]
        return self.ask(
            [(":method", "CONNECT"), (":protocol", protocol), *fields], end_stream=False, deflate=deflate,
        )

    def open(self, **options):
        """A socket that the app has accepted."""
        stream = self.connect(**options)
        assert self.until(lambda: stream.fields) and stream.fields[":status"] == "200", stream.fields
        return stream

    def status(self, **options):
        """The status of a handshake that comes to nothing."""
        stream = self.connect(**options)
        assert self.until(lambda: stream.ended or stream.reset is not None)
        return stream.fields and stream.fields[":status"]


class Stream:
    """A stream, and the socket that it may be."""

    def __init__(self, peer, number, deflate=None):
        self.peer = peer
        self.number = number
        self.deflate = deflate
        self.fields = None
        self.ended = False
        self.reset = None
        self.connection = None
        self.bytes = bytearray()
        self.events = collections.deque()

    def take(self, data):
        self.bytes += data
        if self.fields[":status"] != "200":
            return
        if self.connection is None:
            extensions = [self.deflate] if self.deflate else []
            for extension in extensions:
                extension.finalize(self.fields["sec-websocket-extensions"])
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
        """The next thing that the server said."""
        assert self.peer.until(lambda: self.events), (self.ended, self.reset)
        return self.events.popleft()

    def message(self):
        """The next message, whole."""
        parts = [self.next()]
        while not parts[-1].message_finished:
            parts.append(self.next())
        return type(parts[0].data)().join(part.data for part in parts)

    def closed(self):
        """The code with which the server closes; it must end the stream then. Ours is ended too."""
        close = self.next()
        assert isinstance(close, said.CloseConnection), close
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
        assert stream.fields["sec-websocket-protocol"] == "first", stream.fields
        # What is of HTTP/1.1 alone.
        assert not {"sec-websocket-accept", "connection", "upgrade"} & stream.fields.keys(), stream.fields
        for message in "", "Grüße", "x" * 65536:
            stream.send(said.TextMessage(message))
            assert stream.message() == message
        sent = os.urandom(1 << 20)
        stream.send(said.BytesMessage(sent))
        assert stream.message() == sent
        stream.send(
            said.TextMessage("one", message_finished=False), said.Ping(b"between"),
            said.TextMessage("two"),
        )
        pong = stream.next()
        assert isinstance(pong, said.Pong) and pong.payload == b"between", pong
        assert stream.message() == "onetwo"
        stream.send(said.CloseConnection(4000, "done"))
        assert stream.closed() == 4000


def a_socket_is_compressed(server):
    with Peer(server) as peer:
        stream = peer.open(deflate=wsproto.extensions.PerMessageDeflate())
        message = "all the same " * 1000
        for _ in range(2):
            stream.send(said.TextMessage(message))
            assert stream.message() == message
        assert stream.deflate.enabled() and stream.bytes[0] == 0xC0 | TEXT, stream.bytes[:2]
        assert len(stream.bytes) < len(message) / 10, len(stream.bytes)
        return f"{2 * len(message)} bytes in {len(stream.bytes)}"


def many_share_a_connection(server):
    with Peer(server) as peer:
        streams = [peer.open() for _ in range(50)]
        for round in range(3):
            for n, stream in enumerate(streams):
                stream.send(said.TextMessage(f"{n} of round {round}"))
            for n, stream in enumerate(streams):
                assert stream.message() == f"{n} of round {round}"
        # One breaks the protocol, one is reset, one ends without a close frame.
        streams[0].send_data(b"\xff\x80\x00\x00\x00\x00")
        assert streams[0].closed() == 1002
        peer.h2.reset_stream(streams[1].number)
        peer.h2.end_stream(streams[2].number)
        assert peer.until(lambda: streams[2].ended or streams[2].reset is not None)
        for n, stream in enumerate(streams[3:]):
            stream.send(said.TextMessage(f"{n}"), said.CloseConnection(1000))
            assert stream.message() == f"{n}" and stream.closed() == 1000
        assert not peer.going_away


def a_socket_that_is_not_read_stops_no_other(server):
    with Peer(server) as peer:
        peer.h2.increment_flow_control_window(1 << 20)
        slow, other = peer.open(), peer.open()
        acknowledge, owed = peer.h2.acknowledge_received_data, []
        peer.h2.acknowledge_received_data = lambda size, stream: (
            owed.append(size) if stream == slow.number else acknowledge(size, stream)
        )
        sent = [os.urandom(10_000) for _ in range(12)]
        for message in sent:
            slow.send(said.BytesMessage(message))
        assert peer.until(lambda: sum(owed) == 65_535), "all that its window lets through"
        for n in range(20):
            other.send(said.TextMessage(f"{n}"))
            assert other.message() == f"{n}"
        peer.h2.acknowledge_received_data = acknowledge
        acknowledge(sum(owed), slow.number)
        assert [slow.message() for _ in sent] == sent


def what_breaks_the_protocol_is_closed_with_its_code(server):
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


def the_largest_message_may_come_and_no_larger_one(server):
    """The limit is 64 KiB."""
    with Peer(server) as peer:
        stream = peer.open()
        stream.send(said.BytesMessage(bytes(65536)))
        assert stream.message() == bytes(65536)
        stream.send(said.BytesMessage(bytes(65537)))
        assert stream.closed() == 1009


def a_client_that_answers_pings_stays(server):
    with Peer(server) as peer:
        stream = peer.open()
        for _ in range(5):
            ping = stream.next()
            assert isinstance(ping, said.Ping), ping
            stream.send(ping.response())
        stream.send(said.TextMessage("still here"))
        assert stream.message() == "still here"


def a_client_that_answers_no_ping_is_closed(server):
    with Peer(server) as peer:
        stream = peer.open()
        began = time.monotonic()
        ping, close = stream.next(), stream.next()
        assert isinstance(ping, said.Ping), ping
        assert isinstance(close, said.CloseConnection) and close.code == 1011, close
        assert peer.until(lambda: stream.ended or stream.reset is not None)
        took = time.monotonic() - began
        assert 0.6 < took < 5, took
        assert not peer.going_away
        return f"1011 after {took:.1f} s"


def malformed_handshakes_do_not_reach_the_app(server):
    """And the connection goes on. Hello answers a handshake that it sees with 500."""
    with Peer(server) as peer:
        assert peer.status() == "500"
        # RFC 9110 §7.8: the names of protocols have no case.
        assert peer.status(protocol="WebSocket") == "500"
        for changed, status in [
            ({"sec_websocket_version": "12"}, "400"),
            ({"sec_websocket_version": None}, "400"),
            ({"sec_websocket_protocol": "a, b c"}, "400"),
            ({"protocol": "connect-udp"}, "501"),
        ]:
            assert peer.status(**changed) == status, changed
            assert peer.get() == "200"


def only_its_origins_reach_the_app(server):
    with Peer(server) as peer:
        for origin, status in [
            ("https://one.example", "500"), (None, "500"), ("https://two.example", "403"),
            ("null", "403"),
        ]:
            assert peer.status(origin=origin) == status, origin
        assert peer.get() == "200"


def a_server_without_sockets_offers_none(server):
    """With --no-ws."""
    with Peer(server) as peer:
        assert h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL not in peer.settings, peer.settings
        assert peer.status() is None, "a field that it does not know makes a request malformed"
        assert peer.get() == "200"


def two_hundred_sockets_are_told_that_the_server_stops(server):
    """Takes the server with it."""
    peers = [Peer(server) for _ in range(SOCKETS // A_CONNECTION)]
    streams = [peer.open() for peer in peers for _ in range(A_CONNECTION)]
    for stream in streams:
        stream.send(said.TextMessage("hello"))
        assert stream.message() == "hello"
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    codes = [stream.closed() for stream in streams]
    assert codes == [1001] * SOCKETS, codes
    for peer in peers:
        assert not peer.until(lambda: False) and peer.going_away
    server.process.communicate(timeout=40)
    took = time.monotonic() - began
    assert server.process.returncode == 0 and took < MOST_TO_STOP, (server.process.returncode, took)
    return f"stopped in {took:.1f} s"


def a_socket_that_does_not_answer_holds_nothing_up(server):
    """Takes the server with it; the close time-out is 1 s."""
    with Peer(server) as peer:
        streams = [peer.open() for _ in range(5)]
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        for stream in streams:
            close = stream.next()
            assert isinstance(close, said.CloseConnection) and close.code == 1001, close
        assert not peer.until(lambda: False) and peer.going_away
        server.process.communicate(timeout=40)
        took = time.monotonic() - began
        assert server.process.returncode == 0, server.process.returncode
        assert 0.8 < took < MOST_TO_STOP, took
        return f"stopped in {took:.1f} s"


EVERY = [
    a_socket_gets_back_what_it_sends,
    a_socket_is_compressed,
    many_share_a_connection,
    a_socket_that_is_not_read_stops_no_other,
    what_breaks_the_protocol_is_closed_with_its_code,
    two_hundred_sockets_are_told_that_the_server_stops,
]
# What the server's options are, and what holds then.
ECHO = [
    ([], EVERY),
    (["--dev-cert"], EVERY),
    (["--ws-max-message-size", "64KiB"], [the_largest_message_may_come_and_no_larger_one]),
    (["--ws-ping-interval", "300ms", "--ws-ping-timeout", "500ms"],
     [a_client_that_answers_pings_stays, a_client_that_answers_no_ping_is_closed]),
    (["--ws-close-timeout", "1s"], [a_socket_that_does_not_answer_holds_nothing_up]),
]
HELLO = [
    ([], [malformed_handshakes_do_not_reach_the_app]),
    (["--ws-origins", "https://one.example"], [only_its_origins_reach_the_app]),
    (["--no-ws"], [a_server_without_sockets_offers_none]),
]


def main():
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    binary, echo, hello = sys.argv[1:]
    passed = check_all(ECHO, binary, echo) + check_all(HELLO, binary, hello)
    print(f"{passed} passed, 0 failed")


if __name__ == "__main__":
    main()
