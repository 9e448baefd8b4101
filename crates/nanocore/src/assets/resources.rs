//! What occupies memory on node servers, as they tell. spec: nanograph 10.5, 19.2

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use nodewire_json::Json;
use serde::Serialize;

/// Most resources remembered; allocations beyond are refused.
const RESOURCES_MAX: usize = 10_000;

/// One resource held by a node server.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// The server that holds it.
    pub server_uid: String,
    /// The server's name for it.
    pub resource_id: String,
    /// Everything the server told: type, name, `vramUsage`, metadata.
    pub data: Json,
    /// Since when.
    pub allocated_at: Timestamp,
    /// For how long, when listed.
    pub age_seconds: i64,
}

/// The resources of all servers.
#[derive(Debug, Default)]
pub struct Resources {
    held: Mutex<HashMap<(String, String), Resource>>,
}

impl Resources {
    /// Remembers a resource, replacing one of the same name. False if too many are remembered.
    pub fn allocate(&self, server_uid: &str, resource_id: &str, data: Json) -> bool {
        let key = (server_uid.to_owned(), resource_id.to_owned());
        let mut held = self.held();
        if held.len() >= RESOURCES_MAX && !held.contains_key(&key) {
            return false;
        }
        let (server_uid, resource_id) = key.clone();
        held.insert(
            key,
            Resource {
                server_uid,
                resource_id,
                data,
                allocated_at: Timestamp::now(),
                age_seconds: 0,
            },
        );
        true
    }

    /// Forgets a resource.
    pub fn free(&self, server_uid: &str, resource_id: &str) {
        self.held()
            .remove(&(server_uid.to_owned(), resource_id.to_owned()));
    }

    /// Forgets everything that a server held, because its process ended.
    pub fn drop_server(&self, server_uid: &str) {
        self.held().retain(|(server, _), _| server != server_uid);
    }

    /// All resources, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Resource> {
        let now = Timestamp::now();
        let mut list: Vec<_> = self.held().values().cloned().collect();
        list.sort_by(|a, b| {
            (a.allocated_at, &a.resource_id).cmp(&(b.allocated_at, &b.resource_id))
        });
        list.iter_mut().for_each(|resource| {
            resource.age_seconds = now.as_second() - resource.allocated_at.as_second()
        });
        list
    }

    fn held(&self) -> MutexGuard<'_, HashMap<(String, String), Resource>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
