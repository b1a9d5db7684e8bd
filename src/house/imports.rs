//! Who imports whom, read from the text of the files: `use` trees, re-exports and paths in code.

use std::collections::{BTreeMap, BTreeSet};

/// The files of the program by module path, such as `ring::lane`, each without tests and comments.
pub(super) type Files = BTreeMap<String, String>;

/// For each file, those it needs. That a file knows the front of its own folder (`mod.rs`) does not count: one
/// idea may be told in several files.
pub(super) fn of(files: &Files) -> BTreeMap<&str, BTreeSet<&str>> {
    let exported = re_exports(files);
    let mut imports = BTreeMap::new();
    for (module, text) in files {
        let target = |path: String| {
            let path = exported.get(&path).unwrap_or(&path).clone();
            let prefixes =
                std::iter::successors(Some(&*path), |path| Some(path.rsplit_once("::")?.0));
            prefixes
                .filter_map(|prefix| files.get_key_value(prefix))
                .map(|(known, _)| &**known)
                .next()
        };
        let needed = paths(files, module, text).into_iter().filter_map(target);
        let is_front = |other: &str| module == other || module.starts_with(&format!("{other}::"));
        imports.insert(&**module, needed.filter(|other| !is_front(other)).collect());
    }
    imports
}

/// The imports that are part of a circle, or lie between two.
pub(super) fn circles<'a>(
    mut imports: BTreeMap<&'a str, BTreeSet<&'a str>>,
) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    loop {
        let needed: BTreeSet<&str> = imports.values().flatten().copied().collect();
        let before: BTreeSet<&str> = imports.keys().copied().collect();
        imports.retain(|file, needs| !needs.is_empty() && needed.contains(file));
        let left: BTreeSet<&str> = imports.keys().copied().collect();
        imports.values_mut().for_each(|needs| needs.retain(|file| left.contains(file)));
        if left == before {
            return imports;
        }
    }
}

/// Where a path through a front leads: `ring::Slice` is `ring::slice::Slice`.
fn re_exports(files: &Files) -> BTreeMap<String, String> {
    let mut exported = BTreeMap::new();
    for (module, text) in files {
        for part in text.split("pub").skip(1) {
            let part =
                part.strip_prefix("(super)").or(part.strip_prefix("(crate)")).unwrap_or(part);
            let Some((tree, _)) = part.strip_prefix(" use ").and_then(|use_| use_.split_once(';'))
            else {
                continue;
            };
            for path in expanded(tree) {
                let name = path.rsplit("::").next().unwrap_or_default().to_owned();
                exported.extend(
                    resolved(files, module, &path).map(|to| (format!("{module}::{name}"), to)),
                );
            }
        }
    }
    exported
}

/// All paths of ours that a file mentions.
fn paths(files: &Files, module: &str, text: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("::") {
        let begin = text[..at].rfind(|c| !is_word(c)).map_or(0, |before| before + 1);
        if begin < at && !text[..begin].ends_with("::") {
            let trees = expanded(&text[begin..]);
            found.extend(trees.iter().filter_map(|path| resolved(files, module, path)));
        }
    }
    found
}

/// The paths of a tree such as `a::{b, c::{d, e as f}}` at the beginning of a text.
fn expanded(text: &str) -> Vec<String> {
    let end =
        text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    let (path, rest) = text.split_at(end);
    let Some(inner) = rest.strip_prefix('{').filter(|_| path.ends_with("::")) else {
        return vec![path.trim_end_matches(':').to_owned()];
    };
    let (mut depth, mut begin, mut all) = (0, 0, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                let branches = expanded(inner[begin..at].trim());
                all.extend(branches.into_iter().map(|branch| match &*branch {
                    "" | "self" => path.trim_end_matches(':').to_owned(),
                    _ => format!("{path}{branch}"),
                }));
                begin = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    all
}

/// A path from the root of the crate; none if it begins elsewhere.
fn resolved(files: &Files, module: &str, path: &str) -> Option<String> {
    if let Some(path) = path.strip_prefix("crate::") {
        return Some(path.to_owned());
    }
    let (mut here, mut rest) = (module, path);
    if let Some(inside) = rest.strip_prefix("self::") {
        rest = inside;
    } else if !rest.starts_with("super::") {
        // A child by its bare name.
        let child = format!("{module}::{}", rest.split("::").next()?);
        return files.contains_key(&child).then(|| format!("{module}::{rest}"));
    }
    while let Some(above) = rest.strip_prefix("super::") {
        here = here.rsplit_once("::").map_or("", |(above, _)| above);
        rest = above;
    }
    Some(if here.is_empty() { rest.to_owned() } else { format!("{here}::{rest}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(texts: &[(&str, &str)]) -> Files {
        texts.iter().map(|(module, text)| ((*module).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn circles_are_found_through_trees_fronts_and_paths_in_code() {
        for (texts, circle) in [
            (&[("a", "use crate::b::{self, C};"), ("b", "")][..], false),
            (&[("a", "use crate::b::{self, C};"), ("b", "crate::a::d()")], true),
            (
                &[
                    ("a", "use super::b::C;"),
                    ("b", "use crate::c::D;"),
                    ("c", "use crate::{x, a::E};"),
                ],
                true,
            ),
            (
                &[
                    ("r", "pub use s::T;"),
                    ("r::s", "use super::u::V;"),
                    ("r::u", "use crate::r::T;"),
                ],
                true,
            ),
            (
                &[("r", "pub use s::T;"), ("r::s", "use super::W;"), ("r::u", "use crate::r::T;")],
                false,
            ),
        ] {
            let files = files(texts);
            assert_eq!(!circles(of(&files)).is_empty(), circle, "{texts:?}");
        }
    }
}
