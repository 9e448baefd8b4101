//! Which SDK a server has, and how that names assets. spec: nanograph 11, 12.3

use std::fs;
use std::path::Path;

use nanograph::config::Language;

use crate::process;
use crate::registry::AssetRefs;

/// An installed SDK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sdk {
    /// Its version, from the installed package's metadata.
    pub version: String,
    /// How it names assets.
    pub asset_refs: AssetRefs,
}

/// The SDK that is installed in a prepared folder; `None` if none is found there. Blocks on the file system.
#[must_use]
pub fn installed_sdk(folder: &Path, language: Language) -> Option<Sdk> {
    let (version, is_uuid): (_, fn([u32; 3]) -> bool) = match language {
        Language::Python => (process::sdk_version(folder)?, |version| version < [0, 2, 1]),
        Language::Javascript => (javascript_version(folder)?, |version| version < [0, 2, 0]),
        Language::Rust => return None,
    };
    let asset_refs = if is_uuid(parts(&version)) {
        AssetRefs::Uuid
    } else {
        AssetRefs::Hash
    };
    Some(Sdk {
        version,
        asset_refs,
    })
}

fn javascript_version(folder: &Path) -> Option<String> {
    let package = folder.join("node_modules/@nanograph/sdk/package.json");
    let package: serde_json::Value = serde_json::from_slice(&fs::read(package).ok()?).ok()?;
    package["version"].as_str().map(str::to_owned)
}

/// The first three numbers; what is no number counts as 0.
fn parts(version: &str) -> [u32; 3] {
    let mut parts = version
        .split(['.', '-', '+'])
        .map(|part| part.parse().unwrap_or_default());
    [parts.next(), parts.next(), parts.next()].map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_are_told_by_the_installed_version() {
        let folder = tempfile::tempdir().unwrap();
        let found = |language| {
            installed_sdk(folder.path(), language).map(|sdk| (sdk.version, sdk.asset_refs))
        };
        assert_eq!(found(Language::Python), None);
        let packages = folder.path().join("venv/lib/python3.11/site-packages");
        for (version, refs) in [
            ("0.1.22", AssetRefs::Uuid),
            ("0.2.0", AssetRefs::Uuid),
            ("0.2.1", AssetRefs::Hash),
            ("0.2.3", AssetRefs::Hash),
            ("1.0.0", AssetRefs::Hash),
            ("0.10.0", AssetRefs::Hash),
            ("0.1", AssetRefs::Uuid),
        ] {
            let info = packages.join(format!("nanograph_sdk-{version}.dist-info"));
            fs::create_dir_all(&info).unwrap();
            assert_eq!(found(Language::Python), Some((version.to_owned(), refs)));
            fs::remove_dir(&info).unwrap();
        }
        let module = folder.path().join("node_modules/@nanograph/sdk");
        fs::create_dir_all(&module).unwrap();
        for (version, refs) in [
            ("0.1.9-beta.1", AssetRefs::Uuid),
            ("0.2.0", AssetRefs::Hash),
        ] {
            let text = format!("{{\"version\": \"{version}\"}}");
            fs::write(module.join("package.json"), text).unwrap();
            assert_eq!(
                found(Language::Javascript),
                Some((version.to_owned(), refs))
            );
        }
    }
}
