"""The probe of asgi-spec in Python: an ASGI 3 app that does what each request tells it.

It has the commands and the reports of the probe in Rust. The documentation of `asgi_spec::probe` lists
them. Run it with one worker process and one event loop, so that all requests share its records:

    asgi-spec run --exec 'env PYTHONPATH=spec/probe uvicorn probe:app --port {port}'

Python's ASGI says less than the interface in Rust, so a report differs in these points. It has the member
`interface` with the value `python`.

- A disconnect of HTTP has no reason: the outcome is `http.disconnect`, and that of `closed` is `closed`.
- An exception from `send` is `gone` if it is an `OSError`. It is `refused` if the event belongs to an
  extension that the scope does not offer. Otherwise it is `misuse`.
- `closed` receives until a disconnect, and keeps the events for the steps that follow.
- `panic` and `unsupported` raise an exception, as `error` does.
- An exception from the events `startup-failed` and `shutdown-failed` ends the app: some servers tell it so that
  they stop.
- The steps `read` and `closed-handles` have the outcome `not in python`.

It needs Python 3.8 or newer, and no packages.
"""

import asyncio
import json
import os
import time
from urllib.parse import quote

LIFESPAN = "lifespan"
DEFAULT_LIFESPAN = "receive&startup-complete=probe&receive&shutdown-complete"
LIFESPAN_STEPS = os.environ.get("ASGI_SPEC_LIFESPAN", DEFAULT_LIFESPAN)
RECORD_FILE = os.environ.get("ASGI_SPEC_RECORD")

# The size of each part of a flood.
PART = 64 * 1024

# How often the event loop turns before an event counts as one that is not there.
TURNS = 10

# The steps whose events belong to an extension.
EXTENSIONS = {
    "trailers": "http.response.trailers",
    "more-trailers": "http.response.trailers",
    "start-trailers": "http.response.trailers",
    "hint": "http.response.early_hint",
    "push": "http.response.push",
    "pathsend": "http.response.pathsend",
    "zerocopy": "http.response.zerocopysend",
    "debug": "http.response.debug",
    "deny": "websocket.http.response",
    "deny-more": "websocket.http.response",
    "deny-last": "websocket.http.response",
}

# The steps that complete a response.
LAST = ("last", "last-fill", "trailers", "deny-last")


class ProbeError(Exception):
    """The error of an app that was told to fail."""


# Scripts


class Step:
    """One step: `name=argument;header:value`."""

    def __init__(self, text):
        self.text = text
        self.name, _, rest = text.partition("=")
        parts = [percent_decode(part) for part in rest.split(";")]
        self.argument = parts[0]
        self.parts = parts[1:]

    def words(self):
        """The argument as text."""
        return self.argument.decode("utf-8", "replace")

    def number(self):
        """The argument as a number, or 0."""
        words = self.words()
        return int(words) if words.isascii() and words.isdigit() else 0

    def headers(self):
        """The parts as headers. ASGI wants their names in lower case."""
        pairs = (part.split(b":", 1) for part in self.parts if b":" in part)
        return [(name.lower(), value) for name, value in pairs]


def parse(text):
    return [Step(step) for step in text.split("&") if step]


def percent_decode(text):
    """Replaces each `%` and two hexadecimal digits by their byte."""
    data = text.encode("utf-8", "surrogateescape")
    decoded = bytearray()
    at = 0
    while at < len(data):
        digits = data[at + 1 : at + 3]
        if data[at] == ord("%") and len(digits) == 2 and all(byte in b"0123456789abcdefABCDEF" for byte in digits):
            decoded.append(int(digits, 16))
            at += 3
        else:
            decoded.append(data[at])
            at += 1
    return bytes(decoded)


# Reports


def report_scope(scope):
    """A scope as the probe in Rust reports it."""
    report = {"type": scope["type"], "asgi": scope.get("asgi")}
    if scope["type"] not in ("http", "websocket"):
        return report
    extensions = scope.get("extensions") or {}
    report.update(
        http_version=scope.get("http_version", "1.1" if scope["type"] == "websocket" else None),
        scheme=scope.get("scheme", "ws" if scope["type"] == "websocket" else "http"),
        target=target_of(scope),
        path=scope.get("path"),
        root_path=scope.get("root_path", ""),
        headers=[[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        client=address(scope.get("client")),
        server=address(scope.get("server")),
        state=state_of(scope),
        extensions=[name for name in extensions if name != "tls"],
        tls="tls" in extensions,
        tls_values=report_tls(extensions.get("tls")),
    )
    if scope["type"] == "http":
        report["method"] = scope.get("method")
    else:
        report["subprotocols"] = list(scope.get("subprotocols") or [])
    return report


def report_tls(tls):
    """The members of the TLS extension, with the names of the interface in Rust."""
    if tls is None:
        return None
    return {
        "version": tls.get("tls_version"),
        "cipher_suite": tls.get("cipher_suite"),
        "server_cert": tls.get("server_cert"),
        "server_name": tls.get("server_name"),
        "client_cert_chain": list(tls.get("client_cert_chain") or []),
        "client_cert_name": tls.get("client_cert_name"),
        "client_cert_error": tls.get("client_cert_error"),
    }


def target_of(scope):
    """The target of the request, or None if the server gives no `raw_path`, which is optional."""
    path = scope.get("raw_path")
    if path is None:
        return None
    query = scope.get("query_string") or b""
    return path.decode("latin-1") + ("?" + query.decode("latin-1") if query else "")


def address(pair):
    if not pair:
        return None
    host, port = pair
    if port is None:
        return f'unix:"{host}"'
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def state_of(scope):
    """The probe's value in the state. None if there is none, or no state at all."""
    return (scope.get("state") or {}).get("probe")


def report_event(event):
    """An event in one line."""
    kind = event["type"]
    if kind == "http.request":
        more = "more" if event.get("more_body", False) else "last"
        return f"{kind} {quoted_bytes(event.get('body') or b'')} {more}"
    if kind == "websocket.receive":
        if event.get("text") is not None:
            return f"{kind} text {quoted_bytes(event['text'].encode('utf-8', 'surrogatepass'))}"
        return f"{kind} binary {quoted_bytes(event.get('bytes') or b'')}"
    if kind == "websocket.disconnect":
        return f"{kind} {event.get('code', 1005)} {quoted(event.get('reason') or '')}"
    return kind


def quoted_bytes(data):
    """Quotes short texts. Of longer data, the length says enough."""
    if len(data) > 200:
        return f"({len(data)} bytes)"
    try:
        return quoted(data.decode("utf-8"))
    except UnicodeDecodeError:
        escapes = {9: "\\t", 10: "\\n", 13: "\\r", 34: '\\"', 39: "\\'", 92: "\\\\"}
        plain = (escapes.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}") for byte in data)
        return '"' + "".join(plain) + '"'


def quoted(text):
    """Quotes a text as Rust does."""
    escapes = {"\0": "\\0", "\t": "\\t", "\n": "\\n", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
    letters = (
        escapes.get(letter) or (letter if letter.isprintable() else f"\\u{{{ord(letter):x}}}") for letter in text
    )
    return '"' + "".join(letters) + '"'


# Records


class Run:
    """What the calls with one ID have seen."""

    def __init__(self):
        self.calls = 0
        self.scope = None
        self.steps = []
        self.end = None
        self.parked = None
        self.given_back = False


class Runs:
    """All runs of this process. Each change wakes everything that waits."""

    def __init__(self):
        self.runs = {}
        self.signals = set()
        self.waiting = set()

    def run(self, name):
        return self.runs.setdefault(name, Run())

    def changed(self, name):
        if name == LIFESPAN and RECORD_FILE:
            # The process may end at any time, so the file is always a whole one.
            following = RECORD_FILE + ".next"
            try:
                with open(following, "w", encoding="utf-8") as file:
                    file.write(self.render(name))
                os.replace(following, RECORD_FILE)
            except OSError:
                # The suite sees that the file is missing.
                pass
        waiting, self.waiting = self.waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def call(self, name, scope):
        run = self.run(name)
        run.calls += 1
        run.scope = scope
        self.changed(name)

    def step(self, name, step, outcome, detail=None):
        self.run(name).steps.append([step, outcome, detail])
        self.changed(name)

    def progress(self, name, step, outcome):
        """Replaces the outcome of the step that was recorded last, or adds the step."""
        steps = self.run(name).steps
        if steps and steps[-1][0] == step:
            steps.pop()
        self.step(name, step, outcome)

    def ended(self, name, end):
        self.run(name).end = end
        self.changed(name)

    def signal(self, name, signal):
        self.signals.add((name, signal))
        self.changed(name)

    def park(self, name, halves, given_back):
        run = self.run(name)
        run.parked, run.given_back = halves, given_back
        self.changed(name)

    async def until(self, ready):
        while not ready():
            future = asyncio.get_running_loop().create_future()
            self.waiting.add(future)
            await future

    async def take_parked(self, name, given_back):
        """Waits until the halves are parked, or until another task has given them back."""

        def ready():
            run = self.run(name)
            return run.given_back if given_back else run.parked is not None

        await self.until(ready)
        run = self.run(name)
        halves, run.parked = run.parked, None
        return halves

    async def report(self, name, wanted):
        """Waits as `wanted` says, and returns the record of a run."""

        def enough():
            run = self.runs.get(name) or Run()
            if wanted == "ended":
                return run.end is not None
            if wanted.startswith("steps=") and wanted[6:].isdigit():
                return len(run.steps) >= int(wanted[6:])
            return True

        await self.until(enough)
        return self.render(name).encode()

    def render(self, name):
        run = self.runs.get(name) or Run()
        record = {
            "probe": 1,
            "interface": "python",
            "id": name,
            "calls": run.calls,
            "scope": run.scope,
            "steps": run.steps,
            "end": run.end,
        }
        return json.dumps(record, separators=(",", ":"))


RUNS = Runs()


# Events


def event_of(step):
    """The event that a step sends, or None."""
    name, data = step.name, step.argument
    if name in ("start", "start-trailers"):
        event = {"type": "http.response.start", "status": step.number(), "headers": step.headers()}
        return {**event, "trailers": True} if name == "start-trailers" else event
    if name in ("more", "last"):
        return {"type": "http.response.body", "body": data, "more_body": name == "more"}
    if name in ("fill", "last-fill"):
        return {"type": "http.response.body", "body": b"x" * step.number(), "more_body": name == "fill"}
    if name == "flush":
        return {"type": "http.response.body", "body": b"", "more_body": True}
    if name in ("trailers", "more-trailers"):
        more = name == "more-trailers"
        return {"type": "http.response.trailers", "headers": step.headers(), "more_trailers": more}
    if name == "hint":
        return {"type": "http.response.early_hint", "links": [data, *step.parts]}
    if name == "push":
        return {"type": "http.response.push", "path": step.words(), "headers": step.headers()}
    if name == "pathsend":
        return {"type": "http.response.pathsend", "path": step.words()}
    if name == "debug":
        return {"type": "http.response.debug", "info": {}}
    if name == "accept":
        return {"type": "websocket.accept", "subprotocol": step.words() or None, "headers": step.headers()}
    if name == "text":
        return {"type": "websocket.send", "text": step.words()}
    if name == "binary":
        return {"type": "websocket.send", "bytes": data}
    if name == "text-fill":
        return {"type": "websocket.send", "text": "x" * step.number()}
    if name == "close":
        reason = step.parts[0].decode("utf-8", "replace") if step.parts else ""
        return {"type": "websocket.close", "code": step.number(), "reason": reason}
    if name == "deny":
        return {"type": "websocket.http.response.start", "status": step.number(), "headers": step.headers()}
    if name in ("deny-more", "deny-last"):
        return {"type": "websocket.http.response.body", "body": data, "more_body": name == "deny-more"}
    if name in ("startup-complete", "shutdown-complete"):
        return {"type": "lifespan." + name.replace("-", ".")}
    if name in ("startup-failed", "shutdown-failed"):
        return {"type": "lifespan." + name.replace("-", "."), "message": step.words()}
    return None


# Playing


class Halves:
    """`receive` and `send` of one call, with the events that `closed` has kept."""

    def __init__(self, scope, receive, send):
        self.scope = scope
        self.receive_next = receive
        self.send_event = send
        self.kept = []
        self.error = None
        self.complete = False

    async def receive(self):
        return self.kept.pop(0) if self.kept else await self.receive_next()

    async def receive_now(self):
        """An event that is there, or None."""
        if self.kept:
            return self.kept.pop(0)
        receiving = asyncio.ensure_future(self.receive_next())
        for _ in range(TURNS):
            if receiving.done():
                return receiving.result()
            await asyncio.sleep(0)
        receiving.cancel()
        try:
            return await receiving
        except asyncio.CancelledError:
            return None

    async def closed(self):
        while not any(event["type"].endswith(".disconnect") for event in self.kept):
            self.kept.append(await self.receive_next())

    async def send(self, name, event):
        """Sends an event, and returns the outcome and its detail."""
        try:
            await self.send_event(event)
        except asyncio.CancelledError:
            raise
        except OSError as error:
            return "gone", repr(error)
        except BaseException as error:  # Some exceptions of servers are not of the class Exception.
            self.error = error
            offered = self.scope.get("extensions") or {}
            of_extension = EXTENSIONS.get(name)
            refused = of_extension and of_extension not in offered and not self.complete
            return ("refused" if refused else "misuse"), repr(error)
        self.complete = self.complete or name in LAST
        return "ok", None


class Player:
    """Plays the steps of one run."""

    def __init__(self, name, halves, scope):
        self.name = name
        self.halves = halves
        self.scope = scope
        # What the steps `zerocopy` send from.
        self.file = None

    def record(self, step, outcome, detail=None):
        RUNS.step(self.name, step.text, outcome, detail)

    async def play(self, steps):
        """Plays all steps, until one of them ends the app."""
        for step in parse(steps):
            if step.name == "return":
                return
            if step.name in ("error", "panic", "abort", "unsupported"):
                raise ProbeError(step.words() or step.name)
            if step.name == "wait":
                await RUNS.until(lambda wanted=(self.name, step.words()): wanted in RUNS.signals)
            elif step.name == "yield":
                for _ in range(step.number()):
                    await asyncio.sleep(0)
            elif step.name == "busy":
                began = time.monotonic()
                while time.monotonic() - began < step.number() / 1000:
                    await asyncio.sleep(0)
            elif step.name == "state":
                self.set_state(step)
            elif step.name == "open":
                self.open(step)
            elif step.name == "close-file":
                self.close_file()
            elif step.name == "position":
                self.position(step)
            elif step.name == "keep":
                halves, self.halves = self.halves, None
                RUNS.park(self.name, halves, False)
            elif step.name == "lend":
                RUNS.park(self.name, self.halves, False)
                self.halves = await RUNS.take_parked(self.name, given_back=True)
            elif self.halves is None:
                self.record(step, "parked")
            else:
                await self.with_halves(step)

    def set_state(self, step):
        state = self.scope.get("state")
        if state is None:
            return self.record(step, "no state")
        state["probe"] = step.words()
        self.record(step, "set")

    def open(self, step):
        try:
            self.file = open(step.words(), "rb")
        except OSError:
            return self.record(step, "no file")
        self.record(step, "ok")

    def close_file(self):
        if self.file is not None:
            self.file.close()
            self.file = None

    def position(self, step):
        if self.file is None:
            return self.record(step, "no file")
        if step.argument:
            self.file.seek(step.number())
        self.record(step, str(os.lseek(self.file.fileno(), 0, os.SEEK_CUR)))

    def zero_copy(self, step):
        """A part of the open file: `zerocopy=more;offset:N;count:N`."""
        numbers = {name.decode(): int(value) for name, value in step.headers() if name in (b"offset", b"count")}
        more = step.argument == b"more"
        return {"type": "http.response.zerocopysend", "file": self.file, "more_body": more, **numbers}

    async def with_halves(self, step):
        """Plays a step that needs the halves, and records it."""
        try:
            if step.name == "receive":
                self.record(step, report_event(await self.halves.receive()))
            elif step.name == "receive-now":
                event = await self.halves.receive_now()
                self.record(step, "pending" if event is None else report_event(event))
            elif step.name == "body":
                await self.body(step)
            elif step.name == "drain":
                await self.drain(step)
            elif step.name == "closed":
                await self.halves.closed()
                self.record(step, "closed")
            else:
                await self.send(step)
        except Exception as error:
            if error is self.halves.error or isinstance(error, ProbeError):
                raise
            # From `receive`. The record shows it, and the next step follows.
            self.record(step, f"raised {error!r}")

    async def body(self, step):
        while True:
            event = await self.halves.receive()
            self.record(step, report_event(event))
            if event["type"] != "http.request" or not event.get("more_body", False):
                return

    async def drain(self, step):
        total = 0
        while True:
            event = await self.halves.receive()
            if event["type"] != "http.request":
                return self.record(step, report_event(event))
            total += len(event.get("body") or b"")
            RUNS.progress(self.name, step.text, f"{total} bytes")
            if not event.get("more_body", False):
                return

    async def send(self, step):
        if step.name in ("flood", "text-flood"):
            return await self.flood(step)
        if step.name in ("respond", "reply"):
            data = step.argument if step.name == "respond" else RUNS.render(self.name).encode()
            return self.record(step, *await self.respond(data))
        if step.name == "zerocopy" and self.file is None:
            return self.record(step, "no file")
        event = self.zero_copy(step) if step.name == "zerocopy" else event_of(step)
        if event is None:
            only_in_rust = step.name in ("read", "closed-handles")
            return self.record(step, "not in python" if only_in_rust else "unknown step")
        if step.name == "startup-complete" and self.scope.get("state") is not None:
            self.scope["state"]["probe"] = step.words()
        outcome, detail = await self.halves.send(step.name, event)
        self.record(step, outcome, detail)
        if outcome != "ok" and step.name in ("startup-failed", "shutdown-failed"):
            raise self.halves.error or ProbeError(detail)

    async def respond(self, data):
        start = {"type": "http.response.start", "status": 200, "headers": []}
        outcome, detail = await self.halves.send("start", start)
        if outcome != "ok":
            return outcome, detail
        return await self.halves.send("last", {"type": "http.response.body", "body": data})

    async def flood(self, step):
        """Sends many parts. The record shows how many were taken."""
        if step.name == "flood":
            event = {"type": "http.response.body", "body": b"x" * PART, "more_body": True}
        else:
            event = {"type": "websocket.send", "text": "x" * PART}
        for count in range(1, step.number() + 1):
            outcome, detail = await self.halves.send(step.name, dict(event))
            if outcome != "ok":
                return self.record(step, outcome, detail)
            RUNS.progress(self.name, step.text, f"{count} parts")


# The app


def asked(scope):
    """What a scope asks the probe to do: a route, an ID and steps."""
    if scope["type"] not in ("http", "websocket"):
        return "run", LIFESPAN, LIFESPAN_STEPS
    target = target_of(scope)
    path = quote(scope["path"]) if target is None else target.split("?")[0]
    if not path.startswith("/") and "://" in path:
        # Some servers give a target in absolute form as it came.
        path = "/" + path.split("://")[1].partition("/")[2]
    segments = path.split("/")[1:] + ["", ""]
    route, name = segments[0], segments[1]
    steps = (scope.get("query_string") or b"").decode("latin-1")
    for header, value in scope["headers"]:
        if header.lower() == b"probe-id":
            route, name = "run", value.decode("latin-1")
        elif header.lower() == b"probe-steps":
            steps = value.decode("latin-1")
    return route, name, steps


async def answer(route, name, steps, send):
    status, body = 200, b"{}"
    if route == "use":
        halves = await RUNS.take_parked(name, given_back=False)
        player = Player(name, halves, halves.scope)
        try:
            await player.play(steps)
        finally:
            RUNS.park(name, player.halves, True)
    elif route == "signal":
        RUNS.signal(name, steps)
    elif route == "report":
        body = await RUNS.report(name, steps)
    else:
        status, body = 404, b"This is the probe of asgi-spec. See asgi_spec::probe.\n"
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def app(scope, receive, send):
    """The app that plays back what each request tells it."""
    route, name, steps = asked(scope)
    if route != "run":
        return await answer(route, name, steps, send)
    RUNS.call(name, report_scope(scope))
    player = Player(name, Halves(scope, receive, send), scope)
    end = "dropped"
    try:
        await player.play(steps)
        end = "ok"
    except asyncio.CancelledError:
        raise
    except BaseException:
        end = "panic" if any(step.name == "panic" for step in parse(steps)) else "error"
        raise
    finally:
        RUNS.ended(name, end)
