//! What instances offer, from what discovery tells.

use std::collections::BTreeMap;
use std::sync::Arc;

use nanograph::message::NodeDefinition;
use nats_micro::document::Info;
use nodewire_json::Json;

/// The metadata key of a node's uid.
const NODE: &str = "nodewire.node";
/// The metadata key of a node's definition.
const DEFINITION: &str = "nodewire.definition";
/// How the subject ends on which all instances hear cancellations.
const CANCEL_ANYWHERE: &str = "$cancel.*";

/// A node that a service offers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Offer {
    pub(super) definition: Arc<NodeDefinition>,
    /// Where requests go.
    pub(super) subject: String,
    /// What subjects begin with on which all instances hear cancellations.
    pub(super) cancel_prefix: Option<String>,
}

/// All nodes of a service, by uid, and what is wrong with what was told.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Offers {
    pub(super) nodes: BTreeMap<String, Offer>,
    pub(super) notes: Vec<String>,
}

impl Offers {
    /// What these instances offer together. Where they differ, the first one counts.
    pub(super) fn of<'a>(instances: impl IntoIterator<Item = &'a Info>) -> Self {
        let mut offers = Self::default();
        for info in instances {
            let cancel_prefix = info.endpoints.iter().find_map(|endpoint| {
                let prefix = endpoint.subject.strip_suffix('*')?;
                endpoint
                    .subject
                    .ends_with(CANCEL_ANYWHERE)
                    .then(|| prefix.to_owned())
            });
            for endpoint in &info.endpoints {
                let Some(uid) = endpoint.metadata.get(NODE) else {
                    continue;
                };
                let Some(definition) = definition(uid, endpoint.metadata.get(DEFINITION)) else {
                    offers.note(format!(
                        "node \"{uid}\" is left out: instance {} does not describe it in its endpoint's metadata; large descriptions have no room there",
                        info.id
                    ));
                    continue;
                };
                offers.add(
                    uid,
                    &info.id,
                    Offer {
                        definition: Arc::new(definition),
                        subject: endpoint.subject.clone(),
                        cancel_prefix: cancel_prefix.clone(),
                    },
                );
            }
        }
        if offers.nodes.is_empty() && offers.notes.is_empty() {
            offers.note("none of its endpoints is a node".to_owned());
        }
        offers
    }

    fn add(&mut self, uid: &str, instance: &str, offer: Offer) {
        match self.nodes.get(uid) {
            None => drop(self.nodes.insert(uid.to_owned(), offer)),
            Some(first) if *first == offer => {}
            Some(_) => self.note(format!(
                "instance {instance} describes node \"{uid}\" otherwise than another; are all of the same version?"
            )),
        }
    }

    fn note(&mut self, note: String) {
        /// More than anybody reads.
        const NOTES_MAX: usize = 20;
        if self.notes.len() < NOTES_MAX && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(super) fn definitions(&self) -> Vec<NodeDefinition> {
        let offers = self.nodes.values();
        offers
            .map(|offer| NodeDefinition::clone(&offer.definition))
            .collect()
    }
}

fn definition(uid: &str, text: Option<&String>) -> Option<NodeDefinition> {
    let json = Json::parse(text?.clone()).ok()?;
    let definition = NodeDefinition::from_json(json).ok()?;
    (definition.uid == uid).then_some(definition)
}

#[cfg(test)]
mod tests {
    use nats_micro::document::EndpointInfo;

    use super::*;

    fn endpoint(subject: &str, metadata: &[(&str, &str)]) -> EndpointInfo {
        EndpointInfo {
            name: "n".to_owned(),
            subject: subject.to_owned(),
            metadata: metadata
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            queue_group: "q".to_owned(),
        }
    }

    fn info(id: &str, endpoints: Vec<EndpointInfo>) -> Info {
        Info {
            name: "s".to_owned(),
            id: id.to_owned(),
            version: "1.0.0".to_owned(),
            description: String::new(),
            metadata: Default::default(),
            endpoints,
            kind: String::new(),
        }
    }

    #[test]
    fn nodes_are_endpoints_that_say_so() {
        let echo = r#"{"uid": "echo", "inputs": [{"name": "text", "type": "string"}], "parameters": [{"name": "n", "type": "number", "default": 3}]}"#;
        let one = info(
            "I",
            vec![
                endpoint("g.echo", &[(NODE, "echo"), (DEFINITION, echo)]),
                endpoint("g.big", &[(NODE, "big"), ("nodewire.left-out", DEFINITION)]),
                endpoint("g.$execute", &[]),
                endpoint("g.$cancel.*", &[]),
                endpoint("g.$cancel.I.*", &[]),
            ],
        );
        let other = info(
            "J",
            vec![endpoint(
                "g.echo",
                &[(NODE, "echo"), (DEFINITION, r#"{"uid": "echo"}"#)],
            )],
        );
        let offers = Offers::of([&one, &other]);
        let offer = &offers.nodes["echo"];
        assert_eq!(offers.nodes.len(), 1);
        assert_eq!(offer.subject, "g.echo");
        assert_eq!(offer.cancel_prefix.as_deref(), Some("g.$cancel."));
        assert_eq!(offer.definition.inputs[0].kind, "string");
        assert_eq!(offer.definition.parameters[0].default.as_str(), "3");
        assert!(
            offers.notes[0].contains("\"big\" is left out"),
            "{:?}",
            offers.notes
        );
        assert!(offers.notes[1].contains("instance J"), "{:?}", offers.notes);
        let none = Offers::of([&info("K", vec![endpoint("sum", &[])])]);
        assert_eq!(none.notes, ["none of its endpoints is a node"]);
    }
}
