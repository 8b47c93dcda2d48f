"""An HTTP/2 client that writes its frames by hand, for servers that answer correctly.

It sends the same bytes as a real client: the first request adds `:authority` to the table of the
connection, and in later requests it is one byte. The client counts the ends of responses and does not
decode them.
"""

import socket
import struct
import sys

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0x0, 0x1, 0x4, 0x6, 0x8
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
# `:method: GET`, `:scheme: http` and `:path: /` of the static table (RFC 7541, appendix A).
GET_HTTP_ROOT = b"\x82\x86\x84"
ADD_AUTHORITY, ADDED = b"\x41", b"\xbe"  # name 1, and the dynamic table's first entry
DEFAULT_WINDOW = 65_535
LARGE_WINDOW = 2**31 - 1


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


class Client:
    """One connection, whose preface is sent and whose first SETTINGS have been answered."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.next_stream = 1
        self.authority = ADD_AUTHORITY + bytes([len(address)]) + address.encode()
        # So large that no response waits for another.
        window = struct.pack(">I", LARGE_WINDOW - DEFAULT_WINDOW)
        self.socket.sendall(
            PREFACE + frame(SETTINGS, 0, 0) + frame(WINDOW_UPDATE, 0, 0, window))
        while not self.receive_frame()[:2] == (SETTINGS, ACK):
            pass

    def ask(self, requests):
        """Sends this many requests at once, each on a stream of its own, and awaits the responses."""
        sent = b""
        for _ in range(requests):
            block = GET_HTTP_ROOT + self.authority
            self.authority = ADDED
            sent += frame(HEADERS, END_STREAM | END_HEADERS, self.next_stream, block)
            self.next_stream += 2
        self.socket.sendall(sent)
        while requests:
            kind, flags, stream = self.receive_frame()
            if kind in (DATA, HEADERS):
                requests -= bool(flags & END_STREAM)
            elif kind not in (SETTINGS, PING, WINDOW_UPDATE):
                sys.exit(f"the server sent a frame of type {kind} on stream {stream}")

    def receive_frame(self):
        """Kind, flags and stream of the next frame; answers what asks for an answer."""
        head = self.receive(9)
        length = int.from_bytes(head[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        payload = self.receive(length)
        if kind == SETTINGS and not flags & ACK:
            self.socket.sendall(frame(SETTINGS, ACK, 0))
        if kind == PING and not flags & ACK:
            self.socket.sendall(frame(PING, ACK, 0, payload))
        return kind, flags, stream

    def receive(self, length):
        while len(self.received) < length:
            part = self.socket.recv(65536)
            if not part:
                sys.exit(f"the server closed the connection: {self.received!r}")
            self.received += part
        taken, self.received = self.received[:length], self.received[length:]
        return taken

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
