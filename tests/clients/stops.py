#!/usr/bin/env python3
"""Stops a server at random moments, with everything open that could hold it up.

    tests/clients/stops.py FERRICORN FAULTY [--count 20] [--seed NUMBER]

FAULTY is the library of server-bin/examples/faulty.rs: `cargo build -p ferricorn-cli --examples`. Each stop has
its own mix of handlers that block a thread, an app whose shutdown hangs, logs that have no reader, load, and open
sockets of every kind. It must end within its two time-outs and a second, with the exit code that fits. After a
second signal it must end at once.
"""

import contextlib
import fcntl
import os
import pathlib
import random
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import harness

START_LIMIT = 20.0
# Seconds that a stop may take after its two time-outs.
STOP_RESERVE = 1.0
# Seconds that a stop may take after its second signal.
AT_ONCE = 1.0
# The machine is busy: other processes may hold up a stop for so long.
BUSY = 1.0
PIPE_SIZE = 4096

HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def http2_frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def http2_get(stream, path):
    """A HEADERS frame: `:method GET`, `:scheme http` and `:authority a` of the static table, and the path."""
    block = b"\x82\x86" + b"\x04" + bytes([len(path)]) + path.encode() + b"\x01\x01a"
    return http2_frame(1, 0x5, stream, block)


def get(path):
    return f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode()


# The kinds of open sockets: what a client sends before it goes silent.
SILENT = {
    "idle": b"",
    "answered": get("/"),
    "half a head": b"GET / HTTP/1.1\r\nhost: a\r\nx-half",
    "half a body": b"POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\nhalf",
    "half a chunk": b"POST /upload HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nff\r\nhalf",
    "a held request": get("/hold"),
    "a slow reader": get("/large"),
    "a WebSocket": b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
                   b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "half a preface": HTTP2_PREFACE[:10],
    "idle HTTP/2": HTTP2_PREFACE + http2_frame(4, 0, 0, b""),
    "held HTTP/2 streams": HTTP2_PREFACE + http2_frame(4, 0, 0, b"")
                           + b"".join(http2_get(stream, "/hold") for stream in (1, 3, 5)),
    "a slow HTTP/2 reader": HTTP2_PREFACE + http2_frame(4, 0, 0, b"") + http2_get(1, "/large"),
}


class Plan:
    """What one stop has to cope with."""

    def __init__(self, dice):
        self.app = dice.choice(["", ":own"])
        self.threads = dice.choice([1, 2, 4])
        self.blocked = dice.choice([0, 0, 1, 2, 5])
        self.hangs = dice.choice(["", "", "shutdown", "block-shutdown"])
        self.graceful = dice.choice([0.1, 0.5, 1.0])
        self.shutdown = dice.choice([0.2, 0.7])
        self.reads_log = dice.random() < 0.4
        self.reads_access_log = dice.random() < 0.4
        self.load = dice.choice([0, 2, 8])
        self.first = dice.choice([signal.SIGTERM, signal.SIGINT])
        self.second = dice.choice([None, None, signal.SIGTERM, signal.SIGINT])
        self.pause = dice.uniform(0.0, 0.3)
        self.second_pause = dice.uniform(0.03, 0.3)
        self.sockets = [(dice.choice(list(SILENT)), dice.choice(["tcp", "unix", "tls"])) for _ in range(30)]
        self.half_handshakes = dice.choice([0, 3])

    def __str__(self):
        return ", ".join(f"{name}={value}" for name, value in vars(self).items() if name != "sockets")

    def limit(self):
        """Seconds from the last signal to the end."""
        if self.second is not None:
            return AT_ONCE
        return self.graceful + self.shutdown + STOP_RESERVE

    def exit_codes(self):
        clean = 1 if self.blocked or self.hangs else 0
        # The server may end before the second signal comes.
        return {clean} if self.second is None else {clean, 128 + self.second}


def drain_pipe(pipe, into):
    """Reads a pipe to its end."""
    with contextlib.suppress(OSError, ValueError):
        while part := pipe.read(65536):
            into += part
            del into[:-65536]


class StoppedServer:
    """A server with a plan. It listens on TCP, on TLS and on a Unix socket."""

    def __init__(self, plan, ferricorn, library, folder):
        self.plan = plan
        self.path = os.path.join(folder, "socket")
        command = [
            ferricorn, library + plan.app, "--threads", str(plan.threads), "--dev-cert", "--bind", "127.0.0.1:0",
            "--insecure-bind", "127.0.0.1:0", "--insecure-bind", f"unix:{self.path}",
            "--graceful-timeout", f"{int(plan.graceful * 1000)}ms",
            "--shutdown-timeout", f"{int(plan.shutdown * 1000)}ms", "--access-log", "--log-buffer", "64KiB",
        ]
        if plan.hangs:
            command += ["--app-config", plan.hangs]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
            env={**os.environ, "RUST_BACKTRACE": "1"},
        )
        for pipe in self.process.stdout, self.process.stderr:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        self.open = []
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        try:
            self.ports = self._ports()
        except BaseException:
            self.process.kill()
            raise
        self.log = bytearray()
        readers = [
            (plan.reads_log, self.process.stderr, self.log),
            (plan.reads_access_log, self.process.stdout, bytearray()),
        ]
        for reads, pipe, into in readers:
            if reads:
                threading.Thread(target=drain_pipe, args=[pipe, into], daemon=True).start()

    def _ports(self):
        """Reads the log until the server has named its addresses, and no further."""
        watchdog = threading.Timer(START_LIMIT, self.process.kill)
        watchdog.start()
        text = b""
        while not (b" on unix:" in text and text.endswith(b"\n")):
            part = self.process.stderr.read(1)
            assert part, f"the server has not started: {text.decode()}"
            text += part
        watchdog.cancel()
        ports = dict(re.findall(r" on (https?)://127\.0\.0\.1:(\d+)", text.decode()))
        return {"tcp": int(ports["http"]), "tls": int(ports["https"])}

    def connect(self, kind, protocols=("http/1.1",)):
        if kind == "unix":
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(1)
            connection.connect(self.path)
        else:
            connection = socket.create_connection(("127.0.0.1", self.ports[kind]), timeout=1)
        if kind == "tls":
            # A server with blocked threads may not answer.
            connection = harness.unverified_tls(*protocols).wrap_socket(connection)
        with self.lock:
            self.open.append(connection)
        return connection

    def fill(self):
        """Opens what the plan has. A server whose threads are blocked does not take all of it."""
        plan = self.plan
        for name, kind in plan.sockets:
            protocols = ("h2",) if "HTTP/2" in name or "preface" in name else ("http/1.1",)
            with contextlib.suppress(OSError, ssl.SSLError):
                self.connect(kind, protocols).sendall(SILENT[name])
        for _ in range(plan.half_handshakes):
            with contextlib.suppress(OSError):
                connection = socket.create_connection(("127.0.0.1", self.ports["tls"]), timeout=1)
                self.open.append(connection)
                # The head of a TLS record, and the first bytes of a ClientHello.
                connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03half")
        for _ in range(plan.load):
            threading.Thread(target=self.ask_all_the_time, daemon=True).start()
        time.sleep(plan.pause)
        self.block()
        time.sleep(plan.pause)

    def block(self):
        """Blocks handlers. At least the first is in the app when this returns, if the server takes it at all."""
        for _ in range(self.plan.blocked):
            with contextlib.suppress(OSError):
                self.connect("tcp").sendall(get("/block"))
        began = time.monotonic()
        while self.plan.blocked and not self.is_blocked() and time.monotonic() - began < START_LIMIT:
            time.sleep(0.005)

    def is_blocked(self):
        """The app gives the thread that it blocks this name."""
        names = pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/comm")
        for name in names:
            with contextlib.suppress(OSError):
                if name.read_text().strip() == "blocked":
                    return True
        return False

    def ask_all_the_time(self):
        while not self.stopping.is_set():
            try:
                with self.connect("tcp") as connection:
                    for path in ["/", "/panic", "/"]:
                        connection.sendall(get(path))
                        if not connection.recv(4096):
                            break
            except OSError:
                time.sleep(0.01)

    def stop(self):
        """Sends the signals. Returns the seconds from the last one to the end, and the exit code."""
        plan = self.plan
        self.process.send_signal(plan.first)
        began = time.monotonic()
        if plan.second is not None:
            time.sleep(plan.second_pause)
            began = time.monotonic()
            self.process.send_signal(plan.second)
        code = self.process.wait(plan.limit() + BUSY)
        return time.monotonic() - began, code

    def last_lines(self):
        """The end of the log, if it is read."""
        return self.log[-4000:].decode(errors="replace")

    def close(self):
        self.stopping.set()
        self.process.kill()
        self.process.wait()
        with self.lock:
            for connection in self.open:
                connection.close()


def main():
    parser = harness.argument_parser(__doc__, "ferricorn", "faulty")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    dice = random.Random(options.seed)
    in_time = 0
    slowest = (-100.0, 0.0)
    for number in range(options.count):
        plan = Plan(dice)
        with tempfile.TemporaryDirectory() as folder:
            server = StoppedServer(plan, options.ferricorn, options.faulty, folder)
            try:
                server.fill()
                took, code = server.stop()
                fits = code in plan.exit_codes()
                slowest = max(slowest, (took - plan.limit(), took))
                in_time += fits
                if not fits:
                    print(f"FAIL  stop {number}: exit code {code} after {took:.2f} s: {plan}\n{server.last_lines()}", flush=True)
            except subprocess.TimeoutExpired:
                print(f"FAIL  stop {number}: has not ended: {plan}\n{server.last_lines()}", flush=True)
            finally:
                server.close()
    print(f"{in_time}/{options.count} stops ended in time; the slowest took {slowest[1]:.2f} s, "
          f"{-slowest[0]:.2f} s before its limit")
    raise SystemExit(in_time != options.count)


if __name__ == "__main__":
    main()
