//! `ping`, `info`, `stats` and `ls`.

use futures_util::StreamExt;
use nats_micro::{Endpoint, Request, Service};
use serde_json::json;

use super::Setup;

fn echo(subject: &str) -> Endpoint {
    let handler = |request: Request| async move { request.payload().clone() };
    Endpoint::new("echo", handler).subject(subject)
}

/// A service of ours, with texts that would steer a terminal.
fn start(setup: &Setup, client: &async_nats::Client, version: &str, id: &str) -> Service {
    let service = Service::builder("ours", version)
        .id(id)
        .description("two\nlines \u{1b}[2J")
        .metadata("color", "\u{1b}[31mred")
        .endpoint(echo("ours.echo"))
        .endpoint(echo("ours.loud").no_queue_group());
    setup.home.runtime.block_on(service.start(client)).unwrap()
}

#[test]
fn tables_are_aligned_sorted_and_harmless() {
    let setup = Setup::new();
    let client = setup.client();
    let _services = [
        start(&setup, &client, "1.0.0", "id-b"),
        start(&setup, &client, "1.10.0", "id-a"),
    ];
    setup.run(&["request", "ours.echo", "x"]).is("x\n");
    let ping = setup.run(&["ping", "-c", "2", "-t", "60"]);
    ping.is("SERVICE  VERSION  ID    METADATA\n\
         ours     1.10.0   id-a  color=\u{fffd}[31mred\n\
         ours     1.0.0    id-b  color=\u{fffd}[31mred\n");
    let info = setup.run(&["info", "ours", "-c", "2", "-t", "60"]);
    assert_eq!(
        info.lines()[..3],
        [
            "SERVICE  VERSION  ID    ENDPOINT  SUBJECT    QUEUE GROUP  DESCRIPTION",
            "ours     1.10.0   id-a  echo      ours.echo  q            two lines \u{fffd}[2J",
            "ours     1.10.0   id-a  echo      ours.loud  -            two lines \u{fffd}[2J",
        ]
    );
    let stats = setup.run(&["stats", "ours", "-c", "2", "-t", "60"]);
    let [header, rows @ ..] = &stats.lines()[..] else {
        panic!("{stats:?}");
    };
    let columns: Vec<_> = header.split_whitespace().collect();
    assert_eq!(
        columns[..6],
        ["SERVICE", "ID", "ENDPOINT", "SUBJECT", "REQUESTS", "ERRORS"]
    );
    let requests: usize = rows
        .iter()
        .filter(|row| row.contains("ours.echo"))
        .map(|row| {
            row.split_whitespace()
                .nth(4)
                .unwrap()
                .parse::<usize>()
                .unwrap()
        })
        .sum();
    assert_eq!((rows.len(), requests), (4, 1));
    for printed in [ping, info, stats] {
        assert!(
            !printed.text().contains('\u{1b}') && printed.stderr.is_empty(),
            "{printed:?}"
        );
    }
}

#[test]
fn one_service_one_instance_and_some_endpoints() {
    let setup = Setup::new();
    let client = setup.client();
    let _python = setup.python_service();
    let _services = [
        start(&setup, &client, "1.0.0", "id-a"),
        start(&setup, &client, "1.0.0", "id-b"),
    ];
    let count = |arguments: &[&str]| {
        let documents = setup.run(&[arguments, &["--json"]].concat()).json();
        documents.as_array().unwrap().len()
    };
    assert_eq!(count(&["ping", "-c", "3", "-t", "60"]), 3);
    assert_eq!(count(&["ping", "ours", "-c", "2", "-t", "60"]), 2);
    assert_eq!(count(&["ping", "ours", "-i", "3", "-t", "60"]), 2);
    assert_eq!(count(&["ping", "ours", "nobody"]), 0);
    assert_eq!(count(&["ping", "ours", "id-a", "-t", "60"]), 1);
    assert_eq!(count(&["stats", "ours", "id-a", "-t", "60"]), 1);
    let only = setup
        .run(&["info", "ours", "id-b", "-e", "*.loud", "--json", "-t", "60"])
        .json();
    assert_eq!(only[0]["id"], "id-b");
    assert_eq!(only[0]["endpoints"].as_array().unwrap().len(), 1);
    assert_eq!(only[0]["endpoints"][0]["subject"], "ours.loud");
    assert_eq!(only[0]["endpoints"][0]["queue_group"], "");
}

#[test]
fn nobody_is_an_empty_result() {
    let setup = Setup::new();
    for command in ["ping", "info", "stats", "ls"] {
        setup.run(&[command, "--json"]).is("[]\n");
        let table = setup.run(&[command]);
        table.is("");
        assert_eq!(table.stderr, "nobody answered\n");
    }
}

#[test]
fn answers_that_cannot_be_used_are_counted_and_said() {
    let setup = Setup::new();
    let client = setup.client();
    let _service = start(&setup, &client, "1.0.0", "id-a");
    for subject in ["$SRV.PING", "$SRV.PING.ours.bad"] {
        let mut asked = setup
            .home
            .runtime
            .block_on(client.subscribe(subject))
            .unwrap();
        let client = client.clone();
        setup.home.runtime.spawn(async move {
            while let Some(request) = asked.next().await {
                for bad in ["no JSON \u{1b}[2J", r#"{"name": "n"}"#] {
                    client
                        .publish(request.reply.clone().unwrap(), bad.into())
                        .await
                        .unwrap();
                }
            }
        });
    }
    setup.home.runtime.block_on(client.flush()).unwrap();
    let ping = setup.run(&["ping", "--json", "-t", "3"]);
    assert_eq!(ping.json()[0]["id"], "id-a");
    assert!(
        ping.stderr.contains("2 answers cannot be used") && !ping.stderr.contains('\u{1b}'),
        "{ping:?}"
    );
    let one = setup.run(&["ping", "ours", "bad", "--json", "-t", "60"]);
    one.is("[]\n");
    assert!(one.stderr.contains("1 answer cannot be used"), "{one:?}");
}

#[test]
fn what_fills_defaults_is_shown_with_them() {
    let setup = Setup::new();
    let client = setup.client();
    let mut asked = setup
        .home
        .runtime
        .block_on(client.subscribe("$SRV.INFO"))
        .unwrap();
    let answering = client.clone();
    setup.home.runtime.spawn(async move {
        while let Some(request) = asked.next().await {
            let sparse = r#"{"version": "1.0.0", "id": "i", "name": "n", "endpoints": [{"subject": "s", "name": "e", "metadata": null}], "other": 1}"#;
            answering.publish(request.reply.unwrap(), sparse.into()).await.unwrap();
        }
    });
    setup.home.runtime.block_on(client.flush()).unwrap();
    let info = setup.run(&["info", "-c", "1", "-t", "60", "--json"]);
    assert_eq!(
        info.json(),
        json!([{"name": "n", "id": "i", "version": "1.0.0", "description": "", "metadata": {},
            "endpoints": [{"name": "e", "subject": "s", "metadata": {}, "queue_group": ""}], "type": ""}])
    );
}

#[test]
fn services_are_listed_by_name_with_their_load() {
    let setup = Setup::new();
    let client = setup.client();
    let _python = setup.python_service();
    let _services = [
        start(&setup, &client, "1.0.0", "id-a"),
        start(&setup, &client, "1.1.0", "id-b"),
    ];
    setup.run(&["request", "ours.echo", "x", "--count", "5"]);
    setup.run(&["request", "ours.loud", "x", "--replies", "2"]);
    setup.run(&["request", "demo.sub.boom", "x"]);
    let list = setup.run(&["ls", "-c", "3", "-t", "60", "--json"]).json();
    let names: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|service| &service["name"])
        .collect();
    assert_eq!(names, ["demo-service", "ours"]);
    let ours = &list[1];
    assert_eq!(ours["versions"], json!(["1.0.0", "1.1.0"]));
    assert_eq!(ours["instances"], json!(["id-a", "id-b"]));
    let of = |service: &serde_json::Value, subject: &str, key: &str| {
        let endpoints = service["endpoints"].as_array().unwrap();
        let found = endpoints
            .iter()
            .find(|endpoint| endpoint["subject"] == subject);
        found.unwrap()[key].clone()
    };
    assert_eq!(of(ours, "ours.echo", "num_requests"), 5);
    assert_eq!(of(ours, "ours.echo", "queue_group"), "q");
    assert_eq!(of(ours, "ours.loud", "num_requests"), 2);
    assert_eq!(of(ours, "ours.loud", "queue_group"), "");
    assert_eq!(of(&list[0], "demo.sub.boom", "num_errors"), 1);
    let table = setup.run(&["ls", "-c", "3", "-t", "60"]);
    let row = table
        .lines()
        .into_iter()
        .find(|line| line.contains("ours.echo"))
        .unwrap();
    let cells: Vec<_> = row.split_whitespace().collect();
    assert_eq!(
        cells[..8],
        [
            "ours",
            "1.0.0,",
            "1.1.0",
            "2",
            "echo",
            "ours.echo",
            "q",
            "5"
        ]
    );
}
