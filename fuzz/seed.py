#!/usr/bin/env python3
"""Writes the seeds of the corpus: valid, odd and hostile inputs for each target.

    fuzz/seed.py

It writes the same files each time and leaves other files alone, such as the inputs of old crashes.
"""

import base64
import struct
import zlib
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def write(target: str, name: str, content: bytes) -> None:
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def http1() -> None:
    def post(headers: str, body: str = "") -> bytes:
        return f"POST /form HTTP/1.1\r\nhost: a\r\n{headers}\r\n{body}".encode()

    chunked = "transfer-encoding: chunked\r\n"
    get = b"GET /next HTTP/1.1\r\nhost: a\r\n\r\n"
    seeds = {
        "get": get,
        "pipelined": get * 3,
        "empty-lines-first": b"\r\n\r\n" + get,
        "http10": b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n" + get,
        "absolute-target": b"GET http://a/b?c HTTP/1.1\r\nhost: a\r\n\r\n",
        "options-asterisk": b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n" + get,
        "connect": b"CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\nnoise",
        "length": post("content-length: 5\r\n", "hello") + get,
        "length-zero": post("Content-Length:0\r\n") + get,
        "length-body-is-a-request": post(f"content-length: {len(get)}\r\n") + get + get,
        "length-cut": post("content-length: 5\r\n", "he"),
        "chunked": post(chunked, "5\r\nhello\r\n0\r\n\r\n") + get,
        "chunked-extension-and-trailers": post(chunked, "A;x=y\r\n0123456789\r\n0\r\nt: v\r\n\r\n") + get,
        "expect": post("expect: 100-continue\r\ncontent-length: 1\r\n", "x"),
        "rare-headers": post("te: trailers\r\nupgrade: websocket\r\nconnection: upgrade, te\r\n"),
        "bare-line-feed": b"GET / HTTP/1.1\nhost: a\n\n",
        "bare-line-feed-in-headers": b"GET / HTTP/1.1\r\nhost: a\nx: y\r\n\r\n" + get,
        "bare-line-feed-in-chunks": post(chunked, "1\nx\r\n0\r\n\r\n"),
        "folded": post("x: a\r\n b\r\n") + get,
        "two-lengths": post("content-length: 1\r\ncontent-length: 30\r\n", "x") + get,
        "length-list": post("content-length: 1, 1\r\n", "x") + get,
        "length-signed": post("content-length: +1\r\n", "x") + get,
        "length-huge": post("content-length: 18446744073709551615\r\n", "x"),
        "length-too-huge": post("content-length: 18446744073709551616\r\n", "x"),
        "length-and-chunked": post("content-length: 1\r\n" + chunked, "0\r\n\r\n") + get,
        "chunked-in-http10": b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + get,
        "not-chunked": post("transfer-encoding: gzip\r\n", "x") + get,
        "chunked-twice": post(chunked + chunked, "0\r\n\r\n") + get,
        "chunk-size-signed": post(chunked, "+1\r\nx\r\n0\r\n\r\n"),
        "chunk-size-with-space": post(chunked, "1 \r\nx\r\n0\r\n\r\n") + get,
        "chunk-size-huge": post(chunked, "ffffffffffffffff\r\nx"),
        "chunk-size-too-huge": post(chunked, "10000000000000000\r\nx"),
        "chunk-too-long": post(chunked, "1\r\nxy\r\n0\r\n\r\n"),
        "space-before-colon": post("content-length : 1\r\n", "x") + get,
        "two-hosts": b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "fragment": b"GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n",
        "spaces-in-request-line": b"GET  /a  b HTTP/1.1\r\nhost: a\r\n\r\n",
        "tab-in-request-line": b"GET\t/ HTTP/1.1\r\nhost: a\r\n\r\n",
        "carriage-return-in-value": post("x: a\rb\r\n") + get,
        "zero-byte-in-value": post("x: a\0b\r\n") + get,
        "long-line": b"GET /" + b"a" * 300 + b" HTTP/1.1\r\n\r\n",
        "tls-hello": bytes.fromhex("1603010100010000fc0303") + bytes(range(64)),
        "http2-preface": PREFACE,
    }
    for name, content in seeds.items():
        write("http1_framing", name, content)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def http2() -> None:
    def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
        return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload

    data, headers, priority, reset, settings, promise, ping, goaway, window, more = range(10)
    # GET / with the static table of HPACK.
    block = bytes.fromhex("828684418a0822" "5d95c8fa1f")
    get = frame(headers, 0x5, 1, block)
    upload = frame(headers, 0x4, 1, block)
    seeds = {
        "get": get,
        "with-preface": PREFACE + frame(settings, 0, 0) + get,
        "preface-alone": PREFACE,
        "preface-broken": PREFACE[:20] + b"x" * 4,
        "first-frame-is-no-settings": PREFACE + get,
        "settings": frame(settings, 0, 0, struct.pack(">HIHIHI", 2, 0, 4, 65535, 5, 16384)),
        "settings-ack": frame(settings, 1, 0),
        "settings-invalid-push": frame(settings, 0, 0, struct.pack(">HI", 2, 2)),
        "settings-invalid-window": frame(settings, 0, 0, struct.pack(">HI", 4, 1 << 31)),
        "settings-length": frame(settings, 0, 0, b"12345"),
        "settings-flood": frame(settings, 0, 0, struct.pack(">HI", 3, 100)) * 110,
        "upload": upload + frame(data, 0, 1, b"hello") + frame(data, 1, 1),
        "padded": frame(headers, 0xD, 1, b"\3" + block + bytes(3)) + get.replace(b"\1", b"\3", 1),
        "padding-too-long": upload + frame(data, 0x8, 1, b"\5abc"),
        "padding-missing": upload + frame(data, 0x8, 1),
        "priority-in-headers": frame(headers, 0x25, 3, struct.pack(">IB", 1, 16) + block),
        "depends-on-itself": frame(headers, 0x25, 1, struct.pack(">IB", 1, 16) + block),
        "padded-and-priority": frame(headers, 0x2D, 3, b"\1" + struct.pack(">IB", 1, 16) + block + b"\0"),
        "continuation": frame(headers, 0x1, 1, block[:3]) + frame(more, 0, 1) + frame(more, 4, 1, block[3:]),
        "continuation-interrupted": frame(headers, 0x1, 1, block[:3]) + frame(ping, 0, 0, bytes(8)),
        "continuation-alone": frame(more, 4, 1, block),
        "continuation-flood": frame(headers, 0x1, 1, block) + frame(more, 0, 1) * 110,
        "reset": upload + frame(reset, 0, 1, struct.pack(">I", 8)),
        "rapid-reset": b"".join(
            frame(headers, 0x5, n, b"") + frame(reset, 0, n, struct.pack(">I", 8)) for n in range(1, 440, 2)
        ),
        "provoked-resets": frame(reset, 0, 1, struct.pack(">I", 1)) * 210,
        "reset-idle": frame(reset, 0, 5, struct.pack(">I", 8)),
        "data-after-end": get + frame(data, 0, 1, b"x"),
        "data-idle": frame(data, 0, 1, b"x"),
        "data-empty-flood": upload + frame(data, 0, 1) * 110,
        "even-stream": frame(headers, 0x5, 2, block),
        "stream-zero": frame(headers, 0x5, 0, block),
        "window": upload + frame(window, 0, 0, struct.pack(">I", 1000)) + frame(window, 0, 1, struct.pack(">I", 1)),
        "window-by-zero": frame(window, 0, 0, bytes(4)),
        "ping": frame(ping, 0, 0, b"pingpong") + frame(ping, 1, 0, b"pingpong"),
        "ping-length": frame(ping, 0, 0, b"short"),
        "ping-flood": frame(ping, 0, 0, bytes(8)) * 110,
        "goaway": frame(goaway, 0, 0, bytes(8)) + get,
        "push-promise": frame(promise, 4, 1, struct.pack(">I", 2) + block),
        "priority": frame(priority, 0, 3, struct.pack(">IB", 1, 16)),
        "priority-update": frame(0x10, 0, 0, struct.pack(">I", 1) + b"u=1"),
        "unknown": frame(0xBE, 0xFF, 7, b"grease"),
        "too-long": struct.pack(">I", 16385)[1:] + struct.pack(">BBI", data, 0, 1),
        "reserved-bit": frame(headers, 0x5, (1 << 31) | 1, block),
        "cut": get[:12],
    }
    for name, content in seeds.items():
        write("http2_frames", name, content)


def websocket() -> None:
    def frame(first: int, payload: bytes, mask: bytes = b"\x5a\x13\xff\x01") -> bytes:
        if len(payload) < 126:
            length = bytes([0x80 | len(payload)])
        elif len(payload) < 65536:
            length = b"\xfe" + struct.pack(">H", len(payload))
        else:
            length = b"\xff" + struct.pack(">Q", len(payload))
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        return bytes([first]) + length + mask + masked

    def deflated(*messages: bytes, bits: int = 15) -> list[bytes]:
        stream = zlib.compressobj(wbits=-bits)
        return [(stream.compress(each) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4] for each in messages]

    crab = "\N{CRAB}".encode()
    text = b'{"type":"text","room":"lobby","hello":"world"}' * 3
    one, two = deflated(text, text + b"!")
    bomb = deflated(bytes(20_000))[0]
    final = zlib.compressobj(wbits=-15)
    final = final.compress(text) + final.flush()
    plain, squeezed = b"\x00", b"\x1f"
    seeds = {
        "text": plain + frame(0x81, b"hello"),
        "binary-medium": plain + frame(0x82, bytes(range(200))),
        "binary-large": plain + frame(0x82, b"x" * 4096),
        "mask-of-zeros": plain + frame(0x81, b"hello", bytes(4)),
        "empty": plain + frame(0x82, b""),
        "fragments": plain + frame(1, crab[:3]) + frame(0x89, b"ping") + frame(0, b"") + frame(0x80, crab[3:]),
        "ping-pong-close": plain + frame(0x89, b"p") + frame(0x8A, b"") + frame(0x88, b"\x03\xe8bye"),
        "close-empty": plain + frame(0x88, b""),
        "close-half-a-code": plain + frame(0x88, b"\x03"),
        "close-bad-code": plain + frame(0x88, b"\x03\xed"),
        "close-1014": plain + frame(0x88, b"\x03\xf6"),
        "close-not-utf8": plain + frame(0x88, b"\x03\xe8\xff"),
        "not-utf8": plain + frame(0x81, b"\xc3\x28"),
        "not-utf8-in-fragments": plain + frame(0x01, b"\xed\xa0") + frame(0x80, b"\x80"),
        "text-cut-in-a-character": plain + frame(0x81, crab[:3]),
        "no-mask": plain + b"\x81\x01x",
        "reserved-bits": plain + frame(0xF1, b"x"),
        "reserved-opcode": plain + frame(0x83, b"x"),
        "reserved-control": plain + frame(0x8B, b"x"),
        "fragmented-ping": plain + frame(0x09, b"x"),
        "long-ping": plain + frame(0x89, bytes(126)),
        "continuation-of-nothing": plain + frame(0x80, b"x"),
        "message-in-a-message": plain + frame(0x01, b"x") + frame(0x81, b"y"),
        "length-not-minimal": plain + b"\x81\xfe\x00\x01\x00\x00\x00\x00x",
        "length-huge": plain + b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
        "frame-too-large": plain + frame(0x82, bytes(4097)),
        "message-too-large": plain + frame(0x02, bytes(4096)) + frame(0x00, bytes(4096)) + frame(0x80, b"x"),
        "cut-in-the-header": plain + frame(0x82, bytes(200))[:3],
        "cut-in-the-payload": plain + frame(0x82, bytes(200))[:100],
        "deflated": squeezed + frame(0xC1, one) + frame(0xC1, two),
        "deflated-no-takeover": b"\x0f" + frame(0xC1, one) + frame(0xC1, deflated(text)[0]),
        "deflated-and-plain": squeezed + frame(0xC1, one) + frame(0x81, b"plain") + frame(0xC1, two),
        "deflated-fragments": squeezed + frame(0x41, one[:9]) + frame(0x89, b"") + frame(0x80, one[9:]),
        "deflated-empty": squeezed + frame(0xC1, b"\x00"),
        "deflated-no-payload": squeezed + frame(0xC1, b""),
        "deflated-final-block": squeezed + frame(0xC1, final) + frame(0xC1, final),
        "deflated-many-streams": squeezed + frame(0xC2, b"\x03\x00" * 40),
        "deflated-bomb": squeezed + frame(0xC2, bomb),
        "deflated-cut": squeezed + frame(0xC1, one[:-3]),
        "deflated-noise": squeezed + frame(0xC2, bytes(range(100))),
        "deflated-refers-to-nothing": squeezed + frame(0xC1, two),
        "deflated-small-window": b"\x13" + frame(0xC1, deflated(text, bits=9)[0]),
        "rsv1-without-deflate": plain + frame(0xC1, one),
        "rsv1-on-a-continuation": squeezed + frame(0x41, one[:9]) + frame(0xC0, one[9:]),
    }
    for name, content in seeds.items():
        write("websocket_frames", name, content)


def deflate() -> None:
    usual = b"\x1c"
    offers = {
        "chromium": b"permessage-deflate; client_max_window_bits",
        "firefox": b"permessage-deflate",
        "everything": b"permessage-deflate; client_max_window_bits=11; server_max_window_bits=10;"
        b" client_no_context_takeover; server_no_context_takeover",
        "quoted": b'permessage-deflate; server_max_window_bits="1\\0"',
        "white-space": b"\t permessage-deflate ;\tserver_max_window_bits = 10 ,, ",
        "window-8": b"permessage-deflate; server_max_window_bits=8, permessage-deflate",
        "client-window-8": b"permessage-deflate; client_max_window_bits=8",
        "window-15": b"permessage-deflate; server_max_window_bits=15; client_max_window_bits=15",
        "window-16": b"permessage-deflate; server_max_window_bits=16",
        "leading-zero": b"permessage-deflate; server_max_window_bits=09",
        "unknown-parameter": b"permessage-deflate; foo=1, permessage-deflate; client_max_window_bits",
        "parameter-twice": b"permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "several-headers": b"foo; a=1\nbar\npermessage-deflate\n\npermessage-deflate; client_max_window_bits",
        "many-offers": b"permessage-deflate; server_max_window_bits=8," * 15 + b"permessage-deflate",
        "too-many-offers": b"permessage-deflate; server_max_window_bits=8," * 16 + b"permessage-deflate",
        "quote-open": b'permessage-deflate; a="1',
        "quote-empty": b'permessage-deflate; a=""',
        "escape-at-the-end": b'permessage-deflate; a="1\\',
        "quote-with-comma": b'permessage-deflate; a="1,2"',
        "quote-over-two-headers": b'permessage-deflate; a="1\n2"',
        "no-value": b"permessage-deflate; a=",
        "no-name": b"permessage-deflate; =1",
        "not-a-token": b"permessage/deflate",
        "not-ascii": b"permessage-deflate; \xfc",
        "malformed-after-valid": b"permessage-deflate\nfoo bar",
    }
    for name, offer in offers.items():
        write("deflate_negotiation", name, usual + offer)
    for first in (0x00, 0x09, 0x0F, 0x1F):
        write("deflate_negotiation", f"settings-{first:02x}", bytes([first]) + offers["everything"])
        write("deflate_negotiation", f"settings-{first:02x}-chromium", bytes([first]) + offers["chromium"])


# One self-signed certificate for example.org, its key in two formats, and a revocation list.
CERTIFICATE = """\
MIIBrjCCAVWgAwIBAgIUe13daEDPReFwvySF+tDwgKgLUGEwCgYIKoZIzj0EAwIw
FjEUMBIGA1UEAwwLZXhhbXBsZS5vcmcwHhcNMjYxMTMwMTAyOTQ1WhcNMzYxMTI3
MTAyOTQ1WjAWMRQwEgYDVQQDDAtleGFtcGxlLm9yZzBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABHTMboWVLwQvVYgGzNqU53N8e/4Um2peOJqulNUrCXjY1lzW2TiZ
aE+Rg9ozhCChWJWWEYGFQHO1hCM3DPYz/KWjgYAwfjAdBgNVHQ4EFgQUM0tADgQC
/Y1N4+UxCGiDa+lGwDAwHwYDVR0jBBgwFoAUM0tADgQC/Y1N4+UxCGiDa+lGwDAw
DwYDVR0TAQH/BAUwAwEB/zArBgNVHREEJDAiggtleGFtcGxlLm9yZ4INKi5leGFt
cGxlLm9yZ4cEfwAAATAKBggqhkjOPQQDAgNHADBEAiBylhki7yKeaX0N8k/316vE
dZJP2CxG99kk77QlkD+6GQIgc1RY651FeL7c5pb71SaGiP720b4sr5TspnUe10nu
f3g=
"""
PKCS8 = """\
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgeN2oGTqgXG6YklT6
v89dNb5L7yPYm4VIb143J2CDHG+hRANCAAR0zG6FlS8EL1WIBszalOdzfHv+FJtq
XjiarpTVKwl42NZc1tk4mWhPkYPaM4QgoViVlhGBhUBztYQjNwz2M/yl
"""
SEC1 = """\
MHcCAQEEIHjdqBk6oFxumJJU+r/PXTW+S+8j2JuFSG9eNydggxxvoAoGCCqGSM49
AwEHoUQDQgAEdMxuhZUvBC9ViAbM2pTnc3x7/hSbal44mq6U1SsJeNjWXNbZOJlo
T5GD2jOEIKFYlZYRgYVAc7WEIzcM9jP8pQ==
"""
REVOCATIONS = """\
MIGuMFUCAQEwCgYIKoZIzj0EAwIwFjEUMBIGA1UEAwwLZXhhbXBsZS5vcmcXDTI2
MTEzMDEwMjk0NVoXDTI2MTIzMDEwMjk0NVqgDjAMMAoGA1UdFAQDAgEBMAoGCCqG
SM49BAMCA0kAMEYCIQC7ZvYR4gF3GV8jSsdLQ9CnJV4S5BmsbFB1t6jlWY1mmgIh
AJtDUPgUbOPdz5JpSk1ORvNUhjAPZlPJtdK5GVFAYbxV
"""


def pem() -> None:
    def section(label: str, content: str) -> str:
        return f"-----BEGIN {label}-----\n{content.strip()}\n-----END {label}-----\n"

    certificate = section("CERTIFICATE", CERTIFICATE)
    key = section("PRIVATE KEY", PKCS8)
    revocations = section("X509 CRL", REVOCATIONS)
    der = base64.b64decode(CERTIFICATE)
    # Another length in the outermost sequence.
    damaged = base64.encodebytes(der[:3] + bytes([der[3] ^ 1]) + der[4:]).decode()
    no_names = base64.encodebytes(der.replace(b"\x55\x1d\x11", b"\x55\x1d\x12")).decode()
    seeds = {
        "certificate": certificate,
        "chain": certificate + certificate,
        "certificate-and-key": certificate + key,
        "key-sec1": section("EC PRIVATE KEY", SEC1),
        "revocations": revocations,
        "everything": f"# all of it\n{certificate}\n{key}{revocations}",
        "comments": f"subject=example.org\n\n{certificate}trailing text\n",
        "crlf": certificate.replace("\n", "\r\n"),
        "carriage-returns": certificate.replace("\n", "\r"),
        "no-line-end-at-the-end": certificate.strip(),
        "one-long-line": section("CERTIFICATE", CERTIFICATE.replace("\n", "")),
        "unknown-label": section("EC PARAMETERS", "BggqhkjOPQMBBw==") + certificate,
        "certificate-damaged": section("CERTIFICATE", damaged),
        "certificate-without-names": section("CERTIFICATE", no_names),
        "certificate-empty": section("CERTIFICATE", ""),
        "encrypted-pkcs8": section("ENCRYPTED PRIVATE KEY", PKCS8),
        "encrypted-old": section("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: x\n\n" + SEC1),
        "no-end": certificate.rsplit("-----END", 1)[0],
        "wrong-end": certificate.replace("END CERTIFICATE", "END PRIVATE KEY"),
        "no-end-before-the-next": certificate.rsplit("-----END", 1)[0] + certificate,
        "no-base64": section("CERTIFICATE", "!!!"),
        "padding-in-the-middle": section("CERTIFICATE", "AA==AAAA"),
        "begin-without-dashes": "-----BEGIN CERTIFICATE\nAAAA\n-----END CERTIFICATE-----\n",
        "malformed-after-unknown": section("EC PARAMETERS", "AAAA") + section("CERTIFICATE", "!!!"),
        "malformed-after-carriage-return": "note\r" + section("CERTIFICATE", "!!!"),
        "indented": certificate.replace("-----BEGIN", "  -----BEGIN"),
        "der": der.decode("latin-1"),
        "text": "hello\n",
        "empty": "",
    }
    for name, text in seeds.items():
        write("pem", name, text.encode("latin-1"))


def elf() -> None:
    def file(
        machine: int = 62,
        kind: int = 3,
        bits: int = 2,
        order: int = 1,
        segment_size: int = 0,
        symbols: tuple[bytes, ...] = (b"ASGI_APP", b"ASGI_APP_admin"),
        **changes: int,
    ) -> bytes:
        """A shared library with one segment and a table of symbols; `changes` are offsets and sizes."""
        strings = b"\0" + b"".join(name + b"\0" for name in symbols)
        table = bytes(24)
        for name in symbols:
            table += struct.pack("<IBBHQQ", strings.index(name + b"\0"), 0x11, 0, 7, 0x4000, 128)
        segments, symbols_at = 64, 64 + 56
        strings_at = symbols_at + len(table)
        sections = strings_at + len(strings)
        end = sections + 3 * 64
        section = lambda kind, at, size, link: struct.pack("<IIQQQQIIQQ", 0, kind, 0, 0, at, size, link, 0, 8, 0)
        values = {
            "segments": segments,
            "sections": sections,
            "segment_count": 1,
            "section_count": 3,
            "symbols_at": symbols_at,
            "symbols_size": len(table),
            "link": 2,
            "strings_at": strings_at,
            "strings_size": len(strings),
        } | changes
        head = b"\x7fELF" + bytes([bits, order, 1]) + bytes(9)
        head += struct.pack("<HHIQQQI", kind, machine, 1, 0, values["segments"], values["sections"], 0)
        head += struct.pack("<HHHHHH", 64, 56, values["segment_count"], 64, values["section_count"], 2)
        program = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, segment_size or end, segment_size or end, 4096)
        return b"".join([
            head,
            program,
            table,
            strings,
            section(0, 0, 0, 0),
            section(11, values["symbols_at"], values["symbols_size"], values["link"]),
            section(3, values["strings_at"], values["strings_size"], 0),
        ])

    sound = file()
    seeds = {
        "sound": sound,
        "sound-aarch64": file(machine=183),
        "unknown-machine": file(machine=9999),
        "program": file(kind=2),
        "object": file(kind=1),
        "core": file(kind=4),
        "32-bits": file(bits=1),
        "bits-255": file(bits=255),
        "big-endian": file(order=2),
        "cut": sound[:200],
        "head-alone": sound[:64],
        "magic-alone": sound[:4],
        "twenty-bytes": sound[:20],
        "segment-too-long": file(segment_size=1 << 20),
        "segment-overflows": file(segment_size=(1 << 64) - 1),
        "segments-outside": file(segments=(1 << 64) - 1),
        "many-segments": file(segment_count=65535),
        "sections-outside": file(sections=1 << 40),
        "many-sections": file(section_count=65535),
        "symbols-outside": file(symbols_at=(1 << 64) - 1),
        "symbols-too-long": file(symbols_size=(1 << 64) - 1),
        "strings-outside": file(strings_at=1 << 32),
        "strings-cut": file(strings_size=5),
        "link-outside": file(link=77),
        "link-to-itself": file(link=1),
        "symbol-not-utf8": file(symbols=(b"\xff\xfe",)),
        "no-symbols": file(symbols=()),
        "script": b"#!/bin/sh\nexit 1\n",
        "archive": b"!<arch>\nlib.o/          0           0     0     644     8         `\n",
        "empty": b"",
    }
    for name, content in seeds.items():
        write("elf", name, content)


if __name__ == "__main__":
    http1()
    http2()
    websocket()
    deflate()
    pem()
    elf()
