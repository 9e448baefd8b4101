//! What a project may be called: what cargo, NATS and orchestrators all take.

/// No name is longer.
const LENGTH_MAX: usize = 64;

/// Names that cargo refuses, or that would hide what the project uses.
const TAKEN: [&str; 12] = [
    "alloc",
    "build",
    "core",
    "deps",
    "examples",
    "incremental",
    "nodewire",
    "proc-macro",
    "proc_macro",
    "std",
    "test",
    "tokio",
];

/// Words of the language, as cargo refuses them.
const KEYWORDS: [&str; 52] = [
    "Self", "abstract", "as", "async", "await", "become", "box", "break", "const", "continue",
    "crate", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if",
    "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub",
    "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// # Errors
/// What is wrong with the name, and what to do.
pub(super) fn check(name: &str) -> Result<(), String> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(is_letter) {
        return Err(format!(
            "{name:?} cannot be a project's name: it begins with a letter, and has letters, digits, `-` and `_`"
        ));
    }
    if name.len() > LENGTH_MAX {
        return Err(format!("a project's name has {LENGTH_MAX} letters at most"));
    }
    if TAKEN.contains(&name) || KEYWORDS.contains(&name) {
        return Err(format!(
            "{name:?} means something else to cargo; choose another name"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cargo_takes_are_taken() {
        for name in ["greeter", "a", "My-tools_2", "x-y"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        let long = "x".repeat(65);
        for name in [
            "", "2x", "-x", "_x", "a b", "a/b", "..", "é", "test", "nodewire", "async", "while",
            &long,
        ] {
            assert!(check(name).is_err(), "{name}");
        }
    }
}
