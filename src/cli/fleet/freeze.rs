//! `dashcap fleet freeze`: have hosts freeze the same seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgGroup, Args};

use super::place::{Place, absence};
use crate::cli::control::print;
use crate::cli::frames::moment;
use crate::cli::values::TimeSpan;
use crate::error::{Error, Result};
use crate::finding::Severity;
use crate::fleet::answer::{AnswerFields, HostAnswer, OnsetThere, State};
use crate::fleet::notice::{Mode, Notice, NoticeFields, Want};
use crate::fleet::status::MemberSeen;
use crate::fleet::subject::Addressee;
use crate::time::{Clock, Stamp};
use crate::trigger::TriggerKind;
use crate::visible::{self, plain};
use crate::words;

/// Have hosts of the fleet freeze the window around now, or around a moment that is over.
///
/// Each answers with what of the window it has; who was heard of within a week and does not answer is named. Exit
/// status: 0 somebody has it, 1 no server is reached, 2 what was typed has no meaning, 3 nobody has it.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("to").required(true).multiple(true).args(["groups", "hosts", "identities"])))]
pub(super) struct Freeze {
    /// All hosts of a group; repeat for several.
    #[arg(long = "group", value_name = "NAME")]
    groups: Vec<String>,

    /// A host; repeat for several.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,

    /// Whoever has this address: a link address or an IP address; repeat for several.
    #[arg(long = "id", value_name = "ADDR")]
    identities: Vec<String>,

    /// Why, for the manifests: "users complain".
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,

    /// Time kept from before [default: 2m].
    #[arg(long, value_name = "DUR")]
    pre: Option<TimeSpan>,

    /// Time kept from after [default: 10s].
    #[arg(long, value_name = "DUR")]
    post: Option<TimeSpan>,

    /// Around this moment instead of now: RFC 3339, the local clock such as 14:14:20, or seconds since 1970.
    #[arg(long, value_name = "TIME", conflicts_with = "ago")]
    at: Option<String>,

    /// Around the moment that was so long ago: each host goes back as far as its `late` says, usually 15m.
    #[arg(long, value_name = "DUR")]
    ago: Option<TimeSpan>,

    /// Wait until every bundle is written.
    #[arg(short, long)]
    wait: bool,

    /// Hold the window in memory, and write nothing yet: `dashcap fleet keep ID` has it written, `release ID` gives it
    /// up.
    #[arg(long, conflicts_with = "wait")]
    hold: bool,

    /// What is held is given up after this time, up to 1h [default: 2m].
    #[arg(long, value_name = "DUR", requires = "hold")]
    within: Option<TimeSpan>,
}

/// Exit status when nobody has anything of the window.
const NOBODY: u8 = 3;
/// Time kept, as for one host (`dashcap run --help`).
const PRE: Duration = crate::recorder::WindowOptions::PRE;
const POST: Duration = crate::recorder::WindowOptions::POST;
/// Time to look whether what is held is worth a bundle.
const WITHIN: Duration = Duration::from_secs(120);
/// Time for each of many hosts to answer.
const SPREAD: Duration = Duration::from_micros(200);
/// Hosts that may all answer at once.
const AT_ONCE: usize = 100;

impl Freeze {
    pub(super) fn start(self, place: &Place) -> Result<ExitCode> {
        if let Some(TimeSpan(within)) =
            self.within.filter(|within| within.0 > Notice::LONGEST_WITHIN)
        {
            let given = words::duration(within);
            return Err(Error::usage("--within", given, "nobody holds it for so long", "up to 1h"));
        }
        let options = place.options()?;
        let person = place.connect(&options)?;
        let now = Clock::system().now();
        let event = self.event(now)?;
        let known = person.members()?;
        let expected = self.expected(&known);
        let name = options.user.as_deref().unwrap_or_default();
        let spread =
            if expected.len() > AT_ONCE { SPREAD * expected.len() as u32 } else { Duration::ZERO };
        let notice = self.notice(&person.new_id(), name, event, now, spread)?;
        let mut states: BTreeMap<String, State> = BTreeMap::new();
        let mut printed = Ok(());
        person.freeze(
            &notice,
            event.mono,
            &self.addressees(),
            self.patience(place, spread),
            |answer| {
                states.insert(answer.host.clone(), answer.state);
                printed = printed.clone().and_then(|()| show(answer, place.json));
                let answered =
                    |host: &String| states.get(host).is_some_and(|state| self.is_end(*state));
                !expected.is_empty() && expected.iter().all(answered)
            },
        )?;
        printed?;
        let silent: Vec<_> = expected.iter().filter(|host| !states.contains_key(*host)).collect();
        for host in silent {
            eprintln!("{}: {}", plain(host), absence(host, &known));
        }
        if states.is_empty() && expected.is_empty() {
            eprintln!("nobody answered: no host that is there is called so, or in that group");
        }
        let has_it = |state: &State| !matches!(state, State::Refused | State::Late | State::Lost);
        let somebody = states.values().any(has_it);
        if somebody && !place.json {
            let is_new = states.values().any(|state| has_it(state) && *state != State::Covered);
            let covered =
                "bundles that are there have it: `dashcap fleet show` and `fetch` take their names";
            print(&plain(&if is_new { self.what_next(&notice.id) } else { covered.to_owned() }))?;
        }
        Ok(ExitCode::from(if somebody { 0 } else { NOBODY }))
    }

    fn event(&self, now: Stamp) -> Result<Stamp> {
        let at = self.at.as_deref().map(|text| moment("--at", text, now.wall)).transpose()?;
        let ago = match at {
            Some(at) => Duration::from_nanos(now.wall.0.saturating_sub(at.0)),
            None => self.ago.map_or(Duration::ZERO, |ago| ago.0),
        };
        if at.is_some_and(|at| at > now.wall) {
            let text = self.at.as_deref().unwrap_or_default();
            return Err(Error::usage(
                "--at",
                text,
                "that is still to come",
                "a moment that is over",
            ));
        }
        Ok(Stamp { mono: now.mono.minus(ago), wall: now.wall.minus(ago) })
    }

    fn notice(
        &self,
        id: &str,
        from: &str,
        event: Stamp,
        now: Stamp,
        spread: Duration,
    ) -> Result<Notice> {
        Notice::new(NoticeFields {
            id: id.to_owned(),
            root: id.to_owned(),
            hops: 0,
            from: from.to_owned(),
            boot: String::new(),
            kind: TriggerKind::Snapshot.to_string(),
            object: None,
            sentence: Some(self.reason.clone()).filter(|reason| !reason.is_empty()),
            severity: Severity::Warning,
            at: event.wall,
            error: Duration::ZERO,
            age: now.mono.since(event.mono),
            pre: self.pre.map_or(PRE, |span| span.0),
            post: self.post.map_or(POST, |span| span.0),
            mode: if self.hold { Mode::Hold } else { Mode::Keep },
            within: self.within(),
            // Each host tells what its own options allow.
            want: Want::Report,
            spread,
        })
    }

    fn within(&self) -> Duration {
        self.within.map_or(if self.hold { WITHIN } else { Duration::ZERO }, |span| span.0)
    }

    fn what_next(&self, id: &str) -> String {
        if !self.hold {
            return format!("its identifier is {id}");
        }
        let time = words::duration(self.within());
        format!("held for {time}: `dashcap fleet keep {id}`, or `dashcap fleet release {id}`")
    }

    fn addressees(&self) -> Vec<Addressee> {
        let groups = self.groups.iter().cloned().map(Addressee::Group);
        let hosts = self.hosts.iter().cloned().map(Addressee::Host);
        groups
            .chain(hosts)
            .chain(self.identities.iter().cloned().map(Addressee::Identity))
            .collect()
    }

    /// Who should answer, as far as the server has heard of them.
    fn expected(&self, known: &BTreeMap<String, MemberSeen>) -> BTreeSet<String> {
        let in_group = |seen: &MemberSeen| {
            seen.presence.groups.iter().any(|group| self.groups.contains(group))
        };
        let members = known.iter().filter(|(_, seen)| in_group(seen)).map(|(host, _)| host);
        members.chain(&self.hosts).cloned().collect()
    }

    /// True if no further answer is waited for.
    fn is_end(&self, state: State) -> bool {
        let has_more = matches!(
            state,
            State::Pinned | State::Partial | State::Covered | State::Held | State::Writing
        );
        !self.wait || !has_more
    }

    fn patience(&self, place: &Place, spread: Duration) -> Duration {
        /// A disk may be slow.
        const WRITING: Duration = Duration::from_secs(120);
        let writing = if self.wait {
            self.post.map_or(POST, |span| span.0) + WRITING
        } else {
            Duration::ZERO
        };
        place.patience() + spread + writing
    }
}

fn show(answer: &HostAnswer, json: bool) -> Result<()> {
    if json {
        return print(&visible::json(&answer.line()));
    }
    print(&plain(&in_words(answer)))
}

/// What of the window a host has.
fn in_words(answer: &AnswerFields) -> String {
    let mut line = format!("{}: {}", answer.host, answer.state);
    // What was asked for may begin long before what is there.
    if let (Some(from), Some(to)) = (answer.held_from.or(answer.from), answer.to) {
        line.push_str(&format!(", {} to {}", from.time_of_day(), to.time_of_day()));
    }
    let mut missing: Vec<_> =
        answer.missing.iter().map(|part| format!("; missing {part}")).collect();
    missing.dedup();
    line.extend(missing);
    if let Some(why) = &answer.why {
        line.push_str(&format!("; {why}"));
    }
    if let Some(incident) = &answer.incident {
        line.push_str(&format!("; {incident}"));
    }
    if let Some(OnsetThere { at, kind, sentence, .. }) = &answer.onset {
        let what = sentence.clone().unwrap_or_else(|| kind.replace('_', " "));
        line.push_str(&format!("; began {} by its clock: {what}", at.time_of_day()));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::answer::ClockReading;
    use crate::incident::coverage::MissingPart;
    use crate::time::Wall;

    #[test]
    fn what_is_there_and_what_is_missing_is_told_once() {
        let second = |number: u64| Wall(number * 1_000_000_000);
        let part = MissingPart {
            interface: Some("dp-a".into()),
            class: None,
            reason: "not recorded yet".into(),
            from: second(0),
            to: second(90),
        };
        let answer = AnswerFields {
            id: "noc-1".into(),
            host: "b".into(),
            boot: "x".into(),
            state: State::Partial,
            why: None,
            incident: None,
            from: Some(second(0)),
            to: Some(second(130)),
            held_from: Some(second(90)),
            full: false,
            missing: vec![part.clone(), part],
            frames: None,
            bytes: None,
            arrived_after: Duration::ZERO,
            pinned_after: None,
            clock: ClockReading {
                wall: second(120),
                mono_ns: 1,
                source: "unknown".into(),
                max_ns: None,
                stepped: false,
            },
            onset: None,
        };
        assert_eq!(
            in_words(&answer),
            "b: partial, 00:01:30.000 to 00:02:10.000; missing dp-a 00:00:00.000 to 00:01:30.000 (not recorded yet)"
        );
    }
}
