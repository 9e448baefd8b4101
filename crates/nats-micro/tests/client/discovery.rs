//! Finding services. spec: nats-micro 3, 10.2

use futures_util::StreamExt;
use nats_micro::client::{Client, ControlError, End, MAX_UNUSABLE_KEPT, RequestError, Unusable};
use nats_micro::document::{Document, DocumentError, Info, Ping};
use nats_micro::{ConfigError, Endpoint, Request, Service};
use serde_json::json;

use crate::brokers::{Broker, SHORT, answer, answer_with, on_both_brokers, patient};

fn echo() -> Endpoint {
    Endpoint::new("echo", |request: Request| async move {
        request.payload().clone()
    })
}

async fn start(connection: &async_nats::Client, name: &str, id: &str) -> Service {
    let service = Service::builder(name, "1.0.0").id(id).endpoint(echo());
    service.start(connection).await.unwrap()
}

fn ping(name: &str, id: &str) -> String {
    json!({"name": name, "id": id, "version": "1.0.0", "metadata": {}, "type": Ping::TYPE})
        .to_string()
}

fn ids<D: Document>(documents: &[D]) -> Vec<&str> {
    let mut ids: Vec<_> = documents.iter().map(Document::id).collect();
    ids.sort_unstable();
    ids
}

on_both_brokers! {
    async fn services_are_found_in_every_form(broker: &Broker) {
        let connection = broker.connect().await;
        let client = patient(connection.clone());
        let mut services = Vec::new();
        for (name, id) in [("one", "a"), ("one", "b"), ("two", "c")] {
            services.push(start(&connection, name, id).await);
        }

        let all = client.ping().max_count(3).await.unwrap();
        assert_eq!(ids(&all.documents), ["a", "b", "c"]);
        assert_eq!((all.end, all.unusable_count), (End::MaxCount, 0));
        assert_eq!(ids(&client.info().max_count(3).await.unwrap().documents), ["a", "b", "c"]);
        assert_eq!(ids(&client.stats().max_count(3).await.unwrap().documents), ["a", "b", "c"]);

        let one = client.service("one");
        assert_eq!(ids(&one.ping().max_count(2).await.unwrap().documents), ["a", "b"]);
        assert_eq!(ids(&one.info().max_count(2).await.unwrap().documents), ["a", "b"]);
        assert_eq!(ids(&one.stats().max_count(2).await.unwrap().documents), ["a", "b"]);
        let silence_ends = one.ping().max_interval(SHORT).await.unwrap();
        assert_eq!(silence_ends.end, End::MaxInterval);

        let b = one.instance("b");
        assert_eq!(b.ping().await.unwrap(), services[1].ping());
        assert_eq!(b.info().await.unwrap(), services[1].info());
        assert_eq!(b.stats().await.unwrap(), services[1].stats());
        assert_eq!(client.instance("two", "c").ping().await.unwrap(), services[2].ping());

        let mut stream = one.info().max_count(2).stream().await.unwrap();
        let mut streamed = Vec::new();
        while let Some(document) = stream.next().await {
            streamed.push(document.unwrap());
        }
        assert_eq!(ids(&streamed), ["a", "b"]);
        assert_eq!(stream.end(), Some(End::MaxCount));
    }

    async fn who_is_not_there_is_said_at_once(broker: &Broker) {
        let connection = broker.connect().await;
        let client = patient(connection.clone());
        let nobody = client.ping().await.unwrap();
        assert_eq!((nobody.documents.len(), nobody.end), (0, End::NoResponders));
        let _service = start(&connection, "one", "a").await;
        let nobody = client.service("ONE").stats().await.unwrap();
        assert_eq!((nobody.documents.len(), nobody.end), (0, End::NoResponders));
        let nobody = client.instance("one", "A").ping().await.unwrap_err();
        assert!(matches!(nobody, ControlError::Request(RequestError::NoResponders { .. })));
        let error = client.service("no name").ping().await.unwrap_err();
        assert!(matches!(error, RequestError::InvalidSubject { .. }));
    }

    async fn replies_that_cannot_be_used_cost_no_others(broker: &Broker) {
        let connection = broker.connect().await;
        let foreign = ping("one", "x").replace("ping_response", "info_response");
        answer(&connection, "$SRV.PING", move |connection, request| {
            let unusable = ["{".to_owned(), String::new(), foreign.clone()];
            async move {
                let inbox = request.reply.unwrap();
                let publish = |payload: String| connection.publish(inbox.clone(), payload.into());
                for payload in unusable {
                    publish(payload).await.unwrap();
                }
                let mut headers = async_nats::HeaderMap::new();
                headers.insert("Nats-Service-Error-Code", "500");
                let error = connection.publish_with_headers(inbox.clone(), headers, "".into());
                error.await.unwrap();
                publish(ping("one", "a")).await.unwrap();
                publish(ping("one", "b")).await.unwrap();
            }
        })
        .await;
        let found = patient(connection).ping().max_count(2).await.unwrap();
        assert_eq!(ids(&found.documents), ["a", "b"]);
        assert_eq!((found.unusable_count, found.unusable.len()), (4, 4));
        assert_eq!(found.end, End::MaxCount);
        let count = |wanted: fn(&Unusable) -> bool| {
            found.unusable.iter().filter(|unusable| wanted(unusable)).count()
        };
        assert_eq!(count(|one| matches!(one, Unusable::Document(DocumentError::Malformed { .. }))), 2);
        assert_eq!(count(|one| matches!(one, Unusable::Document(DocumentError::WrongType { .. }))), 1);
        assert_eq!(count(|one| matches!(one, Unusable::Service(error) if error.code() == Some(500))), 1);
    }

    async fn a_stream_reports_them_one_by_one(broker: &Broker) {
        let connection = broker.connect().await;
        let replies = ["?", &ping("one", "a"), "?", &ping("one", "b")];
        answer_with(&connection, "$SRV.PING", replies.map(str::to_owned).to_vec()).await;
        let client = patient(connection);
        let stream = client.ping().max_count(2).stream().await.unwrap();
        let usable: Vec<_> = stream.map(|document| document.is_ok()).collect().await;
        assert_eq!(usable, [false, true, false, true]);
    }

    async fn of_many_that_cannot_be_used_only_some_are_kept(broker: &Broker) {
        let connection = broker.connect().await;
        let mut replies = vec!["?".to_owned(); MAX_UNUSABLE_KEPT + 10];
        replies.push(ping("one", "a"));
        answer_with(&connection, "$SRV.PING", replies).await;
        let found = patient(connection).ping().max_count(1).await.unwrap();
        assert_eq!(found.documents.len(), 1);
        assert_eq!(found.unusable_count, MAX_UNUSABLE_KEPT + 10);
        assert_eq!(found.unusable.len(), MAX_UNUSABLE_KEPT);
    }

    async fn instances_with_one_id_are_both_found(broker: &Broker) {
        let connection = broker.connect().await;
        let _services = [
            start(&connection, "one", "same").await,
            start(&connection, "one", "same").await,
        ];
        let found = patient(connection).ping().max_count(2).await.unwrap();
        assert_eq!(ids(&found.documents), ["same", "same"]);
    }

    async fn an_instance_that_answers_something_else_is_reported(broker: &Broker) {
        let connection = broker.connect().await;
        answer_with(&connection, "$SRV.INFO.one.a", vec![ping("one", "a")]).await;
        let error = patient(connection).instance("one", "a").info().await.unwrap_err();
        assert!(matches!(
            error,
            ControlError::Document(DocumentError::WrongType { expected, .. }) if expected == Info::TYPE
        ));
    }

    async fn an_instance_has_the_time_it_is_given(broker: &Broker) {
        let connection = broker.connect().await;
        let _silent = connection.subscribe("$SRV.PING.one.a").await.unwrap();
        let instance = patient(connection).instance("one", "a").with_timeout(SHORT);
        let error = instance.ping().await.unwrap_err();
        assert!(matches!(
            error,
            ControlError::Request(RequestError::TimedOut { after, .. }) if after == SHORT
        ));
    }

    async fn control_subjects_may_begin_otherwise(broker: &Broker) {
        let connection = broker.connect().await;
        let service = Service::builder("one", "1.0.0").control_prefix("acct.$SRV").endpoint(echo());
        let service = service.start(&connection).await.unwrap();
        assert_eq!(patient(connection.clone()).ping().await.unwrap().end, End::NoResponders);
        let client = Client::builder(connection.clone()).control_prefix("acct.$SRV");
        let client = client.build().unwrap();
        let found = client.ping().max_count(1).await.unwrap();
        assert_eq!(found.documents, [service.ping()]);
        let instance = client.instance("one", service.id());
        assert_eq!(instance.info().await.unwrap(), service.info());
        let refused = Client::builder(connection).control_prefix("a.*").build();
        assert!(matches!(refused, Err(ConfigError::ControlPrefix(prefix)) if prefix == "a.*"));
    }

    async fn a_thousand_instances_are_found(broker: &Broker) {
        let connection = broker.connect().await;
        let replies = (0..1_000).map(|id| ping("one", &id.to_string())).collect();
        answer_with(&connection, "$SRV.PING", replies).await;
        let found = patient(connection).ping().max_count(1_000).await.unwrap();
        assert_eq!((found.documents.len(), found.end), (1_000, End::MaxCount));
    }
}
