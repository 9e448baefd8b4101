//! References to assets in what nodes pass to each other. spec: nanograph 17.6

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use nodewire_json::{Json, Reader, ScanError};
use uuid::Uuid;

use crate::assets::{AssetId, AssetStore};

/// How a generation of node servers names assets. spec: nanograph 10.1
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssetStyle {
    /// 0.1.x: `nanocore://<domain>/asset/<uuid>`.
    Uuid,
    /// 0.2.x: `sha256:<hex>`.
    Hash,
}

/// Knows the assets that references name. Implementations answer from memory.
pub trait AssetLinks: Send + Sync {
    /// Both names of an asset; `None` if there is no such asset.
    fn find(&self, id: AssetId) -> Option<AssetNames>;
}

/// Both names of an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetNames {
    /// `nanocore://<domain>/asset/<uuid>`.
    pub uuid: String,
    /// `sha256:<hex>`.
    pub hash: String,
}

/// The assets of a store, under the domain that its HTTP side uses.
#[derive(Debug, Clone)]
pub struct StoreLinks {
    store: AssetStore,
    domain: String,
}

impl StoreLinks {
    /// The assets of `store`; `domain` goes into references by uuid.
    #[must_use]
    pub fn new(store: AssetStore, domain: impl Into<String>) -> Self {
        Self {
            store,
            domain: domain.into(),
        }
    }
}

impl AssetLinks for StoreLinks {
    fn find(&self, id: AssetId) -> Option<AssetNames> {
        // A run that passes it on uses it.
        let entry = self.store.touch(id)?;
        Some(AssetNames {
            uuid: format!("nanocore://{}/asset/{}", self.domain, entry.uuid),
            hash: entry.hash.to_string(),
        })
    }
}

/// Longer text is no reference.
const MAX_REFERENCE: usize = 512;

/// The asset that a whole string names, and in which style.
fn reference(text: &str) -> Option<(AssetId, AssetStyle)> {
    if text.len() > MAX_REFERENCE {
        return None;
    }
    if text.starts_with("sha256:") {
        return Some((text.parse().ok()?, AssetStyle::Hash));
    }
    let (domain, id) = text.strip_prefix("nanocore://")?.split_once("/asset/")?;
    let is_domain = !domain.is_empty() && !domain.contains('/');
    let id = Uuid::try_parse(id).ok().filter(|_| is_domain)?;
    Some((AssetId::Uuid(id), AssetStyle::Uuid))
}

/// The content hash of the asset that a whole string names.
pub(crate) fn content_hash(assets: Option<&dyn AssetLinks>, text: &str) -> Option<String> {
    let (id, _) = reference(text)?;
    assets?.find(id).map(|names| names.hash)
}

/// The value with every known reference in the other style, at any depth; borrowed if there is none.
pub(crate) fn rewritten<'j>(
    value: &'j Json,
    style: AssetStyle,
    assets: &dyn AssetLinks,
) -> Cow<'j, Json> {
    let sign = match style {
        AssetStyle::Uuid => "sha256:",
        AssetStyle::Hash => "nanocore:",
    };
    if !value.as_str().contains(sign) {
        return Cow::Borrowed(value);
    }
    renamed(value, |_, id, found| {
        let names = (found != style).then(|| assets.find(id))??;
        Some(match found {
            AssetStyle::Uuid => names.hash,
            AssetStyle::Hash => names.uuid,
        })
    })
}

/// Adds the references that a value holds, at any depth.
pub(crate) fn references(value: &Json, names: &mut BTreeMap<String, (AssetId, AssetStyle)>) {
    if !may_refer(value) {
        return;
    }
    // What is no well-formed value holds none.
    let _ = each_string(&mut value.reader(), &mut |_, string| {
        if let Some(found) = reference(string) {
            names.insert(string.to_owned(), found);
        }
    });
}

/// The value with references named as `names` has it, at any depth; borrowed if there is none of these.
pub(crate) fn replaced<'j>(value: &'j Json, names: &HashMap<String, String>) -> Cow<'j, Json> {
    if !may_refer(value) {
        return Cow::Borrowed(value);
    }
    renamed(value, |text, _, _| names.get(text).cloned())
}

fn may_refer(value: &Json) -> bool {
    let text = value.as_str();
    text.contains("sha256:") || text.contains("nanocore:")
}

fn renamed<'j>(
    value: &'j Json,
    mut name: impl FnMut(&str, AssetId, AssetStyle) -> Option<String>,
) -> Cow<'j, Json> {
    let text = value.as_str();
    let mut replaced = Vec::new();
    let found = each_string(&mut value.reader(), &mut |literal, string| {
        if let Some((id, found)) = reference(string)
            && let Some(name) = name(string, id, found)
        {
            replaced.push((
                literal.as_ptr().addr() - text.as_ptr().addr(),
                literal.len(),
                name,
            ));
        }
    });
    if found.is_err() || replaced.is_empty() {
        return Cow::Borrowed(value);
    }
    splice(text, &replaced).map_or(Cow::Borrowed(value), Cow::Owned)
}

/// Puts strings in place of literals, given by place and length in ascending order.
fn splice(text: &str, replaced: &[(usize, usize, String)]) -> Option<Json> {
    let mut spliced = String::with_capacity(text.len());
    let mut from = 0;
    for (at, length, name) in replaced {
        spliced.push_str(text.get(from..*at)?);
        crate::workflow::object::push_string(&mut spliced, name);
        from = at + length;
    }
    spliced.push_str(text.get(from..)?);
    Json::parse(spliced).ok()
}

/// Whether every asset that a value names is there, as far as strings are references at all.
pub(crate) fn all_exist(value: &Json, assets: &dyn AssetLinks) -> bool {
    if !may_refer(value) {
        return true;
    }
    let mut all = true;
    let read = each_string(&mut value.reader(), &mut |_, string| {
        all &= reference(string).is_none_or(|(id, _)| assets.find(id).is_some());
    });
    read.is_ok() && all
}

/// Calls `found` with the literal and the text of each string that is a value, not a key.
fn each_string<'t>(
    reader: &mut Reader<'t>,
    found: &mut dyn FnMut(&'t str, &str),
) -> Result<(), ScanError> {
    if reader.at_object() {
        reader.object(|_, reader| each_string(reader, found))?;
    } else if reader.at_array() {
        reader.array(|reader| each_string(reader, found))?;
    } else {
        let value = reader.value()?;
        if let Some(string) = value.string() {
            found(value.as_str(), &string);
        }
    }
    Ok(())
}
