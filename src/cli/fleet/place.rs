//! Which fleet, and as whom.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::settings::Settings;
use crate::cli::settings::fleet::Fleet;
use crate::cli::values::TimeSpan;
use crate::error::{Error, Result};
use crate::fleet::Options;
use crate::fleet::bus::Person;
use crate::time::Clock;

/// Where the fleet is looked for unless somebody says otherwise.
const CONFIGURATION: &str = "/etc/dashcap/dashcap.toml";
/// Who asks unless somebody says otherwise (environ(7)).
const USER: &str = "USER";

/// Options of all subcommands.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// File whose section `fleet` says where the fleet is [default: /etc/dashcap/dashcap.toml].
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,

    /// Another fleet or server than the file says: tls://HOST:PORT/NAME.
    #[arg(long, value_name = "WHERE", global = true)]
    fleet: Option<Fleet>,

    /// Who asks; the server knows what that user may [default: $USER].
    #[arg(long = "as", value_name = "NAME", global = true)]
    name: Option<String>,

    /// File with that user's password [default: what the file says].
    #[arg(long, value_name = "FILE", global = true)]
    password_file: Option<PathBuf>,

    /// How long answers are waited for where not all who are expected answer [default: 2s].
    #[arg(long, value_name = "DUR", global = true)]
    patience: Option<TimeSpan>,

    /// Print JSON, for scripts.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// Why a host does not answer, of which those are known that were heard of within a week.
pub(super) fn absence<T>(host: &str, known: &BTreeMap<String, T>) -> &'static str {
    // Without a stream nobody is known.
    if known.is_empty() || known.contains_key(host) { "SILENT" } else { "never heard of" }
}

impl Place {
    /// Where answers are waited for: a satellite's round trip and a busy host.
    const PATIENCE: Duration = Duration::from_secs(2);

    /// The fleet, as the person who asks speaks to it.
    pub(super) fn options(&self) -> Result<Options> {
        let mut options = self.fleet()?.options()?.ok_or_else(|| {
            Error::usage("--fleet", "off", "nobody is in no fleet", "tls://HOST:PORT/NAME")
        })?;
        options.user = Some(self.name()?);
        options.password_file = self.password_file.clone().or(options.password_file);
        Ok(options)
    }

    /// What is typed, over what the file says.
    pub(super) fn fleet(&self) -> Result<Fleet> {
        let usual = Some(PathBuf::from(CONFIGURATION)).filter(|file| file.is_file());
        let file = self.config.clone().or(usual);
        let written = Settings::fleet_of(file.as_deref())?;
        match (self.fleet.clone(), written) {
            (Some(typed), written) => Ok(typed.over(written.unwrap_or_default())),
            (None, Some(written)) => Ok(written),
            (None, None) => {
                let accepted = "--config FILE with [fleet], or --fleet tls://HOST:PORT/NAME";
                Err(Error::usage("fleet", "", "nothing says which fleet", accepted))
            }
        }
    }

    fn name(&self) -> Result<String> {
        let name = self.name.clone().or_else(|| std::env::var(USER).ok());
        name.filter(|name| !name.is_empty())
            .ok_or_else(|| Error::usage("--as", "", "somebody asks", "--as NAME"))
    }

    /// Connected to it.
    pub(super) fn connect(&self, options: &Options) -> Result<Person> {
        Person::connect(options, &self.name()?, Clock::system())
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience.map_or(Self::PATIENCE, |span| span.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_called_unheard_of_where_nothing_is_known() {
        let known = BTreeMap::from([("b".to_owned(), ())]);
        assert_eq!(absence("b", &known), "SILENT");
        assert_eq!(absence("zzz", &known), "never heard of");
        assert_eq!(absence("zzz", &BTreeMap::<_, ()>::new()), "SILENT");
    }
}
