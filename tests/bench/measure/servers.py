"""The servers that are compared: how each is built, started, checked and watched."""

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import websocket

HERE = Path(__file__).resolve().parent.parent
LIBRARY = "libbench_app.so"
TICKS = os.sysconf("SC_CLK_TCK")
STARTUP = 10  # seconds
ESTABLISHED = "01"  # as /proc/net/tcp says it


@dataclass(frozen=True)
class Peer:
    """A server to start: bin/server with these arguments, or nginx."""

    arguments: tuple
    http2: bool = False
    websocket: bool = False
    # A folder with cert.pem and key.pem.
    tls: Path | None = None

    @property
    def name(self):
        return self.arguments[0]


def program(*arguments, http2=False, tls=None):
    return Peer(arguments + (("--tls", str(tls)) if tls else ()), http2, tls=tls)


def echo(name):
    """A server that sends each WebSocket message back."""
    return Peer((name, "--protocol", "websocket"), websocket=True)


def nginx(tls):
    return Peer(("nginx",), tls=tls)


def loaded(name=None, http2=False):
    """Ferricorn with the library's app of that name."""
    library = LIBRARY if name is None else f"{LIBRARY}:{name}"
    return program("ferricorn-loaded", "--library", library, http2=http2)


NGINX = Peer(("nginx",), http2=True)

# As similar to the others as possible. nginx adds a `server` header, which cannot be turned off.
NGINX_CONFIGURATION = """
daemon off;
worker_processes 1;
error_log stderr warn;
pid nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    server_tokens off;
    default_type "text/plain; charset=utf-8";
    keepalive_requests 2000000000;
    keepalive_time 1d;
    client_header_timeout 15s;
    large_client_header_buffers 4 16k;
    http2_max_concurrent_streams 100;
    server {{
        listen {address} {listen} backlog=2048;
        location / {{ return 200 "Hello, world!\\n"; }}
    }}
}}
"""


# The session's key exchange and cipher are the client's choice with both.
NGINX_TLS = """ssl;
        ssl_certificate {folder}/cert.pem;
        ssl_certificate_key {folder}/key.pem;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:bench:10m; #"""


def certificate(folder):
    """Puts an ECDSA certificate and its key into a folder."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-days", "30",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, stderr=subprocess.DEVNULL,
    )
    return folder


def build(*features):
    """Builds with these features and returns the folder. Each set of features has its own folder."""
    packages = ["--package=bench", "--package=bench-app", "--package=bench-client"]
    chosen = ["--no-default-features", "--features", ",".join(features)]
    subprocess.run(
        ["cargo", "build", "--locked", "--quiet", "--profile=dist", *packages, *chosen],
        cwd=HERE, check=True,
    )
    metadata = subprocess.check_output(
        ["cargo", "metadata", "--locked", "--no-deps", "--format-version=1"], cwd=HERE,
    )
    built = Path(json.loads(metadata)["target_directory"]) / "dist"
    folder = built / f"with-{'-'.join(features) or 'nothing'}"
    folder.mkdir(exist_ok=True)
    for name in ("server", "load", "echoes", LIBRARY):
        # Removed first, because a running program cannot be overwritten.
        (folder / name).unlink(missing_ok=True)
        shutil.copy2(built / name, folder)
    return folder


class Server:
    """A running server: its process and its addresses."""

    def __init__(self, process, addresses):
        self.process = process
        self.addresses = addresses

    def cpu(self):
        """Seconds of processor time so far, in the kernel and outside, children included."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return sum(cpu_of(process) for process in [pid, *children])

    def resident(self):
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", text).group(1)) * 1024

    def connect(self, listener=0):
        host, port = self.addresses[listener % len(self.addresses)].rsplit(":", 1)
        return socket.create_connection((host, int(port)))

    def connections(self):
        """How many clients are connected."""
        port = int(self.addresses[0].rsplit(":", 1)[1])
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(row[2].endswith(f":{port:04X}") and row[3] == ESTABLISHED for row in rows)


def cpu_of(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def pinned(cores):
    return lambda: os.sched_setaffinity(0, cores)


@contextmanager
def serving(binaries, peer, cores):
    """Starts a server on these cores, checks its answer, and ends it."""
    start = run_nginx if peer.name == "nginx" else run_program
    with start(binaries, peer, cores) as server:
        check_of(peer)(server, peer)
        yield server


def check_of(peer):
    if peer.http2:
        return check_http2
    if peer.websocket:
        return check_websocket
    return check_tls if peer.tls else check_http1


@contextmanager
def run_program(binaries, peer, cores):
    process = subprocess.Popen(
        [binaries / "server", *peer.arguments], cwd=binaries, preexec_fn=pinned(cores),
        stdout=subprocess.PIPE, text=True, env={**os.environ, "RUST_LOG": ""},
    )
    try:
        addresses = process.stdout.readline().split()
        if not addresses:
            sys.exit(f"{peer.name} did not start")
        yield Server(process, addresses)
    finally:
        process.kill()
        process.wait()


@contextmanager
def run_nginx(_binaries, peer, cores):
    with tempfile.TemporaryDirectory() as folder:
        address = f"127.0.0.1:{free_port()}"
        configuration = Path(folder) / "nginx.conf"
        listen = NGINX_TLS.format(folder=peer.tls) if peer.tls else "http2"
        configuration.write_text(NGINX_CONFIGURATION.format(address=address, listen=listen))
        process = subprocess.Popen(
            ["nginx", "-p", folder, "-c", configuration], preexec_fn=pinned(cores),
        )
        try:
            server = Server(process, [address])
            wait_until_open(server)
            yield server
        finally:
            # Not killed: its worker would stay.
            process.terminate()
            process.wait()


def free_port():
    """nginx takes no port 0."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_until_open(server):
    deadline = time.monotonic() + STARTUP
    while True:
        try:
            return server.connect().close()
        except ConnectionRefusedError:
            if server.process.poll() is not None or time.monotonic() > deadline:
                sys.exit("nginx did not start")
            time.sleep(0.02)


FIELDS = {"content-type: text/plain; charset=utf-8", "content-length: 14", "date: -"}
BODY = "Hello, world!\n"


def check_http1(server, peer):
    """Checks that the server answers like the others, so that all do the same work."""
    with server.connect() as connection:
        answer = ask(connection).decode()
    lines = re.sub(r"date: [^\r]*", "date: -", answer).split("\r\n")
    expected = {"HTTP/1.1 200 OK", *FIELDS, "", BODY}
    if "own_runtime" in peer.arguments[-1] and "transfer-encoding: chunked" in lines:
        # An app on its own runtime sends in two steps. Sometimes the head goes out between them,
        # without the length: a few bytes more than the others send.
        return
    if set(lines) != expected or len(lines) != len(expected):
        sys.exit(f"{peer.name} answers otherwise: {answer!r}")


def check_tls(server, peer):
    context = ssl.create_default_context(cafile=peer.tls / "cert.pem")
    with server.connect() as socket, context.wrap_socket(socket, server_hostname="localhost") as connection:
        answer = ask(connection).decode()
    if not answer.startswith("HTTP/1.1 200 OK") or not answer.endswith(BODY):
        sys.exit(f"{peer.name} answers otherwise over TLS: {answer!r}")


def check_http2(server, peer):
    output = subprocess.check_output(
        ["nghttp", "--verbose", f"http://{server.addresses[0]}/"], text=True, timeout=STARTUP,
    )
    received = re.findall(r"recv \(stream_id=\d+\) (.*)", output)
    lines = sorted(re.sub(r"^date: .*", "date: -", line) for line in received)
    expected = {":status: 200", *FIELDS, *({"server: nginx"} if peer is NGINX else ())}
    if lines != sorted(expected) or BODY not in output:
        sys.exit(f"{peer.name} answers otherwise on HTTP/2:\n{output}")


def check_websocket(server, peer):
    """Checks the things that the load generator does not: it checks only the echoes."""
    with websocket.Client(server.addresses[0]) as client:
        if b"sec-websocket-extensions" in client.head.lower():
            sys.exit(f"{peer.name} compresses, unasked: {client.head!r}")
        client.send(websocket.PING, b"hi!")
        client.send(websocket.CLOSE, b"\x03\xe8")
        answers = client.receive(5), client.receive(4)
    if answers != (b"\x8a\x03hi!", b"\x88\x02\x03\xe8"):
        sys.exit(f"{peer.name} answers a ping and a close otherwise: {answers!r}")


def ask(connection):
    """One request on a connection of HTTP/1; its response."""
    send(connection, "/")
    return receive(connection)


def send(connection, path):
    connection.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())


def receive(connection):
    answer = b""
    while not answer.endswith((BODY.encode(), b"0\r\n\r\n")):
        part = connection.recv(4096)
        if not part:
            break
        answer += part
    return answer
