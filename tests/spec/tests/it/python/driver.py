"""Drives the probe in Python from memory, without a server and without packages.

    python3 driver.py PROBE

It prints a line for each check, and exits with 1 if one failed.
"""

import asyncio
import importlib.util
import json
import os
import sys
import tempfile


def load(path, **variables):
    """Loads the probe again, as a process with these variables would."""
    os.environ.update(variables)
    spec = importlib.util.spec_from_file_location("probe", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in variables:
        del os.environ[name]
    return module


class Call:
    """One call of the app, with a list of events to receive and one of those that it sent."""

    def __init__(self, probe, target, kind="http", events=(), **scope):
        path, _, query = target.partition("?")
        self.scope = {
            "type": kind,
            "asgi": {"version": "3.0", "spec_version": "2.5"},
            "http_version": "1.1",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [],
            "extensions": {},
            **scope,
        }
        self.probe, self.events, self.sent, self.raises = probe, list(events), [], {}

    async def receive(self):
        if not self.events:
            await asyncio.get_running_loop().create_future()
        return self.events.pop(0)

    async def send(self, event):
        error = self.raises.get(event["type"])
        if error:
            raise error
        self.sent.append(event)

    async def run(self):
        try:
            await self.probe.app(self.scope, self.receive, self.send)
        except (self.probe.ProbeError, SystemExit) as error:
            self.error = error
        return self


async def report(probe, name, wanted="ended"):
    call = await Call(probe, f"/report/{name}?{wanted}").run()
    return json.loads(call.sent[1]["body"])


async def outcomes(probe, name):
    return [step[1] for step in (await report(probe, name))["steps"]]


def request(body=b"", more=False):
    return {"type": "http.request", "body": body, "more_body": more}


DISCONNECT = {"type": "http.disconnect"}
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def equal(got, expected):
    if got != expected:
        raise AssertionError(f"expected {expected!r}, got {got!r}")


@check
async def steps_become_events(probe):
    steps = "start=201;X-A:b%3Bc&more=%ff&fill=2&flush&last"
    call = await Call(probe, f"/run/a?{steps}").run()
    expected = [
        {"type": "http.response.start", "status": 201, "headers": [(b"x-a", b"b;c")]},
        {"type": "http.response.body", "body": b"\xff", "more_body": True},
        {"type": "http.response.body", "body": b"xx", "more_body": True},
        {"type": "http.response.body", "body": b"", "more_body": True},
        {"type": "http.response.body", "body": b"", "more_body": False},
    ]
    equal(call.sent, expected)


@check
async def steps_of_extensions_become_events(probe):
    steps = "hint=%3C/a%3E;%3C/b%3E&push=/p;x-a:b&start-trailers=200&pathsend=/f&debug&trailers=;x-a:1&more-trailers"
    call = await Call(probe, f"/run/a?{steps}").run()
    expected = [
        {"type": "http.response.early_hint", "links": [b"</a>", b"</b>"]},
        {"type": "http.response.push", "path": "/p", "headers": [(b"x-a", b"b")]},
        {"type": "http.response.start", "status": 200, "headers": [], "trailers": True},
        {"type": "http.response.pathsend", "path": "/f"},
        {"type": "http.response.debug", "info": {}},
        {"type": "http.response.trailers", "headers": [(b"x-a", b"1")], "more_trailers": False},
        {"type": "http.response.trailers", "headers": [], "more_trailers": True},
    ]
    equal(call.sent, expected)


@check
async def steps_of_a_websocket_become_events(probe):
    steps = "accept=b;x-a:1&accept&text=a&binary=%00&close=4000;bye&deny=401&deny-more=a&deny-last=b"
    call = await Call(probe, f"/run/a?{steps}", "websocket").run()
    expected = [
        {"type": "websocket.accept", "subprotocol": "b", "headers": [(b"x-a", b"1")]},
        {"type": "websocket.accept", "subprotocol": None, "headers": []},
        {"type": "websocket.send", "text": "a"},
        {"type": "websocket.send", "bytes": b"\0"},
        {"type": "websocket.close", "code": 4000, "reason": "bye"},
        {"type": "websocket.http.response.start", "status": 401, "headers": []},
        {"type": "websocket.http.response.body", "body": b"a", "more_body": True},
        {"type": "websocket.http.response.body", "body": b"b", "more_body": False},
    ]
    equal(call.sent, expected)


@check
async def events_become_outcomes(probe):
    events = [request(b"a\n\"\xe2\x82\xac", True), request(b"\xff'\"\\\n"), request(b"x" * 201), DISCONNECT]
    await Call(probe, "/run/a?receive&receive&receive&receive&receive-now", events=events).run()
    expected = [
        'http.request "a\\n\\"€" more',
        'http.request "\\xff\\\'\\"\\\\\\n" last',
        "http.request (201 bytes) last",
        "http.disconnect",
        "pending",
    ]
    equal(await outcomes(probe, "a"), expected)


@check
async def events_of_a_websocket_become_outcomes(probe):
    events = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "a", "bytes": None},
        {"type": "websocket.receive", "bytes": b"a"},
        {"type": "websocket.disconnect"},
        {"type": "websocket.disconnect", "code": 4000, "reason": "bye"},
    ]
    await Call(probe, "/run/a?" + "&".join(["receive"] * 5), "websocket", events).run()
    expected = [
        "websocket.connect",
        'websocket.receive text "a"',
        'websocket.receive binary "a"',
        'websocket.disconnect 1005 ""',
        'websocket.disconnect 4000 "bye"',
    ]
    equal(await outcomes(probe, "a"), expected)


@check
async def an_exception_of_send_is_gone_refused_or_misuse(probe):
    steps = "start=200&push=/&hint=x&more=a&last=b&push=/"
    call = Call(probe, f"/run/a?{steps}", extensions={"http.response.early_hint": {}})
    call.raises = {
        "http.response.start": BrokenPipeError(),
        "http.response.push": ValueError(),
        "http.response.early_hint": ValueError(),
    }
    await call.run()
    equal(await outcomes(probe, "a"), ["gone", "refused", "misuse", "ok", "ok", "misuse"])


@check
async def closed_keeps_the_events_for_later_steps(probe):
    events = [request(b"a", True), request(b"b"), DISCONNECT]
    await Call(probe, "/run/a?closed&body&receive", events=events).run()
    expected = ["closed", 'http.request "a" more', 'http.request "b" last', "http.disconnect"]
    equal(await outcomes(probe, "a"), expected)


@check
async def a_receive_that_is_given_up_loses_no_event(probe):
    call = Call(probe, "/run/a?receive-now&wait=go&receive-now")
    running = asyncio.ensure_future(call.run())
    await report(probe, "a", "steps=1")
    call.events.append(DISCONNECT)
    await Call(probe, "/signal/a?go").run()
    await running
    equal(await outcomes(probe, "a"), ["pending", "http.disconnect"])


@check
async def a_body_is_drained(probe):
    events = [request(b"x" * 5, True), request(b"x" * 6)]
    await Call(probe, "/run/a?drain", events=events).run()
    equal((await report(probe, "a"))["steps"], [["drain", "11 bytes", None]])


@check
async def a_flood_is_counted(probe):
    await Call(probe, "/run/a?flood=3&text-flood=2").run()
    steps = [["flood=3", "3 parts", None], ["text-flood=2", "2 parts", None]]
    equal((await report(probe, "a"))["steps"], steps)


@check
async def parked_halves_are_used_and_given_back(probe):
    lender = asyncio.ensure_future(Call(probe, "/run/a?lend&last=b").run())
    await Call(probe, "/use/a?start=200").run()
    call = await lender
    equal(await outcomes(probe, "a"), ["ok", "ok"])
    equal([event["type"] for event in call.sent], ["http.response.start", "http.response.body"])
    await Call(probe, "/run/b?keep&last").run()
    equal(await outcomes(probe, "b"), ["parked"])


@check
async def the_end_of_a_call_is_recorded(probe):
    for steps, end in [("return&last", "ok"), ("error=a", "error"), ("panic=a", "panic"), ("unsupported", "error")]:
        await Call(probe, f"/run/{steps[:3]}?{steps}").run()
        equal((await report(probe, steps[:3]))["end"], end)
    running = asyncio.ensure_future(Call(probe, "/run/dropped?state=x&wait=never").run())
    await report(probe, "dropped", "steps=1")
    running.cancel()
    await asyncio.wait([running])
    equal((await report(probe, "dropped"))["end"], "dropped")


@check
async def the_scope_has_the_defaults_of_asgi(probe):
    call = Call(probe, "/run/a?return", "websocket", client=("::1", 5), server=("/s", None))
    for name in ("http_version", "raw_path"):
        del call.scope[name]
    await call.run()
    scope = (await report(probe, "a"))["scope"]
    names = ("http_version", "scheme", "target", "root_path", "client", "server", "state")
    expected = ["1.1", "ws", None, "", "[::1]:5", 'unix:"/s"', None]
    equal([scope[name] for name in names], expected)


@check
async def headers_replace_the_target(probe):
    headers = [(b"probe-id", b"star"), (b"probe-steps", b"state=mine&return")]
    await Call(probe, "*", headers=headers, state={}).run()
    equal(await outcomes(probe, "star"), ["set"])
    await Call(probe, "/run/none?state=mine").run()
    equal(await outcomes(probe, "none"), ["no state"])


@check
async def another_path_is_not_found(probe):
    call = await Call(probe, "/").run()
    equal(call.sent[0]["status"], 404)


@check
async def the_lifespan_has_steps_and_a_file_of_its_own(probe):
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "record.json")
        steps = "receive&startup-complete=mine&shutdown-failed=late"
        probe = load(probe.__file__, ASGI_SPEC_LIFESPAN=steps, ASGI_SPEC_RECORD=file)
        call = Call(probe, "", "lifespan", [{"type": "lifespan.startup"}], state={})
        await call.run()
        equal(call.scope["state"], {"probe": "mine"})
        expected = [
            {"type": "lifespan.startup.complete"},
            {"type": "lifespan.shutdown.failed", "message": "late"},
        ]
        equal(call.sent, expected)
        with open(file, encoding="utf-8") as record:
            record = json.load(record)
        equal([step[1] for step in record["steps"]], ["lifespan.startup", "ok", "ok"])


@check
async def parts_of_an_open_file_become_events(probe):
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"0123456789")
        file.flush()
        steps = f"open={file.name}&position=4&zerocopy=more;offset:2;count:3&zerocopy&position&close-file&zerocopy"
        call = await Call(probe, f"/run/a?{steps}").run()
    numbers = [event.pop("file") for event in call.sent]
    equal(numbers[0], numbers[1])
    expected = [
        {"type": "http.response.zerocopysend", "more_body": True, "offset": 2, "count": 3},
        {"type": "http.response.zerocopysend", "more_body": False},
    ]
    equal(call.sent, expected)
    equal(await outcomes(probe, "a"), ["ok", "4", "ok", "ok", "4", "no file"])


@check
async def the_values_of_tls_have_the_names_of_the_interface_in_rust(probe):
    tls = {"tls_version": 0x304, "server_cert": "pem", "client_cert_chain": ["a"]}
    await Call(probe, "/run/a?return", extensions={"tls": tls}).run()
    scope = (await report(probe, "a"))["scope"]
    equal((scope["tls"], scope["extensions"]), (True, []))
    values = scope["tls_values"]
    equal([values[name] for name in ("version", "server_cert", "client_cert_chain")], [0x304, "pem", ["a"]])


@check
async def a_failed_startup_that_raises_ends_the_app(probe):
    probe = load(probe.__file__, ASGI_SPEC_LIFESPAN="startup-failed=a&receive")
    call = Call(probe, "", "lifespan")
    call.raises = {"lifespan.startup.failed": SystemExit(4)}
    await call.run()
    equal(call.error, call.raises["lifespan.startup.failed"])
    record = await report(probe, "lifespan")
    equal([step[1] for step in record["steps"]], ["misuse"])
    equal(record["end"], "error")


async def main(path):
    failed = 0
    for function in CHECKS:
        name = function.__name__.replace("_", " ")
        try:
            await asyncio.wait_for(function(load(path)), 10)
            print(f"passed: {name}")
        except Exception as error:
            failed += 1
            print(f"failed: {name}: {error!r}")
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(asyncio.run(main(sys.argv[1])))
