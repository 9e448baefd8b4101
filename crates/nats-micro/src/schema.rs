//! What an endpoint takes and gives, in its metadata. spec: nats-micro 16, row 7
//!
//! The protocol has no place for it since its `SCHEMA` verb was removed, and no convention; these are the keys that
//! [`#[service]`](macro@crate::service) writes and that tools of this workspace read. Endpoints that are made without the
//! macro can have the same:
//!
//! ```
//! use nats_micro::{Endpoint, ServiceError, schema};
//!
//! let sum = Endpoint::json("sum", |numbers: Vec<i64>| async move {
//!     Ok::<_, ServiceError>(numbers.iter().sum::<i64>())
//! })
//! .metadata(schema::REQUEST_CONTENT_TYPE, schema::JSON)
//! .metadata(schema::REQUEST_SCHEMA, schema::request::<Vec<i64>>())
//! .metadata(schema::RESPONSE_SCHEMA, schema::response::<i64>());
//! assert!(schema::response::<i64>().contains(r#""type":"integer""#));
//! ```
//!
//! They count towards [`MAX_METADATA_BYTES`](crate::MAX_METADATA_BYTES) as all metadata does.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

/// What the endpoint does, for people.
pub const DESCRIPTION: &str = "nodewire.description";

/// The media type of requests; absent if they may be anything.
pub const REQUEST_CONTENT_TYPE: &str = "nodewire.content-type.request";

/// The media type of replies without an error; absent if they may be anything.
pub const RESPONSE_CONTENT_TYPE: &str = "nodewire.content-type.response";

/// The JSON Schema of requests.
pub const REQUEST_SCHEMA: &str = "nodewire.schema.request";

/// The JSON Schema of replies without an error.
pub const RESPONSE_SCHEMA: &str = "nodewire.schema.response";

/// The media type of JSON.
pub const JSON: &str = "application/json";

/// A type with a JSON Schema: every type with [`schemars::JsonSchema`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no JSON Schema for the endpoint's metadata",
    label = "no `JsonSchema`",
    note = "derive `schemars::JsonSchema` for it, or write `#[endpoint(schema = false)]`"
)]
pub trait Described: JsonSchema {}

#[diagnostic::do_not_recommend]
impl<T: JsonSchema + ?Sized> Described for T {}

/// The JSON Schema, draft 2020-12, of what a `T` can be read from.
#[must_use]
pub fn request<T: Described + ?Sized>() -> String {
    schema::<T>(SchemaSettings::draft2020_12().for_deserialize())
}

/// The JSON Schema, draft 2020-12, of what a `T` is written as.
#[must_use]
pub fn response<T: Described + ?Sized>() -> String {
    schema::<T>(SchemaSettings::draft2020_12().for_serialize())
}

fn schema<T: JsonSchema + ?Sized>(settings: SchemaSettings) -> String {
    let schema = settings.into_generator().into_root_schema_for::<T>();
    schema.as_value().to_string()
}
