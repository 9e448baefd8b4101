//! What all messages have in common. spec: nanograph 5

use bytestring::ByteString;
use nodewire_json::{Json, Kind, MemberRef, ScanError, members};

use super::MessageError;

/// The fields around the payload, found in one walk; of duplicates the last.
#[derive(Debug, Default)]
pub(super) struct Envelope<'a> {
    pub(super) kind: Option<MemberRef<'a>>,
    pub(super) server_uid: Option<MemberRef<'a>>,
    pub(super) server_package_id: Option<MemberRef<'a>>,
    pub(super) instance_id: Option<MemberRef<'a>>,
    pub(super) payload: Option<MemberRef<'a>>,
}

impl<'a> Envelope<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, ScanError> {
        let mut envelope = Self::default();
        for member in members(text) {
            let member = member?;
            match member.key().as_ref() {
                "type" => envelope.kind = Some(member),
                "serverUid" => envelope.server_uid = Some(member),
                "serverPackageId" => envelope.server_package_id = Some(member),
                "instanceId" => envelope.instance_id = Some(member),
                "payload" => envelope.payload = Some(member),
                _ => {}
            }
        }
        Ok(envelope)
    }
}

/// The value of a string member, sharing the memory of `text` unless it has escapes. `None` if it is no string, or
/// one that no Rust string can hold (lone surrogates).
pub(super) fn string(text: &ByteString, member: &MemberRef<'_>) -> Option<ByteString> {
    let inside = member.value.strip_prefix('"')?.strip_suffix('"')?;
    if !inside.contains('\\') {
        return Some(text.slice_ref(inside));
    }
    member
        .strict
        .then(|| serde_json::from_str::<String>(member.value).ok())
        .flatten()
        .map(ByteString::from)
}

/// As [`string`], owned and lenient.
pub(super) fn owned_string(text: &ByteString, member: Option<&MemberRef<'_>>) -> Option<String> {
    string(text, member?).map(String::from)
}

/// The value of a member, sharing the memory of `text`.
pub(super) fn json(text: &ByteString, member: &MemberRef<'_>) -> Result<Json, ScanError> {
    Json::parse(text.slice_ref(member.value))
}

/// The payload, which must be an object.
pub(super) fn payload(text: &ByteString, envelope: &Envelope<'_>) -> Result<Json, MessageError> {
    let member = envelope
        .payload
        .as_ref()
        .ok_or(MessageError::Missing { field: "payload" })?;
    let payload = json(text, member)?;
    let is_object = payload.kind() == Kind::Object;
    is_object.then_some(payload).ok_or(MessageError::WrongType {
        field: "payload",
        expected: "an object",
    })
}
