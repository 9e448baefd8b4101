//! What node servers send.

use bytestring::ByteString;
use nodewire_json::Json;

use super::envelope::{self, Envelope, needed, needed_string, owned_string};
use super::text::ObjectWriter;
use super::{MessageError, NodeDefinition, NodeId, Status, fields};

/// A message from a node server to a client.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ServerMessage {
    /// The first message of every connection.
    Handshake(Handshake),
    /// The nodes have changed.
    DefinitionsUpdate(DefinitionsUpdate),
    /// Something about an execution.
    NodeStatus {
        /// The sender.
        server_uid: Option<String>,
        /// The instance of the request.
        instance_id: ByteString,
        /// The placed node of the request.
        node_id: NodeId,
        /// What happened.
        status: Status,
    },
    /// A stop was taken note of.
    AckStopWorkflow(StopAck),
    /// A message of another `type`.
    Unknown {
        /// Its `type`.
        kind: ByteString,
    },
}

/// Who the server is, and its nodes. spec: nanograph 5.1
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Handshake {
    /// Names the server.
    pub server_uid: String,
    /// Which package it runs. Absent in old versions, as all below.
    pub server_package_id: Option<String>,
    /// For people.
    pub server_display_name: Option<String>,
    /// The group of servers that share assets.
    pub domain: Option<String>,
    /// Where it finds assets; may be empty.
    pub nanocore_http_endpoint: Option<String>,
    /// Which software speaks; only ours says so.
    pub sdk: Option<String>,
    /// All nodes. Definitions without a uid are left out.
    pub node_definitions: Vec<NodeDefinition>,
}

/// The new list of all nodes. spec: nanograph 5.2
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DefinitionsUpdate {
    /// The sender.
    pub server_uid: String,
    /// Which package it runs.
    pub server_package_id: Option<String>,
    /// All nodes; replaces the previous list.
    pub node_definitions: Vec<NodeDefinition>,
}

/// The answer to a stop. spec: nanograph 5.5
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopAck {
    /// The sender.
    pub server_uid: Option<String>,
    /// The instance of the request.
    pub instance_id: ByteString,
    /// Always true from known servers, also when nothing ran.
    pub success: bool,
    /// Says how many executions were told to stop; for people.
    pub message: String,
}

impl ServerMessage {
    /// Reads a frame's text.
    ///
    /// # Errors
    /// If it is no message of this wire.
    pub fn parse(text: impl Into<ByteString>) -> Result<Self, MessageError> {
        let text = text.into();
        let envelope = Envelope::read(&text)?;
        let kind = needed_string(&text, envelope.kind, "type")?;
        match kind.as_ref() {
            "node_status" => node_status(&text, &envelope),
            "ack_stop_workflow" => StopAck::read(&text, &envelope).map(Self::AckStopWorkflow),
            "definitions_update" => {
                DefinitionsUpdate::read(&text, &envelope).map(Self::DefinitionsUpdate)
            }
            "handshake" => Handshake::read(&text, &envelope).map(Self::Handshake),
            _ => Ok(Self::Unknown { kind }),
        }
    }
}

impl Handshake {
    fn read(text: &ByteString, envelope: &Envelope<'_>) -> Result<Self, MessageError> {
        let mut handshake = Self {
            server_uid: owned_string(text, envelope.server_uid).unwrap_or_default(),
            server_package_id: owned_string(text, envelope.server_package_id),
            ..Self::default()
        };
        for (key, value) in fields::entries(&envelope::payload(text, envelope)?) {
            handshake.set(&key, &value);
        }
        if handshake.server_uid.is_empty() {
            return Err(MessageError::Missing { field: "serverUid" });
        }
        Ok(handshake)
    }

    fn set(&mut self, key: &str, value: &Json) {
        match key {
            "serverUid" => {
                self.server_uid =
                    fields::string(value).unwrap_or_else(|| std::mem::take(&mut self.server_uid))
            }
            "serverPackageId" => self.server_package_id = fields::string(value),
            "serverDisplayName" => self.server_display_name = fields::string(value),
            "domain" => self.domain = fields::string(value),
            "nanocoreHttpEndpoint" => self.nanocore_http_endpoint = fields::string(value),
            "sdk" => self.sdk = fields::string(value),
            "nodeDefinitions" => self.node_definitions = definitions(value),
            _ => {}
        }
    }

    /// The message's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::with_capacity(512 * (1 + self.node_definitions.len()));
        let mut message = ObjectWriter::new(&mut out);
        message.string("type", "handshake");
        message.string("serverUid", &self.server_uid);
        if let Some(package) = &self.server_package_id {
            message.string("serverPackageId", package);
        }
        self.write_payload(message.key("payload"));
        message.end();
        out
    }

    fn write_payload(&self, out: &mut String) {
        let mut payload = ObjectWriter::new(out);
        let mut optional = |key, value: Option<&String>| {
            if let Some(value) = value {
                payload.string(key, value);
            }
        };
        optional("domain", self.domain.as_ref());
        optional("serverDisplayName", self.server_display_name.as_ref());
        optional("serverUid", Some(&self.server_uid));
        optional("serverPackageId", self.server_package_id.as_ref());
        optional("nanocoreHttpEndpoint", self.nanocore_http_endpoint.as_ref());
        optional("sdk", self.sdk.as_ref());
        payload.array(
            "nodeDefinitions",
            &self.node_definitions,
            |out, definition| definition.write(out),
        );
        payload.end();
    }
}

impl DefinitionsUpdate {
    fn read(text: &ByteString, envelope: &Envelope<'_>) -> Result<Self, MessageError> {
        let payload = envelope::payload(text, envelope)?;
        let list = payload.get("nodeDefinitions");
        let list = list.ok_or(MessageError::Missing {
            field: "payload.nodeDefinitions",
        })?;
        Ok(Self {
            server_uid: owned_string(text, envelope.server_uid).unwrap_or_default(),
            server_package_id: owned_string(text, envelope.server_package_id),
            node_definitions: definitions(&list),
        })
    }

    /// The message's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::with_capacity(512 * (1 + self.node_definitions.len()));
        let mut message = ObjectWriter::new(&mut out);
        message.string("type", "definitions_update");
        message.string("serverUid", &self.server_uid);
        let mut payload = ObjectWriter::new(message.key("payload"));
        payload.array(
            "nodeDefinitions",
            &self.node_definitions,
            |out, definition| definition.write(out),
        );
        payload.end();
        if let Some(package) = &self.server_package_id {
            message.string("serverPackageId", package);
        }
        message.end();
        out
    }
}

impl StopAck {
    fn read(text: &ByteString, envelope: &Envelope<'_>) -> Result<Self, MessageError> {
        let payload = envelope::payload(text, envelope)?;
        Ok(Self {
            server_uid: owned_string(text, envelope.server_uid),
            instance_id: instance_id(text, envelope)?,
            success: payload
                .get("success")
                .as_ref()
                .and_then(fields::boolean)
                .unwrap_or(false),
            message: payload
                .get("message")
                .as_ref()
                .and_then(fields::string)
                .unwrap_or_default(),
        })
    }

    /// The message's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::with_capacity(256);
        let mut message = ObjectWriter::new(&mut out);
        message.string("type", "ack_stop_workflow");
        message.string("serverUid", self.server_uid.as_deref().unwrap_or_default());
        message.string("instanceId", &self.instance_id);
        let mut payload = ObjectWriter::new(message.key("payload"));
        payload.raw("success", if self.success { "true" } else { "false" });
        payload.string("message", &self.message);
        payload.end();
        message.end();
        out
    }
}

fn node_status(text: &ByteString, envelope: &Envelope<'_>) -> Result<ServerMessage, MessageError> {
    let fields = &envelope.payload_object()?.fields;
    let node_id = needed(fields.node_id, "payload.nodeId")?;
    let status = needed(fields.status, "payload.status")?;
    Ok(ServerMessage::NodeStatus {
        server_uid: owned_string(text, envelope.server_uid),
        instance_id: instance_id(text, envelope)?,
        node_id: Json::found_in(text, node_id).into(),
        status: Status::from_json(Json::found_in(text, status)),
    })
}

fn instance_id(text: &ByteString, envelope: &Envelope<'_>) -> Result<ByteString, MessageError> {
    needed_string(text, envelope.instance_id, "instanceId")
}

/// Leaves out what has no uid. spec: nanograph 7
fn definitions(list: &Json) -> Vec<NodeDefinition> {
    fields::list(list, |raw| match NodeDefinition::from_json(raw) {
        Ok(definition) => Some(definition),
        Err(error) => {
            tracing::warn!(%error, "a node definition is left out");
            None
        }
    })
}
