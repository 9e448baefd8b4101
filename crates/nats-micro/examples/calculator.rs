//! A service from an `impl` block: `cargo run -p nats-micro --example calculator -- nats://127.0.0.1:4222`, or with a
//! broker and reloading, `nodewire micro dev nats-micro --example calculator`.

use nats_micro::{
    AddServiceError, ConnectOptions, Context, Request, RunError, ServiceError, Signals, run,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Two numbers.
#[derive(Deserialize, JsonSchema)]
struct Division {
    dividend: i64,
    divisor: i64,
}

#[derive(Serialize, JsonSchema)]
struct Quotient {
    value: i64,
    remainder: i64,
}

struct Calculator;

/// Calculates with whole numbers.
#[nats_micro::service(group = "math", metadata(team = "examples"))]
impl Calculator {
    /// Adds numbers.
    #[endpoint]
    async fn add(&self, numbers: Vec<i64>) -> Result<i64, ServiceError> {
        let sum = numbers
            .iter()
            .try_fold(0, |sum: i64, number| sum.checked_add(*number));
        sum.ok_or_else(|| ServiceError::bad_request("the sum is beyond 64 bits"))
    }

    /// Divides, and says what is left.
    #[endpoint(name = "divide", subject = "div")]
    async fn divide(
        &self,
        Division { dividend, divisor }: Division,
    ) -> Result<Quotient, ServiceError> {
        match (dividend.checked_div(divisor), dividend.checked_rem(divisor)) {
            (Some(value), Some(remainder)) => Ok(Quotient { value, remainder }),
            _ => Err(ServiceError::new(422, "there is no such quotient")),
        }
    }

    /// Finds the smallest factor. A plain `fn` may compute for long.
    #[endpoint(concurrency = 2)]
    fn factor(&self, number: u64) -> Option<u64> {
        (2..=number.isqrt()).find(|factor| number.is_multiple_of(*factor))
    }

    /// Sends all numbers up to one.
    #[endpoint(streaming)]
    async fn count(&self, to: u32, request: &Request) {
        for i in 1..=to {
            if request.respond(i.to_string()).await.is_err() {
                return;
            }
        }
    }
}

/// The first argument, else what `nodewire micro run` and `dev` hand on, else the usual place.
fn url() -> String {
    let given = std::env::args()
        .nth(1)
        .or_else(|| std::env::var("NATS_URL").ok());
    given.unwrap_or_else(|| "nats://127.0.0.1:4222".to_owned())
}

#[tokio::main]
async fn main() -> Result<(), RunError> {
    // Until SIGINT or SIGTERM; then all that was taken is answered.
    run(ConnectOptions::new(), url(), Signals::Terminate, setup).await
}

async fn setup(context: Context) -> Result<(), AddServiceError> {
    context.add_service(Calculator.into_service()).await?;
    Ok(())
}
