//! Servers made with the Python packages.

use nodewire_testkit::{
    AutotrainerService, AutotrainerServiceOptions, AutotrainerVersion, PythonNodeServer, SdkVersion,
};

use crate::support::{ended, nodewire};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_node_servers_are_listed_and_called() {
    let folder = tempfile::tempdir().unwrap();
    for version in SdkVersion::ALL {
        let server = PythonNodeServer::start(version).await.unwrap();
        let url = server.url();
        let told = ended(nodewire(
            folder.path(),
            &["ls", "--json", "--nanograph", &url],
        ))
        .await;
        assert_eq!(told.status, 0, "{told:?}");
        let told = told.json();
        let nodes = told["servers"][0]["nodes"].as_array().unwrap();
        let echo = nodes
            .iter()
            .find(|node| node["uid"].as_str().unwrap().contains("echo"))
            .unwrap();
        let uid = echo["uid"].as_str().unwrap();
        let input = format!("{}=hello", echo["inputs"][0]["name"].as_str().unwrap());
        let told = ended(nodewire(
            folder.path(),
            &["call", uid, &input, "--nanograph", &url],
        ))
        .await;
        assert!(
            told.status == 0 && told.stdout.contains("hello"),
            "{told:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_devices_are_listed_by_their_heartbeats() {
    let folder = tempfile::tempdir().unwrap();
    for version in AutotrainerVersion::ALL {
        let options = AutotrainerServiceOptions {
            heartbeat_interval_s: 0.2,
            identifier: "rig-7".to_owned(),
            ..AutotrainerServiceOptions::default()
        };
        let mut device = AutotrainerService::start(version, options).await.unwrap();
        let endpoints = format!("{},{}", device.event_endpoint(), device.command_endpoint());
        let on_device = |arguments: &[&str]| {
            let mut command = nodewire(folder.path(), arguments);
            command.args(["--autotrainer", &endpoints]);
            command
        };
        let told = ended(on_device(&["ls", "--json"])).await;
        assert_eq!(told.status, 0, "{version:?}: {told:?}");
        let told = told.json();
        let server = &told["servers"][0];
        assert_eq!(server["name"], "rig-7", "{version:?}: {server}");
        assert!(server["version"].is_string(), "{version:?}: {server}");
        assert!(server["round_trip_us"].is_u64(), "{version:?}: {server}");
        assert_eq!(server["callable"], false, "{version:?}: {server}");
        let table = ended(on_device(&["ls"])).await;
        assert!(
            table.stdout.contains("rig-7") && table.stdout.contains("autotrainer"),
            "{table:?}"
        );
        let top = ended(on_device(&["top", "--once", "--interval", "0.1"])).await;
        assert_eq!(top.status, 0, "{top:?}");
        let called = ended(on_device(&["call", "echo"])).await;
        assert_eq!(called.status, 2, "{called:?}");
        device.stop().await.unwrap();
    }
}
