use super::*;

fn small() -> LogOptions {
    LogOptions {
        lines_max: 3,
        bytes_max: 100,
        file_bytes_max: 200,
        files_max: 3,
        follower_lines_max: 2,
    }
}

fn texts(lines: &[Arc<LogLine>]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

#[test]
fn the_ring_has_the_latest_lines_within_both_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let log = ServerLog::new(folder.path().join("s"), small());
    for text in ["a", "b", "c", "d"] {
        log.push(LogSource::Stderr, text);
    }
    assert_eq!(texts(&log.tail(9)), ["b", "c", "d"]);
    assert_eq!(texts(&log.tail(1)), ["d"]);
    log.push(LogSource::Stdout, &"x".repeat(99));
    assert_eq!(log.tail(9).len(), 2, "100 bytes are kept");
    assert_eq!(log.stderr_after(0, 9), ["d"]);
    assert!(log.stderr_after(4, 9).is_empty());
    log.push(LogSource::Stdout, &"x".repeat(101));
    assert!(log.tail(9).is_empty(), "one line may be too long");
    assert_eq!(log.counters().lines, 6);
}

#[tokio::test]
async fn a_slow_follower_is_told_what_it_missed_and_others_miss_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = ServerLog::new(folder.path().join("s"), small());
    let mut slow = log.tail_and_follow(0).1;
    let mut quick = log.tail_and_follow(0).1;
    for number in 0..5 {
        log.push(LogSource::Stderr, &number.to_string());
        let Some(Followed::Line(line)) = quick.next().await else {
            panic!("a line was missed");
        };
        assert_eq!(line.text, number.to_string());
    }
    assert_eq!(slow.next().await, Some(Followed::Missed(3)));
    let Some(Followed::Line(line)) = slow.next().await else {
        panic!("no line");
    };
    assert_eq!((line.seq, line.text.as_str()), (4, "3"));
    assert_eq!(log.counters().missed, 3);
}

#[test]
fn files_rotate_within_their_bounds_and_lose_nothing_between() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let log = ServerLog::new(path.clone(), small());
    for number in 0..20 {
        log.push(LogSource::Stderr, &format!("line {number}"));
    }
    log.flush();
    let names = ["server.2.log", "server.1.log", "server.log"];
    let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap();
    assert!(names.iter().all(|name| read(name).len() <= 200));
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 3);
    let all: String = names.iter().map(|name| read(name)).collect();
    let last: Vec<_> = all
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap())
        .collect();
    let first = last[0];
    assert_eq!(last, (first..20).collect::<Vec<_>>());
    assert_eq!(log.counters().not_written, 0);
}

#[test]
fn what_cannot_be_written_is_counted_and_still_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    // A file where the folder should be.
    std::fs::write(&path, "").unwrap();
    let log = ServerLog::new(path, small());
    log.push(LogSource::Stderr, "one");
    log.flush();
    assert_eq!(log.counters().not_written, 1);
    assert_eq!(texts(&log.tail(9)), ["one"]);
}

#[test]
fn the_next_log_begins_with_the_end_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let options = LogOptions {
        lines_max: 6,
        bytes_max: 1000,
        ..small()
    };
    let log = ServerLog::new(path.clone(), options);
    for number in 0..9 {
        log.push(LogSource::Stderr, &format!("line {number}"));
    }
    log.push(LogSource::Stderr, "[NanoSDK@s] | [ERROR] no");
    log.push(LogSource::Supervisor, "it failed:\n  because");
    log.flush();
    assert!(path.join("server.1.log").exists(), "of more than one file");
    let next = ServerLog::new(path.clone(), options);
    next.recall();
    let recalled = next.tail(99);
    let expected = [
        "line 5",
        "line 6",
        "line 7",
        "line 8",
        "[NanoSDK@s] | [ERROR] no",
        "it failed:\n  because",
    ];
    assert_eq!(texts(&recalled), expected);
    assert!(recalled.iter().all(|line| line.seq == 0));
    assert_eq!(recalled[4].level, Some(LogLevel::Error));
    assert_eq!(
        (recalled[5].source, recalled[5].ts),
        (LogSource::Supervisor, log.tail(1)[0].ts)
    );
    // Within the bytes, from a whole line on.
    let small = ServerLog::new(
        path,
        LogOptions {
            bytes_max: 90,
            ..options
        },
    );
    small.recall();
    assert_eq!(texts(&small.tail(99)), expected[5..]);
    next.push(LogSource::Stdout, "new");
    assert_eq!(next.tail(1)[0].seq, 1);
    assert_eq!((next.tail(99).len(), next.counters().lines), (6, 1));
}
