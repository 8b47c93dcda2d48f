//! The service `Tally`: a call of each kind.

use futures_util::stream::{self, BoxStream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::pb::Number;
use super::pb::tally_server::Tally;

/// The service.
#[derive(Debug)]
pub(crate) struct Calculator;

#[tonic::async_trait]
impl Tally for Calculator {
    async fn square(&self, request: Request<Number>) -> Result<Response<Number>, Status> {
        let value = request.into_inner().value;
        let value = value.checked_mul(value).ok_or_else(does_not_fit)?;
        Ok(Response::new(Number { value }))
    }

    async fn sum(&self, request: Request<Streaming<Number>>) -> Result<Response<Number>, Status> {
        let mut numbers = request.into_inner();
        let mut sum = 0;
        while let Some(number) = numbers.message().await? {
            sum = add(sum, &number)?;
        }
        Ok(Response::new(Number { value: sum }))
    }

    type CountStream = BoxStream<'static, Result<Number, Status>>;

    async fn count(&self, request: Request<Number>) -> Result<Response<Self::CountStream>, Status> {
        let last = request.into_inner().value;
        if last < 0 {
            return Err(Status::invalid_argument("the number is negative"));
        }
        let numbers = stream::iter(1..=last).map(|value| Ok(Number { value }));
        Ok(Response::new(numbers.boxed()))
    }

    type RunningSumStream = BoxStream<'static, Result<Number, Status>>;

    async fn running_sum(
        &self,
        request: Request<Streaming<Number>>,
    ) -> Result<Response<Self::RunningSumStream>, Status> {
        let numbers = request.into_inner();
        let sums = stream::try_unfold((numbers, 0), |(mut numbers, sum)| async move {
            let Some(number) = numbers.message().await? else {
                return Ok(None);
            };
            let value = add(sum, &number)?;
            Ok(Some((Number { value }, (numbers, value))))
        });
        Ok(Response::new(sums.boxed()))
    }
}

fn add(sum: i64, number: &Number) -> Result<i64, Status> {
    sum.checked_add(number.value).ok_or_else(does_not_fit)
}

fn does_not_fit() -> Status {
    Status::out_of_range("the result does not fit into 64 bits")
}
