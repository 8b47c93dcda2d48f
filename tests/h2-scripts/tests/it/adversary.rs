//! What an adversary found where nobody had looked.

use std::time::Duration;

use h2_scripts::frame::setting;

use crate::support::{Http, Server, eventually, http};

const MAX_WINDOW: u32 = (1 << 31) - 1;

#[test]
fn a_client_that_reads_no_large_frame_is_given_up() {
    let app = http(async |mut http: Http| http.respond(vec![b'x'; 120_000]).await);
    let short = Duration::from_millis(300);
    let server = Server::start_set(
        |config| {
            config.write_timeout = short;
            config.h2_keep_alive_interval = None;
        },
        app,
    );
    let mut peer = server.connect_with(&[
        (setting::INITIAL_WINDOW_SIZE, MAX_WINDOW),
        (setting::MAX_FRAME_SIZE, (1 << 24) - 1),
    ]);
    peer.credit(0, 1 << 30);
    // More than the sockets hold, and no app waits for room: only the socket can tell.
    for stream in (1..200).step_by(2) {
        peer.get(stream, "/");
    }
    eventually("the connection is closed", || {
        server.handle().statistics().connections == 0
    });
}
