//! Changes of properties: the payload of kind 501, on topic `EVENT` or `PROPERTY_CHANGE`. spec: autotrainer 5.4

use nodewire_json::Json;
use serde::{Deserialize, Serialize};

/// A property that changed.
///
/// On either topic it is the `context` of an event envelope of kind `propertyChanged`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PropertyChange {
    /// Whose property, in the application's numbering.
    #[serde(deserialize_with = "crate::json::deserialize_integer")]
    pub target: i64,
    /// Which property.
    pub name: String,
    /// What it is now.
    #[serde(default)]
    pub new_value: Json,
    /// What it was.
    #[serde(default)]
    pub old_value: Json,
}
