//! What the operator says of a fleet: its name, the servers that carry it, and what other hosts may ask of this one.
//!
//! Secrets stand in files and are read where they are needed; nothing here holds one.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::notice::{Notice, Want};
use super::token::{is_token, token};
use crate::error::{Error, Result};
use crate::feature::Feature;
use crate::observation::fetch::PacketShare;
use crate::trigger::Names;

/// The port of a server that says none (IANA: nats, 4222/tcp).
const PORT: u16 = 4_222;

/// A fleet, and this host in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What it is called: a token of subjects, and a part of its streams' names.
    pub name: String,
    /// What this host is called in it; none = its host name.
    pub host: Option<String>,
    /// Where it meets, any of them.
    pub servers: Vec<ServerAddress>,
    /// Certificates that are trusted, and no others; PEM.
    pub ca_file: Option<PathBuf>,
    /// The certificate that this host shows; PEM.
    pub cert_file: Option<PathBuf>,
    /// Its key; PEM.
    pub key_file: Option<PathBuf>,
    /// As whom it speaks to the server; none = what it is called, where there is a password.
    pub user: Option<String>,
    /// File whose content is the password.
    pub password_file: Option<PathBuf>,
    /// Groups that this host belongs to.
    pub groups: Vec<String>,
    /// What neighbours know this host by, beside the addresses of its interfaces.
    pub identities: Vec<String>,
    /// How late a notice may come.
    pub late: Duration,
    /// What answers tell.
    pub share: Want,
    /// Who may ask, the first that matches.
    pub accept: Vec<AcceptRule>,
    /// Bytes a second that all who fetch bundles get.
    pub fetch_rate: u64,
}

/// What a host may ask of this one.
#[derive(Debug, Clone, PartialEq)]
pub struct AcceptRule {
    /// Hosts and persons by name; none = everybody.
    pub from: Option<Names>,
    /// Time from before that may be asked for at most.
    pub pre: Duration,
    /// Notices an hour.
    pub per_hour: u32,
    /// What of a bundle's frames they may fetch.
    pub packets: PacketShare,
}

/// A server of the fleet: `tls://HOST[:PORT]`, or `nats://HOST[:PORT]` on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    /// True unless everything is sent in the clear.
    pub tls: bool,
    /// Name or address; IPv6 addresses in brackets.
    host: String,
    port: u16,
}

impl Options {
    /// Servers that are tried; each costs a try before the pause.
    const MOST_SERVERS: usize = 8;
    /// Groups; each is a subscription of every member.
    const MOST_GROUPS: usize = 16;
    /// Identities beside the addresses of interfaces; each is a subscription.
    const MOST_IDENTITIES: usize = 32;
    /// Rules; each notice goes through them.
    const MOST_RULES: usize = 32;
    /// A notice comes this late at most, unless the operator says otherwise: what the server's stream keeps.
    pub const USUAL_LATE: Duration = Duration::from_secs(15 * 60);
    /// Bytes a second for all who fetch, unless the operator says otherwise: 8 Mbit/s, which most uplinks have to spare.
    pub const USUAL_FETCH_RATE: u64 = 1 << 20;
    /// Fewer are no fetch: a capture of 100 MB in a day.
    pub const LEAST_FETCH_RATE: u64 = 1 << 10;
    /// The shortest time that makes sense is that of a lost connection to be noticed twice; the longest is the
    /// memory of identifiers, after which a copy would be taken for a new notice.
    const LATE: std::ops::RangeInclusive<Duration> =
        Duration::from_secs(60)..=Duration::from_secs(3_600);

    /// This host in the fleet called `name`, reached by `servers`.
    pub fn new(name: &str, servers: Vec<ServerAddress>) -> Self {
        Self {
            name: name.to_owned(),
            host: None,
            servers,
            ca_file: None,
            cert_file: None,
            key_file: None,
            user: None,
            password_file: None,
            groups: Vec::new(),
            identities: Vec::new(),
            late: Self::USUAL_LATE,
            share: Want::State,
            accept: vec![AcceptRule::default()],
            fetch_rate: Self::USUAL_FETCH_RATE,
        }
    }

    /// Refuses what has no meaning.
    ///
    /// # Errors
    /// [`Error::Usage`] with the key and the accepted form.
    pub fn check(&self) -> Result<()> {
        Feature::Fleet.needed_by("fleet", &self.name)?;
        check_name(&self.name)?;
        if self.servers.is_empty() {
            return refuse("servers", "", "a fleet meets at a server", ServerAddress::ACCEPTED);
        }
        self.check_numbers()?;
        let named = [("host", self.host.iter().collect::<Vec<_>>())].into_iter();
        let named = named.chain([("groups", self.groups.iter().collect())]);
        for (key, names) in named.chain([("identities", self.identities.iter().collect())]) {
            if let Some(name) = names.into_iter().find(|name| !is_token(&token(name))) {
                return refuse(
                    key,
                    name,
                    "it is empty or too long",
                    "a name of up to 80 characters",
                );
            }
        }
        self.check_secrets()
    }

    fn check_numbers(&self) -> Result<()> {
        for (key, count, most) in [
            ("servers", self.servers.len(), Self::MOST_SERVERS),
            ("groups", self.groups.len(), Self::MOST_GROUPS),
            ("identities", self.identities.len(), Self::MOST_IDENTITIES),
            ("accept", self.accept.len(), Self::MOST_RULES),
        ] {
            if count > most {
                let reason = "their number has a bound";
                return refuse(key, &count.to_string(), reason, &format!("up to {most}"));
            }
        }
        if !Self::LATE.contains(&self.late) {
            let given = format!("{:?}", self.late);
            return refuse("late", &given, "notices come a minute to an hour late", "1m to 1h");
        }
        if self.fetch_rate < Self::LEAST_FETCH_RATE {
            let given = self.fetch_rate.to_string();
            return refuse(
                "fetch_rate",
                &given,
                "a bundle would take days",
                "1KiB or more a second",
            );
        }
        let beyond = |rule: &&AcceptRule| rule.pre > Notice::LONGEST_SPAN;
        match self.accept.iter().find(beyond) {
            Some(rule) => {
                let given = format!("{:?}", rule.pre);
                refuse("accept.pre", &given, "the time is at most a day", "up to 24h, such as 5m")
            }
            None => Ok(()),
        }
    }

    fn check_secrets(&self) -> Result<()> {
        let tls = self.servers.iter().find(|server| server.tls);
        if let Some(server) = tls.filter(|_| self.ca_file.is_none()) {
            let reason = "tls:// needs to know whom to trust";
            return refuse("ca_file", &server.to_string(), reason, "ca_file = \"FILE\", PEM");
        }
        match (&self.cert_file, &self.key_file) {
            (Some(_), None) => {
                refuse("key_file", "", "a certificate has a key", "key_file = \"FILE\"")
            }
            (None, Some(_)) => {
                refuse("cert_file", "", "a key has a certificate", "cert_file = \"FILE\"")
            }
            _ => Ok(()),
        }
    }

    /// Files that are read at each connection.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let files = [&self.ca_file, &self.cert_file, &self.key_file, &self.password_file];
        files.into_iter().flatten()
    }

    /// The first rule for what `who` asks; none = refuse.
    pub fn rule_for(&self, who: &str) -> Option<&AcceptRule> {
        self.accept.iter().find(|rule| rule.from.as_ref().is_none_or(|from| from.include(who)))
    }

    /// What of a bundle's frames goes to `who`, who wants at most `wanted` of them. Whoever may have frames may have
    /// what is said about them; to all others a bundle goes where sentences may be told, and without its capture.
    ///
    /// # Errors
    /// Why nothing of it goes, and how the operator would allow it.
    pub fn shared_with(&self, who: &str, wanted: PacketShare) -> Result<PacketShare, String> {
        let allowed = self.rule_for(who).map(|rule| rule.packets);
        let how = format!("accept = [{{ from = {who:?}, packets = \"headers\" }}] (or \"full\")");
        match allowed {
            None => Err(format!(
                "no rule of accept is for {who}; allowed by {how} in [fleet] there, after a restart"
            )),
            Some(PacketShare::Never) if self.share == Want::State => Err(format!(
                "this host shares its state only; allowed by share = \"report\", without frames, or by {how} in \
                 [fleet] there, after a restart"
            )),
            Some(allowed) => Ok(allowed.min(wanted)),
        }
    }
}

/// Refuses what no fleet can be called.
///
/// # Errors
/// [`Error::Usage`] when it is no word of subjects.
pub fn check_name(name: &str) -> Result<()> {
    if is_token(name) {
        return Ok(());
    }
    refuse("name", name, "it is a word of subjects", "1 to 255 letters, digits, _ and -")
}

fn refuse(key: &str, given: &str, reason: &str, accepted: &str) -> Result<()> {
    Err(Error::usage(format!("{key} of fleet"), given, reason, accepted))
}

impl AcceptRule {
    /// Time from before, unless the operator says otherwise.
    pub const USUAL_PRE: Duration = Duration::from_secs(300);
    /// Notices an hour from one host, unless the operator says otherwise: a failure that comes back every ten
    /// minutes is still kept each time.
    pub const USUAL_PER_HOUR: u32 = 6;
}

/// Everybody in the fleet may have a window kept; frames go to nobody.
impl Default for AcceptRule {
    fn default() -> Self {
        Self {
            from: None,
            pre: Self::USUAL_PRE,
            per_hour: Self::USUAL_PER_HOUR,
            packets: PacketShare::Never,
        }
    }
}

impl ServerAddress {
    const ACCEPTED: &str = "tls://HOST:PORT, or nats://127.0.0.1:PORT for a server on this host";

    fn is_here(&self) -> bool {
        let address = self.host.trim_matches(['[', ']']).parse::<IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        // What is typed may hold a password where none belongs.
        let shown = typed.rsplit_once('@').map_or(typed, |(_, shown)| shown);
        let wrong = |reason: &str| format!("{shown:?}: {reason}; accepted: {}", Self::ACCEPTED);
        let (scheme, rest) = typed.split_once("://").ok_or_else(|| wrong("no scheme"))?;
        let tls = match scheme {
            "tls" => true,
            "nats" => false,
            _ => return Err(wrong("an unknown scheme")),
        };
        if rest.contains('@') {
            return Err(wrong("names and passwords stand in user and password_file"));
        }
        let ends_inside = |port: &str| port.contains(']');
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !ends_inside(port) => {
                (host, port.parse().ok().filter(|port| *port > 0).ok_or_else(|| wrong("no port"))?)
            }
            _ => (rest, PORT),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        if bare.is_empty() || !bare.chars().all(is_name) || bare.contains(':') != bracketed {
            return Err(wrong("not a host; IPv6 addresses stand in brackets"));
        }
        let server = Self { tls, host: host.to_owned(), port };
        if !tls && !server.is_here() {
            return Err(wrong("in the clear only to this host"));
        }
        Ok(server)
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "tls" } else { "nats" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_read_back_or_say_what_is_wrong() {
        for (typed, shown) in [
            ("tls://10.0.0.5:4222", "tls://10.0.0.5:4222"),
            ("tls://nats.example.net", "tls://nats.example.net:4222"),
            ("tls://[2001:db8::1]:4222", "tls://[2001:db8::1]:4222"),
            ("tls://[2001:db8::1]", "tls://[2001:db8::1]:4222"),
            ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
            ("nats://[::1]:4222", "nats://[::1]:4222"),
            ("nats://localhost", "nats://localhost:4222"),
        ] {
            assert_eq!(typed.parse::<ServerAddress>().unwrap().to_string(), shown);
        }
        for (typed, reason) in [
            ("10.0.0.5:4222", "no scheme"),
            ("https://x:1", "an unknown scheme"),
            ("tls://x:0", "no port"),
            ("tls://x:y", "no port"),
            ("tls://", "not a host"),
            ("tls://2001:db8::1:4222", "in brackets"),
            ("tls://x/y:1", "not a host"),
            ("nats://10.0.0.5:4222", "in the clear only to this host"),
            ("tls://me:SECRET@x:1", "user and password_file"),
        ] {
            let told = typed.parse::<ServerAddress>().unwrap_err();
            assert!(told.contains(reason) && told.contains("accepted: tls://"), "{told}");
            assert!(!told.contains("SECRET"), "{told}");
        }
    }

    #[test]
    fn what_has_no_meaning_is_refused_with_its_key() {
        let local = || vec!["nats://127.0.0.1:4222".parse().unwrap()];
        let usual = Options::new("edge", local());
        assert_eq!(usual.check().is_ok(), Feature::Fleet.is_built_in());
        if !Feature::Fleet.is_built_in() {
            return;
        }
        let some = |name: &str| Some(PathBuf::from(name));
        let rule = AcceptRule { pre: Duration::from_secs(90_000), ..AcceptRule::default() };
        for (key, wrong) in [
            ("name", Options::new("a.b", local())),
            ("servers", Options::new("edge", Vec::new())),
            ("servers", Options::new("edge", vec![local().remove(0); 9])),
            ("ca_file", Options::new("edge", vec!["tls://x".parse().unwrap()])),
            ("key_file", Options { cert_file: some("x"), ..usual.clone() }),
            ("cert_file", Options { key_file: some("x"), ..usual.clone() }),
            ("host", Options { host: Some(String::new()), ..usual.clone() }),
            ("groups", Options { groups: vec!["ü".repeat(50)], ..usual.clone() }),
            ("identities", Options { identities: vec!["x".into(); 33], ..usual.clone() }),
            ("late", Options { late: Duration::from_secs(1), ..usual.clone() }),
            ("accept.pre", Options { accept: vec![rule], ..usual.clone() }),
            ("fetch_rate", Options { fetch_rate: 7, ..usual.clone() }),
        ] {
            let told = wrong.check().unwrap_err();
            assert!(told.to_string().starts_with(&format!("{key} of fleet")), "{told}");
            assert_eq!(told.exit_status(), 2);
        }
        assert_eq!(usual.rule_for("anybody"), Some(&AcceptRule::default()));
        let nobody = Options { accept: Vec::new(), ..usual };
        assert_eq!(nobody.rule_for("anybody"), None);
    }

    #[test]
    fn bundles_go_to_whom_the_operator_lets_have_them_and_no_further() {
        use PacketShare::{Full, Headers, Never};
        let server = || vec!["nats://127.0.0.1:4222".parse().unwrap()];
        for (share, packets, wanted, goes) in [
            (Want::State, Some(Never), Full, None),
            (Want::State, None, Full, None),
            (Want::Report, None, Full, None),
            (Want::Report, Some(Never), Full, Some(Never)),
            (Want::State, Some(Headers), Full, Some(Headers)),
            (Want::State, Some(Full), Full, Some(Full)),
            (Want::State, Some(Full), Headers, Some(Headers)),
        ] {
            let rule = |packets| AcceptRule { packets, ..AcceptRule::default() };
            let accept = packets.map(rule).into_iter().collect();
            let options = Options { share, accept, ..Options::new("edge", server()) };
            let told = options.shared_with("noc", wanted);
            assert_eq!(told.clone().ok(), goes, "{share:?} {packets:?}");
            if let Err(why) = told {
                assert!(why.contains("from = \"noc\", packets = \"headers\""), "{why}");
            }
        }
        assert_eq!(
            Options::new("edge", server()).shared_with("noc", Full).ok(),
            None,
            "usually nothing"
        );
    }
}
