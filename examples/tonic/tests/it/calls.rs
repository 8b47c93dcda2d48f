//! The four kinds of calls, statuses, health and reflection.

use std::time::Duration;

use ferricorn::{Config, TlsConfig};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use test_support::certificates::Authority;
use test_support::{Server, library, run, within};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Status, Streaming};
use tonic_app::pb::Number;
use tonic_app::pb::tally_client::TallyClient;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::client::{Connection, channel, client, number, origin, requests};
use crate::watched::Calls;

/// One call of each kind.
async fn call_each(tally: &mut TallyClient<Channel>) {
    let numbers = |numbers: &'static [i64]| stream::iter(numbers).map(|value| number(*value));

    let square = tally.square(number(-12)).await.unwrap();
    assert_eq!(square.into_inner().value, 144);

    let sum = tally.sum(numbers(&[1, 2, 39])).await.unwrap();
    assert_eq!(sum.into_inner().value, 42);
    let sum = tally.sum(numbers(&[])).await.unwrap();
    assert_eq!(sum.into_inner().value, 0);

    let count = tally.count(number(3)).await.unwrap().into_inner();
    assert_eq!(values(count).await.unwrap(), [1, 2, 3]);

    let (send, stream) = requests();
    let mut sums = tally.running_sum(stream).await.unwrap().into_inner();
    for (value, sum) in [(5, 5), (-7, -2), (2, 0)] {
        send.send(number(value)).unwrap();
        assert_eq!(sums.message().await.unwrap(), Some(number(sum)));
    }
    drop(send);
    assert_eq!(sums.message().await.unwrap(), None);
}

async fn values(stream: Streaming<Number>) -> Result<Vec<i64>, Status> {
    stream.map_ok(|number| number.value).try_collect().await
}

#[test]
fn each_kind_of_call_works_without_tls() {
    run(async {
        let server = Server::start(tonic_app::app()).await;
        within("the calls", call_each(&mut client(&server).await)).await;
    });
}

#[test]
fn each_kind_of_call_works_if_the_server_loads_the_library() {
    let library = library::load("tonic-app");
    run(async move {
        let server = Server::start(library.app()).await;
        within("the calls", call_each(&mut client(&server).await)).await;
    });
}

#[test]
fn each_kind_of_call_works_over_tls() {
    run(async {
        let authority = Authority::new("The authority");
        let pem = authority.server(&["localhost"]);
        let tls = TlsConfig::new().certificate_pem(pem.chain.as_bytes(), pem.key.as_bytes());
        let tls = tls.load().unwrap();
        let server = Server::start_tls(Config::default(), &tls, tonic_app::app()).await;
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&authority.pem))
            .domain_name("localhost");
        let endpoint = Endpoint::from_shared(origin(&server).replace("http:", "https:"));
        let channel = endpoint.unwrap().tls_config(tls).unwrap().connect().await;
        let mut client = TallyClient::new(channel.unwrap());
        within("the calls", call_each(&mut client)).await;
    });
}

#[test]
fn a_hundred_thousand_messages_arrive_whole_in_each_direction() {
    run(async {
        let server = Server::start(tonic_app::app()).await;
        let mut tally = client(&server).await;
        let calls = async {
            let count = tally.count(number(100_000)).await.unwrap().into_inner();
            assert!(values(count).await.unwrap().into_iter().eq(1..=100_000));
            let numbers = stream::iter(1..=100_000).map(number);
            let sum = tally.sum(numbers).await.unwrap().into_inner();
            assert_eq!(sum.value, 5_000_050_000);
        };
        within("the calls", calls).await;
    });
}

#[test]
fn an_error_before_the_response_is_its_status() {
    run(async {
        let server = Server::start(tonic_app::app()).await;
        let mut tally = client(&server).await;
        let status = tally.square(number(i64::MAX)).await.unwrap_err();
        assert_eq!(status.code(), Code::OutOfRange);
        assert_eq!(status.message(), "the result does not fit into 64 bits");
        let status = tally.count(number(-1)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    });
}

#[test]
fn an_error_in_the_middle_of_a_stream_comes_after_the_messages_before_it() {
    run(async {
        let server = Server::start(tonic_app::app()).await;
        let numbers = stream::iter([1, i64::MAX - 1, 1, 1]).map(number);
        let sums = client(&server).await.running_sum(numbers).await.unwrap();
        let mut sums = sums.into_inner();
        assert_eq!(sums.message().await.unwrap(), Some(number(1)));
        assert_eq!(sums.message().await.unwrap(), Some(number(i64::MAX)));
        let status = sums.message().await.unwrap_err();
        assert_eq!(status.code(), Code::OutOfRange);
        assert_eq!(status.message(), "the result does not fit into 64 bits");
    });
}

/// The protocol of gRPC: "Most responses are expected to have both headers and trailers".
#[test]
fn a_status_is_in_trailers_after_messages_and_in_the_head_without_messages() {
    run(async {
        let server = Server::start(tonic_app::app()).await;
        let mut connection = Connection::open(&server).await;
        let square = format!("{}/tally.v1.Tally/Square", origin(&server));

        let response = connection.post(square.clone(), &number(3)).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/grpc");
        assert!(!response.headers().contains_key("grpc-status"));
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(body.to_bytes(), [0, 0, 0, 0, 2, 8, 9].as_slice());

        let response = connection.post(square, &number(i64::MAX)).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "11");
        // The head has END_STREAM: no frame follows.
        assert!(response.body().is_end_stream());
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers(), None);
        assert!(body.to_bytes().is_empty());
    });
}

#[test]
fn a_method_or_a_service_that_does_not_exist_is_unimplemented() {
    run(async {
        let server = Server::start(tonic_app::app()).await;
        let mut connection = Connection::open(&server).await;
        for path in ["tally.v1.Tally/Cube", "tally.v2.Tally/Square", ""] {
            let url = format!("{}/{path}", origin(&server));
            let response = connection.post(url, &number(3)).await;
            assert_eq!(response.status(), 200, "{path}");
            assert_eq!(response.headers()["grpc-status"], "12", "{path}");
        }
    });
}

#[test]
fn a_message_above_the_limit_of_tonic_is_refused_by_its_length_alone() {
    run(async {
        let server = Server::start(tonic_app::app()).await;
        let mut connection = Connection::open(&server).await;
        let square = format!("{}/tally.v1.Tally/Square", origin(&server));
        let length = (4 << 20) + 1;
        let response = connection.post_framed(square, length, b"begun").await;
        assert_eq!(response.headers()["grpc-status"], "11");
        let message = response.headers()["grpc-message"].to_str().unwrap();
        assert!(message.contains("4194304"), "{message}");
    });
}

#[test]
fn a_service_finds_the_address_of_its_client_in_the_extensions() {
    run(async {
        let server = Server::start(Calls::default().app()).await;
        let connection = Connection::open(&server).await;
        let port = connection.tally(&server).square(number(-1)).await.unwrap();
        assert_eq!(port.into_inner().value, i64::from(connection.port));
    });
}

#[test]
fn a_stream_whose_client_is_silent_ends_after_the_body_timeout() {
    run(async {
        let calls = Calls::default();
        let mut config = Config::default();
        config.body_timeout = Duration::from_millis(200);
        let server = Server::start_with(config, calls.app()).await;
        let mut tally = client(&server).await;
        let (send, stream) = requests();
        send.send(number(1)).unwrap();
        let mut echo = tally.running_sum(stream).await.unwrap().into_inner();
        assert_eq!(echo.message().await.unwrap(), Some(number(1)));
        let status = within("the error", echo.message()).await.unwrap_err();
        // What tonic makes of RST_STREAM with INTERNAL_ERROR.
        assert_eq!(status.code(), Code::Unknown, "{status:?}");
        calls.wait_for(0).await;
        // The connection goes on.
        tally.square(number(1)).await.unwrap();
    });
}

#[test]
fn the_health_of_the_service_is_serving_and_can_be_watched() {
    run(async {
        let server = Server::start(tonic_app::app()).await;
        let mut health = HealthClient::new(channel(&server).await);
        for (service, expected) in [
            ("", Ok(ServingStatus::Serving)),
            ("tally.v1.Tally", Ok(ServingStatus::Serving)),
            ("tally.v2.Tally", Err(Code::NotFound)),
        ] {
            let service = service.to_owned();
            let answer = health.check(HealthCheckRequest { service }).await;
            let answer = answer.map(|answer| answer.into_inner().status());
            assert_eq!(answer.map_err(|status| status.code()), expected);
        }
        let service = "tally.v1.Tally".to_owned();
        let watch = health.watch(HealthCheckRequest { service }).await.unwrap();
        let first = watch.into_inner().message().await.unwrap().unwrap();
        assert_eq!(first.status(), ServingStatus::Serving);
    });
}

#[test]
fn reflection_lists_the_services_and_describes_them() {
    run(async {
        let server = Server::start(tonic_app::app()).await;
        let mut reflection = ServerReflectionClient::new(channel(&server).await);
        let asked = [
            MessageRequest::ListServices(String::new()),
            MessageRequest::FileContainingSymbol("tally.v1.Tally".to_owned()),
        ];
        let asked = stream::iter(asked.map(|request| ServerReflectionRequest {
            host: String::new(),
            message_request: Some(request),
        }));
        let answers = reflection.server_reflection_info(asked).await.unwrap();
        let mut answers = answers.into_inner();
        let mut next = async || answers.message().await.unwrap().unwrap().message_response;

        let Some(MessageResponse::ListServicesResponse(list)) = next().await else {
            panic!("no list of services");
        };
        let mut names: Vec<_> = list.service.into_iter().map(|one| one.name).collect();
        names.sort_unstable();
        let expected = [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "tally.v1.Tally",
        ];
        assert_eq!(names, expected);
        let Some(MessageResponse::FileDescriptorResponse(files)) = next().await else {
            panic!("no description of the service");
        };
        let description = String::from_utf8_lossy(&files.file_descriptor_proto[0]).into_owned();
        for word in ["tally.proto", "RunningSum", "Number"] {
            assert!(description.contains(word), "{description}");
        }
    });
}
