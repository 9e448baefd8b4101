#![allow(unused, reason = "only what the macro says matters here")]

use std::rc::Rc;

use nats_micro::{Bytes, Request, ServiceError, service};

struct A;

#[service]
impl A {
    #[endpoint]
    async fn by_value(self) {}

    #[endpoint]
    async fn unique(&mut self) {}

    #[endpoint]
    async fn in_rc(self: Rc<Self>) {}

    #[endpoint]
    async fn generic<T>(&self, value: T) {}

    #[endpoint]
    async fn lifetimes<'a>(&'a self, text: &'a str) -> &'a str {
        text
    }

    #[endpoint]
    const fn constant(&self) {}

    #[endpoint]
    unsafe fn dangerous(&self) {}

    #[endpoint]
    extern "C" fn foreign(&self) {}

    #[endpoint]
    async fn two_bodies(&self, a: i64, b: i64) {}

    #[endpoint]
    async fn two_kinds_of_body(&self, a: i64, b: Bytes) {}

    #[endpoint]
    async fn two_requests(&self, a: Request, b: &Request) {}

    #[endpoint]
    async fn mutable(&self, text: &mut String) {}

    #[endpoint]
    async fn unnamed(&self) -> impl serde::Serialize {
        1
    }

    #[endpoint]
    async fn unnamed_result(&self) -> Result<impl serde::Serialize, ServiceError> {
        Ok(1)
    }

    #[endpoint(blocking)]
    async fn blocks(&self) {}

    #[endpoint(spawn)]
    fn spawned(&self) {}
}

fn main() {}
