//! `[fleet]` and `--fleet`: the fleet that this host is in, as the file has it.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::OFF;
use crate::cli::values::{Size, TimeSpan};
use crate::error::{Error, Result};
use crate::fleet::notice::Want;
use crate::fleet::{AcceptRule, Options, ServerAddress};
use crate::observation::fetch::PacketShare;
use crate::trigger::{Names, Rule};

/// What is typed after `--fleet`, or the keys of the table.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::cli) struct Fleet {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    servers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cert_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    identities: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    late: Option<TimeSpan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<Want>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accept: Option<Vec<Accept>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fetch_rate: Option<Size>,
    /// Whatever the file says, this host is in no fleet.
    #[serde(skip)]
    off: bool,
}

/// A table of `accept`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Accept {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pre: Option<TimeSpan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packets: Option<PacketShare>,
}

/// How a rate is written: so many an hour.
const PER_HOUR: &str = "/h";

impl FromStr for Fleet {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        if typed == OFF {
            return Ok(Self { off: true, ..Self::default() });
        }
        let (server, name) = typed
            .rsplit_once('/')
            .filter(|(server, name)| !server.ends_with('/') && !name.is_empty())
            .ok_or("no name of a fleet; accepted: tls://HOST:PORT/NAME, or off")?;
        server.parse::<ServerAddress>()?;
        let servers = vec![server.to_owned()];
        Ok(Self { name: Some(name.to_owned()), servers, ..Self::default() })
    }
}

impl Fleet {
    /// What is typed, over what the file says.
    pub(in crate::cli) fn over(self, file: Self) -> Self {
        let servers = if self.servers.is_empty() { file.servers } else { self.servers };
        Self { name: self.name.or(file.name), servers, off: self.off, ..file }
    }

    /// What it is called, if that is said.
    pub(in crate::cli) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The fleet; none if it is switched off.
    pub(in crate::cli) fn options(&self) -> Result<Option<Options>> {
        if self.off {
            return Ok(None);
        }
        let servers = self.servers.iter().map(|server| {
            server.parse().map_err(|told: String| {
                let (reason, accepted) = told.split_once("; accepted: ").unwrap_or((&told, ""));
                Error::usage("servers of fleet", "", reason, accepted)
            })
        });
        let usual = Options::new(self.name(), servers.collect::<Result<_>>()?);
        let accept = self.accept.as_ref().map(|rules| rules.iter().map(Accept::rule).collect());
        let options = Options {
            host: self.host.clone(),
            ca_file: self.ca_file.clone(),
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
            user: self.user.clone(),
            password_file: self.password_file.clone(),
            groups: self.groups.clone(),
            identities: self.identities.clone(),
            late: self.late.map_or(usual.late, |span| span.0),
            share: self.share.unwrap_or(usual.share),
            accept: accept.transpose()?.unwrap_or(usual.accept),
            fetch_rate: self.fetch_rate.map_or(usual.fetch_rate, |Size(rate)| rate),
            ..usual
        };
        options.check().map(|()| Some(options))
    }

    /// As the operator would write it; of secrets it has no more than their files' names.
    pub(super) fn of(options: &Options) -> Self {
        Self {
            name: Some(options.name.clone()),
            host: options.host.clone(),
            servers: options.servers.iter().map(ToString::to_string).collect(),
            ca_file: options.ca_file.clone(),
            cert_file: options.cert_file.clone(),
            key_file: options.key_file.clone(),
            user: options.user.clone(),
            password_file: options.password_file.clone(),
            groups: options.groups.clone(),
            identities: options.identities.clone(),
            late: Some(TimeSpan(options.late)),
            share: Some(options.share),
            accept: Some(options.accept.iter().map(Accept::of).collect()),
            fetch_rate: Some(Size(options.fetch_rate)),
            off: false,
        }
    }
}

/// Refuses rules that ask other hosts where there are none.
pub(super) fn check_rules(rules: &[Rule], fleet: Option<&Options>) -> Result<()> {
    match rules.iter().find(|rule| rule.announce.is_some() && fleet.is_none()) {
        Some(rule) => Err(Error::usage(
            "trigger, fleet of",
            rule.called(),
            "this host is in no fleet",
            "together with [fleet]",
        )),
        None => Ok(()),
    }
}

impl Accept {
    fn rule(&self) -> Result<AcceptRule> {
        let usual = AcceptRule::default();
        let refuse = |key: &str, given: &str, reason: String, accepted: &str| {
            Error::usage(format!("accept.{key} of fleet"), given, reason, accepted)
        };
        let from = self.from.as_deref().map(|from| {
            let accepted = "names with wildcards, such as router*";
            Names::parse(from).map_err(|reason| refuse("from", from, reason, accepted))
        });
        let rate = self.rate.as_deref().map(|rate| {
            let number = rate.strip_suffix(PER_HOUR).and_then(|number| number.parse().ok());
            number.ok_or_else(|| refuse("rate", rate, "no rate".to_owned(), "so many an hour: 6/h"))
        });
        Ok(AcceptRule {
            from: from.transpose()?,
            pre: self.pre.map_or(usual.pre, |span| span.0),
            per_hour: rate.transpose()?.unwrap_or(usual.per_hour),
            packets: self.packets.unwrap_or(usual.packets),
        })
    }

    fn of(rule: &AcceptRule) -> Self {
        Self {
            from: rule.from.as_ref().map(ToString::to_string),
            pre: Some(TimeSpan(rule.pre)),
            rate: Some(format!("{}{PER_HOUR}", rule.per_hour)),
            packets: Some(rule.packets),
        }
    }
}

#[cfg(all(test, feature = "fleet"))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::settings::file::parse;

    fn read(text: &str) -> Result<Option<Options>, String> {
        let fleet = parse(text)?.fleet.unwrap_or_default();
        fleet.options().map_err(|error| error.to_string())
    }

    const EDGE: &str = "[fleet]\nname = 'edge'\nservers = ['tls://10.0.0.5:4222']\n\
                        ca_file = '/etc/dashcap/ca.pem'\n";

    #[test]
    fn every_key_becomes_a_part_of_the_fleet_and_is_written_again() {
        let text = format!(
            "{EDGE}host = 'a'\ncert_file = '/c'\nkey_file = '/k'\nuser = 'a'\npassword_file = '/p'\n\
             groups = ['routers']\nidentities = ['x']\nlate = '5m'\nshare = 'report'\n\
             accept = [{{ from = 'router*', pre = '1m', rate = '12/h', packets = 'full' }}, {{}}]\n\
             fetch_rate = '64KiB'\n"
        );
        let options = read(&text).unwrap().unwrap();
        assert_eq!((options.late.as_secs(), options.share), (300, Want::Report));
        let [first, last] = &options.accept[..] else { panic!("{options:?}") };
        assert_eq!((first.per_hour, first.packets), (12, PacketShare::Full));
        assert_eq!(options.fetch_rate, 64 << 10);
        assert_eq!(first.pre, Duration::from_secs(60));
        assert_eq!(*last, AcceptRule::default());
        assert_eq!(Fleet::of(&options).options().unwrap(), Some(options));
        let usual = read(EDGE).unwrap().unwrap();
        assert_eq!(usual.accept, [AcceptRule::default()]);
    }

    #[test]
    fn what_is_typed_wins_over_the_file() {
        let file = || parse(EDGE).unwrap().fleet.unwrap();
        let typed = |typed: &str| typed.parse::<Fleet>().unwrap().over(file()).options().unwrap();
        assert_eq!(typed("off"), None);
        let other = typed("tls://nats.example.net/core").unwrap();
        assert_eq!(other.name, "core");
        assert_eq!(other.servers[0].to_string(), "tls://nats.example.net:4222");
        assert!(other.ca_file.is_some(), "the file's");
        for (wrong, told) in [
            ("edge", "no name of a fleet"),
            ("tls://x", "no name of a fleet"),
            ("x/edge", "no scheme"),
            ("http://x/edge", "an unknown scheme"),
        ] {
            let refused = wrong.parse::<Fleet>().unwrap_err();
            assert!(refused.contains(told) && refused.contains("accepted: tls://"), "{refused}");
        }
    }

    #[test]
    fn what_has_no_meaning_is_refused_and_secrets_are_not_repeated() {
        for (text, told) in [
            ("[fleet]\nname = 'edge'", "servers of fleet"),
            ("[fleet]\nservers = ['nats://127.0.0.1']", "name of fleet"),
            ("[fleet]\nname = 'e'\nservers = ['tls://x']", "ca_file of fleet"),
            ("[fleet]\nname = 'e'\nservers = ['tls://me:SECRET@x']", "user and password_file"),
            ("[fleet]\nnaem = 'e'", "did you mean name?"),
            ("[fleet]\nname = 'e'\naccept = [{ form = 'x' }]", "did you mean from?"),
            (
                "[fleet]\nname = 'e'\nservers = ['nats://localhost']\naccept = [{ rate = '6' }]",
                "6/h",
            ),
            (
                "[fleet]\nname = 'e'\nservers = ['nats://localhost']\naccept = [{ from = '[' }]",
                "from",
            ),
            ("[fleet]\nname = 'e'\nshare = 'everything'", "expected `state` or `report`"),
            ("[fleet]\nname = 'e'\naccept = [{ packets = 'some' }]", "expected one of `never`"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(told) && !refused.contains("SECRET"), "{text}: {refused}");
        }
    }
}
