//! The source files of this checkout, as the tidy test reads them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// One text file, with its path from the root of the checkout, `/` between folders.
#[derive(Debug)]
pub struct Source {
    pub path: String,
    pub text: String,
}

/// The root of this checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate is a folder of it").into()
}

/// Every file whose name ends in one of `endings`, sorted by path. What is built, installed or hidden is left out.
pub fn files(endings: &[&str]) -> io::Result<Vec<Source>> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_dir() {
                let left_out = ["target", "node_modules", "dist", "gen"].contains(&name.as_str());
                if !left_out && (!name.starts_with('.') || name == ".ci" || name == ".config") {
                    folders.push(entry.path());
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let path = entry.path();
                let from_root = path.strip_prefix(root()).expect("found below it");
                found.push(Source {
                    path: from_root.to_string_lossy().replace('\\', "/"),
                    text: String::from_utf8_lossy(&fs::read(&path)?).into_owned(),
                });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Rust text without its comments, strings and characters, so that what remains is what the compiler acts on. Lines stay lines.
pub fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        let length = match byte {
            b'/' if rest.starts_with(b"//") => {
                rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len())
            }
            b'/' if rest.starts_with(b"/*") => block_comment(rest),
            b'r' if !after_word(&out) => raw_string(rest),
            b'"' => quoted(rest),
            b'\'' => character(rest),
            _ => 0,
        };
        if length == 0 {
            out.push(byte);
            at += 1;
        } else {
            out.extend(rest.iter().take(length).filter(|b| **b == b'\n'));
            out.push(b' ');
            at += length;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn after_word(out: &[u8]) -> bool {
    // `br"…"` is a raw string too, so a lone `b` before does not count.
    let word: Vec<u8> = out
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
        .copied()
        .collect();
    !word.is_empty() && word != b"b"
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < rest.len() {
        match rest.get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") if depth == 1 => return at + 2,
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw_string(rest: &[u8]) -> usize {
    let hashes = rest.iter().skip(1).take_while(|b| **b == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let end = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let start = 2 + hashes;
    rest.get(start..)
        .and_then(|inside| inside.windows(end.len()).position(|window| window == end))
        .map_or(rest.len(), |inside| start + inside + end.len())
}

fn quoted(rest: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = rest.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A character literal; 0 for a lifetime, which has no closing quote.
fn character(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        // The escaped character itself may be the quote, so look for the end behind it.
        return rest.iter().skip(3).position(|b| *b == b'\'').map_or(0, |end| end + 4);
    }
    let width = match rest.get(1) {
        Some(0xf0..) => 4,
        Some(0xe0..) => 3,
        Some(0xc0..) => 2,
        _ => 1,
    };
    if rest.get(1 + width) == Some(&b'\'') { width + 2 } else { 0 }
}

/// What a file names of its own crate: `crate::a::{b, c::d}` gives `a::b` and `a::c::d`.
pub fn crate_paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some((before, after)) = rest.split_once("crate::") {
        let whole = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if whole {
            read_tree(&mut after.chars().peekable(), "", &mut found);
        }
        rest = after;
    }
    found
}

/// Reads one `use` tree, or the path of an expression, which is the same without groups.
fn read_tree(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    prefix: &str,
    found: &mut Vec<String>,
) {
    let mut path = prefix.to_owned();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.next_if_eq(&'{').is_some() {
            loop {
                while chars.next_if(|c| c.is_whitespace() || *c == ',').is_some() {}
                if chars.next_if_eq(&'}').is_some() || chars.peek().is_none() {
                    return;
                }
                let known = found.len();
                read_tree(chars, &path, found);
                // `x as y`, `*` and the like: go on to the next element.
                while chars.next_if(|c| *c != ',' && *c != '}').is_some() {}
                if found.len() == known {
                    found.push(path.clone());
                }
            }
        }
        let mut word = String::new();
        while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
            word.push(c);
        }
        if word.is_empty() {
            break;
        }
        if !path.is_empty() {
            path.push_str("::");
        }
        path.push_str(&word);
        if chars.next_if_eq(&':').is_none() || chars.next_if_eq(&':').is_none() {
            break;
        }
    }
    if path != prefix {
        found.push(path);
    }
}

#[cfg(test)]
mod tests {
    use super::{code_only, crate_paths};

    #[test]
    fn comments_and_strings_are_not_code() {
        let text = "a /* b /* c */ d */ e // f\n\"g \\\" h\" 'i' '\\'' r#\"j \" k\"# <'life> l";
        let code = code_only(text);
        for (word, kept) in
            [("a", true), ("b", false), ("d", false), ("e", true), ("f", false), ("g", false)]
        {
            assert_eq!(code.split_whitespace().any(|w| w == word), kept, "{word} in {code:?}");
        }
        assert!(code.contains("<'life> l"), "{code:?}");
        assert!(!code.contains('h') && !code.contains('j') && !code.contains('k'), "{code:?}");
    }

    #[test]
    fn nested_groups_are_read() {
        let code = "use crate::{app::{a, b::{self, C}}, domain::X as Y, store};\nlet z = crate::proxy::serve(1); othercrate::no::no()";
        assert_eq!(
            crate_paths(code),
            ["app::a", "app::b::self", "app::b::C", "domain::X", "store", "proxy::serve"]
        );
    }
}
