//! Values as bytes that are equal when the values are: member order, white space and escapes do not matter.

use std::collections::BTreeMap;

use nodewire_json::{Json, Reader, ScanError};

use crate::workflow::asset_links::{self, AssetLinks};

/// Bytes under construction. Numbers are kept as written: `1` and `1.0` may mean different things to a node.
pub(super) struct Canonical<'a> {
    bytes: Vec<u8>,
    assets: Option<&'a dyn AssetLinks>,
}

impl<'a> Canonical<'a> {
    /// References that `assets` knows are written as the hash of the asset's content.
    pub(super) fn new(assets: Option<&'a dyn AssetLinks>) -> Self {
        Self {
            bytes: Vec::with_capacity(256),
            assets,
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn string(&mut self, text: &str) -> &mut Self {
        self.tagged(b'"', text)
    }

    pub(super) fn value(&mut self, json: &Json) -> Result<(), ScanError> {
        self.read(&mut json.reader())
    }

    /// An object of these; of members with the same name the last counts.
    pub(super) fn members<'v>(
        &mut self,
        members: impl Iterator<Item = (&'v str, &'v Json)>,
    ) -> Result<(), ScanError> {
        let mut sorted = BTreeMap::new();
        for (name, value) in members {
            let mut part = Canonical::new(self.assets);
            part.value(value)?;
            sorted.insert(name.to_owned(), part.bytes);
        }
        self.sorted(sorted);
        Ok(())
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), ScanError> {
        if reader.at_object() {
            let mut sorted = BTreeMap::new();
            reader.object(|key, reader| {
                let mut part = Canonical::new(self.assets);
                part.read(reader)?;
                sorted.insert(key.name().into_owned(), part.bytes);
                Ok(())
            })?;
            self.sorted(sorted);
            return Ok(());
        }
        if reader.at_array() {
            self.bytes.push(b'[');
            reader.array(|reader| self.read(reader))?;
            self.bytes.push(b']');
            return Ok(());
        }
        let value = reader.value()?;
        match value.string() {
            // Lone surrogates all look like this one; what was written tells them apart.
            Some(text) if text.contains('\u{fffd}') => self.tagged(b'\\', value.as_str()),
            Some(text) => {
                let hash = asset_links::content_hash(self.assets, &text);
                self.string(hash.as_deref().unwrap_or(&text))
            }
            None => self.tagged(b'#', value.as_str()),
        };
        Ok(())
    }

    fn sorted(&mut self, members: BTreeMap<String, Vec<u8>>) {
        self.bytes.push(b'{');
        for (name, value) in members {
            self.string(&name);
            self.bytes.extend(value);
        }
        self.bytes.push(b'}');
    }

    /// With its length, so that no text can look like the end of another.
    fn tagged(&mut self, tag: u8, text: &str) -> &mut Self {
        self.bytes.push(tag);
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.bytes.extend(length.to_be_bytes());
        self.bytes.extend(text.as_bytes());
        self
    }
}
