//! The daemon's limits: flags, else variables, else `config.json`, else the defaults. spec: nanograph 16.1, 19.1

use nanocore::daemon::DaemonOptions;
use serde_json::Value;

use super::super::args::LimitArgs;
use super::super::place::{LimitSettings, variable};
use crate::failure::Failure;

/// More of anything is a mistake.
const COUNT_MAX: u64 = 1_000_000;
/// More bytes than any disk has: 1 PiB.
const BYTES_MAX: u64 = 1 << 50;
const UNITS: [(&str, u32); 4] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];

pub(super) fn apply(
    args: &LimitArgs,
    settings: &LimitSettings,
    options: &mut DaemonOptions,
) -> Result<(), Failure> {
    let runs = &mut options.runs;
    let of = |flag, given: &Option<String>, set: &Option<Value>| Source {
        flag,
        given: given.clone(),
        set: set.clone(),
    };
    let s = settings;
    of("--active-runs", &args.active_runs, &s.active_runs).count(&mut runs.active_max)?;
    of("--queued-runs", &args.queued_runs, &s.queued_runs).count(&mut runs.waiting_max)?;
    of(
        "--nodes-in-flight",
        &args.nodes_in_flight,
        &s.nodes_in_flight,
    )
    .count(&mut runs.limits.in_flight)?;
    of(
        "--nodes-in-flight-per-server",
        &args.nodes_in_flight_per_server,
        &s.nodes_in_flight_per_server,
    )
    .count(&mut runs.limits.in_flight_per_server)?;
    of("--history-runs", &args.history_runs, &s.history_runs).count(&mut runs.history_max)?;
    of("--history-bytes", &args.history_bytes, &s.history_bytes)
        .bytes(&mut runs.history_bytes_max)?;
    of("--max-asset-size", &args.max_asset_size, &s.max_asset_size)
        .bytes(&mut options.assets.asset_bytes_max)
}

/// Where a limit may be set.
struct Source {
    flag: &'static str,
    given: Option<String>,
    /// In `limits` of `config.json`, under the flag's words.
    set: Option<Value>,
}

impl Source {
    fn count(self, limit: &mut usize) -> Result<(), Failure> {
        let Some((place, text)) = self.text() else {
            return Ok(());
        };
        let count = text
            .parse()
            .ok()
            .filter(|count| (1..=COUNT_MAX).contains(count));
        let count = count.and_then(|count: u64| usize::try_from(count).ok());
        *limit = count.ok_or_else(|| {
            Failure::usage(format!(
                "{place}: \"{text}\" is no whole number from 1 to {COUNT_MAX}"
            ))
        })?;
        Ok(())
    }

    fn bytes(self, limit: &mut u64) -> Result<(), Failure> {
        let Some((place, text)) = self.text() else {
            return Ok(());
        };
        *limit = bytes(&text).ok_or_else(|| {
            Failure::usage(format!(
                "{place}: \"{text}\" is no size; expected bytes from 1 to 1024TiB, such as 500MiB, 4GiB or 1048576"
            ))
        })?;
        Ok(())
    }

    /// What is set, and where.
    fn text(self) -> Option<(String, String)> {
        let name = variable_of(self.flag);
        let flag = self.given.map(|text| (self.flag.to_owned(), text));
        let set = flag.or_else(|| Some((name.clone(), variable(&name)?)));
        set.or_else(|| {
            let set = self.set?;
            let text = set.as_str().map_or_else(|| set.to_string(), str::to_owned);
            Some((
                format!("limits.{} in config.json", member_of(self.flag)),
                text,
            ))
        })
    }
}

/// `--active-runs`: `activeRuns`
fn member_of(flag: &str) -> String {
    let mut words = flag.trim_start_matches('-').split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |member, word| {
        let (initial, rest) = word.split_at(word.len().min(1));
        member + &initial.to_ascii_uppercase() + rest
    })
}

/// `--active-runs`: `NANOCORE_ACTIVE_RUNS`
fn variable_of(flag: &str) -> String {
    let name = flag.trim_start_matches('-').replace('-', "_");
    format!("NANOCORE_{}", name.to_uppercase())
}

/// `4GiB`, or bytes.
fn bytes(text: &str) -> Option<u64> {
    let unit = UNITS.iter().find(|(unit, _)| text.ends_with(unit));
    let (number, shift) = unit.map_or((text, 0), |(unit, shift)| {
        (text.trim_end_matches(unit).trim_end(), *shift)
    });
    let number: u64 = number.parse().ok()?;
    let bytes = number.checked_mul(1 << shift)?;
    (1..=BYTES_MAX).contains(&bytes).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn limited(args: &LimitArgs, settings: Value) -> Result<DaemonOptions, String> {
        let mut options = DaemonOptions::new("/data");
        let settings = serde_json::from_value(settings).map_err(|error| error.to_string())?;
        apply(args, &settings, &mut options).map_err(|failure| failure.to_string())?;
        Ok(options)
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let args = LimitArgs {
            active_runs: Some("7".to_owned()),
            history_bytes: Some("2GiB".to_owned()),
            ..LimitArgs::default()
        };
        let settings =
            json!({"activeRuns": 2, "queuedRuns": 50, "maxAssetSize": "1 MiB", "nodesInFlight": 9});
        let options = limited(&args, settings).unwrap();
        assert_eq!((options.runs.active_max, options.runs.waiting_max), (7, 50));
        assert_eq!(options.runs.limits.in_flight, 9);
        assert_eq!(options.runs.limits.in_flight_per_server, 4);
        assert_eq!(options.runs.history_bytes_max, 2 << 30);
        assert_eq!(options.assets.asset_bytes_max, 1 << 20);
        assert_eq!(variable_of("--active-runs"), "NANOCORE_ACTIVE_RUNS");
    }

    #[test]
    fn wrong_limits_are_told_with_their_place() {
        for wrong in ["0", "-1", "many", "1000001", ""] {
            let args = LimitArgs {
                queued_runs: Some(wrong.to_owned()),
                ..LimitArgs::default()
            };
            let expected =
                format!("--queued-runs: \"{wrong}\" is no whole number from 1 to 1000000");
            assert_eq!(limited(&args, json!({})).unwrap_err(), expected);
        }
        let none = LimitArgs::default();
        for wrong in [
            json!("4 gigabytes"),
            json!(0),
            json!(true),
            json!("99999999TiB"),
        ] {
            let error = limited(&none, json!({"historyBytes": wrong})).unwrap_err();
            assert!(
                error.starts_with("limits.historyBytes in config.json: "),
                "{error}"
            );
        }
        let error = limited(&none, json!({"activeRun": 1})).unwrap_err();
        assert!(error.contains("activeRun"), "{error}");
    }
}
