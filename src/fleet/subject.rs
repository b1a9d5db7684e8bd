//! The subjects of a fleet. Who speaks stands in each of them, and the server lets nobody speak as another: so a
//! receiver may believe it (nats-server, "Authorization": permissions by subject).
//!
//! | subject | who says it | what |
//! |---|---|---|
//! | `dashcap.F.freeze.N.host.M`, `.group.G`, `.id.X` | recorder or person N | a notice, to one host, a group, whoever shows X on the wire |
//! | `dashcap.F.answer.N.ID` | recorder | what became of a notice, one for each change |
//! | `dashcap.F.here.N` | recorder | that it is there, and how it stands |
//! | `dashcap.F.mark.N` | recorder | nothing: what the server stamps at that moment |
//! | `dashcap.F.ask.N` | person | a question to all |
//! | `dashcap.F.fetch.N.M` | person | a question to host M, for what lies on its disk |
//! | `dashcap.F.data.M.N.TOKEN` | recorder M | what person N asked for, whom only N may hear |

use super::token::{is_token, token};

/// Begins every subject.
const ROOT: &str = "dashcap";

/// The subjects of one fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subjects {
    /// `dashcap.F`
    root: String,
}

/// Whom a notice is for, in a subject's words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Addressee {
    /// One host, by its name.
    Host(String),
    /// All of a group.
    Group(String),
    /// Whoever shows this on the wire.
    Identity(String),
}

/// What a subject that a recorder listens to says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken<'a> {
    /// A notice.
    Freeze {
        /// The token of who says it.
        from: &'a str,
    },
    /// A question to all.
    Ask {
        /// The token of who asks.
        from: &'a str,
    },
    /// A question to this host.
    Fetch {
        /// The token of who asks.
        from: &'a str,
    },
}

impl Addressee {
    /// The words that end the subject of a notice for it.
    pub fn words(&self) -> String {
        let (kind, name) = match self {
            Self::Host(name) => ("host", name),
            Self::Group(name) => ("group", name),
            Self::Identity(name) => ("id", name),
        };
        format!("{kind}.{}", token(name))
    }
}

impl Subjects {
    /// Those of the fleet called `name`, which is a token.
    pub fn of(name: &str) -> Self {
        Self { root: format!("{ROOT}.{name}") }
    }

    /// Where `from` tells `to` of a failure.
    pub fn freeze(&self, from: &str, to: &Addressee) -> String {
        format!("{}.freeze.{}.{}", self.root, token(from), to.words())
    }

    /// Where anybody tells `to` of a failure.
    pub fn freezes_for(&self, to: &Addressee) -> String {
        format!("{}.freeze.*.{}", self.root, to.words())
    }

    /// Every notice there is.
    pub fn freezes(&self) -> String {
        format!("{}.freeze.>", self.root)
    }

    /// Where `host` tells what became of the notice `id`.
    pub fn answer(&self, host: &str, id: &str) -> String {
        format!("{}.answer.{}.{id}", self.root, token(host))
    }

    /// Where all tell what became of the notice `id`.
    pub fn answers(&self, id: &str) -> String {
        format!("{}.answer.*.{id}", self.root)
    }

    /// Where `host` says that it is there.
    pub fn here(&self, host: &str) -> String {
        format!("{}.here.{}", self.root, token(host))
    }

    /// Where all say that they are there.
    pub fn all_here(&self) -> String {
        format!("{}.here.*", self.root)
    }

    /// Where `host` has the server stamp a moment.
    pub fn mark(&self, host: &str) -> String {
        format!("{}.mark.{}", self.root, token(host))
    }

    /// All such moments.
    pub fn marks(&self) -> String {
        format!("{}.mark.*", self.root)
    }

    /// Where `person` asks all.
    pub fn ask(&self, person: &str) -> String {
        format!("{}.ask.{}", self.root, token(person))
    }

    /// Where anybody asks all.
    pub fn asks(&self) -> String {
        format!("{}.ask.*", self.root)
    }

    /// Where `person` asks `host`.
    pub fn fetch(&self, person: &str, host: &str) -> String {
        format!("{}.fetch.{}.{}", self.root, token(person), token(host))
    }

    /// Where anybody asks `host`.
    pub fn fetches_from(&self, host: &str) -> String {
        format!("{}.fetch.*.{}", self.root, token(host))
    }

    /// Where `host` tells whoever has the token `person` what it asked for under `question`.
    pub fn data(&self, host: &str, person: &str, question: &str) -> String {
        format!("{}.data.{}.{person}.{question}", self.root, token(host))
    }

    /// Where all hosts tell `person` what it asked for under `question`.
    pub fn data_for(&self, person: &str, question: &str) -> String {
        format!("{}.data.*.{}.{question}", self.root, token(person))
    }

    /// What a subject that a recorder listens to says; none if it is no such subject.
    pub fn heard<'a>(&self, subject: &'a str) -> Option<Spoken<'a>> {
        let rest = subject.strip_prefix(&*self.root)?.strip_prefix('.')?;
        let words: Vec<&str> = rest.split('.').collect();
        if !words.iter().all(|word| is_token(word)) {
            return None;
        }
        match words[..] {
            ["freeze", from, "host" | "group" | "id", _] => Some(Spoken::Freeze { from }),
            ["ask", from] => Some(Spoken::Ask { from }),
            ["fetch", from, _] => Some(Spoken::Fetch { from }),
            _ => None,
        }
    }
}

/// The stream that keeps notices for those who missed them.
pub fn stream(fleet: &str) -> String {
    format!("DASHCAP_{fleet}")
}

/// The stream that keeps the last presence of each host.
pub fn presence_stream(fleet: &str) -> String {
    format!("DASHCAP_{fleet}_HERE")
}

/// Where a message of a stream is read without a consumer (nats-server, server/jetstream_api.go,
/// JSDirectMsgGet).
pub fn direct_get(stream: &str) -> String {
    format!("$JS.API.DIRECT.GET.{stream}")
}

/// What begins the inboxes of whoever is called `name`: nobody else may listen there.
pub fn inbox(name: &str) -> String {
    format!("_INBOX_{}", token(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_speaks_stands_in_every_subject() {
        let edge = Subjects::of("edge");
        let group = Addressee::Group("site.a".into());
        assert_eq!(edge.freeze("r1.net", &group), "dashcap.edge.freeze.r1_2enet.group.site_2ea");
        assert_eq!(edge.freezes_for(&group), "dashcap.edge.freeze.*.group.site_2ea");
        assert_eq!(edge.answer("b", "a-1-2"), "dashcap.edge.answer.b.a-1-2");
        assert_eq!(edge.data("b", "ops", "7"), "dashcap.edge.data.b.ops.7");
        for (subject, heard) in [
            (edge.freeze("a", &group), Some(Spoken::Freeze { from: "a" })),
            (edge.ask("ops"), Some(Spoken::Ask { from: "ops" })),
            (edge.fetch("ops", "b"), Some(Spoken::Fetch { from: "ops" })),
            (edge.answer("b", "x"), None),
            ("dashcap.edge.freeze.a.host".into(), None),
            ("dashcap.edge.freeze..host.b".into(), None),
            ("dashcap.edge2.ask.ops".into(), None),
            ("dashcap.edge.freeze.a.host.b.c".into(), None),
        ] {
            assert_eq!(edge.heard(&subject), heard, "{subject}");
        }
    }
}
