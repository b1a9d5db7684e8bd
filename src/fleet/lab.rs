//! What tests of the fleet begin with.

use std::time::Duration;

use super::notice::{Mode, Notice, NoticeFields, Want};
use crate::finding::Severity;
use crate::time::Wall;

/// The notice of `from` with this number: its link went down just now.
pub(super) fn notice(from: &str, number: &str) -> Notice {
    let id = format!("{from}-b-{number}");
    Notice::new(NoticeFields {
        root: id.clone(),
        id,
        hops: 0,
        from: from.to_owned(),
        boot: "b".to_owned(),
        kind: "link-down".to_owned(),
        object: Some("eth0".to_owned()),
        sentence: None,
        severity: Severity::Warning,
        at: Wall(1_700_000_000_000_000_000),
        error: Duration::ZERO,
        age: Duration::ZERO,
        pre: Duration::from_secs(60),
        post: Duration::from_secs(1),
        mode: Mode::Keep,
        within: Duration::ZERO,
        want: Want::State,
        spread: Duration::ZERO,
    })
    .expect("it is within its bounds")
}
