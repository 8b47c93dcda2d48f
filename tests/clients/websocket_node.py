#!/usr/bin/env python3
"""WebSockets with Node's package ws.

    tests/clients/websocket_node.py FERRICORN WS_ECHO

WS_ECHO is the library of examples/ws-echo. `npm install ws` installs the client; NODE_PATH must name its
folder node_modules.
"""

import harness
from harness import run

NODE = """
    const { WebSocket } = require('ws');
    const url = 'URL'.replace('http', 'ws');
    const text = 'all the same '.repeat(10_000);
    const noise = require('node:crypto').randomBytes(1 << 20);

    const fail = (why) => { console.error(why); process.exit(1); };
    const open = (options, protocols = []) => new Promise((done) => {
        const socket = new WebSocket(url, protocols, { rejectUnauthorized: false, ...options });
        socket.on('upgrade', (answer) =>
            socket.agreed = answer.headers['sec-websocket-extensions'] ?? 'none');
        socket.on('open', () => done(socket));
        socket.on('error', fail);
    });
    const next = (socket) => new Promise((done) =>
        socket.once('message', (data, binary) => done([data, binary])));
    const closed = (socket) => new Promise((done) =>
        socket.once('close', (code, reason) => done([code, `${reason}`])));

    (async () => {
        for (const [options, agreed] of CASES) {
            const socket = await open({ perMessageDeflate: options });
            const parts = socket.agreed.split(/ *; */).sort().join('; ');
            if (parts !== agreed) fail([options, parts]);
            for (const message of [text, noise, text, '', text]) {
                const answer = next(socket);
                socket.send(message);
                const [data, binary] = await answer;
                if (binary !== (message === noise) || !data.equals(Buffer.from(message)))
                    fail([options, 'the echo differs']);
            }
            const read = socket._socket.bytesRead;
            const compressed = agreed !== 'none';
            if (compressed !== read < noise.length + text.length) fail([options, read]);
            const end = closed(socket);
            socket.close(4001, 'Grüße');
            const [code] = await end;
            if (code !== 4001) fail(code);
        }

        const socket = await open({}, ['first', 'second']);
        if (socket.protocol !== 'first') fail(socket.protocol);
        const pong = new Promise((done) => socket.once('pong', (data) => done(`${data}`)));
        socket.ping('are you there?');
        if (await pong !== 'are you there?') fail(await pong);
        const end = closed(socket);
        socket.send(Buffer.from([0xff]), { binary: false });
        const [code] = await end;
        if (code !== 1007) fail(code);
    })().catch(fail);
"""


def node(server, cases):
    run("node", "-e", NODE.replace("URL", server.url).replace("CASES", cases))


def node_negotiates_each_kind_of_compression(server):
    node(server, """[
        [true, 'client_max_window_bits=12; permessage-deflate; server_max_window_bits=12'],
        [{ serverNoContextTakeover: true, clientNoContextTakeover: true, threshold: 0 },
            'client_max_window_bits=12; client_no_context_takeover; permessage-deflate; ' +
            'server_max_window_bits=12; server_no_context_takeover'],
        [{ serverMaxWindowBits: 9, threshold: 0 },
            'client_max_window_bits=12; permessage-deflate; server_max_window_bits=9'],
        [{ clientMaxWindowBits: 10, threshold: 0 },
            'client_max_window_bits=10; permessage-deflate; server_max_window_bits=12'],
        [false, 'none'],
    ]""")


def node_negotiates_no_compression(server):
    node(server, "[[true, 'none'], [false, 'none']]")


GROUPS = [
    ([], [node_negotiates_each_kind_of_compression]),
    (["--dev-cert"], [node_negotiates_each_kind_of_compression]),
    (["--no-ws-deflate"], [node_negotiates_no_compression]),
]


if __name__ == "__main__":
    harness.check_servers(__doc__, {"ws_echo": GROUPS}, ["--log-level", "error"], ["node"])
