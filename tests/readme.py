#!/usr/bin/env python3
"""Makes the app of the README outside the repository, from its two files as they stand there,
lets ferricorn build and serve it, and asks it for a page.

    tests/readme.py FERRICORN
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent


def block(readme, language, begin):
    """The first block of that language that contains `begin`."""
    for found in re.findall(rf"```{language}\n(.*?)```", readme, re.S):
        if begin in found:
            return found
    raise SystemExit(f"README.md has no {language} block with {begin!r}")


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    binary = os.path.abspath(sys.argv[1])
    readme = (ROOT / "README.md").read_text()
    manifest = block(readme, "toml", 'name = "greeter"')
    code = block(readme, "rust", "asgi_abi::export!(app)")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "ferricorn").symlink_to(ROOT)
        app = folder / "greeter"
        (app / "src").mkdir(parents=True)
        (app / "Cargo.toml").write_text(manifest)
        (app / "src/lib.rs").write_text(code)
        server = subprocess.Popen(
            [binary, "greeter", "--profile", "dev", "--bind", "127.0.0.1:0"],
            cwd=folder, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "CARGO_TARGET_DIR": str(ROOT / "target/readme")},
        )
        try:
            for line in server.stderr:
                print(line, end="")
                found = re.search(r"serving greeter 0\.1\.0 on (http://\S+)", line)
                if found:
                    break
            else:
                raise SystemExit("the app of the README is not served")
            with urllib.request.urlopen(f"{found[1]}/there", timeout=10) as response:
                body = response.read().decode()
            assert body == "Hello from /there\n", body
            server.send_signal(signal.SIGINT)
            assert server.wait(timeout=30) == 0, server.returncode
        finally:
            server.kill()
    print("the README's app: ok")


main()
