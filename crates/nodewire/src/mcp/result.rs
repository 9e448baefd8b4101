//! From outputs to a result.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nodewire_core::{Outputs, Value};
use nodewire_json::{Json, Member};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
use serde_json::json;

use crate::plain;

/// How images begin.
const IMAGES: [(&[u8], &str); 4] = [
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
];

/// The result of an execution of this node that completed.
pub(super) fn completed(node: &str, outputs: &Outputs) -> CallToolResult {
    let mut bytes = Vec::new();
    let ports = outputs.iter().map(|(port, values)| {
        let values = values.values().iter().enumerate();
        let list = values.map(|(i, value)| {
            let Value::Bytes(content) = value else {
                return plain::output_value(value);
            };
            bytes.push(block(node, port, i, content));
            Json::from(json!({"$content": bytes.len()}))
        });
        (port, Member::List(list.collect()))
    });
    // The text has every digit of a number; the decoded form, those that the SDK can hold.
    let text = Json::object(ports);
    let mut content = vec![ContentBlock::text(text.as_str())];
    content.append(&mut bytes);
    let mut result = CallToolResult::success(content);
    result.structured_content = text.decode().ok();
    result
}

fn block(node: &str, port: &str, i: usize, content: &[u8]) -> ContentBlock {
    let data = STANDARD.encode(content);
    if let Some(media_type) = image_type(content) {
        return ContentBlock::image(data, media_type);
    }
    let [node, port] = [node, port].map(|name| utf8_percent_encode(name, NON_ALPHANUMERIC));
    let uri = format!("nodewire://{node}/{port}/{i}");
    let resource = ResourceContents::blob(data, uri).with_mime_type("application/octet-stream");
    ContentBlock::resource(resource)
}

/// The media type of an image, by how it begins.
fn image_type(content: &[u8]) -> Option<&'static str> {
    if content.starts_with(b"RIFF") && content.get(8..12) == Some(b"WEBP") {
        return Some("image/webp");
    }
    let mut images = IMAGES.iter();
    let image = images.find(|(begin, _)| content.starts_with(begin));
    image.map(|(_, media_type)| *media_type)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use nodewire_core::PortValue;

    use super::*;

    fn told(outputs: &Outputs) -> serde_json::Value {
        serde_json::to_value(completed("a/b", outputs)).unwrap()
    }

    #[test]
    fn values_are_structured_and_text() {
        let number = Json::parse("12345678901234567890123").unwrap();
        let outputs = Outputs::new()
            .with("n", PortValue::Single(Value::Json(number)))
            .with("x", Json::parse("NaN").unwrap());
        let result = told(&outputs);
        assert_eq!(result["structuredContent"]["x"], json!([null]));
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(text.contains("12345678901234567890123"), "{text}");
        assert_eq!(result["isError"], false);
    }

    #[test]
    fn bytes_are_content() {
        let outputs = Outputs::new()
            .with("data", Bytes::from_static(b"\x00\x01"))
            .with("image", Bytes::from_static(b"\x89PNG\r\n\x1a\nrest"));
        let result = told(&outputs);
        let structured = json!({"data": [{"$content": 1}], "image": [{"$content": 2}]});
        assert_eq!(result["structuredContent"], structured);
        let resource = json!({
            "uri": "nodewire://a%2Fb/data/0", "mimeType": "application/octet-stream", "blob": "AAE=",
        });
        assert_eq!(
            result["content"][1],
            json!({"type": "resource", "resource": resource})
        );
        assert_eq!(result["content"][2]["type"], "image");
        assert_eq!(result["content"][2]["mimeType"], "image/png");
    }

    #[test]
    fn images_are_known_by_how_they_begin() {
        assert_eq!(image_type(b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        assert_eq!(image_type(b"GIF89a.."), Some("image/gif"));
        assert_eq!(
            image_type(b"RIFF\x00\x00\x00\x00WEBPVP8 "),
            Some("image/webp")
        );
        assert_eq!(image_type(b"RIFF"), None);
        assert_eq!(image_type(b""), None);
    }
}
