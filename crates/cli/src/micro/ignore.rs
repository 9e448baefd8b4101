//! Patterns with `*`, and which files are not looked at.

use std::path::Path;
use std::str::FromStr;

/// A text with `*` for any text, also none. Case matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(String);

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("a pattern must not be empty".to_owned()),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

impl Pattern {
    /// Each piece is looked for after the one before; the first is at the begin, the last at the end.
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut pieces = self.0.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else {
            return false;
        };
        let Some(last) = pieces.next_back() else {
            return rest.is_empty();
        };
        for piece in pieces {
            match rest.find(piece) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

/// What builds, editors and tools write.
const ALWAYS: [&str; 5] = ["target", "node_modules", "__pycache__", "venv", "*~"];

/// Names of files and folders to leave out, below one folder.
#[derive(Debug, Clone)]
pub(super) struct Ignored {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    parts: Vec<Pattern>,
    /// Begins at the watched folder, instead of anywhere.
    anchored: bool,
}

impl Ignored {
    /// The usual ones, those given, and the lines of the folder's `.gitignore` that say no more than names with `*`, and
    /// paths of such: negations and `**` are not understood and left out.
    pub(super) fn below(folder: &Path, given: &[Pattern]) -> Self {
        let file = std::fs::read_to_string(folder.join(".gitignore")).unwrap_or_default();
        let lines = file.lines().map(str::trim).filter(|line| {
            !line.is_empty() && !line.starts_with(['#', '!']) && !line.contains("**")
        });
        let given = given.iter().map(|pattern| pattern.0.as_str());
        let rules = ALWAYS.into_iter().chain(given).chain(lines).map(Rule::new);
        Self {
            rules: rules.collect(),
        }
    }

    /// Whether a path below the folder is left out: it, or a folder that it is in. So is what begins with a dot.
    pub(super) fn contains(&self, path: &Path) -> bool {
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
        let parts: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
        parts.iter().any(|part| part.starts_with('.'))
            || self.rules.iter().any(|rule| rule.matches(&parts))
    }
}

impl Rule {
    fn new(line: &str) -> Self {
        let line = line.strip_suffix('/').unwrap_or(line);
        let path = line.strip_prefix('/').unwrap_or(line);
        Self {
            anchored: line.contains('/'),
            parts: path
                .split('/')
                .map(|part| Pattern(part.to_owned()))
                .collect(),
        }
    }

    fn matches(&self, path: &[&str]) -> bool {
        let at = |part: &[&str]| {
            self.parts
                .iter()
                .zip(part)
                .all(|(pattern, name)| pattern.matches(name))
        };
        let mut windows = path.windows(self.parts.len());
        match self.anchored {
            true => windows.next().is_some_and(at),
            false => windows.any(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let matches = |pattern: &str, text: &str| Pattern::from_str(pattern).unwrap().matches(text);
        for (pattern, text) in [
            ("a", "a"),
            ("a*", "a"),
            ("a*", "abc"),
            ("*c", "abc"),
            ("a*c", "abbc"),
            ("*b*", "abc"),
            ("*", ""),
            ("a*b*c", "a1b2b3c"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("a", "ab"),
            ("a*", "ba"),
            ("ab*ba", "aba"),
            ("a*c", "ab"),
            ("*b", "abc"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
        assert!(Pattern::from_str("").is_err());
    }

    #[test]
    fn what_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join(".gitignore"),
            "# comment\n/dist\n*.log\nbuild/\ndocs/out\n!keep.log\n",
        )
        .unwrap();
        let ignored = Ignored::below(folder.path(), &[Pattern("gen*".to_owned())]);
        for path in [
            "target/debug/x.rs",
            "a/target/b.rs",
            ".git/HEAD",
            "dist/a.js",
            "a/x.log",
            "build/x.rs",
            "docs/out/a.rs",
            "generated/x.rs",
            "src/main.rs~",
            "a/.hidden.rs",
        ] {
            assert!(ignored.contains(Path::new(path)), "{path}");
        }
        for path in ["src/main.rs", "a/dist/b.js", "docs/in.rs", "targets/a.rs"] {
            assert!(!ignored.contains(Path::new(path)), "{path}");
        }
    }
}
