//! Manifests as JSON text.

use std::collections::HashSet;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{GoldenVector, ManifestError, SCHEMA, VectorKind};
use crate::inspect::{from_hex, to_hex};

/// As JSON: keys sorted, indented by two, without a line end after the last line. What is given is what is written, an
/// empty list too, for which the reference writes its own twelve.
#[must_use]
pub fn render(vectors: &[GoldenVector]) -> String {
    let mut out = format!("{{\n  \"schema\": \"{SCHEMA}\",\n  \"vectors\": [");
    for (place, vector) in vectors.iter().enumerate() {
        out.push_str(if place == 0 { "\n" } else { ",\n" });
        // Writing to a string cannot fail.
        let _ = write!(out, "    {{\n      \"bytes\": {},\n", vector.bytes.len());
        if let Some(description) = &vector.description {
            let _ = writeln!(out, "      \"description\": {},", quoted(description));
        }
        let _ = write!(
            out,
            "      \"hex\": \"{}\",\n      \"kind\": \"{}\",\n      \"name\": {}\n    }}",
            to_hex(&vector.bytes),
            vector.kind.name(),
            quoted(&vector.name),
        );
    }
    out.push_str(if vectors.is_empty() { "]" } else { "\n  ]" });
    out.push_str("\n}");
    out
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Reads a manifest. Hex digits may be of either case; fields that are not known are ignored; an empty list is one.
///
/// # Errors
/// What is wrong first, with the vector's place or name.
pub fn parse(text: &str) -> Result<Vec<GoldenVector>, ManifestError> {
    let document: Value = serde_json::from_str(text)?;
    let document = document.as_object().ok_or(ManifestError::NotAnObject)?;
    let schema = document.get("schema").unwrap_or(&Value::Null);
    if schema != SCHEMA {
        return Err(ManifestError::Schema(schema.to_string()));
    }
    let entries = document.get("vectors").and_then(Value::as_array);
    let entries = entries.ok_or(ManifestError::NoVectors)?;
    let mut vectors = Vec::with_capacity(entries.len());
    let mut names = HashSet::new();
    for (place, entry) in entries.iter().enumerate() {
        let fields = entry.as_object();
        let vector = parse_entry(place, fields.ok_or(ManifestError::NotAVector(place))?)?;
        if !names.insert(vector.name.clone()) {
            return Err(ManifestError::DuplicateName(vector.name));
        }
        vectors.push(vector);
    }
    Ok(vectors)
}

fn parse_entry(place: usize, fields: &Map<String, Value>) -> Result<GoldenVector, ManifestError> {
    let wrong = |field, expected| ManifestError::Field {
        place,
        field,
        expected,
    };
    let text = |field| {
        let text = fields.get(field).and_then(Value::as_str);
        text.ok_or_else(|| wrong(field, "a text"))
    };
    let (name, kind, hex) = (text("name")?.to_owned(), text("kind")?, text("hex")?);
    let description = match fields.get("description") {
        None => None,
        Some(_) => Some(text("description")?.to_owned()),
    };
    if name.is_empty() {
        return Err(ManifestError::EmptyName(place));
    }
    let Some(kind) = VectorKind::from_name(kind) else {
        let kind = kind.to_owned();
        return Err(ManifestError::UnknownKind { name, kind });
    };
    if hex.chars().count() % 2 == 1 {
        return Err(ManifestError::OddHex(name));
    }
    let Some(bytes) = from_hex(hex) else {
        return Err(ManifestError::InvalidHex(name));
    };
    // The reference takes `null` for absent.
    let declared = fields.get("bytes").filter(|declared| !declared.is_null());
    if let Some(declared) = declared
        && declared.as_u64() != Some(bytes.len() as u64)
    {
        return Err(ManifestError::ByteCount {
            name,
            declared: declared.to_string(),
            found: bytes.len(),
        });
    }
    Ok(GoldenVector {
        name,
        kind,
        bytes: bytes.into(),
        description,
    })
}
