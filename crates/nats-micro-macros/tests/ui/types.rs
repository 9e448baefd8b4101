#![allow(unused, reason = "only what the macro says matters here")]

use nats_micro::service;
use serde::{Deserialize, Serialize};

struct Nothing;

#[derive(Serialize, Deserialize)]
struct NoSchema;

struct A;

#[service]
impl A {
    #[endpoint]
    async fn schemas(&self, input: NoSchema) -> Vec<NoSchema> {
        vec![input]
    }

    #[endpoint(schema = false)]
    async fn unwritable(&self) -> Nothing {
        Nothing
    }
}

fn main() {}
