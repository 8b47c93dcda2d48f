"""The tables, in markdown."""

import statistics

from .load import WARM_UP
from .parts import CONNECTIONS, IDLE

REFERENCE, AGAIN = "hyper", "hyper again"

# If a server's core was less busy than this, something else was the limit, and its rate says little.
BUSY = 0.95

# The most CPU time of a message, relative to axum's, beyond the spread.
ECHO_ASKED = 1.05
# The workloads with this limit. With more messages in flight, the servers differ in how much they
# write at once.
ECHO_HELD = ("64 bytes of text", "16 KiB, binary")

# The least rate of the default way of polling, relative to the better of the two forced ways.
HOPS_ASKED = 0.97


def middle(runs, figure):
    return statistics.median(run[figure] for run in runs)


def span(runs, figure=None, digits=0):
    """Median and range."""
    values = [run[figure] if figure else run for run in runs]
    return (f"{statistics.median(values):,.{digits}f} "
            f"<sub>{min(values):,.{digits}f}–{max(values):,.{digits}f}</sub>")


def spread(runs, one=REFERENCE, two=AGAIN):
    """How far two identical servers were apart in the same round: the median of it."""
    pairs = zip(runs[one], runs[two], strict=True)
    return statistics.median(abs(b["cpu"] / a["cpu"] - 1) for a, b in pairs)


def ratio(runs, name, to, figure="cpu"):
    """To the mean of these in the same round: the median of it."""
    rounds = zip(runs[name], *(runs[other] for other in to), strict=True)
    return statistics.median(
        this[figure] / statistics.mean(other[figure] for other in others)
        for this, *others in rounds
    )


def rate(runs):
    text = span(runs, "rate")
    return text if middle(runs, "busy") >= BUSY else f"{text} \\*"


def table(head, rows):
    aligned = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (head, aligned, *rows)] + [""]


def tls(figures):
    lines = ["## TLS", "",
             "A connection with a handshake and one short request, the certificate an ECDSA one on "
             "P-256, load by openssl s_time one after the other. Its own part of a full handshake is "
             "the larger one, so compare the CPU time.", ""]
    for workload, runs in figures["throughput"].items():
        lines += [f"### {workload}", ""]
        lines += table(
            ["server", "connections/s", "CPU µs a connection", "of nginx"],
            [[name, rate(those), span(those, "cpu", 1),
              f"{ratio(runs, name, ['nginx', 'nginx again']):.2f}×"]
             for name, those in runs.items()],
        )
        lines += [f"Spread of nginx against itself: ±{spread(runs, 'nginx', 'nginx again'):.1%}.", ""]
    return lines


def beside_hyper(figures):
    lines = []
    for workload, runs in figures["throughput"].items():
        lines += [f"### {workload}", ""]
        lines += table(
            ["server", "requests/s", "CPU µs a request", "of hyper"],
            [[name, rate(those), span(those, "cpu", 2),
              f"{ratio(runs, name, [REFERENCE, AGAIN]):.2f}×"] for name, those in runs.items()],
        )
        lines += [f"Spread of hyper against itself: ±{spread(runs):.1%}.", ""]
        lines += idle_note(runs)
    return lines


def idle_note(runs):
    idle = [name for name, those in runs.items() if middle(those, "busy") < BUSY]
    if not idle:
        return []
    return [f"\\* The server was busy for less than {BUSY:.0%} of the time: the load generator, or "
            "another process, was the limit. CPU a request is the figure to compare.", ""]


def http1(figures):
    return ["## HTTP/1.1", "", f"{CONNECTIONS} connections, load by wrk.", "",
            *beside_hyper(figures)]


def http2(figures):
    return ["## HTTP/2", "",
            "Cleartext by prior knowledge, the same limits for all, load by h2load, counted after "
            f"{WARM_UP} s. nginx sends a `server` more than the others, and only formats: it has no "
            "app.", "", *beside_hyper(figures)]


def websocket(figures):
    lines = ["## WebSocket", "",
             f"Echoes over HTTP/1.1 without compression, {CONNECTIONS} connections, load by bin/echoes. "
             "axum and fastwebsockets write each message by itself.", ""]
    for workload, runs in figures["throughput"].items():
        lines += [f"### {workload}", ""]
        lines += table(
            ["server", "messages/s", "CPU µs a message", "of axum"],
            [[name, rate(those), span(those, "cpu", 2),
              f"{ratio(runs, name, ['axum', 'axum again']):.2f}×"] for name, those in runs.items()],
        )
        itself = spread(runs, "axum", "axum again")
        verdict = f"Spread of axum against itself: ±{itself:.1%}."
        if workload in ECHO_HELD:
            missed = ratio(runs, "Ferricorn", ["axum", "axum again"]) > ECHO_ASKED + itself
            verdict += (f" Asked of Ferricorn is ≤ {ECHO_ASKED}× beyond it"
                        f"{': **missed**' if missed else ''}.")
        lines += [verdict, "", *idle_note(runs)]
    return lines


def hops(figures):
    lines = ["## An app that waits for a task of its own", "",
             "One task that lives as long as the app; a request asks it through a channel and awaits "
             "its answer, as with a database pool or an HTTP client, one or five times. "
             f"{CONNECTIONS} connections, load by wrk. The server has one thread, the library's "
             "runtime has one, and both are on the one core that the server has in the other tables. A "
             "response from the app's own runtime may go out chunked.",
             ""]
    for workload, runs in figures["throughput"].items():
        lines += [f"### {workload}", ""]
        lines += table(
            ["app", "requests/s", "CPU µs a request", "requests/s of static"],
            [[name, rate(those), span(those, "cpu", 2),
              f"{ratio(runs, name, ['static'], 'rate'):.0%}"] for name, those in runs.items()],
        )
        default, better = to_better_forced(runs)
        lines += [f"Spread of loaded against itself: ±{spread(runs, 'loaded', 'loaded again'):.1%}. "
                  f"Loaded is {default:.2f}× of the better forced way, {better.split()[-1]}; asked is "
                  f"≥ {HOPS_ASKED}×{'' if default >= HOPS_ASKED else ': **missed**'}.", ""]
    return lines


def to_better_forced(runs):
    """Requests a second of the default against the better forced way, and which that is."""
    better = max(("loaded, inline", "loaded, own_runtime"),
                 key=lambda name: middle(runs[name], "rate"))
    return 1 / ratio(runs, better, ["loaded", "loaded again"], "rate"), better


def latency(figures):
    return [f"## Latency at {figures['rate']:,} requests/s, half of what hyper can do", "",
            f"HTTP/1.1, {CONNECTIONS} connections, an open load.", "",
            *table(["server", "p50 µs", "p99 µs", "p99.9 µs"],
                   [[name, span(runs, "p50"), span(runs, "p99"), span(runs, "p999")]
                    for name, runs in figures["latency"].items()])]


def memory(figures):
    return [f"## Memory of an idle connection, of {IDLE:,}", "",
            *table(["server", "bytes"],
                   [[name, span(runs)] for name, runs in figures["memory"].items()])]


def uneven(figures):
    lines = [f"## Uneven load on {figures['threads']} threads", "",
             f"Some requests block their thread for 2 ms. {figures['threads']} cores, "
             f"{CONNECTIONS} connections, an open load that {figures['load']}. Latencies are those of "
             "the other requests: what they suffer. Calm is the same without any that block. "
             "Ferricorn with a runtime a core has a listener for each, and connections are spread over "
             "them evenly, the best case of that flavour; hyper's runtimes share one.", "",
             "### One request beside one that blocks", ""]
    lines += table(
        ["server", "wait for it, % of them"],
        [[name, span([share * 100 for share in runs])]
         for name, runs in figures["delayed"].items()],
    )
    for load, servers in figures["uneven"].items():
        lines += [f"### {load}", ""]
        lines += table(
            ["server", "p50 µs", "p99 µs", "p99.9 µs", "mean µs",
             "calm: p50 µs", "calm: p99 µs", "calm: CPU µs a request"],
            [[name, *(span(runs["uneven"], key) for key in ("p50", "p99", "p999", "mean")),
              *(span(runs["calm"], key) for key in ("p50", "p99")), span(runs["calm"], "cpu", 1)]
             for name, runs in servers.items()],
        )
    return lines


TABLES = {"http1": http1, "http2": http2, "websocket": websocket, "hops": hops, "latency": latency,
          "memory": memory, "uneven": uneven, "tls": tls}


def about(part):
    facts = part["about"]
    return (f"<sub>{facts['date']}, {facts['commit']}: {rounds(facts)}; {facts['machine']}; "
            f"{facts['tools']}.</sub>")


def rounds(facts):
    plural = "" if facts["rounds"] == 1 else "s"
    return f"{facts['rounds']} round{plural} of {facts['seconds']} s"


def markdown(results):
    lines = ["One core for the server and one for the load unless it says otherwise. Medians of the "
             "rounds, with their range.", ""]
    for name, write in TABLES.items():
        if name in results:
            head, *rest = write(results[name]["figures"])
            lines += [head, "", about(results[name]), *rest]
    return "\n".join(lines).rstrip() + "\n"
