//! `nodewire bench`.

use crate::support::{Served, WIRES, ended};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_is_measured_on_every_wire() {
    let served = Served::start().await;
    for wire in WIRES {
        let arguments = [
            "bench",
            "echo",
            "text=a",
            "--count",
            "50",
            "--in-flight",
            "4",
            "--json",
        ];
        let told = ended(served.on(wire, &arguments)).await;
        assert_eq!(told.status, 0, "{wire}: {told:?}");
        let told = told.json();
        assert_eq!(
            (&told["completed"], &told["failed"]),
            (&50.into(), &0.into()),
            "{wire}"
        );
        assert_eq!(told["wire"], wire);
        assert!(told["p50_us"].as_u64() <= told["max_us"].as_u64() && told["rate"].is_f64());
    }
    let told = ended(served.on("nats", &["bench", "echo", "text=a", "--duration", "0.2"])).await;
    assert!(
        told.status == 0 && told.stdout.contains("RATE/S"),
        "{told:?}"
    );
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_are_counted_by_kind() {
    let served = Served::start().await;
    let arguments = ["bench", "echo", "--count", "7", "--json"];
    let told = ended(served.on("nats", &arguments)).await;
    assert_eq!(told.status, 1, "{told:?}");
    assert_eq!(told.json()["errors"]["invalid_input"], 7);
    served.stop().await;
}
