#!/usr/bin/env python3
"""Replaces the app's library on disk while the server runs it under load. Every request must get its response.

    tests/clients/replace.py FERRICORN LIBRARY

LIBRARY is the library of examples/hello; the checks change a copy of it. Clients with open connections ask
before and after the change. After it they also ask for new pages, whose code is not in memory yet unless the
server has loaded all of it at the start. Each check prints how many requests got their response: n/n.
"""

import asyncio
import os
import pathlib
import shutil
import subprocess
import tempfile

import harness
from drain import LIMIT, Load
from harness import Server

CLIENTS = 16
BEFORE = 500  # responses
AFTER = 1500


async def requests_survive(change, binary, original):
    """Calls `change` with the path of the library, and the path of another file of the same size."""
    with tempfile.TemporaryDirectory() as folder:
        library = pathlib.Path(folder, "libapp.so")
        other = pathlib.Path(folder, "other.so")
        shutil.copy(original, library)
        # As long as the library, so that every page exists and has other bytes.
        other.write_bytes(os.urandom(library.stat().st_size))
        with Server(binary, library, "--no-access-log") as server:
            load = Load()
            clients = load.start(server.port, CLIENTS)
            await load.until(BEFORE, server)
            change(library, other)
            load.targets = ["/", "/io", "/info", "/sleep?ms=1", "/stream?n=2", "/panic", "/error"]
            await load.until(load.whole + AFTER, server)
            server.terminate()
            await asyncio.wait_for(asyncio.gather(*clients), LIMIT)
            code = await asyncio.to_thread(server.wait, LIMIT)
            counts = f"{load.whole}/{load.sent}, exit code {code}"
            assert load.whole == load.sent >= BEFORE + AFTER and code == 0, counts
    return counts


def cp_over_the_library_loses_no_request(*arguments):
    return requests_survive(lambda library, other: subprocess.run(["cp", other, library], check=True), *arguments)


def mv_over_the_library_loses_no_request(*arguments):
    return requests_survive(lambda library, other: subprocess.run(["mv", other, library], check=True), *arguments)


def truncating_the_library_loses_no_request(*arguments):
    return requests_survive(
        lambda library, _: subprocess.run(["sh", "-c", ': > "$1"', "sh", library], check=True), *arguments
    )


def removing_the_library_loses_no_request(*arguments):
    return requests_survive(lambda library, _: library.unlink(), *arguments)


CHECKS = [
    cp_over_the_library_loses_no_request,
    mv_over_the_library_loses_no_request,
    truncating_the_library_loses_no_request,
    removing_the_library_loses_no_request,
]


def main():
    options = harness.argument_parser(__doc__, "ferricorn", "library").parse_args()
    checks = harness.Checks()
    checks.run_all(CHECKS, options.ferricorn, options.library)
    checks.exit()


if __name__ == "__main__":
    main()
