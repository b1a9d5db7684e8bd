//! The fields of a form, and of what stands behind ? in an address (WHATWG URL, application/x-www-form-urlencoded).

/// The value of the first field of this name; what is no UTF-8 in it is replaced.
pub(super) fn field(form: &[u8], name: &str) -> Option<String> {
    form.split(|byte| *byte == b'&').find_map(|pair| {
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        let (key, value) = (decoded(parts.next()?), decoded(parts.next().unwrap_or_default()));
        (key == name).then_some(value)
    })
}

fn decoded(text: &[u8]) -> String {
    let digit = |at: usize| (*text.get(at)? as char).to_digit(16);
    let (mut bytes, mut at) = (Vec::with_capacity(text.len()), 0);
    while let Some(byte) = text.get(at) {
        let escaped = digit(at + 1).zip(digit(at + 2)).filter(|_| *byte == b'%');
        let (value, length) = match (byte, escaped) {
            (b'+', _) => (b' ', 1),
            (_, Some((high, low))) => ((high * 16 + low) as u8, 3),
            (byte, None) => (*byte, 1),
        };
        bytes.push(value);
        at += length;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_field_is_what_was_typed() {
        for (form, value) in [
            ("reason=users+complain&x=y", Some("users complain")),
            ("x=reason&reason=%3Cb%3E%26%C3%A4%0A", Some("<b>&ä\n")),
            ("reason", Some("")),
            ("reason=100%&reason=2", Some("100%")),
            ("reason=%zz%4", Some("%zz%4")),
            ("reason=%ff", Some("\u{fffd}")),
            ("other=1", None),
            ("", None),
        ] {
            assert_eq!(field(form.as_bytes(), "reason").as_deref(), value, "{form}");
        }
    }

    proptest! {
        #[test]
        fn any_form_is_read(form: Vec<u8>) {
            field(&form, "reason");
        }
    }
}
