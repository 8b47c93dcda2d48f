#!/usr/bin/env python3
"""Replaces a library on disk while a server under load runs what was there before.

    tests/clients/replace.py FERRICORN LIBRARY

Once by `cp` of something else over it, once by `mv`, once by truncation, once by removal. Clients with
connections that stay open ask all the while, after the change also for what nobody asked for before:
its code is not in memory yet, unless the server has made sure of that. Every request must get its
response, and the server ends with 0 when told to. Prints n/n for each way.
"""

import asyncio
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from drain import LIMIT, Server

CLIENTS = 16
BEFORE = 500  # responses
AFTER = 1500


def cp(library, other):
    subprocess.run(["cp", other, library], check=True)


def mv(library, other):
    subprocess.run(["mv", other, library], check=True)


def truncation(library, _):
    subprocess.run(["sh", "-c", ': > "$1"', "sh", library], check=True)


def removal(library, _):
    library.unlink()


async def response(reader):
    """Reads one response, however it is framed; (status, whether the connection closes)."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LIMIT)
    fields = head.decode().lower().split("\r\n")
    lengths = [int(f.split(":")[1]) for f in fields if f.startswith("content-length:")]
    if lengths:
        await asyncio.wait_for(reader.readexactly(lengths[0]), LIMIT)
    else:
        # The start may be out before the body is there, where a call runs on the app's own runtime.
        assert "transfer-encoding: chunked" in fields, fields
        while (size := int(await asyncio.wait_for(reader.readline(), LIMIT), 16)) != 0:
            await asyncio.wait_for(reader.readexactly(size + 2), LIMIT)
        await asyncio.wait_for(reader.readexactly(2), LIMIT)
    return int(fields[0].split()[1]), "connection: close" in fields


class Load:
    """What the clients ask for and what they got."""

    def __init__(self, port):
        self.port = port
        self.sent = self.whole = 0
        self.targets = ["/"]

    async def client(self):
        """Keeps to HTTP: one request after the other, a new connection after `connection: close`."""
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                return
            closes = False
            try:
                while not closes:
                    self.sent += 1
                    target = self.targets[self.sent % len(self.targets)]
                    writer.write(f"GET {target} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
                    status, closes = await response(reader)
                    expected = 500 if target in ("/panic", "/error") else 200
                    if status != expected:
                        print(f"lost: {target} is {status}", file=sys.stderr)
                    self.whole += status == expected
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
                print(f"lost: {error!r}", file=sys.stderr)
            finally:
                writer.close()

    async def until(self, whole, server):
        async with asyncio.timeout(LIMIT):
            while self.whole < whole and server.process.returncode is None:
                await asyncio.sleep(0.005)


async def replaced(binary, original, way):
    with tempfile.TemporaryDirectory() as folder:
        library = pathlib.Path(folder, "libapp.so")
        other = pathlib.Path(folder, "other.so")
        shutil.copy(original, library)
        # As long as the library, so that no page is missing but each is another one.
        other.write_bytes(os.urandom(library.stat().st_size))
        server = await Server.start(binary, str(library))
        # A panic's lines would fill the pipe.
        log = asyncio.create_task(server.process.stderr.read())
        load = Load(server.port)
        clients = [asyncio.create_task(load.client()) for _ in range(CLIENTS)]
        await load.until(BEFORE, server)
        way(library, other)
        load.targets = ["/", "/io", "/info", "/sleep?ms=1", "/stream?n=2", "/panic", "/error"]
        await load.until(load.whole + AFTER, server)
        if server.process.returncode is None:
            await server.stop()
        await asyncio.wait_for(asyncio.gather(*clients), LIMIT)
        code = await asyncio.wait_for(server.process.wait(), LIMIT)
        if code != 0:
            print((await log).decode(), file=sys.stderr)
    print(f"{way.__name__}: {load.whole}/{load.sent}, exit code {code}")
    return load.whole == load.sent >= BEFORE + AFTER and code == 0


async def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    ways = [await replaced(*sys.argv[1:], way) for way in (cp, mv, truncation, removal)]
    if not all(ways):
        raise SystemExit("something was lost")


if __name__ == "__main__":
    asyncio.run(main())
