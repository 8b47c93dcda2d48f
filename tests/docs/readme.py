#!/usr/bin/env python3
"""Makes the two apps of the README outside the repository, from the files that the README shows.

    tests/docs/readme.py FERRICORN

One is a library, which ferricorn builds and serves. The other is a program that serves itself.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "clients"))

import harness
from harness import ROOT, Server

EXPORT = "asgi_abi::export!(app);\n"
BUILD_LIMIT = 1800.0  # seconds for a server that builds its app first
ENVIRONMENT = {**os.environ, "CARGO_TARGET_DIR": str(ROOT / "target/readme")}


def block(language, begin):
    """The README's first block of this language that contains `begin`."""
    readme = (ROOT / "README.md").read_text()
    for found in re.findall(rf"```{language}\n(.*?)```", readme, re.S):
        if begin in found:
            return found
    raise AssertionError(f"README.md has no {language} block with {begin!r}")


def write_package(folder, manifest, file, code):
    (folder / "src").mkdir(parents=True)
    (folder / "Cargo.toml").write_text(manifest)
    (folder / "src" / file).write_text(code)


def serves_a_page(command, folder, name):
    with Server(*command, cwd=folder, env=ENVIRONMENT, echo=True, start_limit=BUILD_LIMIT) as server:
        assert re.search(f"serving {name}.* on ", server.banner), server.banner
        with urllib.request.urlopen(f"{server.url}/there", timeout=10) as response:
            body = response.read().decode()
        assert body == "Hello from /there\n", body
        server.stop(limit=30, number=signal.SIGINT)


def ferricorn_builds_and_serves_the_library_of_the_readme(folder, ferricorn):
    write_package(
        folder / "greeter", block("toml", 'name = "greeter"'), "lib.rs", block("rust", EXPORT)
    )
    serves_a_page([ferricorn, "greeter", "--profile", "dev"], folder, "greeter")


def the_program_of_the_readme_serves_itself(folder):
    code = block("rust", EXPORT).replace(EXPORT, block("rust", "ferricorn::cli::main(app)"))
    write_package(folder / "greeter-server", block("toml", 'name = "greeter-server"'), "main.rs", code)
    subprocess.run(["cargo", "build"], cwd=folder / "greeter-server", check=True, env=ENVIRONMENT)
    serves_a_page([ROOT / "target/readme/debug/greeter-server"], folder, "greeter-server")


def main():
    options = harness.argument_parser(__doc__, "ferricorn").parse_args()
    checks = harness.Checks()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        # The manifests of the README name the crates by paths in this folder.
        (folder / "ferricorn").symlink_to(ROOT)
        checks.run(ferricorn_builds_and_serves_the_library_of_the_readme, folder, options.ferricorn)
        checks.run(the_program_of_the_readme_serves_itself, folder)
    checks.exit()


if __name__ == "__main__":
    main()
