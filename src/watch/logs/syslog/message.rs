//! What a syslog message says of itself (RFC 3164, RFC 5424).
//!
//! Senders take liberties, so nothing is refused and nothing is lost: what is matched is the whole
//! message behind its priority, as a syslog daemon would write it to a file, and the header is read
//! from it only for those that matched.

use syslog_loose::{ProcId, Protocol, Variant, parse_message_with_year};

use crate::observation::log_line::{Header, Priority};

/// The largest priority: facility 23, severity 7 (RFC 5424 §6.2.1).
const LARGEST: u64 = 191;

/// Takes the priority, `<30>`, off a message.
pub fn split_priority(message: &str) -> (Option<Priority>, &str) {
    let split = || {
        let (number, rest) = message.strip_prefix('<')?.split_once('>')?;
        let plain = (1..=3).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
        let number = number.parse().ok().filter(|number| plain && *number <= LARGEST)?;
        Some((Priority::of(number), rest))
    };
    split().map_or((None, message), |(priority, rest)| (Some(priority), rest))
}

/// Understands the header of a message, its priority included.
pub fn parse_header(message: &str) -> Header {
    // Stamps of RFC 3164 have no year and no zone, so they are not used at all, and any year will do.
    let parsed = parse_message_with_year(message, |_| 1970, Variant::Either);
    let modern = matches!(parsed.protocol, Protocol::RFC5424(_));
    let known = parsed.timestamp.is_some() || modern;
    let program = parsed.appname.filter(|_| known).map(|name| match parsed.procid {
        Some(ProcId::PID(pid)) => format!("{name}[{pid}]"),
        Some(ProcId::Name(id)) => format!("{name}[{id}]"),
        None => name.to_owned(),
    });
    Header {
        priority: split_priority(message).0,
        // Without a stamp, the first words are as likely the message's.
        host: parsed.hostname.filter(|_| known).map(str::to_owned),
        program,
        stamp: parsed.timestamp.filter(|_| modern).map(|stamp| stamp.to_rfc3339()),
        cut: false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn priorities_come_off() {
        for (message, priority, rest) in [
            ("<30>text", Some(Priority::Info), "text"),
            ("<0>text", Some(Priority::Emerg), "text"),
            ("<191>1 - - -", Some(Priority::Debug), "1 - - -"),
            ("<192>text", None, "<192>text"),
            ("<>text", None, "<>text"),
            ("<+3>text", None, "<+3>text"),
            ("<0030>text", None, "<0030>text"),
            ("text <30>", None, "text <30>"),
            ("<30", None, "<30"),
            ("", None, ""),
        ] {
            assert_eq!(split_priority(message), (priority, rest), "{message:?}");
        }
    }

    #[test]
    fn headers_of_both_kinds_are_read() {
        // message, host, program, stamp
        for (message, host, program, stamp) in [
            (
                "<30>Nov 22 14:14:20 router Keepalived_vrrp[812]: (VI_1) Entering FAULT STATE",
                "router",
                "Keepalived_vrrp[812]",
                "",
            ),
            (
                "<30>1 2026-11-22T14:14:20.811Z router Keepalived_vrrp 812 - - Entering FAULT STATE",
                "router",
                "Keepalived_vrrp[812]",
                "2026-11-22T14:14:20.811+00:00",
            ),
            (
                "<165>1 2026-11-22T14:14:20Z r1 nsm - ID47 [a@1 b=\"c ] \\\"d\"] NSM Interface is Down",
                "r1",
                "nsm",
                "2026-11-22T14:14:20+00:00",
            ),
            ("<30>1 - - - - - -", "", "", ""),
            ("<30>Entering FAULT STATE", "", "", ""),
            ("Kernel is reporting: interface dp0bond0 DOWN", "", "", ""),
            ("<189>45: Nov 22 14:14:20.811: %LINEPROTO-5-UPDOWN: Line protocol", "", "", ""),
            ("<", "", "", ""),
            ("", "", "", ""),
        ] {
            let header = parse_header(message);
            let shown = |field: Option<String>| field.unwrap_or_default();
            assert_eq!(
                (shown(header.host), shown(header.program), shown(header.stamp)),
                (host.to_owned(), program.to_owned(), stamp.to_owned()),
                "{message}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic(
            start in prop_oneof![
                Just(""), Just("<30>"), Just("<30>1 "), Just("<30>Nov 22 14:14:20 "),
                Just("<30>1 2026-11-22T14:14:20Z h p 1 - ["),
            ],
            noise in proptest::collection::vec(any::<u8>(), 0..120),
            words in "[ -~]{0,60}",
        ) {
            parse_header(&format!("{start}{}", String::from_utf8_lossy(&noise)));
            parse_header(&format!("{start}{words}"));
        }
    }
}
