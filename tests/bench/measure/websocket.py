"""A WebSocket client that writes its frames by hand, for servers that answer correctly."""

import socket
import struct
import sys

TEXT, BINARY, CLOSE, PING = 0x81, 0x82, 0x88, 0x89
MASK = b"\x9d\x37\x5c\xe1"
HANDSHAKE = (
    "GET /echo HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def head(first, masked, length):
    if length <= 125:
        return bytes([first, masked | length])
    if length <= 0xFFFF:
        return struct.pack(">BBH", first, masked | 126, length)
    return struct.pack(">BBQ", first, masked | 127, length)


def frame(first, payload):
    masked = bytes(byte ^ MASK[index % 4] for index, byte in enumerate(payload))
    return head(first, 0x80, len(payload)) + MASK + masked


class Client:
    """One open socket."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(HANDSHAKE.format(address=address).encode())
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n"):
            self.head += self.receive(1)
        if not self.head.startswith(b"HTTP/1.1 101 "):
            sys.exit(f"the server opens no WebSocket: {self.head!r}")

    def send(self, first, payload):
        self.socket.sendall(frame(first, payload))

    def echo(self, frames, echoes):
        """Sends some bytes and waits for the expected ones."""
        self.socket.sendall(frames)
        if (answer := self.receive(len(echoes))) != echoes:
            sys.exit(f"the server echoes otherwise: {answer[:80]!r}")

    def receive(self, length):
        received = bytearray()
        while len(received) < length:
            part = self.socket.recv(length - len(received))
            if not part:
                sys.exit("the server closed the connection")
            received += part
        return bytes(received)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
