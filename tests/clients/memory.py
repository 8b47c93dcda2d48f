#!/usr/bin/env python3
"""Odd peers: what they can make the server hold, for how long, and what other clients notice of them.

    tests/clients/memory.py FERRICORN LIBHELLO LIBWS_ECHO [--long LIBFAULTY]

--long adds the checks that take minutes. They need slowhttptest (Debian: `apt install slowhttptest`) and the library of
server-bin/examples/faulty.rs.
"""

import multiprocessing
import os
import pathlib
import re
import resource
import select
import socket
import struct
import subprocess
import time
import zlib

from harness import Checks, Server, argument_parser, require

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, DATA, SETTINGS = 1, 0, 4
fork = multiprocessing.get_context("fork")


def status(server, key):
    """A figure of /proc/PID/status: MiB."""
    text = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(rf"{key}:\s+(\d+) kB", text)[1]) / 1024


def processor_time(server):
    fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def files(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def until(limit, condition):
    """Waits until `condition` holds; returns the seconds that it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < limit, f"not within {limit} s"
        time.sleep(0.1)
    return time.monotonic() - began


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def post(path):
    block = literal(b":method", b"POST") + literal(b":scheme", b"http") + literal(b":authority", b"a")
    return frame(HEADERS, 4, 1, block + literal(b":path", path))


def fresh_requests(server, count):
    """The 99th percentile of the time that a request on a new connection takes, in milliseconds."""
    times = []
    for _ in range(count):
        began = time.monotonic()
        with server.connect() as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            while client.recv(4096):
                pass
        times.append(time.monotonic() - began)
        time.sleep(0.002)
    return sorted(times)[int(count * 0.99)] * 1000


def send_tiny_frames(server, rounds):
    blob = frame(DATA, 0, 1, b"x") * 2000
    for _ in range(rounds):
        client = server.connect()
        client.sendall(PREFACE + frame(SETTINGS, 0, 0) + post(b"/echo"))
        client.setblocking(False)
        end, waiting = time.monotonic() + 5, blob
        try:
            while time.monotonic() < end:
                readable, writable, _ = select.select([client], [client], [], 1)
                if readable and not client.recv(1 << 16):
                    break
                if writable:
                    waiting = waiting[client.send(waiting):] or blob
        except OSError:
            pass
        client.close()


def frames_of_one_byte_take_little_memory(server):
    attackers = [fork.Process(target=send_tiny_frames, args=(server, 60)) for _ in range(4)]
    for attacker in attackers:
        attacker.start()
    latency = fresh_requests(server, 100)
    for attacker in attackers:
        attacker.join()
    peak = status(server, "VmHWM")
    time.sleep(5)
    after = status(server, "VmRSS")
    assert peak <= 64 and after <= 32, f"{peak:.0f} MiB, {after:.0f} MiB after"
    return f"{peak:.0f} MiB, {after:.0f} MiB after 5 s, p99 of others {latency:.0f} ms"


def message_of_16_mib():
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = (deflate.compress(bytes(16 << 20)) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
    mask = b"\1\2\3\4"
    masked = bytes(byte ^ mask[at & 3] for at, byte in enumerate(data))
    return bytes([0xC2, 0xFE]) + struct.pack(">H", len(masked)) + mask + masked


def memory_of_large_messages_is_given_back(server):
    message, sockets = message_of_16_mib(), []
    for _ in range(20):
        client = server.connect()
        client.sendall(
            b"GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
            b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n"
        )
        assert client.recv(4096).startswith(b"HTTP/1.1 101")
        sockets.append(client)
    for client in sockets:
        client.sendall(message * 3)
    for client in sockets:
        client.recv(1)
        client.close()
    took = until(10, lambda: status(server, "VmRSS") <= 64)
    return f"peak {status(server, 'VmHWM'):.0f} MiB, {status(server, 'VmRSS'):.0f} MiB after {took:.0f} s"


def ended_after(step, interval=0.5, limit=20):
    """Does `step` at intervals until the server ends the connection; returns the seconds that it took."""
    began = time.monotonic()
    try:
        while time.monotonic() - began < limit:
            if step() is False:
                return time.monotonic() - began
            time.sleep(interval)
    except OSError:
        return time.monotonic() - began
    raise AssertionError(f"open after {limit} s")


def answered(client):
    """Whether the connection has something to read."""
    return bool(select.select([client], [], [], 0)[0])


def a_body_byte_by_byte_ends_at_its_limit(server):
    notes = []
    for name, head, piece in [
        ("content-length", b"content-length: 100000", b"x"),
        ("chunks", b"transfer-encoding: chunked", b"1\r\nx\r\n"),
    ]:
        client = server.connect()
        client.sendall(b"POST /echo HTTP/1.1\r\nhost: a\r\n" + head + b"\r\n\r\n")
        client.recv(4096)

        def step():
            client.sendall(piece)
            # /echo answers each byte; the end of the connection is what counts.
            return not (answered(client) and client.recv(4096) == b"")

        took = ended_after(step)
        assert 2.5 < took < 6.5, took
        notes.append(f"{name} {took:.1f} s")
    client = server.connect()
    client.sendall(PREFACE + frame(SETTINGS, 0, 0) + post(b"/echo"))
    client.setblocking(False)
    seen = b""

    def step2():
        nonlocal seen
        client.sendall(frame(DATA, 0, 1, b"x"))
        if answered(client):
            seen += client.recv(4096)
        # RST_STREAM on stream 1
        return not re.search(rb"\x00\x00\x04\x03\x00\x00\x00\x00\x01", seen)

    took = ended_after(step2)
    assert 2.5 < took < 6.5, took
    return ", ".join([*notes, f"HTTP/2 {took:.1f} s"])


def a_reader_of_a_few_bytes_ends_at_its_limit(server):
    before = files(server)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", server.port))
    client.sendall(b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000000\r\n\r\n")
    client.setblocking(False)
    block, quiet = b"x" * 65536, time.monotonic()
    while time.monotonic() - quiet < 0.5:  # the server takes no more: its own writes are stuck
        try:
            client.send(block)
            quiet = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)

    def step():
        # The client's own buffer outlives the connection, so the server's files tell its end.
        return files(server) > before and client.recv(32) != b""

    took = ended_after(step)
    assert 1.5 < took < 6.5, took
    return f"{took:.1f} s"


# Checks that take minutes.


def crowd(server, ready):
    slow_heads, readers, uploads = [], [], []
    for _ in range(2000):
        client = server.connect()
        client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n")
        slow_heads.append(client)
    for _ in range(2000):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        client.sendall(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n")
        readers.append(client)
    for _ in range(200):
        client = server.connect()
        client.sendall(b"POST /hold HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000000\r\n\r\n")
        uploads.append(client)
    for client in [*slow_heads, *readers, *uploads]:
        client.setblocking(False)
    ready.set()
    block = b"x" * 65536
    while True:
        for clients, act in [
            (slow_heads, lambda client: client.send(b"x")),
            (readers, lambda client: client.recv(1)),
            (uploads, lambda client: client.send(block)),
        ]:
            for client in clients:
                try:
                    act(client)
                except OSError:
                    pass
        time.sleep(1)


def a_slow_crowd_does_not_slow_others(server):
    ready = fork.Event()
    process = fork.Process(target=crowd, args=(server, ready), daemon=True)
    process.start()
    assert ready.wait(120)
    latency, peak = fresh_requests(server, 500), status(server, "VmHWM")
    process.kill()
    process.join()
    assert latency <= 100 and peak <= 200, f"p99 {latency:.0f} ms, {peak:.0f} MiB"
    return f"p99 {latency:.0f} ms, {peak:.0f} MiB"


def open_and_close(server, count):
    for _ in range(count):
        client = server.connect()
        client.close()


def many_connections_leave_no_trace(server):
    def cycle(count):
        processes = [fork.Process(target=open_and_close, args=(server, count // 4)) for _ in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        time.sleep(8)
        return files(server), status(server, "VmRSS")

    few_files, few = cycle(20_000)
    many_files, many = cycle(180_000)
    assert many_files == few_files and many <= few + 4, f"{few_files} files, {few} MiB; {many_files}, {many}"
    return f"{many_files} files, {few:.1f} MiB after 20,000 and {many:.1f} MiB after 200,000"


def more_connections_than_files_are_all_served(server):
    count = 20_000
    poll, clients = select.epoll(), {}
    began = time.monotonic()
    done = 0

    def turn():
        nonlocal done
        for number, event in poll.poll(0.01):
            client = clients[number]
            try:
                if event & select.EPOLLOUT:
                    client.send(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
                    poll.modify(number, select.EPOLLIN)
                elif client.recv(4096):
                    continue
                else:
                    raise ConnectionResetError
            except BlockingIOError:
                pass
            except OSError:
                poll.unregister(number)
                client.close()
                del clients[number]
                done += 1

    for opened in range(count):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", server.port))
        clients[client.fileno()] = client
        poll.register(client, select.EPOLLOUT)
        if opened % 500 == 0:
            turn()
    while done < count:
        assert time.monotonic() - began < 30, f"{done} of {count} within 30 s"
        turn()
    took = time.monotonic() - began
    time.sleep(2)
    before = processor_time(server)
    time.sleep(5)
    used = (processor_time(server) - before) / 5 * 100
    assert used < 2, f"{used:.1f} % of a processor"
    return f"{took:.1f} s, then {used:.1f} % of a processor"


def slowhttptest(server, mode, target, *options):
    began = time.monotonic()
    done = subprocess.run(
        ["slowhttptest", mode, "-c", "1000", "-r", "500", "-i", "4", "-l", "40", "-p", "3", *options,
         "-u", server.url + target],
        capture_output=True, text=True, timeout=90, check=False,
    )
    took = time.monotonic() - began
    text = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    assert "service available:" in text, done.stdout[-500:] + done.stderr[-500:]
    assert not re.search(r"service available:\s+NO", text), text[-800:]
    # Two seconds to open all connections, ten to the limit, two more, and slowhttptest looks every five.
    assert took < 2 + 10 + 2 + 5, f"{took:.0f} s"
    return f"{took:.0f} s"


def slow_heads_are_gone_at_their_limit(server):
    return slowhttptest(server, "-H", "/")


def slow_bodies_are_gone_at_their_limit(server):
    return slowhttptest(server, "-B", "/echo", "-s", "100000")


def slow_readers_are_gone_at_their_limit(server):
    """The client reads what its kernel holds long after the server has ended the connection.

    The server's files tell when each connection ends, and slowhttptest whether the server serves others meanwhile.
    """
    before = files(server)
    process = subprocess.Popen(
        ["slowhttptest", "-X", "-c", "1000", "-r", "500", "-l", "25", "-p", "3", "-u", server.url + "/large"],
        stdout=subprocess.PIPE, text=True,
    )
    until(10, lambda: files(server) > before + 900)
    # Ten seconds to the limit, two more. The last connections opened a moment ago; a probe or two may be open.
    took = until(12, lambda: files(server) < before + 5)
    text = re.sub(r"\x1b\[[0-9;]*m", "", process.communicate(timeout=60)[0])
    assert "service available:" in text and not re.search(r"service available:\s+NO", text), text[-800:]
    return f"{took:.0f} s after all were open"


def main():
    parser = argument_parser(__doc__, "ferricorn", "libhello", "libws_echo")
    parser.add_argument("--long", metavar="LIBFAULTY")
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    checks = Checks()
    hello = [arguments.ferricorn, arguments.libhello, "--no-access-log"]
    echo = [arguments.ferricorn, arguments.libws_echo, "--no-access-log"]
    short = ["--header-timeout", "3s", "--body-timeout", "3s", "--write-timeout", "3s"]
    checks.run_on_servers(hello, [
        ([], [frames_of_one_byte_take_little_memory]),
        (short, [a_reader_of_a_few_bytes_ends_at_its_limit, a_body_byte_by_byte_ends_at_its_limit]),
    ])
    checks.run_on_servers(echo, [([], [memory_of_large_messages_is_given_back])])
    if arguments.long:
        require("slowhttptest")
        faulty = [arguments.ferricorn, arguments.long, "--no-access-log"]
        ten = ["--header-timeout", "10s", "--body-timeout", "10s", "--write-timeout", "10s"]
        checks.run_on_servers(hello, [
            ([], [many_connections_leave_no_trace]),
            (ten, [slow_heads_are_gone_at_their_limit, slow_bodies_are_gone_at_their_limit]),
        ])
        checks.run_on_servers(faulty, [
            (["--graceful-timeout", "1s"], [a_slow_crowd_does_not_slow_others]),
            (ten, [slow_readers_are_gone_at_their_limit]),
        ])
        with Server(*hello, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))) as server:
            checks.run(more_connections_than_files_are_all_served, server)
    checks.exit()


if __name__ == "__main__":
    main()
