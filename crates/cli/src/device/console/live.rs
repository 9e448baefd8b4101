//! What the device publishes, above the prompt.

use std::collections::VecDeque;

use autotrainer_api::{Delivery, Json, Message, RemoteChange, SubscribeOptions, Topic};
use console::style;

use crate::device::asking::Asking;
use crate::device::prompt::Screen;
use crate::device::show;

use super::ConsoleArgs;

/// Shows what is published, and what becomes of the connections; goes on for ever.
pub(super) async fn live(args: &ConsoleArgs, asking: &Asking, screen: Screen, is_live: bool) {
    if !is_live {
        std::future::pending::<()>().await;
    }
    let mut changes = asking.remote.changes();
    let options = SubscribeOptions {
        merge_emergencies: true,
        ..SubscribeOptions::topics(&[Topic::ANY])
    };
    let mut subscription = asking.remote.subscribe(options).await;
    let mut told = Told::default();
    loop {
        let (line, json) = tokio::select! {
            delivery = subscription.next() => match delivery {
                Some(delivery) if is_shown(&delivery, args.heartbeats) => {
                    let delivery = args.remote.with_level(delivery);
                    (show::delivery(&delivery), show::delivery_json(&delivery))
                }
                Some(_) => continue,
                None => return,
            },
            change = changes.next() => match change {
                Some(change) => match told.first(&change) {
                    Some(shown) => shown,
                    None => continue,
                },
                None => return,
            },
        };
        if args.json {
            screen.show(json.as_str());
        } else {
            screen.show(&style(line).dim().to_string());
        }
    }
}

/// Results of our own commands are told where they were asked for; those of others are not ours.
fn is_shown(delivery: &Delivery, shows_heartbeats: bool) -> bool {
    match delivery {
        Delivery::Message(Message::Heartbeat(_)) => shows_heartbeats,
        Delivery::Message(Message::Result(_)) => false,
        Delivery::Message(_) | Delivery::Gap(_) | _ => true,
    }
}

/// What was told last, so that what is tried again and again is told once.
#[derive(Debug, Default)]
struct Told(VecDeque<String>);

impl Told {
    fn first(&mut self, change: &RemoteChange) -> Option<(String, Json)> {
        let (line, json) = show::change(change)?;
        if self.0.contains(&line) && matches!(change, RemoteChange::NotConnected { .. }) {
            return None;
        }
        self.0.truncate(8);
        self.0.push_front(line.clone());
        Some((line, json))
    }
}
