use std::process::{Child, Command};

use super::*;

fn times(seconds: u64) -> StopTimes {
    StopTimes {
        interrupt: Duration::from_secs(seconds),
        terminate: Duration::from_secs(seconds),
    }
}

/// A process that waits, with this mark.
fn sleeper(mark: &str) -> Child {
    Command::new("sleep")
        .arg("600")
        .env(MARK, mark)
        .spawn()
        .unwrap()
}

/// Reaps a child when it ends, as init does with orphans.
fn reaped(mut child: Child) -> std::thread::JoinHandle<std::process::ExitStatus> {
    std::thread::spawn(move || child.wait().unwrap())
}

#[test]
fn what_an_earlier_supervisor_left_is_ended_and_nothing_else() {
    use std::os::unix::process::ExitStatusExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("processes.json");
    let records = Records::open(path.clone()).unwrap();
    let mark = records.begin("a", 1).unwrap();
    let recorded = sleeper(&mark);
    records.started(&mark, recorded.id()).unwrap();
    // Killed before it could record which process it was.
    let mark = records.begin("b", 2).unwrap();
    let only_marked = sleeper(&mark);
    // Recorded and ended since; another program has its id now.
    let mut other = sleeper("nobody's");
    let mark = records.begin("c", 3).unwrap();
    records.started(&mark, other.id()).unwrap();
    records
        .change(|records| {
            let last = records.last_mut().unwrap();
            last.start_time = last.start_time.map(|time| time - 1);
        })
        .unwrap();

    let (recorded, only_marked) = (reaped(recorded), reaped(only_marked));
    let next = Records::open(path.clone()).unwrap();
    assert_eq!(next.end_all(times(60)).unwrap(), 2);
    assert_eq!(recorded.join().unwrap().signal(), Some(2));
    assert_eq!(only_marked.join().unwrap().signal(), Some(2));
    assert!(other.try_wait().unwrap().is_none(), "a stranger was ended");
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(Records::open(path).unwrap().end_all(times(0)).unwrap(), 0);
}

#[test]
fn who_minds_no_signal_is_killed() {
    use std::os::unix::process::ExitStatusExt;
    let folder = tempfile::tempdir().unwrap();
    let records = Records::open(folder.path().join("processes.json")).unwrap();
    let mark = records.begin("a", 1).unwrap();
    let child = Command::new("sh")
        .args(["-c", "trap '' INT TERM; while :; do sleep 1; done"])
        .env(MARK, &mark)
        .spawn()
        .unwrap();
    records.started(&mark, child.id()).unwrap();
    // Ready to mind none before it is signalled; the trap shows in the kernel's list of ignored signals.
    let status = format!("/proc/{}/status", child.id());
    let ignores_both = || {
        let text = fs::read_to_string(&status).unwrap();
        let mask = text
            .lines()
            .find_map(|line| line.strip_prefix("SigIgn:"))
            .unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap() & 0x4002 == 0x4002
    };
    while !ignores_both() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let child = reaped(child);
    records
        .end_all(StopTimes {
            interrupt: Duration::from_millis(100),
            terminate: Duration::from_millis(100),
        })
        .unwrap();
    assert_eq!(child.join().unwrap().signal(), Some(9));
}

#[test]
fn records_of_another_boot_mean_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::open(folder.path().join("processes.json")).unwrap();
    let mark = records.begin("a", 1).unwrap();
    let mut child = sleeper(&mark);
    records.started(&mark, child.id()).unwrap();
    records
        .change(|records| records[0].boot = "before".to_owned())
        .unwrap();
    assert_eq!(records.end_all(times(0)).unwrap(), 0);
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_record_is_there_before_the_process_and_gone_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("processes.json");
    let records = Records::open(path.clone()).unwrap();
    let on_disk = || Records::open(path.clone()).unwrap().lock().clone();
    let mark = records.begin("a", 7).unwrap();
    let [record] = &on_disk()[..] else {
        panic!("one record");
    };
    assert_eq!(
        (record.server_uid.as_str(), record.port, record.pid),
        ("a", 7, None)
    );
    records.started(&mark, std::process::id()).unwrap();
    assert!(on_disk()[0].start_time.is_some());
    records.ended(&mark).unwrap();
    assert_eq!(on_disk(), []);
}

#[test]
fn a_broken_record_keeps_nobody_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("processes.json");
    fs::write(&path, "[{").unwrap();
    let records = Records::open(path).unwrap();
    assert_eq!(records.end_all(times(0)).unwrap(), 0);
}

#[test]
fn names_of_programs_do_not_confuse_the_reading() {
    let text = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 0 0";
    let stat = Stat::parse(7, text).unwrap();
    assert_eq!((stat.start_time, stat.is_gone), (12_345, false));
    assert!(Stat::parse(7, &text.replace(" S ", " Z ")).unwrap().is_gone);
    assert_eq!(Stat::parse(7, "7 (a"), None);
    assert!(Stat::of(std::process::id()).is_some());
}
