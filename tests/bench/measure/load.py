"""The load generators, each run once against a running server."""

import json
import os
import re
import subprocess
import sys
import time

from .servers import pinned

PIPELINE = 16
PIPELINE_SCRIPT = f"""
init = function()
  local one = wrk.format()
  many = one:rep({PIPELINE})
end
request = function() return many end
"""

# Seconds until h2load counts, because it opens its connections one after the other.
WARM_UP = 1


def wrk(server, core, seconds, connections, path="/", fields=(), script=None):
    """Requests a second, the server's CPU a request in µs, and how busy its core was."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s"]
    for field in fields:
        command += ["-H", field]
    if script:
        command += ["-s", script]
    cpu, began = server.cpu(), time.monotonic()
    output = subprocess.check_output(
        [*command, f"http://{server.addresses[0]}{path}"], preexec_fn=pinned({core}), text=True,
    )
    cpu, took = server.cpu() - cpu, time.monotonic() - began
    if "Non-2xx" in output or "Socket errors" in output:
        sys.exit(f"requests failed:\n{output}")
    requests = int(re.search(r"(\d+) requests in", output).group(1))
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", output).group(1))
    return {"rate": rate, "cpu": cpu / requests * 1e6, "busy": cpu / took}


def h2load(server, core, seconds, connections, streams):
    """The same for HTTP/2; the server's CPU counts from the warm-up's end, as the requests do."""
    command = [
        "h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-D{seconds}",
        f"--warm-up-time={WARM_UP}", f"http://{server.addresses[0]}/",
    ]
    output, marks = "", []
    with subprocess.Popen(
        command, preexec_fn=pinned({core}), stdout=subprocess.PIPE, text=True,
    ) as process:
        for line in process.stdout:
            output += line
            # Printed as it happens, once for each of its threads, of which there is one.
            if line.startswith("Main benchmark duration is"):
                marks.append((server.cpu(), time.monotonic()))
            if line.startswith("Main benchmark duration is started"):
                # h2load does not report a connection that ends, and it opens no other.
                time.sleep(seconds - 0.2)
                if (still := server.connections()) != connections:
                    sys.exit(f"of {connections} connections of HTTP/2 only {still} lasted")
    counted = re.search(
        r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, "
        r"(\d+) failed, (\d+) errored, (\d+) timeout", output,
    )
    if process.returncode != 0 or not counted or len(marks) != 2:
        sys.exit(f"h2load failed:\n{output}")
    done, succeeded, *bad = map(int, counted.groups())
    other = re.search(r"2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", output).groups()
    if not done or succeeded != done or any(bad) or any(map(int, other)):
        sys.exit(f"requests failed:\n{output}")
    (cpu_before, began), (cpu_after, ended) = marks
    cpu = cpu_after - cpu_before
    return {
        "rate": done / (ended - began), "cpu": cpu / done * 1e6, "busy": cpu / (ended - began),
    }


def echoes(binaries, server, core, seconds, connections, kind, size, in_flight):
    """WebSocket messages that come back per second, and the server's CPU time per message in µs."""
    command = [binaries / "echoes", kind, str(size), str(in_flight), str(seconds), str(connections),
               server.addresses[0]]
    cpu, began = server.cpu(), time.monotonic()
    output = subprocess.check_output(command, preexec_fn=pinned({core}), text=True)
    cpu, took = server.cpu() - cpu, time.monotonic() - began
    figures = json.loads(output)
    return {"rate": figures["rate"], "cpu": cpu / figures["messages"] * 1e6, "busy": cpu / took}


def handshakes(server, core, seconds, version, resumed):
    """Connections with a handshake and one request a second; each is closed after its response."""
    command = ["openssl", "s_time", "-connect", server.addresses[0], version,
               "-reuse" if resumed else "-new", "-www", "/", "-time", str(seconds)]
    cpu, began = server.cpu(), time.monotonic()
    output = subprocess.run(
        command, preexec_fn=pinned({core}), capture_output=True, text=True, check=True,
    ).stdout
    cpu, took = server.cpu() - cpu, time.monotonic() - began
    # One letter a connection: r for a resumed session, * or t for a new one.
    marks = re.search(r"^[r*t]{10,}$", output, re.MULTILINE)
    count = re.search(r"^(\d+) connections in \d+ real seconds", output, re.MULTILINE)
    if not marks or not count:
        sys.exit(f"openssl s_time failed:\n{output}")
    if (set(marks[0][1:]) == {"r"}) != resumed:
        sys.exit(f"asked for {'resumed' if resumed else 'full'} handshakes, got others")
    count = int(count[1])
    return {"rate": count / took, "cpu": cpu / count * 1e6, "busy": cpu / took}


def open_load(binaries, server, cores, rate, seconds, connections, blocking=0, first=False):
    """One run of bin/load; latencies in µs, and the server's CPU a request.

    `first`: bin/load gets a real-time priority, if the system allows that.
    """
    def prepare():
        os.sched_setaffinity(0, cores)
        if first:
            run_first()

    cpu = server.cpu()
    output = subprocess.check_output(
        [binaries / "load", str(rate), str(seconds), str(connections), str(blocking),
         *server.addresses],
        preexec_fn=prepare, text=True,
    )
    figures = json.loads(output)
    figures["cpu"] = (server.cpu() - cpu) / figures["requests"] * 1e6
    return figures


def may_run_first():
    """Whether bin/load may have a real-time priority."""
    child = os.fork()
    if child == 0:
        try:
            run_first()
        except PermissionError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def run_first():
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
