//! What a person asks the recorders of a fleet, and what they tell: one JSON object each, over subjects that only
//! that person may hear.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::{HostAnswer, OnsetThere, State};
use super::status::Presence;
use crate::time::Wall;

/// The version of questions and replies: `v`.
pub const VERSION: u64 = 1;
/// Bytes of a question at most.
pub const LONGEST: usize = 4_096;
/// Bundles that one host lists at most, the newest: what fits a message.
pub const MOST_BUNDLES: usize = 200;
/// Bytes of all reports that one host tells at once; those beyond are counted.
pub const LONGEST_REPORTS: usize = 512 << 10;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asking {
    /// The version.
    pub v: u64,
    /// Who asks; its token stands in the subject, too.
    pub from: String,
    /// The token under which it is answered.
    pub question: String,
    /// What is asked.
    #[serde(flatten)]
    pub inquiry: Inquiry,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Inquiry {
    /// How does it stand, and what time is it?
    Who {
        /// When it was asked, by the wall clock of whoever asks.
        sent: Wall,
    },
    /// Which bundles are there of incidents that the fleet knows?
    Incidents {
        /// Of this notice only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
    /// What do the reports of a notice's bundles conclude?
    Reports {
        /// The notice.
        id: String,
    },
    /// Write what is held for a notice of whoever asks; where nothing is, mark its bundles to be kept, whatever the
    /// limits say.
    Keep {
        /// The notice.
        id: String,
    },
    /// Give up what is held for a notice of whoever asks; where nothing is, take the marks of its bundles away.
    Release {
        /// The notice.
        id: String,
    },
}

/// What a recorder tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The version.
    pub v: u64,
    /// The host that tells it.
    pub host: String,
    /// What it tells.
    #[serde(flatten)]
    pub told: Told,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "tell", rename_all = "snake_case")]
pub enum Told {
    /// How it stands, and the time.
    Here {
        /// How it stands.
        presence: Presence,
        /// When it was asked, by the wall clock of whoever asked.
        sent: Wall,
        /// When that arrived, by the wall clock here.
        arrived: Wall,
        /// When this was sent, by the wall clock here.
        replied: Wall,
    },
    /// Bundles, the newest first.
    Incidents {
        /// Them.
        bundles: Vec<FleetBundle>,
        /// Notices of the last hour that no bundle belongs to.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        without: Vec<NoticeOutcome>,
    },
    /// What reports conclude, the newest first.
    Reports {
        /// Them.
        reports: Vec<Conclusion>,
        /// How many had no room.
        more: usize,
    },
    /// How many bundles are marked now.
    Kept {
        /// So many.
        count: usize,
    },
    /// How many bundles are not marked any more.
    Released {
        /// So many.
        count: usize,
    },
    /// What became of the window that was held for whoever asked.
    Settled {
        /// How it stands now.
        state: State,
        /// The name of the bundle that will have it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        incident: Option<String>,
        /// Why, where that is a question.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// Why nothing is told.
    Refused {
        /// Why.
        why: String,
    },
}

/// A reply, and when it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrived {
    /// What was told.
    pub reply: Reply,
    /// When it arrived, by the wall clock of whoever asked.
    pub at: Wall,
}

/// A bundle on another host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetBundle {
    /// Its name.
    pub name: String,
    /// The notices it belongs to; the first is the root.
    pub ids: Vec<String>,
    /// The kind of trigger that opened it.
    pub kind: String,
    /// When that was, by the wall clock there.
    pub at: Wall,
    /// Frames in it.
    pub frames: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// True if it is marked to be kept.
    pub kept: bool,
    /// Where it began there, if its report tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onset: Option<OnsetSince>,
}

/// An onset, and how long ago it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnsetSince {
    /// It.
    #[serde(flatten)]
    pub onset: OnsetThere,
    /// How long before this was told, by the monotonic clock there, in nanoseconds; none where the host was started
    /// again since, or its wall clock was set within the window.
    pub age_ns: Option<u64>,
}

/// What became of a notice that no bundle belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeOutcome {
    /// The notice.
    pub id: String,
    /// What became of it.
    pub state: State,
    /// Why, where that is a question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl fmt::Display for NoticeOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.state)?;
        self.why.iter().try_for_each(|why| write!(f, "; {why}"))
    }
}

/// What the report of a bundle concludes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conclusion {
    /// The bundle.
    pub name: String,
    /// In a sentence.
    pub headline: String,
    /// How it went.
    pub steps: Vec<ConclusionStep>,
    /// Steps that the report has no room for.
    pub more: u64,
}

/// A step of what happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConclusionStep {
    /// When, by the wall clock there.
    pub time: Wall,
    /// True if that is the border of a count, some tenths of a second off.
    #[serde(default)]
    pub about: bool,
    /// For a person.
    pub sentence: String,
}

impl NoticeOutcome {
    /// Of the notice `id`, or any, if no bundle belongs to it by what was answered.
    pub fn without_bundle(answer: &HostAnswer, id: Option<&str>) -> Option<Self> {
        use State::{Held, Late, Lost, Refused, Released};
        let is_it = id.is_none_or(|id| id == answer.id);
        let is_without = matches!(answer.state, Held | Late | Lost | Refused | Released);
        (is_it && is_without).then(|| Self {
            id: answer.id.clone(),
            state: answer.state,
            why: answer.why.clone(),
        })
    }
}

impl Conclusion {
    /// What a report for programs concludes of the bundle `name`; none if it is no such report.
    pub fn of(name: &str, report: &Value) -> Option<Self> {
        let steps = report["chain"].as_array()?.iter();
        let steps = steps.filter_map(|step| ConclusionStep::deserialize(step).ok()).collect();
        let headline = report["headline"].as_str()?.to_owned();
        let more = report["chain_more"].as_u64().unwrap_or_default();
        Some(Self { name: name.to_owned(), headline, steps, more })
    }
}

/// True once all of `hosts` have replied; never where none is known beforehand.
pub fn all_of<'a>(hosts: impl IntoIterator<Item = &'a String>) -> impl FnMut(&[Arrived]) -> bool {
    let mut missing: BTreeSet<String> = hosts.into_iter().cloned().collect();
    let is_nobody_known = missing.is_empty();
    move |arrived| {
        if let Some(last) = arrived.last() {
            missing.remove(&last.reply.host);
        }
        missing.is_empty() && !is_nobody_known
    }
}

impl Asking {
    /// Understands a question.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(message: &[u8]) -> Result<Self, String> {
        if message.len() > LONGEST {
            return Err(format!("a question has at most {LONGEST} bytes"));
        }
        let asking: Self = serde_json::from_slice(message).map_err(|error| error.to_string())?;
        if asking.v != VERSION {
            return Err(format!("version {} is not spoken here", asking.v));
        }
        if !super::token::is_token(&asking.question) {
            return Err("the question has no token".to_owned());
        }
        Ok(asking)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Regression: a host that was not known yet replied in place of one that was, which was called silent.
    #[test]
    fn all_have_replied_when_each_that_is_known_has() {
        let arrived = |host: &str| Arrived {
            reply: Reply { v: VERSION, host: host.to_owned(), told: Told::Kept { count: 0 } },
            at: Wall(0),
        };
        let known = ["a".to_owned(), "b".to_owned()];
        let mut enough = all_of(&known);
        let mut all = Vec::new();
        assert!(!enough(&all));
        for (host, expected) in [("a", false), ("new", false), ("a", false), ("b", true)] {
            all.push(arrived(host));
            assert_eq!(enough(&all), expected, "{host}");
        }
        let mut never = all_of(&[]);
        assert!(!never(&[]) && !never(&all));
    }

    #[test]
    fn a_question_is_read_or_refused() {
        let asking = |v, question: &str| Asking {
            v,
            from: "ops".to_owned(),
            question: question.to_owned(),
            inquiry: Inquiry::Who { sent: Wall(1) },
        };
        let line = |asking: &Asking| serde_json::to_vec(asking).unwrap();
        let good = asking(VERSION, "7");
        assert_eq!(Asking::read(&line(&good)), Ok(good));
        for wrong in [asking(2, "7"), asking(VERSION, "a.b"), asking(VERSION, "")] {
            assert!(Asking::read(&line(&wrong)).is_err(), "{wrong:?}");
        }
        assert!(Asking::read(&[b' '; LONGEST + 1]).is_err());
        assert!(Asking::read(br#"{"v":1,"from":"ops","question":"7","ask":"burn"}"#).is_err());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Asking::read(&bytes);
        }
    }
}
