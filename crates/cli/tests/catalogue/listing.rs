//! `nodewire ls` and `nodewire top`.

use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{PATIENCE, Served, WIRES, any_command, ended, nodewire};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wire_has_its_servers_and_nodes() {
    let served = Served::start().await;
    let told = ended(served.on_all(&["ls", "--json"])).await;
    assert_eq!(told.status, 0, "{told:?}");
    let told = told.json();
    assert_eq!(told["unreachable"], serde_json::json!([]));
    let servers = told["servers"].as_array().unwrap();
    let mut wires: Vec<_> = servers
        .iter()
        .map(|server| server["wire"].as_str().unwrap())
        .collect();
    wires.sort_unstable();
    let mut expected = WIRES;
    expected.sort_unstable();
    assert_eq!(wires, expected);
    for server in servers {
        let wire = &server["wire"];
        assert!(server["version"].is_string(), "{wire}");
        assert!(server["round_trip_us"].is_u64(), "{wire}");
        let nodes = server["nodes"].as_array().unwrap();
        let echo = nodes.iter().find(|node| node["uid"] == "echo").unwrap();
        assert_eq!(nodes.len(), 4, "{wire}");
        assert_eq!(
            echo["load"]["running"].is_u64(),
            wire != "nanograph",
            "{wire}"
        );
    }
    let table = ended(served.on_all(&["ls"])).await;
    let echo = table
        .stdout
        .lines()
        .find(|line| line.starts_with("echo"))
        .unwrap();
    for wire in WIRES {
        assert!(echo.contains(wire), "{echo}");
    }
    let via = ended(served.on_all(&["ls", "--via", "nats", "--json"]))
        .await
        .json();
    assert_eq!(via["servers"].as_array().unwrap().len(), 1);
    assert_eq!(via["servers"][0]["version"], "1.2.3");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_reached_is_told_beside_what_is() {
    let served = Served::start().await;
    // The broker has no such service.
    let mut command = served.on("nanograph", &["ls", "--json"]);
    command.args(["--http", "127.0.0.1:1"]);
    let told = ended(command).await;
    assert_eq!(told.status, 3, "{told:?}");
    let told = told.json();
    assert_eq!(told["servers"][0]["name"], "served");
    assert_eq!(told["unreachable"][0]["kind"], "unreachable");
    assert_eq!(told["unreachable"][0]["target"], "http://127.0.0.1:1");
    let mut command = served.on("nanograph", &["ls"]);
    command.args(["--http", "127.0.0.1:1"]);
    let told = ended(command).await;
    assert!(
        told.stdout.contains("served") && told.stderr.contains("127.0.0.1:1"),
        "{told:?}"
    );
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_is_down_is_told_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    // It takes connections, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    let device = format!("{silent},{silent}");
    let plain_nnrp = format!("nnrp+tcp://{silent}");
    let flags = [
        ["--nanograph", &silent],
        ["--nats", &silent],
        ["--autotrainer", &device],
        ["--nnrp", &plain_nnrp],
        ["--http", &silent],
        ["--http", "127.0.0.1:1"],
        ["--autotrainer", "1,1"],
    ];
    for command in [
        &["ls", "--json"][..],
        &["top", "--once", "--json", "--interval", "0.1"],
    ] {
        let mut command = any_command(folder.path(), command);
        command.args(flags.as_flattened()).args(["--wait", "1"]);
        let told = ended(command).await;
        assert_eq!(told.status, 3, "{told:?}");
        let told = told.json();
        let unreachable = told["unreachable"].as_array().unwrap();
        assert_eq!(unreachable.len(), flags.len(), "{told}");
        for one in unreachable {
            assert_eq!(one["kind"], "unreachable", "{one}");
            assert!(!one["error"].as_str().unwrap().is_empty(), "{one}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn top_shows_what_answers_while_others_do_not() {
    let served = Served::start().await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    let (_, flags) = served
        .flags
        .iter()
        .find(|(wire, _)| *wire == "http")
        .unwrap();
    let mut command = any_command(
        served.folder.path(),
        &["top", "--json", "--interval", "0.1"],
    );
    // Far longer than a line is waited for.
    command
        .args(flags)
        .args(["--nanograph", &silent, "--wait", "3000"]);
    let mut top = command.spawn().unwrap();
    let mut lines = BufReader::new(top.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
    let line = line.expect("a line").unwrap().unwrap();
    let told: serde_json::Value = serde_json::from_str(&line).unwrap();
    let nodes = told["nodes"].as_array().unwrap();
    assert!(nodes.iter().any(|node| node["node"] == "echo"), "{told}");
    top.kill().await.unwrap();
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn top_tells_what_nodes_have_done() {
    let served = Served::start().await;
    for wire in WIRES {
        assert_eq!(
            ended(served.on(wire, &["call", "echo", "text=a"]))
                .await
                .status,
            0
        );
    }
    let arguments = ["top", "--once", "--json", "--interval", "0.1"];
    let told = ended(served.on_all(&arguments)).await;
    assert_eq!(told.status, 0, "{told:?}");
    let told = told.json();
    let nodes = told["nodes"].as_array().unwrap();
    let echoes: Vec<_> = nodes.iter().filter(|node| node["node"] == "echo").collect();
    assert_eq!(echoes.len(), WIRES.len());
    for echo in echoes
        .into_iter()
        .filter(|echo| echo["wire"] != "nanograph")
    {
        assert_eq!(echo["load"]["completed"], WIRES.len(), "{echo}");
        assert!(
            echo["rate"].is_f64() && echo["load"]["run_p99_us"].is_u64(),
            "{echo}"
        );
    }
    let told = ended(served.on("http", &["top", "--once", "--interval", "0.1"])).await;
    assert!(
        told.stdout.starts_with("NODE") && told.stdout.contains("echo"),
        "{told:?}"
    );
    let arguments = ["top", "--once", "--http", "127.0.0.1:1"];
    assert_eq!(
        ended(nodewire(served.folder.path(), &arguments))
            .await
            .status,
        3
    );
    served.stop().await;
}
