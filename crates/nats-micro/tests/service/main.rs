//! Services over real connections, each test on `nats-server` and on the embedded broker. spec: nats-micro 18

mod control;
mod endpoints;
mod limits;
mod loss;
mod replies;
mod statistics;
mod stop;
mod support;
