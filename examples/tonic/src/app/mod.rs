//! A gRPC service with health and reflection, as an app.

mod deadline;
mod tally;

use asgi::{App, AppError};
use tonic::service::Routes;

use self::deadline::Deadlines;
use self::pb::tally_server::{Tally, TallyServer};
use self::tally::Calculator;

/// What the build script has generated from `proto/tally.proto`.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    reason = "generated code"
)]
pub mod pb {
    tonic::include_proto!("tally.v1");

    /// Describes the service, for reflection.
    pub(crate) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tally.bin"));
}

/// The example's app.
pub fn app() -> impl App {
    with_service(|| Calculator)
}

/// An app that serves the `Tally` that `make` makes when the server starts, with health and
/// reflection.
pub fn with_service<T: Tally>(make: impl Fn() -> T + Send + Sync + 'static) -> impl App {
    asgi_tower::at_startup(move || routes(make()))
}

async fn routes<T: Tally>(tally: T) -> Result<Deadlines<Routes>, AppError> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<TallyServer<T>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let routes = Routes::new(TallyServer::new(tally))
        .add_service(health_service)
        .add_service(reflection)
        .prepare();
    Ok(Deadlines(routes))
}
