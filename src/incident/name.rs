//! The name of a bundle: when, what for, and about what: `2026-11-22T14-14-20.811Z_link-down_eth0`.

use crate::trigger::Trigger;

/// How a bundle's name begins; `0` stands for any digit (see [`crate::time::Wall::file_name`]).
const NAME_PATTERN: &[u8] = b"0000-00-00T00-00-00.000Z_";

/// The name of the bundle of the incident that `trigger` opens.
pub fn name_of(trigger: &Trigger) -> String {
    let mut name = format!("{}_{}", trigger.at.wall.file_name(), trigger.kind);
    if let Some(object) = &trigger.object {
        name.push('_');
        name.push_str(&file_name(object));
    }
    name
}

/// Longest part of a file name taken from an object, in bytes: interface names have 15, host names up
/// to 253 (RFC 1035), a whole file name 255 (NAME_MAX of linux/limits.h).
const OBJECT_NAME: usize = 64;

/// `text` as a part of a file name: letters, digits, `.`, `-`, `_`, `@`, `:`; every other byte is `_`,
/// and a leading dot too, so that nothing is hidden or climbs.
pub(crate) fn file_name(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_.@:".contains(c);
    let mut name: String =
        text.chars().take(OBJECT_NAME).map(|c| if safe(c) { c } else { '_' }).collect();
    if name.starts_with('.') {
        name.replace_range(..1, "_");
    }
    name
}

/// True for names only a dashcap gives: when, and what for.
pub(super) fn is_our_name(name: &str) -> bool {
    let like = |(c, p): (&u8, &u8)| if *p == b'0' { c.is_ascii_digit() } else { c == p };
    let name = name.as_bytes();
    name.len() > NAME_PATTERN.len() && name.iter().zip(NAME_PATTERN).all(like)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_becomes_a_harmless_file_name() {
        for (object, name) in [
            ("dp0bond0.956", "dp0bond0.956"),
            ("eth0@if7", "eth0@if7"),
            ("fe80::1%eth0", "fe80::1_eth0"),
            ("../../etc/passwd", "_._.._etc_passwd"),
            ("make test -- \"a b\"\n", "make_test_--__a_b__"),
            ("", ""),
            ("zürich", "z_rich"),
        ] {
            assert_eq!(file_name(object), name);
        }
        assert_eq!(file_name(&"x".repeat(300)).len(), OBJECT_NAME);
    }

    #[test]
    fn only_our_own_names_are_ours() {
        for (name, ours) in [
            ("2026-11-22T14-14-20.811Z_link-down_eth0", true),
            ("2026-11-22T14-14-20.811Z_signal-2", true),
            ("2026-11-22T14-14-20.811Z_", false),
            ("thesis", false),
            ("2026-11-22_14-14-20.811Z_signal", false),
            ("", false),
        ] {
            assert_eq!(is_our_name(name), ours, "{name}");
        }
    }
}
