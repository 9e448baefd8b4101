//! The service of the recorded exchanges, made with this crate.

use std::sync::{Arc, OnceLock};

use nats_micro::{Endpoint, Group, Reply, Request, Service, ServiceError};

pub(crate) async fn start(connection: &async_nats::Client) -> Service {
    start_as(connection, "demo-service").await
}

pub(crate) async fn start_as(connection: &async_nats::Client, name: &str) -> Service {
    let itself: Arc<OnceLock<Service>> = Arc::default();
    let of_endpoint = Arc::clone(&itself);
    let reset = Endpoint::new("reset", move |_: Request| {
        of_endpoint.get().unwrap().reset();
        async { "" }
    });
    let sub = Group::new("sub")
        .endpoint(Endpoint::new("boom", boom))
        .endpoint(Endpoint::new("err", err))
        .endpoint(Endpoint::new("ok", ok))
        .endpoint(Endpoint::new("hdrs", subject))
        .endpoint(Endpoint::new("slow", ok))
        .endpoint(Endpoint::new("silent", |_: Request| async {}))
        .endpoint(Endpoint::new("twice", twice));
    let in_group = Endpoint::new("echo", echo)
        .subject("ECHO")
        .metadata("m", "1");
    let mut service = Service::builder(name, "1.0.0")
        .description("Demo service")
        .metadata("team", "a")
        .endpoint(Endpoint::new("echo", echo))
        .group(
            Group::new("demo")
                .queue_group("gq")
                .endpoint(in_group)
                .group(sub),
        )
        .endpoint(Endpoint::new("wild", subject).subject("w.*.x.>"));
    // What these do is tested elsewhere; here they are listed.
    for name in ["mw", "mwerr", "mwboom", "mws", "mwsilent", "mwtwice"] {
        service = service.endpoint(Endpoint::new(name, echo));
    }
    let service = service.endpoint(reset).start(connection).await.unwrap();
    itself.set(service.clone()).unwrap();
    service
}

async fn echo(request: Request) -> Reply {
    Reply::new(request.payload().clone())
}

async fn boom(_: Request) -> Result<Reply, ServiceError> {
    Err(ServiceError::internal("kaboom"))
}

async fn err(_: Request) -> Result<Reply, ServiceError> {
    let error = ServiceError::new(404, "not found").with_payload(r#"{"k":1}"#);
    Err(error.with_header("X-A", "1"))
}

async fn ok(_: Request) -> Reply {
    Reply::new("created")
        .with_header("X-B", "2")
        .with_success_code(201)
}

async fn subject(request: Request) -> Reply {
    Reply::new("").with_header("X-Sub", request.subject())
}

async fn twice(request: Request) {
    request.respond("1").await.unwrap();
    request.respond("2").await.unwrap();
}
