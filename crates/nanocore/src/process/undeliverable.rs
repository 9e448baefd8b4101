//! What a Python server says on stderr when a status cannot be sent: the only sign that nothing more will come.
//! spec: nanograph 2.4, 15.3

/// A status that a server could not send, so that the execution's end will never be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undeliverable {
    /// The instance.
    pub instance_id: String,
    /// The placed node, as text.
    pub node_id: String,
    /// Why, in the server's words.
    pub reason: String,
}

impl Undeliverable {
    /// Reads a line of the log; `None` if it says something else.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (_, said) = line.split_once("Instance ")?;
        let (instance_id, said) = said.split_once(": Error sending status update for Node ID ")?;
        let (node_id, reason) = said.split_once(": ")?;
        Some(Self {
            instance_id: instance_id.to_owned(),
            node_id: node_id.to_owned(),
            reason: reason.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_recognised_and_others_are_not() {
        let line = "[NanoSDK@s/MessageHandler] | [ERROR] Instance wf-1: Error sending status update for Node ID 7: Object of type bytes is not JSON serializable";
        let expected = Undeliverable {
            instance_id: "wf-1".to_owned(),
            node_id: "7".to_owned(),
            reason: "Object of type bytes is not JSON serializable".to_owned(),
        };
        assert_eq!(Undeliverable::parse(line), Some(expected));
        assert_eq!(
            Undeliverable::parse("[NanoSDK@s] | [INFO] Instance wf-1: done"),
            None
        );
        assert_eq!(Undeliverable::parse(""), None);
    }
}
