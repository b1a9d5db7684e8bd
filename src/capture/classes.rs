//! Classes of traffic: each interface has a lane per class, so that a flood in one cannot evict the
//! history of another. First match wins: `control`, then the operator's own, then `data`.

use std::sync::Arc;

use super::filter::{Filter, UserFilter};
use crate::error::{Error, Result};
use crate::frame::{Frame, LinkType};
use crate::wire::control::is_control;

/// A part of an interface's share of the memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Quota {
    /// Percent of it.
    Percent(f64),
    /// So many bytes of it.
    Bytes(u64),
}

/// A class of the operator's own.
#[derive(Debug, Clone)]
pub struct Class {
    /// Its name.
    pub name: Arc<str>,
    /// What belongs to it.
    pub filter: Filter,
    /// Memory that no other class can take from it; what it does not use is lent.
    pub memory: Quota,
}

/// All classes.
#[derive(Debug, Clone)]
pub struct Options {
    /// Memory of `control`.
    pub control: Quota,
    /// The operator's own, in the order in which they are tried.
    pub own: Vec<Class>,
}

impl Default for Options {
    /// Control traffic is a few frames a second: an eighth holds hours of it.
    fn default() -> Self {
        Self { control: Quota::Percent(12.5), own: Vec::new() }
    }
}

impl Options {
    /// Name of the class of protocols that keep networks running.
    pub const CONTROL: &'static str = "control";
    /// Name of the class of everything else.
    pub const DATA: &'static str = "data";
    /// Most classes of the operator's own: each costs every frame a run of its filter.
    const MAX_OWN: usize = 16;

    /// Accepts only what can be meant.
    ///
    /// # Errors
    /// When a name is taken, there are too many, or nothing would be left for `data`.
    pub fn check(&self) -> Result<()> {
        let refuse = |given: &str, reason: &str| {
            Err(Error::usage(
                "class",
                given,
                reason,
                format!(
                    "up to {} classes with names of their own and memory of less than 100% in all",
                    Self::MAX_OWN
                ),
            ))
        };
        if self.own.len() > Self::MAX_OWN {
            return refuse(&self.own[Self::MAX_OWN].name, "the number of classes is bounded");
        }
        for (at, class) in self.own.iter().enumerate() {
            let name = &*class.name;
            if name.is_empty() || [Self::CONTROL, Self::DATA].contains(&name) {
                return refuse(name, "a class has a name, other than control and data");
            }
            if self.own[..at].iter().any(|other| other.name == class.name) {
                return refuse(name, "each name is used once, this one twice");
            }
        }
        let percent: f64 =
            self.quotas().map(|q| if let Quota::Percent(p) = q { p } else { 0.0 }).sum();
        if !(0.0..100.0).contains(&percent) || self.quotas().any(Quota::is_nonsense) {
            return refuse(&format!("{percent}%"), "the classes leave some memory to data");
        }
        Ok(())
    }

    /// Lanes that an interface needs.
    pub fn lanes(&self) -> u16 {
        // There are at most `MAX_OWN` of the operator's.
        2 + self.own.len() as u16
    }

    /// Names of all classes, in the order of their lanes.
    pub fn names(&self) -> Vec<Arc<str>> {
        let own = self.own.iter().map(|class| Arc::clone(&class.name));
        [Self::CONTROL.into()].into_iter().chain(own).chain([Self::DATA.into()]).collect()
    }

    /// How `bytes` of an interface are shared among its classes, in the order of their lanes.
    pub fn share(&self, bytes: u64) -> Vec<u64> {
        let mut left = bytes;
        let mut shares: Vec<u64> = self
            .quotas()
            .map(|quota| {
                let share = match quota {
                    Quota::Percent(percent) => (bytes as f64 * percent / 100.0) as u64,
                    Quota::Bytes(bytes) => bytes,
                };
                let share = share.min(left);
                left -= share;
                share
            })
            .collect();
        shares.push(left);
        shares
    }

    fn quotas(&self) -> impl Iterator<Item = Quota> + '_ {
        [self.control].into_iter().chain(self.own.iter().map(|class| class.memory))
    }

    /// Tells frames of this link type apart.
    ///
    /// # Errors
    /// When a filter does not suit the link type.
    pub(super) fn classifier(&self, link_type: LinkType) -> Result<Classifier> {
        let own = self.own.iter().map(|class| class.filter.for_user_space(link_type));
        Ok(Classifier { link_type, own: own.collect::<Result<_>>()? })
    }
}

impl Quota {
    fn is_nonsense(self) -> bool {
        matches!(self, Self::Percent(percent) if percent.is_nan() || percent < 0.0)
    }
}

/// Tells the lane of a frame.
#[derive(Debug)]
pub(super) struct Classifier {
    link_type: LinkType,
    own: Vec<UserFilter>,
}

impl Classifier {
    /// Number of the frame's class in [`Options::names`].
    #[inline]
    pub(super) fn class(&mut self, frame: &Frame<'_>) -> usize {
        if is_control(self.link_type, frame) {
            return 0;
        }
        let own = self.own.iter_mut().position(|filter| filter.accepts(frame));
        1 + own.unwrap_or(self.own.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameHeader;

    fn class(name: &str, filter: &str, memory: Quota) -> Class {
        Class { name: name.into(), filter: Filter::parse(filter).unwrap(), memory }
    }

    #[test]
    fn memory_is_shared_and_data_gets_the_rest() {
        let options = Options {
            control: Quota::Percent(10.0),
            own: vec![
                class("dns", "port 53", Quota::Bytes(300)),
                class("web", "port 80", Quota::Percent(50.0)),
            ],
        };
        assert!(options.check().is_ok());
        assert_eq!(options.share(1000), [100, 300, 500, 100]);
        assert_eq!(options.share(500), [50, 300, 150, 0], "what is not there cannot be shared");
        let names: Vec<_> = options.names().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["control", "dns", "web", "data"]);
    }

    #[test]
    fn the_first_match_wins() {
        let options = Options {
            own: vec![
                class("tcp", "tcp", Quota::Percent(10.0)),
                class("ip", "ip", Quota::Percent(10.0)),
            ],
            ..Options::default()
        };
        let mut classifier = options.classifier(LinkType::ETHERNET).unwrap();
        let mut frame = [0_u8; 60];
        frame[12..16].copy_from_slice(&[0x08, 0x00, 0x45, 0]);
        for (protocol, expected) in [(1, 0), (6, 1), (17, 2)] {
            frame[23] = protocol;
            let frame = Frame::whole(FrameHeader::default(), &frame);
            assert_eq!(classifier.class(&frame), expected, "protocol {protocol}");
        }
        frame[12..14].copy_from_slice(&[0x08, 0x06]);
        assert_eq!(classifier.class(&Frame::whole(FrameHeader::default(), &frame)), 0, "arp");
        frame[12..14].copy_from_slice(&[0x12, 0x34]);
        assert_eq!(classifier.class(&Frame::whole(FrameHeader::default(), &frame)), 3, "data");
    }

    #[test]
    fn classes_that_cannot_be_meant_are_refused() {
        for own in [
            vec![class("data", "tcp", Quota::Bytes(1))],
            vec![class("", "tcp", Quota::Bytes(1))],
            vec![class("a", "tcp", Quota::Bytes(1)), class("a", "udp", Quota::Bytes(1))],
            vec![class("a", "tcp", Quota::Percent(90.0))],
            vec![class("a", "tcp", Quota::Percent(-1.0))],
            vec![class("a", "tcp", Quota::Percent(f64::NAN))],
        ] {
            let error = Options { own, ..Options::default() }.check().unwrap_err();
            assert_eq!(error.exit_status(), 2);
        }
    }
}
