#!/usr/bin/env python3
"""Makes the two apps of the README outside the repository, from their files as they stand there: the
library is built and served by ferricorn, the program serves itself. Each is asked for a page.

    tests/docs/readme.py FERRICORN
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request

EXPORT = "asgi_abi::export!(app);\n"
ROOT = pathlib.Path(__file__).resolve().parents[2]


def block(readme, language, begin):
    """The first block of that language that contains `begin`."""
    for found in re.findall(rf"```{language}\n(.*?)```", readme, re.S):
        if begin in found:
            return found
    raise SystemExit(f"README.md has no {language} block with {begin!r}")


def serve(command, folder, name):
    """Runs the server, asks it for a page and stops it."""
    server = subprocess.Popen(
        [*command, "--bind", "127.0.0.1:0"], cwd=folder, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "CARGO_TARGET_DIR": str(ROOT / "target/readme")},
    )
    try:
        for line in server.stderr:
            print(line, end="")
            found = re.search(rf"serving {name}.* on (http://\S+)", line)
            if found:
                break
        else:
            raise SystemExit(f"{name} of the README is not served")
        with urllib.request.urlopen(f"{found[1]}/there", timeout=10) as response:
            body = response.read().decode()
        assert body == "Hello from /there\n", body
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=30) == 0, server.returncode
    finally:
        server.kill()
    print(f"{name} of the README: ok")


def write(folder, manifest, file, code):
    (folder / "src").mkdir(parents=True)
    (folder / "Cargo.toml").write_text(manifest)
    (folder / "src" / file).write_text(code)


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    binary = os.path.abspath(sys.argv[1])
    readme = (ROOT / "README.md").read_text()
    code = block(readme, "rust", EXPORT)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "ferricorn").symlink_to(ROOT)
        write(folder / "greeter", block(readme, "toml", 'name = "greeter"'), "lib.rs", code)
        serve([binary, "greeter", "--profile", "dev"], folder, "greeter")

        program = code.replace(EXPORT, block(readme, "rust", "ferricorn::cli::main(app)"))
        manifest = block(readme, "toml", 'name = "greeter-server"')
        write(folder / "greeter-server", manifest, "main.rs", program)
        subprocess.run(
            ["cargo", "build"], cwd=folder / "greeter-server", check=True,
            env={**os.environ, "CARGO_TARGET_DIR": str(ROOT / "target/readme")},
        )
        serve([ROOT / "target/readme/debug/greeter-server"], folder, "greeter-server")


main()
