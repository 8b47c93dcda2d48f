//! Compressed messages (RFC 7692).

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use super::websocket_handshake::open_with;
use crate::client::FIN;
use crate::client::websocket::{BINARY, COMPRESSED, PING, PONG, RawSocket, TEXT, frame};
use crate::result::{Checked, equal, fail, not_supported};
use crate::suite::{Run, Subject};

cases! {
    [Sockets]
    "WS-035" the_app_receives_compressed_messages_as_they_were,
    "WS-035" a_message_of_the_app_is_the_same_after_its_compression,
}

/// What ends each compressed message, and is left out on the wire (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Opens a WebSocket that compresses. Neither side remembers a message when it compresses the next.
async fn open_compressed(server: &Subject, steps: &str) -> Checked<(Run, RawSocket)> {
    let offer = "sec-websocket-extensions: permessage-deflate; server_no_context_takeover; \
                 client_no_context_takeover\r\n";
    let (run, socket) = open_with(server, steps, offer).await?;
    if !socket.compressed {
        return not_supported("the server does not compress messages");
    }
    Ok((run, socket))
}

/// Compresses a message.
fn compressed(message: &[u8]) -> Vec<u8> {
    let mut deflate = Compress::new(Compression::default(), false);
    let mut all = Vec::with_capacity(message.len() + 1000);
    // It can only fail for a buffer that is too small, and then the server reads another message.
    deflate
        .compress_vec(message, &mut all, FlushCompress::Sync)
        .ok();
    all.truncate(all.len() - TAIL.len());
    all
}

/// Decompresses a message of at most `most` bytes.
fn decompressed(payload: &[u8], most: usize) -> Checked<Vec<u8>> {
    let mut inflate = Decompress::new(false);
    let mut all = Vec::with_capacity(most + 100);
    let payload = [payload, &TAIL].concat();
    match inflate.decompress_vec(&payload, &mut all, FlushDecompress::Sync) {
        Ok(_) => Ok(all),
        Err(error) => fail("a message that can be decompressed", error),
    }
}

async fn the_app_receives_compressed_messages_as_they_were(server: Subject) -> Checked {
    let steps = "receive&accept&receive&receive&receive&receive";
    let (run, mut socket) = open_compressed(&server, steps).await?;
    let hello = compressed("a€b a€b a€b".as_bytes());
    socket
        .http
        .raw(frame(FIN | COMPRESSED | TEXT, &hello))
        .await?;
    // Parts of a compressed message, with a ping between them.
    let parts = compressed(&[7; 50_000]);
    let (first, rest) = parts.split_at(parts.len() / 2);
    socket.http.raw(frame(COMPRESSED | BINARY, first)).await?;
    socket.send(PING, "between").await?;
    socket.http.raw(frame(FIN, rest)).await?;
    socket.expect(PONG, "between").await?;
    // A message need not be compressed, and one without content can be.
    socket.send(TEXT, "plain").await?;
    let empty = frame(FIN | COMPRESSED | TEXT, &compressed(b""));
    socket.http.raw(empty).await?;
    run.expect(&[
        "websocket.connect",
        "ok",
        "websocket.receive text \"a€b a€b a€b\"",
        "websocket.receive binary (50000 bytes)",
        "websocket.receive text \"plain\"",
        "websocket.receive text \"\"",
    ])
    .await
    .map(drop)
}

/// Reads a message in all its parts, and decompresses it if it is compressed.
async fn message(socket: &mut RawSocket, most: usize) -> Checked<(u8, Vec<u8>)> {
    let first = socket.frame().await?;
    let mut payload = first.payload;
    let mut fin = first.fin;
    while !fin {
        let part = socket.frame().await?;
        equal("the opcode of a part", part.opcode, 0)?;
        payload.extend(part.payload);
        fin = part.fin;
    }
    if first.compressed {
        payload = decompressed(&payload, most)?;
    }
    Ok((first.opcode, payload))
}

async fn a_message_of_the_app_is_the_same_after_its_compression(server: Subject) -> Checked {
    const MOST: usize = 70_000;

    let steps = format!("receive&accept&text=a%E2%82%AC&text-fill={MOST}&binary=%00%ff&text=");
    let (_run, mut socket) = open_compressed(&server, &steps).await?;
    let expected = [
        (TEXT, "a€".as_bytes().to_vec()),
        (TEXT, vec![b'x'; MOST]),
        (BINARY, vec![0, 0xff]),
        (TEXT, Vec::new()),
    ];
    for (opcode, payload) in expected {
        let (came, message) = message(&mut socket, MOST).await?;
        equal("the opcode", came, opcode)?;
        if message != payload {
            let lengths = format!("{} bytes", message.len());
            return fail(format!("the {} bytes of the app", payload.len()), lengths);
        }
    }
    Ok(())
}
