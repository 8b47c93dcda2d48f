#!/usr/bin/env python3
"""Stops a server under load. Every connection whose handshake was complete must get a whole response.

    tests/clients/drain.py FERRICORN LIBRARY

LIBRARY is the library of examples/hello. Each check prints how many requests got their response: n/n.
"""

import asyncio
import contextlib
import socket
import sys

import harness
from harness import Server

HELD = 200
LATE = 50
STOPS = 20
STORMS = 5
CLIENTS = 16
LIMIT = 30.0  # seconds for each wait


async def read_response(reader):
    """Reads one response with a content-length or chunks; (status, whether the connection closes)."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LIMIT)
    headers = head.decode().lower().split("\r\n")
    lengths = [int(header.split(":")[1]) for header in headers if header.startswith("content-length:")]
    if lengths:
        await asyncio.wait_for(reader.readexactly(lengths[0]), LIMIT)
    else:
        assert "transfer-encoding: chunked" in headers, headers
        while (size := int(await asyncio.wait_for(reader.readline(), LIMIT), 16)) != 0:
            await asyncio.wait_for(reader.readexactly(size + 2), LIMIT)
        await asyncio.wait_for(reader.readexactly(2), LIMIT)
    return int(headers[0].split()[1]), "connection: close" in headers


async def ask(reader, writer, target):
    """Whether a whole response came, and said that the connection closes."""
    writer.write(f"GET {target} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
    try:
        status, closes = await read_response(reader)
        return status == 200 and closes
    except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
        print(f"lost: {error!r}", file=sys.stderr)
        return False
    finally:
        writer.close()


async def held_request(port, connected):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asking = asyncio.create_task(ask(reader, writer, "/sleep?ms=500"))
    await asyncio.sleep(0)
    connected()
    return await asking


async def late_request(port, draining):
    """None if the server refused the connection; else the result of `ask`."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return None
    await draining.wait()
    return await ask(reader, writer, "/")


async def held_requests_and_late_connections_get_their_responses(binary, library):
    """The server is stopped while it holds 200 requests, and while 50 clients connect.

    Half of the 50 connect before SIGTERM and half after it. They ask after the drain has begun.
    """
    with Server(binary, library, "--no-access-log") as server:
        waiting = asyncio.Semaphore(0)
        requests = [asyncio.create_task(held_request(server.port, waiting.release)) for _ in range(HELD)]
        for _ in range(HELD):
            await waiting.acquire()
        draining = asyncio.Event()
        newcomers = []
        for n in range(LATE):
            if n == LATE // 2:
                server.terminate()
            newcomers.append(asyncio.create_task(late_request(server.port, draining)))
            await asyncio.sleep(0)
        await asyncio.to_thread(server.wait_for_line, "stopping", LIMIT)
        draining.set()
        whole = sum(await asyncio.gather(*requests))
        answers = await asyncio.gather(*newcomers)
        let_in = [answer for answer in answers if answer is not None]
        code = await asyncio.to_thread(server.wait, LIMIT)
        counts = (f"held {whole}/{HELD}, late {sum(let_in)}/{len(let_in)} "
                  f"({LATE - len(let_in)} refused), exit code {code}")
        assert whole == HELD and all(let_in) and len(let_in) >= LATE // 5 and code == 0, counts
    return counts


class Load:
    """Clients that follow HTTP, and what they got. Replacing `targets` changes the next requests."""

    def __init__(self):
        self.sent = self.whole = 0
        self.targets = ["/"]

    async def client(self, port):
        """Sends one request after the other, and opens a new connection after `connection: close`.

        It ends when the server refuses a connection.
        """
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return
            closes = False
            try:
                while not closes:
                    self.sent += 1
                    target = self.targets[self.sent % len(self.targets)]
                    writer.write(f"GET {target} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
                    status, closes = await read_response(reader)
                    expected = 500 if target in ("/panic", "/error") else 200
                    if status != expected:
                        print(f"lost: {target} is {status}", file=sys.stderr)
                    self.whole += status == expected
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
                print(f"lost: {error!r}", file=sys.stderr)
            finally:
                writer.close()

    def start(self, port, clients):
        return [asyncio.create_task(self.client(port)) for _ in range(clients)]

    async def until(self, whole, server):
        """Waits for so many whole responses, or for the end of the server."""
        async with asyncio.timeout(LIMIT):
            while self.whole < whole and server.is_running():
                await asyncio.sleep(0.005)


async def clients_that_follow_http_lose_no_request(binary, library):
    """The server is stopped 20 times, each time after 500 responses."""
    load = Load()
    codes = []
    for _ in range(STOPS):
        with Server(binary, library, "--no-access-log") as server:
            clients = load.start(server.port, CLIENTS)
            await load.until(load.whole + 500, server)
            server.terminate()
            await asyncio.gather(*clients)
            codes.append(await asyncio.to_thread(server.wait, LIMIT))
    counts = f"{STOPS} stops: {load.whole}/{load.sent}, exit codes {sorted(set(codes))}"
    assert load.whole == load.sent and set(codes) == {0}, counts
    return counts


def connect_all_the_time(port, connections):
    """Connects and asks, until the server does not answer for a moment.

    It asks at once: while a server drains, it closes a connection that is silent for a second. One second is too
    short to ask on all connections in turn.
    """
    while True:
        connection = socket.socket()
        connection.settimeout(0.2)
        try:
            connection.connect(("127.0.0.1", port))
        except OSError:
            connection.close()
            return
        connections.append(connection)
        with contextlib.suppress(OSError):  # Reading from it gives the same error.
            connection.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")


def gets_whole_response(connection):
    answer = b""
    connection.settimeout(LIMIT)
    try:
        while part := connection.recv(4096):
            answer += part
    except OSError as error:
        print(f"lost: {error!r}", file=sys.stderr)
    finally:
        connection.close()
    return answer.endswith(b"Hello, world!\n")


async def a_storm_of_connections_loses_no_request(binary, library):
    """The server is stopped 5 times while four threads do nothing but connect.

    A listener that closes must not reset connections that it accepted a moment before.
    """
    let_in = answered = 0
    codes = []
    for _ in range(STORMS):
        with Server(binary, library, "--no-access-log") as server:
            connections = []
            threads = [
                asyncio.create_task(asyncio.to_thread(connect_all_the_time, server.port, connections))
                for _ in range(4)
            ]
            while len(connections) < 200:
                await asyncio.sleep(0.001)
            server.terminate()
            await asyncio.gather(*threads)
            let_in += len(connections)
            answered += await asyncio.to_thread(lambda: sum(map(gets_whole_response, connections)))
            codes.append(await asyncio.to_thread(server.wait, LIMIT))
    counts = f"{STORMS} storms: {answered}/{let_in}, exit codes {sorted(set(codes))}"
    assert answered == let_in and set(codes) == {0}, counts
    return counts


CHECKS = [
    held_requests_and_late_connections_get_their_responses,
    clients_that_follow_http_lose_no_request,
    a_storm_of_connections_loses_no_request,
]


def main():
    options = harness.argument_parser(__doc__, "ferricorn", "library").parse_args()
    checks = harness.Checks()
    checks.run_all(CHECKS, options.ferricorn, options.library)
    checks.exit()


if __name__ == "__main__":
    main()
