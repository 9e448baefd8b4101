//! What can be said about a status that cannot be read, for the sake of whoever waits for it.

use bytestring::ByteString;
use nodewire_json::{Json, Reader, ScanError};

use super::NodeId;
use super::envelope::string;

/// Which execution a message was to end that is no readable JSON, such as one with values nested too deeply.
///
/// Looks at what stands before the unreadable place, which is enough for the order in which peers write.
pub(crate) fn unreadable_end(text: &ByteString) -> Option<(ByteString, NodeId)> {
    let (mut instance_id, mut node_id, mut kind) = (None, None, None);
    let mut in_status = |reader: &mut Reader<'_>| -> Result<(), ScanError> {
        let whole = reader.object(|key, reader| {
            if key.name() == "type" {
                kind = Some(reader.value()?.as_str().to_owned());
            }
            Ok(())
        });
        whole.map(drop)
    };
    let mut in_payload = |reader: &mut Reader<'_>| -> Result<(), ScanError> {
        let whole = reader.object(|key, reader| {
            match key.name().as_ref() {
                "nodeId" => node_id = Some(Json::found_in(text, reader.value()?)),
                "status" if reader.at_object() => in_status(reader)?,
                _ => {}
            }
            Ok(())
        });
        whole.map(drop)
    };
    let read = Reader::new(text).object(|key, reader| {
        match key.name().as_ref() {
            "instanceId" => instance_id = string(text, reader.value()?),
            "payload" if reader.at_object() => in_payload(reader)?,
            _ => {}
        }
        Ok(())
    });
    let is_end = matches!(kind.as_deref(), Some("\"complete\"" | "\"error\""));
    if read.is_ok() || !is_end {
        return None;
    }
    Some((instance_id?, NodeId::from(node_id?)))
}
