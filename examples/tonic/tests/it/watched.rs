//! A `Tally` that reports to its test which calls begin and end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use asgi_util::RequestContext;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use test_support::eventually;
use tonic::{Request, Response, Status, Streaming};
use tonic_app::pb::Number;
use tonic_app::pb::tally_server::Tally;

use crate::client::number;

/// How many calls run, and how many ran at once at most, and how many have begun.
#[derive(Default, Clone)]
pub(crate) struct Calls(Arc<Counts>);

#[derive(Default)]
struct Counts {
    running: AtomicUsize,
    most: AtomicUsize,
    begun: AtomicUsize,
}

/// A call that runs until this is dropped.
struct Running(Calls);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Calls {
    fn begin(&self) -> Running {
        let running = self.0.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        self.0.most.fetch_max(running, Ordering::SeqCst);
        Running(self.clone())
    }

    pub(crate) fn running(&self) -> usize {
        self.0.running.load(Ordering::SeqCst)
    }

    pub(crate) fn most(&self) -> usize {
        self.0.most.load(Ordering::SeqCst)
    }

    pub(crate) fn begun(&self) -> usize {
        self.0.begun.load(Ordering::SeqCst)
    }

    /// Waits until this many calls run.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> impl Future<Output = ()> + use<> {
        let calls = self.clone();
        eventually(format!("{count} calls run"), move || {
            calls.running() == count
        })
    }

    /// An app with the watched service.
    pub(crate) fn app(&self) -> impl asgi::App {
        let calls = self.clone();
        tonic_app::with_service(move || Watched(calls.clone()))
    }
}

/// `Square` of -1 is the port of the client, of 0 it never responds, of others it takes a moment; `Count` sends the number and then waits for ever; `Sum` and
/// `RunningSum` end when their client does.
struct Watched(Calls);

#[tonic::async_trait]
impl Tally for Watched {
    async fn square(&self, request: Request<Number>) -> Result<Response<Number>, Status> {
        let _running = self.0.begin();
        let context = request.extensions().get::<RequestContext>();
        let client = context.and_then(|context| context.client.as_ref()?.as_ip());
        match request.into_inner().value {
            -1 => return Ok(Response::new(number(client.unwrap().port().into()))),
            0 => std::future::pending().await,
            // Lets other calls begin.
            _ => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
        }
        Ok(Response::new(number(1)))
    }

    async fn sum(&self, request: Request<Streaming<Number>>) -> Result<Response<Number>, Status> {
        let _running = self.0.begin();
        let mut numbers = request.into_inner();
        while numbers.message().await?.is_some() {}
        Ok(Response::new(number(1)))
    }

    type CountStream = BoxStream<'static, Result<Number, Status>>;

    async fn count(&self, request: Request<Number>) -> Result<Response<Self::CountStream>, Status> {
        let running = self.0.begin();
        let first = stream::iter([Ok(request.into_inner())]);
        let silence = stream::once(async move {
            let _running = running;
            std::future::pending().await
        });
        Ok(Response::new(first.chain(silence).boxed()))
    }

    type RunningSumStream = BoxStream<'static, Result<Number, Status>>;

    async fn running_sum(
        &self,
        request: Request<Streaming<Number>>,
    ) -> Result<Response<Self::RunningSumStream>, Status> {
        let running = self.0.begin();
        let echo = request.into_inner().map(move |number| {
            let _ = &running;
            number
        });
        Ok(Response::new(echo.boxed()))
    }
}
