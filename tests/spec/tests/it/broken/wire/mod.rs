//! A wire between the suite and the server that breaks one sentence: it changes bytes, loses them,
//! adds some or closes the connection.
//!
//! Without a switch, it passes each byte, each close and each reset as it is.

mod down;
mod frames;
mod request;
mod up;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use self::down::Down;
use self::request::Requests;
use self::up::Up;
use super::exchange::Process;

/// Accepts connections for the server at an address, until the runtime ends.
pub(super) async fn serve(
    id: &'static str,
    listener: TcpListener,
    server: SocketAddr,
    process: Arc<Process>,
) {
    while let Ok((client, address)) = listener.accept().await {
        let Ok(onward) = TcpStream::connect(server).await else {
            // The server has stopped, so a new client finds no server.
            return;
        };
        let wire = onward.local_addr().unwrap();
        let ends = (address, client.local_addr().unwrap());
        process.wires.lock().unwrap().insert(wire, ends);
        tokio::spawn(connection(id, client, onward, Arc::clone(&process)));
    }
}

/// A half that ends its side only on request. A half of tokio does so whenever it is dropped, and
/// then a reset comes too late.
struct WriteHalf(Option<OwnedWriteHalf>);

impl WriteHalf {
    fn get(&mut self) -> &mut OwnedWriteHalf {
        self.0.as_mut().unwrap()
    }
}

impl Drop for WriteHalf {
    fn drop(&mut self) {
        if let Some(half) = self.0.take() {
            half.forget();
        }
    }
}

/// Why the wire stops to pass bytes in one direction.
enum End {
    /// One side has closed its side, and the other side knows.
    Closed,
    /// Both connections must be reset.
    Reset,
}

async fn connection(id: &'static str, client: TcpStream, server: TcpStream, process: Arc<Process>) {
    for side in [&client, &server] {
        side.set_nodelay(true).unwrap();
    }
    let requests = Arc::new(Mutex::new(Requests::default()));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let [to_client, to_server] = [to_client, to_server].map(|half| WriteHalf(Some(half)));
    let up = up(Up::new(id, Arc::clone(&requests)), from_client, to_server);
    let down = down(Down::new(id, requests, process), from_server, to_client);
    tokio::pin!(up, down);
    // A side that has closed lets the other one go on; a reset ends both.
    let (mut up_ended, mut down_ended) = (false, false);
    while !(up_ended && down_ended) {
        let end = tokio::select! {
            end = &mut up, if !up_ended => { up_ended = true; end }
            end = &mut down, if !down_ended => { down_ended = true; end }
        };
        if matches!(end, End::Reset) {
            return;
        }
    }
}

async fn up(mut up: Up, mut from: OwnedReadHalf, mut to: WriteHalf) -> End {
    if up.has_no_bound() {
        return without_bound(from, to).await;
    }
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await;
        let bytes = match &read {
            Ok(count) => up.feed(&buffer[..*count]),
            Err(_) => Vec::new(),
        };
        if let Some(end) = pass(read, bytes, &from, &mut to).await {
            return end;
        }
    }
}

async fn down(mut down: Down, mut from: OwnedReadHalf, mut to: WriteHalf) -> End {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await;
        if matches!(read, Ok(0)) && down.hides_end() {
            std::future::pending::<()>().await;
        }
        let bytes = match &read {
            Ok(0) => down.end(),
            Ok(count) => down.feed(&buffer[..*count]),
            Err(_) => Vec::new(),
        };
        if let Some(end) = pass(read, bytes, &from, &mut to).await {
            return end;
        }
        if down.closes() {
            to.get().shutdown().await.ok();
            return End::Closed;
        }
    }
}

/// Passes what came from one side to the other.
async fn pass(
    read: io::Result<usize>,
    bytes: Vec<u8>,
    from: &OwnedReadHalf,
    to: &mut WriteHalf,
) -> Option<End> {
    let is_end = matches!(read, Ok(0));
    if read.is_err() {
        to.get().as_ref().set_zero_linger().ok();
        return Some(End::Reset);
    }
    if !bytes.is_empty() && to.get().write_all(&bytes).await.is_err() {
        from.as_ref().set_zero_linger().ok();
        return Some(End::Reset);
    }
    if is_end {
        to.get().shutdown().await.ok();
        return Some(End::Closed);
    }
    None
}

/// Takes all that the client sends, whether the server reads it or not.
async fn without_bound(mut from: OwnedReadHalf, mut to: WriteHalf) -> End {
    let (sender, mut kept) = mpsc::unbounded_channel::<Vec<u8>>();
    let reading = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            if sender.send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some(bytes) = kept.recv().await {
            if to.get().write_all(&bytes).await.is_err() {
                return End::Reset;
            }
        }
        to.get().shutdown().await.ok();
        End::Closed
    };
    tokio::join!(reading, writing).1
}
