"""Shared code of the scripts in tests/clients, tests/conformance and tests/docs.

A script parses its arguments with `argument_parser`, starts servers with `Server`, and passes its checks to
`Checks`. A check is a function whose name states the rule. It raises an exception if the rule is broken, and it
may return a note that is printed with the result.
"""

import argparse
import asyncio
import contextlib
import inspect
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Seconds: for one wait, for a server that starts, and for one that stops.
LIMIT = 20.0
START_LIMIT = 60.0
STOP_LIMIT = 40.0
LOG_LINES = 30  # printed after a failure


def argument_parser(documentation, *paths):
    """A parser whose positional arguments are the paths of files, such as `ferricorn` and `library`."""
    parser = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for path in paths:
        parser.add_argument(path, metavar=path.upper(), type=os.path.abspath)
    return parser


def require(*programs):
    """Ends the script if a program is not installed: a missing client is a failure, not a skip."""
    for program in programs:
        if shutil.which(program) is None:
            raise SystemExit(f"{program} is not installed")


def run(*command, stdin=None, code=0):
    """Runs a command that must exit with `code`; returns its standard output as bytes."""
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False)
    assert done.returncode == code, (command, done.returncode, done.stderr.decode())
    return done.stdout


class Server:
    """A running server on 127.0.0.1. `with` stops it at the end, and it must exit with 0.

    A thread reads the log, so the pipe never fills up.
    """

    def __init__(self, *command, port=0, start_limit=START_LIMIT, echo=False, stdout=subprocess.DEVNULL, **options):
        """Returns after the server has logged its address. Port 0 is any free port; `echo` prints the log."""
        self.process = subprocess.Popen(
            [*map(str, command), "--bind", f"127.0.0.1:{port}"],
            stdout=stdout, stderr=subprocess.PIPE, text=True, errors="replace", **options,
        )
        self.lines = []
        self.lines_read = 0
        self.log_ended = False
        self.log_grew = threading.Condition()
        self.reader = threading.Thread(target=self._read_log, args=[echo], daemon=True)
        self.reader.start()
        try:
            self.banner = self.wait_for_line(r" on https?://127\.0\.0\.1:\d+", start_limit)
        except BaseException:
            self.kill()
            self.print_log()
            raise
        self.url, self.scheme, self.port = re.search(r" on ((https?)://127\.0\.0\.1:(\d+))", self.banner).groups()
        self.port = int(self.port)
        self.address = f"127.0.0.1:{self.port}"

    def _read_log(self, echo):
        for line in self.process.stderr:
            if echo:
                print(line, end="", file=sys.stderr, flush=True)
            with self.log_grew:
                self.lines.append(line)
                self.log_grew.notify_all()
        with self.log_grew:
            self.log_ended = True
            self.log_grew.notify_all()

    def wait_for_line(self, pattern, limit=LIMIT):
        """The next line of the log in which `pattern` is found. The next call begins after that line."""
        deadline = time.monotonic() + limit
        with self.log_grew:
            while True:
                while self.lines_read < len(self.lines):
                    self.lines_read += 1
                    if re.search(pattern, self.lines[self.lines_read - 1]):
                        return self.lines[self.lines_read - 1]
                assert not self.log_ended, f"the server ended before it logged {pattern!r}"
                left = deadline - time.monotonic()
                assert left > 0, f"the server did not log {pattern!r} within {limit} s"
                self.log_grew.wait(left)

    def log(self):
        with self.log_grew:
            return "".join(self.lines)

    def print_log(self):
        """Prints the end of the log, to explain a failure."""
        with self.log_grew:
            print("the server's log:\n" + "".join(self.lines[-LOG_LINES:]), file=sys.stderr, flush=True)

    def memory(self):
        """The high-water mark of its resident memory, in KiB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])

    def connect(self, *protocols):
        """A TCP connection, with TLS and these ALPN protocols if the server speaks TLS."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.scheme == "https":
            return unverified_tls(*protocols).wrap_socket(connection)
        return connection

    def is_running(self):
        return self.process.poll() is None

    def send_signal(self, number):
        """Does nothing if the server has ended."""
        self.process.send_signal(number)

    def terminate(self):
        """Tells the server to stop, and does not wait."""
        self.send_signal(signal.SIGTERM)

    def wait(self, limit=STOP_LIMIT):
        """The exit code, after the server has ended and its log is read."""
        code = self.process.wait(limit)
        self.reader.join(limit)
        return code

    def stop(self, limit=STOP_LIMIT, number=signal.SIGTERM):
        """Sends the signal; the server must exit with 0, also if it has already ended."""
        self.send_signal(number)
        code = self.wait(limit)
        assert code == 0, f"the server exited with {code}"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        failed = True
        try:
            if kind is None:
                self.stop()
                failed = False
        finally:
            self.kill()
            if failed:
                self.print_log()


def the_server_exits_with_0(server):
    server.stop()


class Checks:
    """Runs checks, prints a line for each, and counts them. A failed check does not end the script."""

    def __init__(self):
        self.passed = self.failed = 0

    def run(self, check, *arguments, note=""):
        """Runs one check, which may be a coroutine function. Returns whether it passed."""
        name = check.__name__.replace("_", " ") + (f" ({note})" if note else "")
        began = time.monotonic()
        try:
            result = check(*arguments)
            if inspect.iscoroutine(result):
                result = asyncio.run(result)
        except Exception as error:
            self.failed += 1
            traceback.print_exc()
            print(f"FAIL  {name}: {type(error).__name__}: {error}", flush=True)
            return False
        self.passed += 1
        result = f": {result}" if result else ""
        print(f"ok    {name}{result}, {time.monotonic() - began:.1f} s", flush=True)
        return True

    def run_all(self, checks, *arguments):
        for check in checks:
            self.run(check, *arguments)

    def run_on_servers(self, command, groups):
        """Runs groups of checks. A group is a list of the server's options, and the checks that use this server.

        Each server must exit with 0, also if a check has stopped it.
        """
        for options, checks in groups:
            server = Server(*command, *options)
            try:
                note = " ".join(options)
                passed = [self.run(check, server, note=note) for check in [*checks, the_server_exits_with_0]]
                if not all(passed):
                    server.print_log()
            finally:
                server.kill()

    def exit(self):
        """Ends the script: with 0 if no check failed, and at least one passed."""
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(0 if self.passed and not self.failed else 1)


def check_servers(documentation, groups_by_library, options=(), programs=()):
    """All that a script does if its checks only need a running server.

    Its arguments are FERRICORN and the libraries. For each library there are groups of checks, as `run_on_servers`
    takes them. Each server also gets `options`, and `programs` must be installed.
    """
    paths = argument_parser(documentation, "ferricorn", *groups_by_library).parse_args()
    require(*programs)
    checks = Checks()
    for library, groups in groups_by_library.items():
        checks.run_on_servers([paths.ferricorn, getattr(paths, library), *options], groups)
    checks.exit()


def expected_lines(file):
    """The lines of a list of expected results with their numbers, without comments and empty lines."""
    for number, line in enumerate(file.read_text().splitlines(), 1):
        line = line.partition("#")[0].strip()
        if line:
            yield number, line


@contextlib.contextmanager
def chromium():
    """A running browser: `pip install playwright`, and the file that CHROMIUM names or Debian's chromium."""
    from playwright.sync_api import sync_playwright  # not needed by the other scripts

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking",
                  "--disable-component-update", "--disable-sync", "--no-first-run",
                  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost"],
        )
        yield browser
        browser.close()


def unverified_tls(*protocols):
    """A client's TLS settings that accept any certificate: `--dev-cert` makes a new one for each run."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


OPENSSL_CONFIG = """
[ca]
default_ca = this
[this]
dir = .
database = ./index.txt
serial = ./serial
crlnumber = ./crlnumber
new_certs_dir = .
default_md = sha256
default_days = 30
default_crl_days = 30
policy = any
unique_subject = no
copy_extensions = copy
x509_extensions = leaf
crl_extensions = crl
[any]
commonName = supplied
[crl]
authorityKeyIdentifier = keyid
[leaf]
basicConstraints = CA:FALSE
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[req]
distinguished_name = name
[name]
"""


class CertificateAuthority:
    """A new folder in which openssl makes and revokes certificates."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        self.certificate = self.folder / "ca.pem"
        (self.folder / "openssl.cnf").write_text(OPENSSL_CONFIG)
        (self.folder / "index.txt").touch()
        for number in "serial", "crlnumber":
            (self.folder / number).write_text("01\n")
        self._openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
            "-subj", f"/CN=authority {self.folder.name}", "-days", "30", "-config", "openssl.cnf",
            "-extensions", "authority",
        )

    def _openssl(self, *arguments):
        done = subprocess.run(
            ["openssl", *arguments], cwd=self.folder, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, (arguments, done.stderr.decode())

    def _ca(self, *arguments):
        self._openssl("ca", "-batch", "-config", "openssl.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", *arguments)

    def sign(self, name, hosts=(), dates=()):
        """Makes NAME.pem and NAME.key; returns both paths."""
        names = ",".join(f"DNS:{host}" for host in hosts)
        extensions = ["-addext", f"subjectAltName={names}"] if names else []
        self._openssl(
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}",
            "-config", "openssl.cnf", *extensions,
        )
        between = ["-startdate", dates[0], "-enddate", dates[1]] if dates else []
        self._ca("-in", f"{name}.csr", "-out", f"{name}.pem", "-notext", *between)
        return self.pair(name)

    def pair(self, name):
        """The paths of the certificate and the key that `sign` made."""
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def revoke(self, name):
        self._ca("-revoke", f"{name}.pem")

    def revocation_list(self):
        """The path of a new list of all revoked certificates."""
        self._ca("-gencrl", "-out", "crl.pem")
        return self.folder / "crl.pem"
