#![allow(unused, reason = "only what the macro says matters here")]

use nats_micro::service;

struct A;

#[service]
impl A {
    fn helper(&self) {}
}

trait Served {
    async fn serve(&self);
}

#[service]
impl Served for A {
    #[endpoint]
    async fn serve(&self) {}
}

#[service]
impl dyn Fn() {
    #[endpoint]
    async fn served(&self) {}
}

#[service]
fn function() {}

fn main() {}
