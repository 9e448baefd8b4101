//! Calling endpoints by their names. spec: nats-micro 2.4

use nats_micro::client::{CallError, LookupError, RequestError};
use nats_micro::{Endpoint, Group, Request, Service, ServiceError};

use crate::brokers::{Broker, SHORT, on_both_brokers, patient};

/// Answers with the subject that it was asked on.
fn endpoint(name: &str) -> Endpoint {
    Endpoint::new(name, |request: Request| async move {
        request.subject().to_owned()
    })
}

async fn shop(connection: &async_nats::Client) -> Service {
    let failing = Endpoint::new("fail", |_: Request| async move {
        Err::<String, _>(ServiceError::new(409, "conflict"))
    });
    let orders = Group::new("shop.orders")
        .endpoint(endpoint("get"))
        .endpoint(endpoint("list"))
        .endpoint(endpoint("any").subject("any.*"))
        .endpoint(failing);
    let again = Group::new("shop.customers").endpoint(endpoint("list"));
    let service = Service::builder("shop", "1.0.0").group(orders).group(again);
    service.start(connection).await.unwrap()
}

on_both_brokers! {
    async fn endpoints_are_called_by_name(broker: &Broker) {
        let connection = broker.connect().await;
        let _shop = shop(&connection).await;
        let shop = patient(connection).service("shop");
        let reply = shop.request("get", "7").await.unwrap();
        assert_eq!(&reply.payload[..], b"shop.orders.get");
        let endpoint = shop.endpoint("get").await.unwrap();
        assert_eq!(endpoint.subject, "shop.orders.get");
        let error = shop.request("fail", "").await.unwrap_err();
        assert!(matches!(
            error,
            CallError::Request(RequestError::Service(error)) if error.code() == Some(409)
        ));
    }

    async fn what_cannot_be_called_by_name_says_so(broker: &Broker) {
        let connection = broker.connect().await;
        let _shop = shop(&connection).await;
        let client = patient(connection);
        let shop = client.service("shop");

        let error = shop.request("any", "").await.unwrap_err();
        assert!(matches!(
            &error,
            CallError::Wildcards { subject, .. } if subject == "shop.orders.any.*"
        ));
        let error = shop.request("list", "").await.unwrap_err();
        let CallError::Lookup(LookupError::Ambiguous { subjects, .. }) = error else {
            panic!("{error}");
        };
        assert_eq!(subjects, ["shop.customers.list", "shop.orders.list"]);
        let error = client.service("none").request("get", "").await.unwrap_err();
        assert!(matches!(error, CallError::Lookup(LookupError::UnknownService { .. })));

        let impatient = nats_micro::client::Client::builder(client.connection().clone());
        let impatient = impatient.max_wait(SHORT).build().unwrap().service("shop");
        // On a busy machine the answer may take longer than that.
        let known = loop {
            let error = impatient.request("GET", "").await.unwrap_err();
            let CallError::Lookup(error) = error else {
                panic!("{error}");
            };
            if let LookupError::UnknownEndpoint { known, .. } = error {
                break known;
            }
            assert!(matches!(error, LookupError::UnknownService { .. }), "{error}");
        };
        assert_eq!(known, ["any", "fail", "get", "list"]);
    }

    async fn instances_may_differ(broker: &Broker) {
        let connection = broker.connect().await;
        let old = Service::builder("shop", "1.0.0").endpoint(endpoint("get"));
        let new = Service::builder("shop", "1.1.0").endpoint(endpoint("get"));
        let new = new.endpoint(endpoint("put"));
        let _services = [
            old.start(&connection).await.unwrap(),
            new.start(&connection).await.unwrap(),
        ];
        let reply = patient(connection).service("shop").request("put", "").await.unwrap();
        assert_eq!(&reply.payload[..], b"put");
    }
}
