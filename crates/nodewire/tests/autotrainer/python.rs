//! Unmodified Python: pyzmq with the request class of both releases.

use std::collections::HashMap;

use autotrainer_api::Topic;
use nodewire_testkit::{AutotrainerClient, AutotrainerVersion};
use serde_json::{Value, json};

use crate::nodes::Waiting;
use crate::support::{ECHO, builder, config, ports, start};

struct Python {
    client: AutotrainerClient,
    nonce: u64,
    /// What was published, by nonce: changes, and the result last.
    told: HashMap<u64, Vec<Value>>,
}

impl Python {
    async fn connect(version: AutotrainerVersion, commands: u16, events: u16) -> Self {
        let mut client = AutotrainerClient::start(version).await.unwrap();
        let endpoint = |port| format!("tcp://127.0.0.1:{port}");
        client
            .connect("commands", "REQ", &endpoint(commands))
            .await
            .unwrap();
        let prefixes = [Topic::COMMAND_RESULT, Topic::PROPERTY_CHANGE];
        let prefixes = prefixes.map(|topic| topic.subscription_prefix());
        let prefixes: Vec<&[u8]> = prefixes.iter().map(Vec::as_slice).collect();
        client
            .connect_subscriber("events", &endpoint(events), &prefixes)
            .await
            .unwrap();
        let mut python = Self {
            client,
            nonce: 0,
            told: HashMap::new(),
        };
        python.join().await;
        python
    }

    /// Until a result arrives, subscriptions are in effect.
    async fn join(&mut self) {
        for _ in 0..1000 {
            self.ask(-1, json!({"node": "blip"})).await;
            let within_s = 0.05;
            let came = self.client.receive_within("events", 1, within_s).await;
            if !came.unwrap().is_empty() {
                return;
            }
        }
        panic!("nothing that is published arrives");
    }

    /// With the real class, which writes snake_case.
    async fn ask(&mut self, custom: i64, data: Value) -> Value {
        self.nonce += 1;
        let request = json!({"op": "request", "socket": "commands", "request":
            {"command": "USER_DEFINED", "nonce": self.nonce, "custom_command": custom, "data": data}});
        let reply = self.client.call(request).await.unwrap();
        let digits = reply[0].as_str().unwrap().as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        let bytes: Vec<u8> = digits.map(|pair| byte(pair).unwrap()).collect();
        let reply: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(reply["nonce"], self.nonce);
        reply
    }

    /// What was published for a command, up to its result.
    async fn until_result(&mut self, nonce: u64) -> Vec<Value> {
        loop {
            let message = self.client.receive("events", 1).await.unwrap().remove(0);
            let payload: Value = serde_json::from_slice(&message[1]).unwrap();
            if message[0] == Topic::COMMAND_RESULT.subscription_prefix() {
                let of = payload["nonce"].as_u64().unwrap();
                self.told.entry(of).or_default().push(payload);
                if of == nonce {
                    return self.told.remove(&nonce).unwrap();
                }
            } else {
                let change = payload["context"].clone();
                let of = change["newValue"]["nonce"].as_u64().unwrap();
                self.told.entry(of).or_default().push(change);
            }
        }
    }

    async fn run(&mut self, custom: i64, data: Value) -> Vec<Value> {
        let reply = self.ask(custom, data).await;
        assert_eq!(reply["result"], 201, "{reply}");
        self.until_result(self.nonce).await
    }
}

#[tokio::test]
async fn both_releases_run_watch_and_cancel_nodes() {
    for version in AutotrainerVersion::ALL {
        let waiting = Waiting::default();
        let server = start(builder(config(), &waiting)).await;
        let (commands, events) = ports(&server);
        let mut python = Python::connect(version, commands, events).await;

        let echoed = python
            .run(ECHO, json!({"inputs": {"text": ["Hello World"]}}))
            .await;
        assert_eq!(
            echoed[0]["data"],
            json!({"outputs": {"text": ["> Hello World"]}})
        );

        let told = python.run(-1, json!({"node": "steps"})).await;
        let names: Vec<_> = told.iter().map(|each| each["name"].as_str()).collect();
        let progress = Some("progress");
        assert_eq!(names, [progress, progress, progress, Some("partial"), None]);
        assert_eq!(told[1]["newValue"]["message"], "step 2");
        assert_eq!(told[4]["result"], 100);

        let deadline = python.run(-1, json!({"node": "wait", "timeout_ms": 20}));
        let deadline = deadline.await;
        assert_eq!(
            (&deadline[0]["result"], &deadline[0]["errorCode"]),
            (&json!(400), &json!(4))
        );

        assert_eq!(python.ask(-1, json!({"node": "wait"})).await["result"], 201);
        let running = python.nonce;
        waiting.started.taken().await;
        let cancelled = python.ask(2, json!({"nonce": running})).await;
        assert_eq!(cancelled["result"], 100);
        let result = python.until_result(running).await;
        assert_eq!(result[0]["errorCode"], 3);

        let unknown = python.ask(77, json!(null)).await;
        assert_eq!(
            (&unknown["result"], &unknown["errorCode"]),
            (&json!(0), &json!(20))
        );
        let executor = server.executor().clone();
        server.stop().await;
        assert!(executor.counters().is_balanced());
    }
}
