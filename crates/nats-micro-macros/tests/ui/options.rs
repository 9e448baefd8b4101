#![allow(unused, reason = "only what the macro says matters here")]

use nats_micro::service;

struct A;

#[service(
    name = "a b", version = "v1.0", queue_group = "", concurrency = 0, color = "red",
    metadata(_nats = "x", team = "a", team = "b"), description = 5, schema = "no", group
)]
impl A {
    #[endpoint(
        name = "a.b", subject = 7, queue_group = "a b", no_queue_group, concurrency = -1, streaming = true, doc = "x",
        metadata = "a", middleware
    )]
    async fn one(&self) {}

    #[endpoint(name = "b", name = "c", metadata(a), spawn("x"))]
    async fn two(&self) {}

    #[endpoint = "three"]
    async fn three(&self) {}

    #[endpoint]
    #[endpoint]
    async fn four(&self) {}

    #[endpoint(concurrency: 4)]
    async fn five(&self) {}

    #[endpoint]
    async fn größe(&self) {}
}

fn main() {}
