//! The choice of the wire by what it can carry.

use crate::support::{Served, ended};

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_wire_cannot_carry_goes_by_another() {
    let served = Served::start().await;
    let write = |name: &str, length: usize| {
        std::fs::write(served.folder.path().join(name), vec![b'a'; length]).unwrap();
    };
    write("small", 100);
    write("large", MIB);
    write("huge", 7 * MIB);
    // By NATS while it has room, then by NNRP.
    for (file, length) in [("small", 100), ("large", MIB), ("huge", 7 * MIB)] {
        let input = format!("data=@{file}");
        let told = ended(served.on_all(&["call", "reverse", &input, "--raw"])).await;
        assert_eq!(
            (told.status, told.stdout.len()),
            (0, length),
            "{file}: {}",
            told.stderr
        );
    }
    // The wire that is wanted says what is wrong.
    for (wire, file, why) in [
        ("nats", "large", "nats: too_large: the request has "),
        (
            "nats",
            "large",
            "and nats takes at most 1048576 here: use another wire",
        ),
        (
            "autotrainer",
            "huge",
            "and autotrainer takes at most 8388608 here",
        ),
        (
            "nanograph",
            "small",
            "nanograph: data: the node takes an asset: upload the file",
        ),
    ] {
        let input = format!("data=@{file}");
        let told = ended(served.on_all(&["call", "reverse", &input, "--via", wire])).await;
        assert_eq!(told.status, 2, "{wire}: {}", told.stderr);
        assert!(told.stderr.contains(why), "{wire}: {}", told.stderr);
    }
    for wire in ["nnrp", "http", "autotrainer"] {
        let arguments = ["call", "reverse", "data=@large", "--raw", "--via", wire];
        let told = ended(served.on_all(&arguments)).await;
        assert_eq!(
            (told.status, told.stdout.len()),
            (0, MIB),
            "{wire}: {}",
            told.stderr
        );
    }
    let arguments = ["bench", "reverse", "data=@large", "--count", "2", "--json"];
    let told = ended(served.on_all(&arguments)).await;
    assert_eq!(told.json()["wire"], "nnrp", "{}", told.stderr);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_priority_that_is_lost_is_told() {
    let served = Served::start().await;
    for (wire, is_lost) in [("nanograph", true), ("nats", false)] {
        let arguments = ["call", "echo", "text=a", "--priority", "3"];
        let told = ended(served.on(wire, &arguments)).await;
        assert_eq!(told.status, 0, "{told:?}");
        assert_eq!(
            told.stderr.contains("the priority is lost on nanograph"),
            is_lost,
            "{told:?}"
        );
    }
    served.stop().await;
}
