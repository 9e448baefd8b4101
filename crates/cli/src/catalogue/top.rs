//! `nodewire top`.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nodewire::capability::Wire;
use nodewire::client::{Load, RemoteOptions, Target};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::found::{self, Found};
use super::places::{PlaceFlags, Places, TARGETS_MAX, WHERE, patience, wire};
use super::show;
use crate::failure::Failure;
use crate::micro::Table;
use crate::signals::Signals;
use crate::terminal;
use crate::view::View;

const HELP: &str = "\
Examples:
  nodewire top --nats nats://127.0.0.1:4222
  nodewire top --http http://127.0.0.1:8080 --once --json

A line for each node and wire: executions that ended per second since the last look, what runs and waits, the median and the \
99th of 100 times of its handler since the server started, and how many failed, were dropped and were refused since then. \
The Nanograph wire tells none of this; of services that are none of ours, NATS tells requests, errors and the mean time.

On a terminal the view is redrawn in place; otherwise, and with --json, what is known is printed once an interval. Targets are \
looked at independently: one that does not answer is told of as such after --wait. With --once it ends after --wait and one \
interval at the latest.

Exit status: 0 a server was reached at the last look; 2 wrong usage; 3 none was.";

#[derive(Debug, clap::Args)]
#[command(after_help = format!("{HELP}\n\n{WHERE}"))]
pub(crate) struct TopArgs {
    /// Look twice, an interval apart, print what was seen, and end.
    #[arg(long)]
    once: bool,
    /// Print JSON objects, one per line.
    #[arg(long)]
    json: bool,
    /// How often to look, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = patience)]
    interval: Duration,
    /// On this wire only.
    #[arg(long, value_name = "WIRE", value_parser = wire)]
    via: Option<Wire>,
    #[command(flatten)]
    places: PlaceFlags,
}

/// The shortest time between two looks.
const INTERVAL_MIN: Duration = Duration::from_millis(50);

pub(super) async fn top(args: TopArgs) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let places = signals
        .unless_stopped(Box::pin(args.places.find(args.via)))
        .await?;
    let is_drawn = !args.json && !args.once && std::io::stdout().is_terminal();
    let mut watching = Watching {
        watched: places.targets.iter().map(|_| Watched::default()).collect(),
        view: is_drawn.then(View::stdout),
        is_json: args.json,
    };
    let interval = args.interval.max(INTERVAL_MIN);
    let follow = async {
        if args.once {
            watching.look_twice(places, interval).await;
        } else {
            watching.follow(places, interval).await;
        }
        Ok(())
    };
    let followed = signals.unless_stopped(Box::pin(follow)).await;
    if args.once {
        followed?;
    }
    let watched = watching.watched.iter();
    let found: Vec<_> = watched.filter_map(|each| each.found.as_ref()).collect();
    let is_there = found.iter().any(|found| found.is_there());
    found::close(found).await;
    if is_there {
        return Ok(());
    }
    Err(Failure::servers("no server was reached"))
}

/// Looks at a target over and over; each look tells when it was. Looks that take long hold up no other target.
async fn watch(
    place: usize,
    target: Target,
    (options, wait, interval): (RemoteOptions, Duration, Duration),
    looks: mpsc::Sender<(usize, Found)>,
) {
    let mut next = tokio::time::Instant::now();
    let mut found = Found::look(target, &options, next + wait).await;
    loop {
        let again = found.clone();
        if looks.send((place, found)).await.is_err() {
            return;
        }
        next = (next + interval).max(tokio::time::Instant::now());
        tokio::time::sleep_until(next).await;
        found = again.again(&options, next + wait).await;
    }
}

/// A node on a wire, at one target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    server: String,
    instance: Option<String>,
    node: String,
}

/// What was told last of a target.
#[derive(Debug, Default)]
struct Watched {
    found: Option<Found>,
    /// Of each node, and when: rates come of two.
    loads: HashMap<Key, (Instant, Load)>,
    rows: Vec<Value>,
}

impl Watched {
    fn take(&mut self, found: Found) {
        let mut loads = HashMap::new();
        self.rows.clear();
        for server in found.servers.iter().flatten() {
            for node in &server.nodes {
                let key = Key {
                    server: server.name.clone(),
                    instance: server.instance.clone(),
                    node: node.uid.clone(),
                };
                let load = node.load.unwrap_or_default();
                let now = Instant::now();
                let rate = self.loads.get(&key).and_then(|old| rate(old, &load, now));
                self.rows.push(json!({
                    "wire": server.wire.name(),
                    "server": server.name,
                    "instance": server.instance,
                    "node": node.uid,
                    "round_trip_us": server.round_trip.map(show::as_micros),
                    "rate": rate,
                    "load": node.load.as_ref().map(show::load),
                }));
                loads.insert(key, (now, load));
            }
        }
        self.loads = loads;
        self.found = Some(found);
    }

    fn unreached(&self) -> Option<Value> {
        let found = self.found.as_ref()?;
        let unreached = found.servers.as_ref().err()?;
        Some(show::unreached(&found.target, unreached))
    }
}

#[derive(Debug)]
struct Watching {
    watched: Vec<Watched>,
    view: Option<View>,
    is_json: bool,
}

impl Watching {
    /// Each target twice, an interval apart, but those that are not reached once.
    async fn look_twice(&mut self, places: Places, interval: Duration) {
        let (options, until) = (&places.options, places.until);
        let all = places.targets.into_iter().zip(&mut self.watched);
        let looks = all.map(|(target, watched)| async move {
            watched.take(Box::pin(Found::look(target, options, until)).await);
            let Some(found) = watched.found.take_if(|found| found.servers.is_ok()) else {
                return;
            };
            tokio::time::sleep(interval).await;
            watched.take(Box::pin(found.again(options, until + interval)).await);
        });
        join_all(looks).await;
        self.show();
    }

    /// Goes on until nobody reads what is printed.
    async fn follow(&mut self, places: Places, interval: Duration) {
        let (looks, mut looked) = mpsc::channel(TARGETS_MAX);
        let mut watches = JoinSet::new();
        for (place, target) in places.targets.into_iter().enumerate() {
            let patience = (places.options.clone(), places.wait, interval);
            watches.spawn(watch(place, target, patience, looks.clone()));
        }
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !terminal::nobody_reads() {
            tokio::select! {
                // They do not end before `watches` is dropped.
                Some((place, found)) = looked.recv() => self.watched[place].take(found),
                _ = ticks.tick() => {
                    if self.watched.iter().any(|watched| watched.found.is_some()) {
                        self.show();
                    }
                }
            }
        }
    }

    fn show(&mut self) {
        let rows: Vec<_> = self.watched.iter().flat_map(|it| it.rows.clone()).collect();
        let unreached: Vec<_> = self.watched.iter().filter_map(Watched::unreached).collect();
        let seen = json!({"type": "top", "nodes": rows, "unreachable": unreached});
        if self.is_json {
            return terminal::json(seen);
        }
        let lines = lines(&seen);
        match &mut self.view {
            Some(view) => view.draw(&lines),
            None => lines.iter().for_each(terminal::result),
        }
    }
}

/// Executions that ended, per second.
fn rate((then, old): &(Instant, Load), new: &Load, now: Instant) -> Option<f64> {
    let ended = |load: &Load| {
        let all = [load.completed, load.failed, load.cancelled, load.dropped];
        let told = all.iter().flatten();
        load.completed?;
        Some(told.fold(0_u64, |sum, count| sum.saturating_add(*count)))
    };
    let ended = ended(new)?.saturating_sub(ended(old)?);
    #[expect(clippy::cast_precision_loss, reason = "it is a rate")]
    let ended = ended as f64;
    Some(ended / (now - *then).as_secs_f64().max(1e-3))
}

fn lines(seen: &Value) -> Vec<String> {
    let names = [
        "NODE", "WIRE", "SERVER", "RATE/S#", "RUN#", "WAIT#", "P50#", "P99#", "FAILED#",
        "DROPPED#", "REFUSED#", "TRIP#",
    ];
    let mut table = Table::new(&names);
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    for row in seen["nodes"].as_array().into_iter().flatten() {
        let load = &row["load"];
        let count = |key: &str| show::count(load[key].as_u64());
        let time = |key: &str| show::time(load[key].as_u64());
        let rate = row["rate"].as_f64();
        table.row([
            text(&row["node"]),
            text(&row["wire"]),
            text(&row["server"]),
            rate.map_or_else(show::dash, |rate| format!("{rate:.1}")),
            count("running"),
            count("waiting"),
            time("run_p50_us"),
            time("run_p99_us"),
            count("failed"),
            count("dropped"),
            count("refused"),
            show::time(row["round_trip_us"].as_u64()),
        ]);
    }
    let mut lines = table.lines();
    for gone in seen["unreachable"].as_array().into_iter().flatten() {
        let line = format!("{}: {}", text(&gone["target"]), text(&gone["error"]));
        lines.push(terminal::plain(&line).replace(['\n', '\t'], " "));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn looking_twice_takes_no_longer_than_was_said() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let targets = [format!("{port},{port}"), "1,1".to_owned()];
        let targets = targets.map(|text| Target::parse(Wire::Autotrainer, &text).unwrap());
        let (wait, interval) = (Duration::from_secs(5), Duration::from_secs(1));
        let begun = tokio::time::Instant::now();
        let mut watching = Watching {
            watched: targets.iter().map(|_| Watched::default()).collect(),
            view: None,
            is_json: true,
        };
        let places = Places {
            targets: targets.to_vec(),
            options: crate::catalogue::places::options(wait),
            until: begun + wait,
            wait,
        };
        watching.look_twice(places, interval).await;
        // By the clock that is paused, a busy machine makes no difference.
        assert!(begun.elapsed() < wait + interval + Duration::from_secs(1));
        assert!(
            watching
                .watched
                .iter()
                .all(|watched| watched.unreached().is_some())
        );
    }

    #[test]
    fn a_rate_is_what_ended_in_between() {
        let load = |completed: u64, failed: u64| {
            let mut load = Load::default();
            (load.completed, load.failed) = (Some(completed), Some(failed));
            load
        };
        let then = Instant::now();
        let now = then + Duration::from_secs(2);
        assert_eq!(rate(&(then, load(10, 0)), &load(18, 2), now), Some(5.0));
        // A server that was started anew.
        assert_eq!(rate(&(then, load(10, 0)), &load(1, 0), now), Some(0.0));
        assert_eq!(rate(&(then, load(10, 0)), &Load::default(), now), None);
    }
}
