//! Many streams on one connection, and how a few bad ones affect the rest.

use std::time::{Duration, Instant};

use asgi::App;
use bytes::Bytes;
use h2::RecvStream;
use h2::client::{self, SendRequest};
use http::{Request, Response};
use http2::LIMIT;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use test_support::blocking::Server;
use test_support::{Http, http};

/// How many requests a run makes. A debug build makes a tenth, which is enough to see a loss.
const REQUESTS: usize = if cfg!(debug_assertions) {
    1_000
} else {
    10_000
};

const STREAMS: usize = 100;

fn app() -> impl App {
    http(
        async |mut http: Http| match http.scope.path().into_owned().as_str() {
            "/upload" => {
                http.send.closed().await;
                Ok(())
            }
            "/stall" => http.respond(vec![b'x'; 1_000_000]).await,
            "/panic" => panic!("out of luck"),
            _ => http.respond("hello").await,
        },
    )
}

fn request(path: &str) -> Request<()> {
    let uri = format!("http://a{path}");
    Request::get(uri).body(()).unwrap()
}

async fn send(client: &SendRequest<Bytes>, path: &str) -> Result<Response<RecvStream>, h2::Error> {
    let mut client = client.clone().ready().await?;
    let (response, _) = client.send_request(request(path), true)?;
    response.await
}

/// Sends a request. Returns whether it got its whole response.
async fn is_answered(client: &SendRequest<Bytes>) -> Result<bool, h2::Error> {
    let response = send(client, "/").await?;
    let good = response.status() == 200;
    let mut body = response.into_body();
    let mut text = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        text.extend(data);
    }
    Ok(good && text == b"hello")
}

/// Uploads until the stream ends.
async fn upload(client: SendRequest<Bytes>) -> Result<(), h2::Error> {
    let mut client = client.ready().await?;
    let (_response, mut stream) = client.send_request(request("/upload"), false)?;
    loop {
        stream.reserve_capacity(16_384);
        let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
        let Some(room) = room.transpose()? else {
            return Ok(());
        };
        stream.send_data(Bytes::from(vec![b'x'; room]), false)?;
    }
}

/// Makes the requests of one connection. Returns how many got no response, and how long all took.
async fn run(server: &Server, disturbed: bool) -> (usize, Duration) {
    let socket = TcpStream::connect(server.address()).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let mut builder = client::Builder::new();
    builder.initial_connection_window_size(1 << 20);
    let (client, connection) = builder.handshake(socket).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut disturbers = JoinSet::new();
    let mut stalled = None;
    if disturbed {
        disturbers.spawn(upload(client.clone()));
        // Never read, so it gets only the window of its stream.
        stalled = Some(send(&client, "/stall").await.unwrap());
    }
    let began = Instant::now();
    let mut workers = JoinSet::new();
    if disturbed {
        let client = client.clone();
        workers.spawn(async move {
            let answer = send(&client, "/panic").await.unwrap();
            usize::from(answer.status() != 500)
        });
    }
    for _ in 0..STREAMS {
        let client = client.clone();
        workers.spawn(async move {
            let mut lost = 0;
            for _ in 0..REQUESTS / STREAMS {
                lost += usize::from(!is_answered(&client).await.unwrap_or(false));
            }
            lost
        });
    }
    let lost = workers.join_all().await.into_iter().sum();
    let took = began.elapsed();
    assert!(disturbers.try_join_next().is_none(), "the upload has ended");
    drop((stalled, client));
    connection.abort();
    (lost, took)
}

#[test]
fn a_hundred_streams_are_not_affected_by_a_stalled_upload_a_stalled_download_and_a_panic() {
    let server = Server::start_set(|config| config.h2_max_concurrent_streams = 128, app());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let run = |disturbed| {
        let run = run(&server, disturbed);
        runtime.block_on(async { timeout(LIMIT * 6, run).await.expect("the run ends") })
    };
    let mut undisturbed: Vec<_> = (0..3).map(|_| run(false)).collect();
    let disturbed = run(true);
    undisturbed.sort_by_key(|(_, took)| *took);
    let median = undisturbed[1].1;
    let ratio = disturbed.1.as_secs_f64() / median.as_secs_f64();
    println!(
        "{REQUESTS} requests in {STREAMS} streams: undisturbed {undisturbed:?} (lost, time), \
         disturbed {disturbed:?}, {ratio:.2} of the median"
    );
    for (lost, _) in undisturbed.into_iter().chain([disturbed]) {
        assert_eq!(lost, 0);
    }
    server.expect_error(&["out of luck"]);
}
