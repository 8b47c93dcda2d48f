#!/usr/bin/env python3
"""gRPC calls with Python's grpcio, whose HTTP/2 is that of gRPC's C-core.

    tests/clients/grpcio.py FERRICORN TONIC

TONIC is the library of examples/tonic. `pip install grpcio` installs the client. The script encodes its messages
itself, so it needs no generated code.
"""

import asyncio
import contextlib
import pathlib
import tempfile

import grpc
import grpc.aio

import harness
from harness import LIMIT, Server

STREAMS = 1000
CONNECTIONS = 10


def encode(value):
    """The message Number: field 1, a varint."""
    value %= 1 << 64
    encoded = bytearray(b"\x08")
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes(encoded + bytes([value]))


def decode(message):
    value = sum((byte & 127) << 7 * place for place, byte in enumerate(message[1:]))
    return value - (1 << 64) if value >> 63 else value


class Tally:
    """The four kinds of calls of the service."""

    def __init__(self, channel):
        self.square = channel.unary_unary("/tally.v1.Tally/Square", encode, decode)
        self.sum = channel.stream_unary("/tally.v1.Tally/Sum", encode, decode)
        self.count = channel.unary_stream("/tally.v1.Tally/Count", encode, decode)
        self.running_sum = channel.stream_stream("/tally.v1.Tally/RunningSum", encode, decode)


@contextlib.asynccontextmanager
async def connected(server, connections=1, credentials=None):
    """Clients of the service, each on a connection of its own."""
    # Without the first option, channels to one address share a connection.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.ssl_target_name_override", "localhost")]
    async with contextlib.AsyncExitStack() as stack:
        channels = [
            grpc.aio.secure_channel(server.address, credentials, options) if credentials
            else grpc.aio.insecure_channel(server.address, options)
            for _ in range(connections)
        ]
        for channel in channels:
            await stack.enter_async_context(channel)
        yield [Tally(channel) for channel in channels]


async def status_of(call):
    """The code and the details of a call that must fail."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details()
    raise AssertionError("the call succeeded")


async def call_each(tally):
    assert await tally.square(-12) == 144
    assert await tally.sum(iter([1, 2, 39])) == 42
    assert await tally.sum(iter([])) == 0
    assert [number async for number in tally.count(3)] == [1, 2, 3]
    call = tally.running_sum()
    for value, total in [(5, 5), (-7, -2), (2, 0)]:
        await call.write(value)
        assert await call.read() == total
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def each_kind_of_call_works(server):
    async with connected(server) as [tally]:
        await call_each(tally)


async def each_kind_of_call_works_over_tls(binary, library):
    with tempfile.TemporaryDirectory() as folder:
        authority = harness.CertificateAuthority(pathlib.Path(folder) / "ca")
        certificate, key = authority.sign("server", ["localhost"])
        credentials = grpc.ssl_channel_credentials(authority.certificate.read_bytes())
        with Server(binary, library, "--certfile", certificate, "--keyfile", key) as server:
            async with connected(server, credentials=credentials) as [tally]:
                await call_each(tally)


async def a_status_arrives_before_and_after_messages(server):
    async with connected(server) as [tally]:
        code, details = await status_of(tally.square((1 << 63) - 1))
        assert code is grpc.StatusCode.OUT_OF_RANGE, (code, details)
        assert details == "the result does not fit into 64 bits", details
        call = tally.running_sum()
        for value, total in [(1, 1), ((1 << 63) - 2, (1 << 63) - 1)]:
            await call.write(value)
            assert await call.read() == total
        await call.write(1)
        code, details = await status_of(call.read())
        assert code is grpc.StatusCode.OUT_OF_RANGE, (code, details)


async def ten_thousand_messages_arrive_whole(server):
    async with connected(server) as [tally]:
        expected = 1
        async for number in tally.count(10_000):
            assert number == expected, (number, expected)
            expected += 1
        assert expected == 10_001
        assert await tally.sum(iter(range(1, 10_001))) == 50_005_000


async def the_server_ends_a_call_at_its_deadline(server):
    """The client says its deadline in the metadata, so that it does not watch the deadline itself."""
    async with connected(server) as [tally]:
        metadata = [("grpc-timeout", "300m")]
        call = tally.sum(metadata=metadata)
        await call.write(1)
        code, details = await status_of(call)
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED, (code, details)
        assert details == "the deadline of the call has passed", details
        call = tally.running_sum(metadata=metadata)
        await call.write(1)
        assert await call.read() == 1
        code, details = await status_of(call.read())
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED, (code, details)
        assert details == "the deadline of the call has passed", details


async def a_client_gives_up_at_its_deadline(server):
    async with connected(server) as [tally]:
        call = tally.sum(timeout=0.3)
        await call.write(1)
        code, _ = await status_of(call)
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED, code


async def cancelled_streams_end_in_the_server(binary, library):
    """When the drain begins, no call runs any more."""
    with Server(binary, library) as server:
        async with connected(server) as [tally]:
            endless = tally.count(1 << 62)
            assert await endless.read() == 1
            waiting = await begin(tally, 1)
            endless.cancel()
            waiting.cancel()
            # The connection goes on, and this call comes after the cancellations.
            assert await tally.square(3) == 9
            server.terminate()
            await asyncio.to_thread(server.wait_for_line, "stopping: no exchange runs")
            assert await asyncio.to_thread(server.wait) == 0


async def begin(tally, number):
    call = tally.running_sum()
    await call.write(number)
    assert await call.read() == number
    return call


async def finish(call, number):
    await call.write(1)
    assert await call.read() == number + 1
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def a_thousand_streams_are_open_at_once(server):
    async with connected(server, CONNECTIONS) as tallies, asyncio.timeout(60):
        calls = await asyncio.gather(*(begin(tallies[n % CONNECTIONS], n) for n in range(STREAMS)))
        await asyncio.gather(*(finish(call, n) for n, call in enumerate(calls)))
    return f"{STREAMS} streams on {CONNECTIONS} connections"


async def calls_above_the_limit_of_a_connection_wait_for_their_turn(server):
    async with connected(server) as [tally], asyncio.timeout(60):
        squares = await asyncio.gather(*(tally.square(n) for n in range(STREAMS)))
        assert squares == [n * n for n in range(STREAMS)]


async def an_open_stream_survives_the_beginning_of_a_drain(binary, library):
    with Server(binary, library) as server:
        async with connected(server) as [tally]:
            calls = [await begin(tally, n) for n in range(50)]
            server.terminate()
            await asyncio.to_thread(server.wait_for_line, "stopping")
            code, _ = await status_of(tally.square(3))
            assert code is grpc.StatusCode.UNAVAILABLE, code
            await asyncio.gather(*(finish(call, n) for n, call in enumerate(calls)))
            assert await asyncio.to_thread(server.wait) == 0


async def a_stream_that_outlives_the_graceful_timeout_is_unavailable(binary, library):
    with Server(binary, library, "--graceful-timeout", "300ms") as server:
        async with connected(server) as [tally]:
            call = await begin(tally, 1)
            server.terminate()
            code, _ = await status_of(call.read())
            assert code is grpc.StatusCode.UNAVAILABLE, code
            assert await asyncio.to_thread(server.wait) == 0


async def health_is_serving(server):
    """HealthCheckResponse has the status in field 1; SERVING is 1."""
    async with grpc.aio.insecure_channel(server.address) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        for service in [b"", b"tally.v1.Tally"]:
            request = b"\x0a" + bytes([len(service)]) + service
            assert await check(request, timeout=LIMIT) == b"\x08\x01"
        code, _ = await status_of(check(b"\x0a\x01?"))
        assert code is grpc.StatusCode.NOT_FOUND, code


CHECKS = [
    each_kind_of_call_works,
    a_status_arrives_before_and_after_messages,
    ten_thousand_messages_arrive_whole,
    the_server_ends_a_call_at_its_deadline,
    a_client_gives_up_at_its_deadline,
    a_thousand_streams_are_open_at_once,
    calls_above_the_limit_of_a_connection_wait_for_their_turn,
    health_is_serving,
]
CHECKS_WITH_A_SERVER_OF_THEIR_OWN = [
    each_kind_of_call_works_over_tls,
    cancelled_streams_end_in_the_server,
    an_open_stream_survives_the_beginning_of_a_drain,
    a_stream_that_outlives_the_graceful_timeout_is_unavailable,
]


def main():
    options = harness.argument_parser(__doc__, "ferricorn", "tonic").parse_args()
    harness.require("openssl")
    checks = harness.Checks()
    checks.run_on_servers([options.ferricorn, options.tonic], [([], CHECKS)])
    checks.run_all(CHECKS_WITH_A_SERVER_OF_THEIR_OWN, options.ferricorn, options.tonic)
    checks.exit()


if __name__ == "__main__":
    main()
