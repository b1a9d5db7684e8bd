//! What thinning says in the file itself: comments on the last frame before a hole, and one on the file.

use std::fmt::Write;

use super::account::{Account, name};
use super::limits::Limits;
use super::second::{Aside, Bucket, BucketKind};
use super::{Amount, Options};
use crate::APPLICATION;
use crate::capture_file::{Copies, comment, inputs};
use crate::time::Wall;

/// What is missing behind a frame of `wall`, the last one of its bucket before a hole.
///
/// Of copies it is the comment of our bundles, which readers of ours count by: the frame itself is one of those
/// it stands for.
pub(super) fn comment(bucket: &Bucket, wall: Wall) -> String {
    let Aside { frames, bytes, first, last } = bucket.aside;
    let flow = name(&bucket.key);
    let aside = comment::Aside { frames, bytes, first, last, flow: &flow };
    match bucket.kind {
        BucketKind::Run(None) => comment::folded(wall, Copies { count: frames + 1, last }),
        BucketKind::Run(Some(lives)) => comment::routed(aside, lives),
        BucketKind::Flow => comment::thinned(aside),
    }
}

/// What the file is; with what is missing in all once that is known.
pub(super) fn about(options: &Options, limits: Limits, account: Option<&Account>) -> String {
    let mut text = format!("{APPLICATION}: thinned from {}", inputs::named(&options.files));
    let Limits { keep, control, copies, flows } = limits;
    // Writing to a string does not fail, here and below.
    let _ = write!(
        text,
        ". Kept: of identical frames {copies} a second; of each flow the first and last {keep} frames of a \
         second, {control} of control traffic, with {flows} flows told apart"
    );
    if let Amount::Target(target) = options.amount {
        let _ = write!(text, ", to be at most {target} bytes");
    }
    text += ". What is missing behind a frame its comment tells.";
    let Some(account) = account else { return text };
    let total = &account.total;
    let _ = write!(
        text,
        " {} frames were read, {} are here, {} identical ones are folded, {} set aside.",
        total.read.frames, total.kept.frames, total.folded.count.frames, total.thinned.count.frames
    );
    for flow in &account.flows {
        let aside = flow.share.aside();
        let _ = write!(
            text,
            " {} {}: {} frames, {} bytes missing of {};",
            flow.interface, flow.flow, aside.frames, aside.bytes, flow.share.read.frames
        );
    }
    text
}
