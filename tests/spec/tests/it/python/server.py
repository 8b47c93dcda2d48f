"""A small ASGI server for tests: HTTP/1.1, one request a connection, and WebSockets with short frames.

    python3 server.py MODULE_FILE

It serves the object `app` of the module on a free port of 127.0.0.1, and prints the port once the startup of
the app is complete. It ends when its standard input ends. It needs no packages.
"""

import asyncio
import base64
import hashlib
import importlib.util
import sys
from urllib.parse import unquote

ACCEPT_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
VERSIONS = {"version": "3.0", "spec_version": "2.5"}


class Gone(OSError):
    """The client is gone."""


class Exchange:
    """What one call of the app receives and sends over its connection."""

    def __init__(self, scope, reader, writer):
        self.scope, self.reader, self.writer = scope, reader, writer
        headers = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, value)
        self.headers = headers
        self.state = "new"
        self.unread = int(headers.get(b"content-length", b"0"))
        self.body_done = False
        self.complete = asyncio.Event()

    def write(self, *parts):
        self.writer.write(b"".join(parts))

    def head(self, status, headers):
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.write(b"HTTP/1.1 %d x\r\n" % status, lines, b"connection: close\r\n\r\n")


class Http(Exchange):
    async def receive(self):
        if self.complete.is_set():
            return {"type": "http.disconnect"}
        if not self.body_done and self.unread:
            part = await self.reader.read(self.unread)
            self.unread -= len(part)
            if part:
                self.body_done = not self.unread
                return {"type": "http.request", "body": part, "more_body": not self.body_done}
            self.body_done = True
            self.complete.set()
        if not self.body_done:
            self.body_done = True
            return {"type": "http.request", "body": b"", "more_body": False}
        if not self.complete.is_set():
            leaving = asyncio.ensure_future(self.reader.read(1))
            done = asyncio.ensure_future(self.complete.wait())
            await asyncio.wait([leaving, done], return_when=asyncio.FIRST_COMPLETED)
            self.complete.set()
        return {"type": "http.disconnect"}

    async def send(self, event):
        kind = event["type"]
        if kind == "http.response.start" and self.state == "new":
            self.start, self.state = event, "started"
        elif kind == "http.response.body" and self.state in ("started", "body"):
            if self.state == "started":
                self.head(self.start["status"], self.start["headers"])
                self.state = "body"
            self.write(event.get("body", b""))
            await self.writer.drain()
            if not event.get("more_body", False):
                self.state = "complete"
                self.complete.set()
        else:
            raise RuntimeError(f"{kind} is not expected now")

    def ended(self):
        if self.state in ("new", "started"):
            self.head(500, [])


class WebSocket(Exchange):
    async def receive(self):
        if self.state == "new":
            self.state = "connecting"
            return {"type": "websocket.connect"}
        opcode, payload = await self.frame()
        if opcode == 1:
            return {"type": "websocket.receive", "text": payload.decode()}
        if opcode == 2:
            return {"type": "websocket.receive", "bytes": payload}
        code = int.from_bytes(payload[:2], "big") if payload else 1005
        return {"type": "websocket.disconnect", "code": code, "reason": payload[2:].decode()}

    async def frame(self):
        """Reads a frame with a mask and less than 126 bytes."""
        first, second = await self.reader.readexactly(2)
        mask = await self.reader.readexactly(4)
        payload = await self.reader.readexactly(second & 0x7F)
        return first & 0xF, bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))

    async def send(self, event):
        kind = event["type"]
        if kind == "websocket.accept" and self.state == "connecting":
            self.state = "open"
            key = hashlib.sha1(self.headers[b"sec-websocket-key"] + ACCEPT_KEY).digest()
            lines = [(b"upgrade", b"websocket"), (b"sec-websocket-accept", base64.b64encode(key))]
            if event.get("subprotocol"):
                lines.append((b"sec-websocket-protocol", event["subprotocol"].encode()))
            lines = b"".join(name + b": " + value + b"\r\n" for name, value in lines + event["headers"])
            self.write(b"HTTP/1.1 101 x\r\nconnection: upgrade\r\n", lines, b"\r\n")
        elif kind == "websocket.send" and self.state == "open":
            text = event.get("text")
            payload = event["bytes"] if text is None else text.encode()
            self.write(bytes([0x82 if text is None else 0x81, len(payload)]), payload)
        elif kind == "websocket.close" and self.state == "open":
            self.state = "closed"
            payload = event["code"].to_bytes(2, "big") + event.get("reason", "").encode()
            self.write(bytes([0x88, len(payload)]), payload)
        else:
            raise RuntimeError(f"{kind} is not expected now")
        await self.writer.drain()

    def ended(self):
        if self.state in ("new", "connecting"):
            self.head(500, [])


async def connection(app, state, reader, writer):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, version = head[0].split(" ")
    path, _, query = target.partition("?")
    pairs = [line.split(":", 1) for line in head[1:] if line]
    headers = [(name.lower().encode(), value.strip().encode("latin-1")) for name, value in pairs]
    scope = {
        "asgi": VERSIONS,
        "http_version": version[5:],
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "headers": headers,
        "client": writer.get_extra_info("peername"),
        "server": writer.get_extra_info("sockname"),
        "state": dict(state),
    }
    if (b"upgrade", b"websocket") in headers:
        offered = b",".join(value for name, value in headers if name == b"sec-websocket-protocol").decode()
        names = [name.strip() for name in offered.split(",") if name]
        scope = {**scope, "type": "websocket", "scheme": "ws", "subprotocols": names}
        exchange = WebSocket(scope, reader, writer)
    else:
        scope = {**scope, "type": "http", "scheme": "http", "method": method}
        exchange = Http(scope, reader, writer)
    try:
        await app(scope, exchange.receive, exchange.send)
    except Exception as error:  # An app of a test may fail.
        print(f"app failed: {error!r}", file=sys.stderr)
    exchange.ended()
    writer.close()


async def serve(app):
    state, events, started = {}, asyncio.Queue(), asyncio.Event()

    async def send(event):
        started.set()

    lifespan = {"type": "lifespan", "asgi": VERSIONS, "state": state}
    living = asyncio.ensure_future(app(lifespan, events.get, send))
    events.put_nowait({"type": "lifespan.startup"})
    await started.wait()
    server = await asyncio.start_server(
        lambda reader, writer: connection(app, state, reader, writer), "127.0.0.1", 0
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    events.put_nowait({"type": "lifespan.shutdown"})
    await living


spec = importlib.util.spec_from_file_location("probe", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
asyncio.run(serve(module.app))
