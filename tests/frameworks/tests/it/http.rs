//! Requests and responses.

use bytes::Bytes;
use http::{Request, Version};
use test_support::hyper_client::HyperClient;
use test_support::{run, within};
use tokio::net::TcpStream;

use crate::each;

#[test]
fn a_handler_gets_the_parameters_of_its_path() {
    run(each(async |framework| {
        let mut client = framework.server.connect().await;
        client.get("/hello/Ann").await;
        assert_eq!(client.expect_response(200).await.body, "Hello Ann");
        client.get("/nothing").await;
        client.expect_response(404).await;
    }));
}

#[test]
fn an_error_of_a_handler_is_its_status() {
    run(each(async |framework| {
        let mut client = framework.server.connect().await;
        client.get("/fails").await;
        client.expect_response(418).await;
    }));
}

#[test]
fn a_handler_gets_the_address_of_its_client() {
    run(each(async |framework| {
        let socket = TcpStream::connect(framework.server.address())
            .await
            .unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let mut client = test_support::Client::tcp(socket);
        client.get("/peer").await;
        assert_eq!(client.expect_response(200).await.body, address);
    }));
}

#[test]
fn bodies_stream_in_both_directions() {
    run(each(async |framework| {
        let mut client = framework.server.connect().await;
        client
            .write("POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        client.write("3\r\none\r\n").await;
        client.expect_head(200).await;
        assert_eq!(client.read_chunk().await.unwrap(), "one");
        client.write("3\r\ntwo\r\n0\r\n\r\n").await;
        assert_eq!(client.read_chunked().await.body(), "two");
    }));
}

#[test]
fn a_large_body_comes_back_whole() {
    run(each(async |framework| {
        let body = Bytes::from(vec![7; 5 << 20]);
        let mut client = HyperClient::connect(&framework.server).await;
        let request = Request::post("/echo").body(body.clone().into()).unwrap();
        let response = client.send(request).await.unwrap();
        assert!(*response.body() == body);
    }));
}

#[test]
fn a_request_over_http_2_is_answered() {
    run(each(async |framework| {
        let socket = TcpStream::connect(framework.server.address())
            .await
            .unwrap();
        let (mut requests, connection) = h2::client::handshake(socket).await.unwrap();
        let driver = tokio::spawn(connection);
        let request = Request::post("http://localhost/echo").version(Version::HTTP_2);
        let (response, mut send) = requests
            .send_request(request.body(()).unwrap(), false)
            .unwrap();
        send.send_data("ping".into(), true).unwrap();
        let response = within("a response", response).await.unwrap();
        assert_eq!(response.status(), 200);
        let data = response.into_body().data().await.unwrap().unwrap();
        assert_eq!(data, "ping");
        driver.abort();
    }));
}

#[test]
fn events_arrive_one_by_one_and_their_stream_is_dropped_when_the_client_leaves() {
    run(each(async |framework| {
        let mut client = framework.server.connect().await;
        client.get("/events").await;
        let head = client.expect_head(200).await;
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        let mut events = String::new();
        while !events.ends_with("data: two\n\n") && !events.ends_with("data:two\n\n") {
            let part = client.read_chunk().await.unwrap();
            events += std::str::from_utf8(&part).unwrap();
        }
        assert!(events.starts_with("data: one\n\n") || events.starts_with("data:one\n\n"));
        framework.wait_for(1).await;
        client.reset();
        framework.wait_for(0).await;
    }));
}

#[test]
fn a_handler_is_dropped_when_its_client_leaves() {
    run(each(async |framework| {
        let mut client = framework.server.connect().await;
        client.get("/slow").await;
        framework.wait_for(1).await;
        client.reset();
        framework.wait_for(0).await;
    }));
}
