//! What the server holds for a client that does not read its response.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use test_support::{Http, Server, eventually, http_with, run};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// The bytes that the kernel holds from port `from` to port `to`: sent and not read, or not sent yet.
fn in_the_kernel(from: u16, to: u16) -> usize {
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next()?, 16).ok();
    let queues = |local: u16, remote: u16| -> (usize, usize) {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let mut rows = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let row = rows.find(|row| port(row[1]) == Some(local) && port(row[2]) == Some(remote));
        let row = row.unwrap();
        let (unsent, unread) = row[4].split_once(':').unwrap();
        let number = |hex| usize::from_str_radix(hex, 16).unwrap();
        (number(unsent), number(unread))
    };
    queues(from, to).0 + queues(to, from).1
}

/// As docs/limits.md states: 48 KiB, and the parts of the app before and after it.
#[test]
fn the_server_holds_48_kib_and_two_parts_of_a_response_that_is_not_read() {
    run(async {
        for part in [1 << 10, 8 << 10, 64 << 10] {
            let sent = Arc::new(AtomicUsize::new(0));
            let app = http_with(
                (Arc::clone(&sent), part),
                async |(sent, part), mut http: Http| {
                    http.begin().await?;
                    loop {
                        http.more(vec![b'x'; part]).await?;
                        sent.fetch_add(part, Ordering::Relaxed);
                    }
                },
            );
            let server = Server::start(app).await;
            let mut client = TcpStream::connect(server.address()).await.unwrap();
            client
                .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                .await
                .unwrap();
            let client_port = client.local_addr().unwrap().port();
            let (last, same) = (Cell::new(0), Cell::new(0));
            eventually("the app waits", || {
                let now = sent.load(Ordering::Relaxed);
                same.set(if last.replace(now) == now {
                    same.get() + 1
                } else {
                    0
                });
                now > 0 && same.get() > 50
            })
            .await;
            let held = last
                .get()
                .saturating_sub(in_the_kernel(server.address().port(), client_port));
            assert!(
                held <= (48 << 10) + 2 * part,
                "{held} bytes in parts of {part}"
            );
        }
    });
}
