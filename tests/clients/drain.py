#!/usr/bin/env python3
"""Stops a server under load and counts what was lost: it must be nothing.

    tests/clients/drain.py FERRICORN LIBRARY

First 200 requests are held in /sleep?ms=500 while SIGTERM comes and 50 more
connections are opened, each of which asks once the drain has begun. Then the server is stopped 20 times under clients that
keep to HTTP: they send one request after the other on a connection, open a new
one when a response says `connection: close`, and end when nobody listens.

Last, it is stopped 5 times while four threads do nothing but connect: a listener that closes must not
reset who was let in a moment before.

Every connection whose handshake was complete must get a whole response. Prints
n/n for each part; exits with 0 only if nothing was lost and each exit code was 0.
"""

import asyncio
import contextlib
import re
import signal
import socket
import sys

HELD = 200
LATE = 50
STOPS = 20
STORMS = 5
CLIENTS = 16
LIMIT = 30.0  # seconds for each wait


class Server:
    """A running ferricorn; the banner tells its port."""

    def __init__(self, process, port):
        self.process = process
        self.port = port

    @classmethod
    async def start(cls, binary, library):
        process = await asyncio.create_subprocess_exec(
            binary, library, "--bind", "127.0.0.1:0", "--no-access-log",
            stderr=asyncio.subprocess.PIPE,
        )
        while True:
            line = (await asyncio.wait_for(process.stderr.readline(), LIMIT)).decode()
            if not line:
                raise SystemExit("the server ended before it served")
            found = re.search(r"on http://127\.0\.0\.1:(\d+)", line)
            if found:
                return cls(process, int(found.group(1)))

    async def stop(self):
        self.process.send_signal(signal.SIGTERM)

    async def draining(self):
        """Waits until it says that it stops."""
        while b"stopping" not in await asyncio.wait_for(self.process.stderr.readline(), LIMIT):
            pass

    async def ended(self):
        _, log = await asyncio.wait_for(self.process.communicate(), LIMIT)
        if self.process.returncode != 0:
            print(log.decode(), file=sys.stderr)
        return self.process.returncode


async def response(reader):
    """Reads one response with a content-length; (status, whether the connection closes)."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LIMIT)
    fields = head.decode().lower().split("\r\n")
    length = next(int(f.split(":")[1]) for f in fields if f.startswith("content-length:"))
    await asyncio.wait_for(reader.readexactly(length), LIMIT)
    return int(fields[0].split()[1]), "connection: close" in fields


async def ask(reader, writer, target):
    """Whether a whole response came, and said that the connection closes."""
    writer.write(f"GET {target} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
    try:
        status, closes = await response(reader)
        return status == 200 and closes
    except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
        print(f"lost: {error!r}", file=sys.stderr)
        return False
    finally:
        writer.close()


async def held(port, connected):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asking = asyncio.create_task(ask(reader, writer, "/sleep?ms=500"))
    await asyncio.sleep(0)
    connected()
    return await asking


async def late(port, draining):
    """None if the handshake was refused; else whether it was as it should be."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return None
    await draining.wait()
    return await ask(reader, writer, "/")


async def under_held_requests(binary, library):
    server = await Server.start(binary, library)
    waiting = asyncio.Semaphore(0)
    requests = [asyncio.create_task(held(server.port, waiting.release)) for _ in range(HELD)]
    for _ in range(HELD):
        await waiting.acquire()
    draining = asyncio.Event()
    newcomers = []
    for n in range(LATE):
        if n == LATE // 2:
            await server.stop()
        newcomers.append(asyncio.create_task(late(server.port, draining)))
        await asyncio.sleep(0)
    await server.draining()
    draining.set()
    whole = sum(await asyncio.gather(*requests))
    answers = await asyncio.gather(*newcomers)
    let_in = [answer for answer in answers if answer is not None]
    code = await server.ended()
    print(f"held {whole}/{HELD}, late {sum(let_in)}/{len(let_in)} "
          f"({LATE - len(let_in)} refused), exit code {code}")
    return whole == HELD and all(let_in) and len(let_in) >= LATE // 5 and code == 0


async def polite_client(port, counts):
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        closes = False
        try:
            while not closes:
                counts["sent"] += 1
                writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                status, closes = await response(reader)
                counts["whole"] += status == 200
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
            print(f"lost: {error!r}", file=sys.stderr)
        finally:
            writer.close()


async def under_polite_clients(binary, library):
    counts = {"sent": 0, "whole": 0}
    codes = []
    for _ in range(STOPS):
        server = await Server.start(binary, library)
        clients = [asyncio.create_task(polite_client(server.port, counts)) for _ in range(CLIENTS)]
        before = counts["whole"]
        while counts["whole"] < before + 500:
            await asyncio.sleep(0.005)
        await server.stop()
        await asyncio.gather(*clients)
        codes.append(await server.ended())
    print(f"stops {STOPS}: {counts['whole']}/{counts['sent']}, exit codes {sorted(set(codes))}")
    return counts["whole"] == counts["sent"] and set(codes) == {0}


def connect_all_the_time(port, connections):
    """Connects and asks, until nobody answers within a moment.

    It asks at once: a server that drains keeps who says nothing for a second, which is less than it takes
    to ask on all of them one after the other.
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
        with contextlib.suppress(OSError):  # Reading from it tells the same.
            connection.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")


def whole(connection):
    """Whether a connection that was let in gets a whole response."""
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


async def under_a_storm(binary, library):
    let_in = answered = 0
    codes = []
    for _ in range(STORMS):
        server = await Server.start(binary, library)
        connections = []
        threads = [
            asyncio.create_task(asyncio.to_thread(connect_all_the_time, server.port, connections))
            for _ in range(4)
        ]
        while len(connections) < 200:
            await asyncio.sleep(0.001)
        await server.stop()
        await asyncio.gather(*threads)
        let_in += len(connections)
        answered += await asyncio.to_thread(lambda: sum(map(whole, connections)))
        codes.append(await server.ended())
    print(f"storms {STORMS}: {answered}/{let_in}, exit codes {sorted(set(codes))}")
    return answered == let_in and set(codes) == {0}


async def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    first = await under_held_requests(*sys.argv[1:])
    second = await under_polite_clients(*sys.argv[1:])
    third = await under_a_storm(*sys.argv[1:])
    if not (first and second and third):
        raise SystemExit("something was lost")


if __name__ == "__main__":
    asyncio.run(main())
