//! The real clients with a device of ours.

use nodewire_testkit::{AutotrainerClient, AutotrainerConsole, AutotrainerVersion};
use serde_json::{Value, json};

use crate::support::{App, Home};

#[test]
fn the_console_of_the_peer_commands_it() {
    for version in AutotrainerVersion::ALL {
        let home = Home::new();
        let app = App::start(&home, &["--level", version.as_str()]);
        let endpoint = format!("tcp://127.0.0.1:{}", app.command_port);
        let is_old = version == AutotrainerVersion::V0_9_11;
        let (start, stop) = if is_old { (100, 110) } else { (50, 55) };
        let _guard = home.runtime.enter();
        let mut console = AutotrainerConsole::start(version, &endpoint).unwrap();
        for (line, command, nonce) in [
            ("start", start, 1),
            ("stop", stop, 2),
            ("configuration", 300, 3),
            ("status", 400, 4),
            ("", 400, 5),
        ] {
            let printed = home.runtime.block_on(console.enter(line)).unwrap();
            let printed: Value = serde_json::from_str(&printed).unwrap();
            assert_eq!(
                (&printed["command"], &printed["nonce"]),
                (&json!(command), &json!(nonce))
            );
            assert_eq!(
                (&printed["result"], &printed["errorCode"]),
                (&json!(100), &json!(0))
            );
            app.running
                .out
                .object("request", |request| request["rawCommand"] == command);
            match line {
                // All seven, where the sample of the peer fails (Q26).
                "configuration" => assert_eq!(printed["data"].as_object().unwrap().len(), 7),
                "status" if is_old => assert_eq!(
                    printed["data"],
                    json!({"appStatus": 0, "trainingMode": 100, "animalId": "123456"})
                ),
                "status" => assert!(printed["data"]["pelletDevice"].is_object()),
                _ => {}
            }
        }
    }
}

#[test]
fn subscribers_of_the_peer_get_its_events() {
    for version in AutotrainerVersion::ALL {
        let home = Home::new();
        let mut app = App::start(
            &home,
            &["--level", version.as_str(), "--heartbeat-interval", "0.05"],
        );
        let endpoint = format!("tcp://127.0.0.1:{}", app.event_port);
        home.runtime.block_on(async {
            let mut client = AutotrainerClient::start(version).await.unwrap();
            let prefix = 1001_u32.to_le_bytes();
            client
                .connect_subscriber("beats", &endpoint, &[&prefix])
                .await
                .unwrap();
            let beat = client.receive("beats", 1).await.unwrap().remove(0);
            let beat: Value = serde_json::from_slice(&beat[1]).unwrap();
            assert!(
                beat["version"]
                    .as_str()
                    .unwrap()
                    .starts_with(version.as_str())
            );

            let prefix = 4001_u32.to_le_bytes();
            client
                .connect_subscriber("events", &endpoint, &[&prefix])
                .await
                .unwrap();
            app.running.enter("repeat 100000 every 5 app_launch\n");
            let event = client.receive("events", 1).await.unwrap().remove(0);
            let event: Value = serde_json::from_slice(&event[1]).unwrap();
            assert_eq!(
                (&event["kind"], &event["context"]),
                (&json!(201), &Value::Null)
            );
        });
    }
}
