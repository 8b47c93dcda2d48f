"""The parts of a run. Each measures one thing and gives back its figures.

A new part is a function here, an entry of PARTS, and a table in report.py (and panels in chart.py).
"""

import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from .load import PIPELINE, PIPELINE_SCRIPT, echoes, h2load, handshakes, may_run_first, open_load, wrk
from .servers import NGINX, ask, certificate, echo, loaded, nginx, program, receive, send, serving

CONNECTIONS = 64
IDLE = 2000

# The name in the tables, and the server to start. To compare another server, add a line.
HTTP1 = {
    "hyper": program("hyper"),
    "hyper again": program("hyper"),
    "axum": program("axum"),
    "actix-web": program("actix-web"),
    "Ferricorn": program("ferricorn"),
    "Ferricorn, loaded app": loaded(),
}
HTTP2 = {
    "hyper": program("hyper", "--protocol", "http2", http2=True),
    "hyper again": program("hyper", "--protocol", "http2", http2=True),
    "nginx": NGINX,
    "Ferricorn": program("ferricorn", http2=True),
    "Ferricorn, loaded app": loaded(http2=True),
}
WEBSOCKET = {
    "axum": echo("axum"),
    "axum again": echo("axum"),
    "axum, small reads": echo("axum-small"),
    "fastwebsockets": echo("fastwebsockets"),
    "Ferricorn": echo("ferricorn"),
}
HOPS = {
    "static": program("ferricorn"),
    "loaded": loaded(),
    "loaded again": loaded(),
    "loaded, inline": loaded("inline"),
    "loaded, own_runtime": loaded("own_runtime"),
}
UNEVEN = {
    f"{name}, {flavour}": program(name.lower(), "--runtime", flavour)
    for name in ("hyper", "Ferricorn")
    for flavour in ("shared", "per-core")
}

# Headers beside `host`, as a browser sends them.
FIELDS = """
user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0
accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8
accept-language: en-US,en;q=0.5
accept-encoding: gzip, deflate, br, zstd
referer: http://localhost/somewhere/else
cookie: session=0123456789abcdef0123456789abcdef; theme=dark
dnt: 1
sec-gpc: 1
upgrade-insecure-requests: 1
sec-fetch-dest: document
sec-fetch-mode: navigate
sec-fetch-site: same-origin
sec-fetch-user: ?1
priority: u=0, i
""".strip().splitlines()

# Name: fields, whether pipelined.
HTTP1_WORKLOADS = {
    "1 field": ([], False),
    "15 fields": (FIELDS, False),
    "1 field, pipelined": ([], True),
    "15 fields, pipelined": (FIELDS, True),
}
# Name: connections, streams on each.
HTTP2_WORKLOADS = {
    "1 stream on each of 64 connections": (64, 1),
    "100 streams on each of 8 connections": (8, 100),
}
# Name: kind and size of a message, and how many are in flight on a connection.
WEBSOCKET_WORKLOADS = {
    "64 bytes of text": ("text", 64, 1),
    "16 KiB, binary": ("binary", 16 * 1024, 1),
    f"64 bytes of text, {PIPELINE} in flight": ("text", 64, PIPELINE),
}
HOPS_WORKLOADS = {"1 hop": "/hops/1", "5 hops": "/hops/5"}

# Name: requests a second, and the share that blocks a thread for 2 ms. In both, each of two threads
# is blocked for 4 % of the time, and both at once for 0.16 %; in the second there is more beside it.
# A request costs the load itself some 40 µs, most of it in the kernel: more of them would be in the
# server's way.
UNEVEN_LOADS = {
    "4,000 requests/s, 1 in 100 blocks": (4_000, 0.01),
    "10,000 requests/s, 1 in 250 blocks": (10_000, 0.004),
}
# Name: openssl's flag of the version, whether the session is resumed.
TLS_WORKLOADS = {
    "TLS 1.3, full handshake": ("-tls1_3", False),
    "TLS 1.3, resumed": ("-tls1_3", True),
    "TLS 1.2, full handshake": ("-tls1_2", False),
    "TLS 1.2, resumed": ("-tls1_2", True),
}

UNEVEN_THREADS = 2
DELAY_CONNECTIONS, DELAY_TRIALS = 8, 400


@dataclass
class Setup:
    """What every part needs to know."""

    binaries: Path
    rounds: int
    seconds: int
    folder: Path
    cores: list

    @property
    def server_core(self):
        return self.cores[0]

    @property
    def load_core(self):
        return self.cores[-1]

    def serve(self, peer, cores=None):
        return serving(self.binaries, peer, cores or {self.server_core})

    def turns(self, what, peers):
        """Each peer once a round, and each goes first now and then."""
        peers = list(peers.items())
        for number in range(self.rounds):
            turn = number % len(peers)
            for name, peer in peers[turn:] + peers[:turn]:
                progress(f"{what}, round {number + 1}/{self.rounds}: {name}")
                yield name, peer


def throughput(setup, what, peers, workloads, run):
    """`run(server, workload)` of each peer and each workload, a fresh server for each round."""
    figures = {name: {peer: [] for peer in peers} for name in workloads}
    for name, peer in setup.turns(what, peers):
        with setup.serve(peer) as server:
            for workload in workloads:
                figures[workload][name].append(run(server, workloads[workload]))
    return {"throughput": figures}


def http1(setup):
    script = setup.folder / "pipeline.lua"
    script.write_text(PIPELINE_SCRIPT)

    def run(server, workload):
        fields, pipelined = workload
        return wrk(server, setup.load_core, setup.seconds, CONNECTIONS, fields=fields,
                   script=script if pipelined else None)

    return throughput(setup, "HTTP/1.1", HTTP1, HTTP1_WORKLOADS, run)


def http2(setup):
    def run(server, workload):
        return h2load(server, setup.load_core, setup.seconds, *workload)

    return throughput(setup, "HTTP/2", HTTP2, HTTP2_WORKLOADS, run)


def websocket(setup):
    def run(server, workload):
        return echoes(setup.binaries, server, setup.load_core, setup.seconds, CONNECTIONS, *workload)

    return throughput(setup, "WebSocket", WEBSOCKET, WEBSOCKET_WORKLOADS, run)


def hops(setup):
    def run(server, path):
        return wrk(server, setup.load_core, setup.seconds, CONNECTIONS, path=path)

    return throughput(setup, "hops", HOPS, HOPS_WORKLOADS, run)


def latency(setup):
    """Latencies at half of hyper's highest rate. The rate is the same for all servers."""
    with setup.serve(HTTP1["hyper"]) as server:
        runs = []
        for number in range(3):
            progress(f"latency, how much hyper can do, {number + 1}/3")
            runs.append(wrk(server, setup.load_core, setup.seconds, CONNECTIONS)["rate"])
    rate = round(statistics.median(runs) / 2)
    figures = {name: [] for name in HTTP1}
    for name, peer in setup.turns(f"latency at {rate:,} requests/s", HTTP1):
        with setup.serve(peer) as server:
            figures[name].append(open_load(
                setup.binaries, server, {setup.load_core}, rate, setup.seconds, CONNECTIONS,
            ))
    return {"rate": rate, "latency": figures}


def memory(setup):
    """Bytes of memory that one idle connection costs after it has served one request."""
    figures = {name: [] for name in HTTP1}
    for name, peer in HTTP1.items():
        for number in range(3):
            progress(f"memory, {name}, {number + 1}/3")
            with setup.serve(peer) as server:
                figures[name].append(memory_once(server))
    return {"memory": figures}


def memory_once(server):
    with server.connect() as first:
        ask(first)
        before = server.resident()
        connections = [server.connect() for _ in range(IDLE)]
        for connection in connections:
            ask(connection)
        time.sleep(0.5)
        used = server.resident() - before
        for connection in connections:
            connection.close()
    return used / IDLE


def uneven(setup):
    """How other requests suffer if some block a thread: one runtime per core against a shared one.

    The rates are low: the server and the load together leave their cores idle for most of the time,
    so the figures show how long a request waits for a blocked thread while another one is free. The
    latencies are those of requests that block nothing. `calm` is the same load without blocking
    requests: the cost of each flavour by itself. `delayed` hardly depends on the machine.
    """
    server_cores, own = set(setup.cores[:UNEVEN_THREADS]), set(setup.cores[UNEVEN_THREADS:])
    first = not own and may_run_first()
    figures = {load: {name: {"uneven": [], "calm": []} for name in UNEVEN} for load in UNEVEN_LOADS}
    waits = {name: [] for name in UNEVEN}
    for name, peer in setup.turns("uneven load", UNEVEN):
        with setup.serve(with_threads(peer), server_cores) as server:
            waits[name].append(delayed_share(server))
            for load, (rate, share) in UNEVEN_LOADS.items():
                for kind, blocking in (("uneven", share), ("calm", 0)):
                    figures[load][name][kind].append(open_load(
                        setup.binaries, server, own or server_cores, rate, setup.seconds,
                        CONNECTIONS, blocking=blocking, first=first,
                    ))
    where = "has cores of its own" if own else (
        "shares its cores with the server, and runs first" if first
        else "shares its cores with the server")
    return {"threads": UNEVEN_THREADS, "load": where, "uneven": figures, "delayed": waits}


def delayed_share(server):
    """The share of requests that wait for a blocked thread although another thread is free.

    One connection sends a request that blocks its thread for 2 ms. Meanwhile another connection
    sends a request that needs a thread for some µs. Several connections do this in turn.
    """
    blocking, *others = (server.connect(listener) for listener in range(1 + DELAY_CONNECTIONS))
    waited = 0
    for number in range(DELAY_TRIALS):
        other = others[number % len(others)]
        time.sleep(0.003)  # until all threads sleep
        send(blocking, "/block")
        time.sleep(0.0003)
        began = time.monotonic()
        ask(other)
        waited += time.monotonic() - began > 0.001
        receive(blocking)
    for connection in (blocking, *others):
        connection.close()
    return waited / DELAY_TRIALS


def with_threads(peer):
    return program(*peer.arguments, "--threads", str(UNEVEN_THREADS))


def tls(setup):
    """TLS handshakes beside nginx's. Each has one short request, so that the client reads the tickets."""
    folder = certificate(setup.folder)
    peers = {
        "nginx": nginx(folder),
        "nginx again": nginx(folder),
        "Ferricorn": program("ferricorn", tls=folder),
    }

    def run(server, workload):
        return handshakes(server, setup.load_core, setup.seconds, *workload)

    return throughput(setup, "TLS", peers, TLS_WORKLOADS, run)


PARTS = {
    "http1": http1,
    "http2": http2,
    "websocket": websocket,
    "hops": hops,
    "latency": latency,
    "memory": memory,
    "uneven": uneven,
    "tls": tls,
}

# The features of a part's binaries: only those that it measures.
FEATURES = {"http1": "peers", "latency": "peers", "memory": "peers", "http2": "http2",
            "websocket": "websocket-peers"}

# The tools that a part needs, and their packages.
TOOLS = {
    "http1": {"wrk": "wrk"},
    "http2": {"h2load": "nghttp2-client", "nghttp": "nghttp2-client", "nginx": "nginx-light"},
    "hops": {"wrk": "wrk"},
    "latency": {"wrk": "wrk"},
    "tls": {"openssl": "openssl", "nginx": "nginx-light"},
}


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
