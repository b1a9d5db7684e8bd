//! Names as one token of a subject: a dot would begin the next token there, `*` and `>` stand for others, and a
//! blank ends the subject (NATS, "Subject-Based Messaging").

use std::fmt::Write;

/// Bytes of a token at most: a host name of the longest (RFC 1035, 2.3.4) with nothing to escape has room.
pub const LONGEST: usize = 255;

/// The token of a name: letters, digits and `-` stay, every other byte is `_` and two hexadecimal digits, so that
/// no two names have the same token.
pub fn token(name: &str) -> String {
    let mut token = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            token.push(char::from(byte));
        } else {
            // Writing to a String never fails.
            let _ = write!(token, "_{byte:02x}");
        }
    }
    token
}

/// True if a text is one token.
pub fn is_token(text: &str) -> bool {
    let fits = (1..=LONGEST).contains(&text.len());
    fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_token_and_no_other_name_has_it() {
        for (name, expected) in [
            ("router-a", "router-a"),
            ("r1.example.net", "r1_2eexample_2enet"),
            ("a_b", "a_5fb"),
            ("*.>", "_2a_2e_3e"),
            ("é", "_c3_a9"),
            ("02:00:00:00:00:01", "02_3a00_3a00_3a00_3a00_3a01"),
        ] {
            let token = token(name);
            assert_eq!(token, expected);
            assert!(is_token(&token), "{token}");
        }
        for text in ["", "a.b", "*", ">", "a b", "é", &"x".repeat(256)] {
            assert!(!is_token(text), "{text}");
        }
    }
}
