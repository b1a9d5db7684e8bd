//! What each member may say and hear, as `nats-server.conf` has it: lists of what is allowed, nothing else. With lists of
//! what is denied, servers have let more pass than they should (NATS advisory 2026-17).

use std::fmt::Write;

use super::subject::{Subjects, direct_get, inbox, presence_stream, stream};
use super::token::token;

/// Stands for a group, a host or an identity.
const ANY: &str = "*";
/// Stands for all that follows.
const REST: &str = ">";

/// One user of the server.
struct ServerUser {
    name: String,
    publish: Vec<String>,
    subscribe: Vec<String>,
}

/// The part of `nats-server.conf` for a fleet: its recorders and the persons who ask them. `PASSWORD` stands for each
/// one's own.
pub fn snippet(fleet: &str, recorders: &[String], persons: &[String]) -> String {
    let recorders = recorders.iter().map(|name| ServerUser::recorder(fleet, name));
    let users = recorders.chain(persons.iter().map(|name| ServerUser::person(fleet, name)));
    let mut text = "jetstream {}\nauthorization {\n  users = [\n".to_owned();
    for user in users {
        user.write(&mut text);
    }
    text.push_str("  ]\n}\n");
    text
}

impl ServerUser {
    fn recorder(fleet: &str, name: &str) -> Self {
        let (of, me) = (Subjects::of(fleet), token(name));
        let root = format!("dashcap.{fleet}");
        Self {
            name: name.to_owned(),
            publish: vec![
                format!("{root}.freeze.{me}.{REST}"),
                of.answer(name, ANY),
                of.here(name),
                of.mark(name),
                of.data(name, ANY, ANY),
                direct_get(&stream(fleet)),
            ],
            subscribe: vec![
                format!("{root}.freeze.{ANY}.host.{me}"),
                format!("{root}.freeze.{ANY}.group.{ANY}"),
                format!("{root}.freeze.{ANY}.id.{ANY}"),
                of.asks(),
                of.fetches_from(name),
                format!("{}.{REST}", inbox(name)),
            ],
        }
    }

    fn person(fleet: &str, name: &str) -> Self {
        let (of, me) = (Subjects::of(fleet), token(name));
        let root = format!("dashcap.{fleet}");
        let streams = [stream(fleet), presence_stream(fleet)];
        let make = |what: &str| streams.clone().map(|name| format!("$JS.API.STREAM.{what}.{name}"));
        let mut publish = vec![
            format!("{root}.freeze.{me}.{REST}"),
            of.ask(name),
            format!("{root}.fetch.{me}.{ANY}"),
            direct_get(&presence_stream(fleet)),
        ];
        publish.extend(make("CREATE").into_iter().chain(make("UPDATE")));
        Self {
            name: name.to_owned(),
            publish,
            subscribe: vec![
                of.answers(ANY),
                of.data_for(name, ANY),
                format!("{}.{REST}", inbox(name)),
            ],
        }
    }

    fn write(&self, text: &mut String) {
        let list = |subjects: &[String]| {
            let each: Vec<_> = subjects.iter().map(|subject| format!("\"{subject}\"")).collect();
            each.join(", ")
        };
        // Writing to a String never fails.
        let _ = write!(
            text,
            "    {{ user: {:?}, password: \"PASSWORD\", permissions: {{\n        publish: {{ allow: [{}] }}\n        \
             subscribe: {{ allow: [{}] }}\n    }} }}\n",
            self.name,
            list(&self.publish),
            list(&self.subscribe)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_may_speak_as_another_and_nothing_is_denied() {
        let text = snippet("edge", &["router-a".into(), "r.b".into()], &["noc".into()]);
        assert!(!text.contains("deny"), "{text}");
        let users: Vec<&str> = text.split("user: ").skip(1).collect();
        assert_eq!(users.len(), 3);
        for (user, own) in users.iter().zip(["router-a", "r_2eb", "noc"]) {
            let publish = user.split("subscribe:").next().unwrap();
            for subject in publish.split('"').filter(|word| word.starts_with("dashcap.")) {
                let words: Vec<_> = subject.split('.').collect();
                assert_eq!((words[1], words[3]), ("edge", own), "{subject}");
            }
        }
        assert!(text.contains("\"_INBOX_r_2eb.>\""), "{text}");
        assert!(text.contains("\"$JS.API.DIRECT.GET.DASHCAP_edge\""), "{text}");
    }
}
