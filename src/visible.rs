//! Characters that control instead of showing something: what strangers say (frames, logs, names of interfaces, files of
//! others) must not move a cursor, turn a line around, or hide in it, wherever it is shown.
//!
//! One judgement ([`controls`]) for all: a text for people shows them as `\u{202e}` ([`plain`], [`page`]), JSON has
//! them as `\u202e`, which is the same text to whoever parses it ([`json`]). Text without any is not copied.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::Value;

/// True for what shows nothing itself and changes how the rest is shown: controls (Unicode's Cc: escape, C1, line
/// ends), marks and overrides of direction, characters without width, line and paragraph separators, and tags
/// (Unicode Standard Annex #9, and Technical Standard #39, 3.1, "Default_Ignorable_Code_Point").
pub fn controls(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' // soft hyphen
            | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' // direction
            | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{feff}' // no width
            | '\u{206a}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' // old controls of shaping, annotations
            | '\u{2028}' | '\u{2029}' // line, paragraph
            | '\u{e0000}'..='\u{e007f}' // tags
        )
}

/// One line that controls nothing.
pub fn plain(text: &str) -> Cow<'_, str> {
    replaced(text, |_| false, |out, c| out.extend(c.escape_default()))
}

/// The same of every string in a JSON value but the names of its fields.
pub fn plain_value(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(plain(&text).into_owned()),
        Value::Array(values) => values.into_iter().map(plain_value).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, of)| (name, plain_value(of))).collect()
        }
        other => other,
    }
}

/// Lines that control nothing: their ends stay, and tabulators.
pub fn page(text: &str) -> Cow<'_, str> {
    replaced(text, is_layout, |out, c| out.extend(c.escape_default()))
}

/// A line of the log, which may have colours of its own: escapes in what it tells are taken out before they
/// get here, and line ends are its own.
pub fn logged(text: &str) -> Cow<'_, str> {
    replaced(text, |c| c.is_ascii_control(), |out, c| out.extend(c.escape_default()))
}

/// What a table calculates with begins so (OWASP, "CSV Injection"); an apostrophe before it makes it text.
const FORMULA: [char; 4] = ['=', '+', '-', '@'];

/// A field of CSV (RFC 4180): one that controls nothing and calculates nothing, in quotes where it needs them.
pub fn field(text: &str) -> String {
    let text = plain(text);
    let apostrophe = if text.starts_with(FORMULA) { "'" } else { "" };
    let field = format!("{apostrophe}{text}");
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
}

/// What stood in a field, as a reader of CSV gives it.
pub fn of_field(field: &str) -> &str {
    field.strip_prefix('\'').filter(|field| field.starts_with(FORMULA)).unwrap_or(field)
}

/// The same JSON in ASCII where characters control: there are none in it but in strings.
pub fn json(json: &str) -> Cow<'_, str> {
    replaced(json, is_layout, |out, c| {
        let mut units = [0; 2];
        for unit in c.encode_utf16(&mut units) {
            // Writing to a String never fails.
            let _ = write!(out, "\\u{unit:04x}");
        }
    })
}

fn is_layout(c: char) -> bool {
    matches!(c, '\n' | '\t')
}

fn replaced(
    text: &str,
    stays: impl Fn(char) -> bool,
    replace: impl Fn(&mut String, char),
) -> Cow<'_, str> {
    let goes = |c: char| controls(c) && !stays(c);
    if !text.chars().any(goes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        if goes(c) { replace(&mut out, c) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Security review L4, fault F13.
    #[test]
    fn what_controls_is_shown_instead() {
        for (text, shown) in [
            ("eth0", "eth0"),
            ("é 日本 🦀 ́", "é 日本 🦀 ́"),
            ("\u{1b}[2Jx", "\\u{1b}[2Jx"),
            ("a\u{9b}b\u{7f}", "a\\u{9b}b\\u{7f}"),
            ("\u{202e}gpj.exe\u{2066}", "\\u{202e}gpj.exe\\u{2066}"),
            ("pay\u{200b}pal\u{feff}\u{ad}", "pay\\u{200b}pal\\u{feff}\\u{ad}"),
            ("one\r\ntwo\u{2028}three\t", "one\\r\\ntwo\\u{2028}three\\t"),
            ("\u{e0041}", "\\u{e0041}"),
        ] {
            assert_eq!(plain(text), shown);
        }
        assert_eq!(page("a\tb\n\u{1b}"), "a\tb\n\\u{1b}");
        assert_eq!(logged("\u{1b}[31mred\u{202e}\u{85}\n"), "\u{1b}[31mred\\u{202e}\\u{85}\n");
        assert!(matches!(plain("eth0"), Cow::Borrowed(_)), "nothing is copied");
    }

    /// Security review L12, fault F13: a name that a spreadsheet would calculate, and one that a terminal would obey.
    #[test]
    fn a_name_is_no_formula_and_controls_nothing() {
        for (name, written) in [
            ("eth0", "eth0"),
            ("=1+1", "'=1+1"),
            ("-x", "'-x"),
            ("@a,b", "\"'@a,b\""),
            ("a=b", "a=b"),
            ("\u{1b}x", "\\u{1b}x"),
            ("a\nb", "a\\nb"),
        ] {
            assert_eq!(field(name), written);
        }
        assert_eq!(["'=1", "'x", "=1"].map(of_field), ["=1", "'x", "=1"]);
    }

    proptest! {
        #[test]
        fn json_is_the_same_and_has_nothing_that_controls(text: String, odd in "[\u{200b}-\u{2070}\u{80}-\u{9f}\u{e0001}]{0,9}") {
            let value = Value::String(text + &odd);
            let made = serde_json::to_string_pretty(&serde_json::json!({ "a": value })).unwrap();
            let safe = json(&made);
            prop_assert!(!safe.chars().any(|c| controls(c) && c != '\n'));
            let again: Value = serde_json::from_str(&safe).unwrap();
            prop_assert_eq!(&again["a"], &value);
        }

        #[test]
        fn a_plain_line_controls_nothing(text: String) {
            prop_assert!(!plain(&text).chars().any(controls));
            prop_assert!(!page(&text).chars().any(|c| controls(c) && !is_layout(c)));
        }
    }
}
