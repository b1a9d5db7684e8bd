//! Reads the configuration file. What it does not know it names, with the place and the nearest right
//! word: a misspelt key that is passed over in silence is found when the failure has come and gone.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::Settings;
use crate::error::{Error, Result, nearest};

/// Longest file, in bytes: a thousand triggers take a tenth of it. What is longer is another file.
const LONGEST: u64 = 1 << 20;

/// The settings in `file`.
///
/// # Errors
/// When it cannot be read, or anything in it has no meaning.
pub(super) fn read(file: &Path) -> Result<Settings> {
    let name = file.display().to_string();
    let failed = |reason: String| Error::operation("read", &name, reason);
    let mut text = String::new();
    let opened = File::open(file).map_err(|e| failed(e.to_string()))?;
    opened.take(LONGEST + 1).read_to_string(&mut text).map_err(|e| failed(e.to_string()))?;
    if text.len() as u64 > LONGEST {
        let hint = "a configuration file is text of a few kilobytes";
        return Err(failed(format!("longer than {LONGEST} bytes")).hint(hint));
    }
    parse(&text).map_err(|reason| {
        let accepted = "TOML with options as keys, such as pre = \"90s\" or interface = [\"eth0\"]; \
                        docs/dashcap.toml has every key";
        Error::usage("--config", &name, reason, accepted)
    })
}

/// The settings in `text`, or what is wrong and where.
pub(in crate::cli) fn parse(text: &str) -> Result<Settings, String> {
    toml::from_str(text).map_err(|error| {
        let told = without_secrets(error.to_string().trim_end());
        match suggestion(error.message()) {
            Some(nearest) => format!("did you mean {nearest}? {told}"),
            None => told,
        }
    })
}

/// What is told of a mistake repeats its line, and goes to the log on a reload: not the values that may be
/// secret.
fn without_secrets(told: &str) -> String {
    let hidden = |line: &str| {
        let (number, text) = line.split_once(" | ")?;
        let key = text.trim_start().split([' ', '=']).next()?;
        ["url", "headers", "servers"].contains(&key).then(|| format!("{number} | {key} = (hidden)"))
    };
    let lines = told.lines().map(|line| hidden(line).unwrap_or_else(|| line.to_owned()));
    lines.collect::<Vec<_>>().join("\n")
}

/// The word nearest to the one that is unknown, as serde tells it: "unknown field `pro`, expected one
/// of `pre`, `post`".
fn suggestion(message: &str) -> Option<&str> {
    let (wrong, expected) = message.split_once(", expected ")?;
    let wrong = wrong.strip_prefix("unknown ")?.split('`').nth(1)?;
    // Every second part between backticks is a word.
    nearest(wrong, expected.split('`').skip(1).step_by(2))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trigger::{Names, Rule, TriggerKind};

    /// Security review M4: secrets in the path of an address.
    #[test]
    fn a_mistake_beside_a_secret_is_told_without_it() {
        for line in [
            "url = \"http://x/SECRET",
            "servers = [\"tls://a:SECRET@x\" }",
            "headers = { X-Key = \"SECRET\" ]",
            "  url=\"SECRET",
        ] {
            let told = parse(&format!("[[webhook]]\n{line}\n")).unwrap_err();
            assert!(told.contains("line 2") && !told.contains("SECRET"), "{told}");
        }
        let told = parse("pre = 90 s").unwrap_err();
        assert!(told.contains("1 | pre = 90 s"), "{told}");
    }
    use crate::watch::logs;

    /// Every key there is, at the top or in the tables of a list, as the parser tells them.
    fn keys(list: &str) -> Vec<String> {
        let head = if list.is_empty() { String::new() } else { format!("[[{list}]]\n") };
        keys_under(&head)
    }

    /// Every key below a head.
    fn keys_under(head: &str) -> Vec<String> {
        let told = toml::from_str::<Settings>(&format!("{head}no_such_key = 1\n")).unwrap_err();
        let (_, expected) = told.message().split_once(", expected ").expect("serde lists them");
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    const EXAMPLE: &str = include_str!("../../../docs/dashcap.toml");

    /// The example with every commented key in force: those lines begin with `#` and no blank.
    fn in_force(example: &str) -> String {
        let uncommented = |line: &str| match line.strip_prefix('#') {
            Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest.to_owned(),
            _ => line.to_owned(),
        };
        example.lines().map(uncommented).collect::<Vec<_>>().join("\n")
    }

    // It names what every feature brings.
    #[cfg(all(feature = "export", feature = "fleet", feature = "http", feature = "web"))]
    #[test]
    fn the_example_is_the_defaults_as_it_is_and_means_something_when_it_is_in_force() {
        let untouched = parse(EXAMPLE).unwrap();
        let defaults = parse("").unwrap();
        let value = |settings: &Settings| serde_json::to_value(settings).unwrap();
        assert_eq!(value(&untouched), value(&defaults), "everything is commented");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), in_force(EXAMPLE)).unwrap();
        let settings = Settings { config: Some(file.path().to_owned()), ..Settings::default() };
        let defaults = crate::cli::run::DEFAULTS;
        let options = settings.options(defaults, Settings::usual_rules).unwrap();
        let armed: Vec<_> = options.rules.iter().map(Rule::called).collect();
        assert!(armed.contains(&"link-up:dp0*".to_owned()), "{armed:?}");
        assert!(!armed.contains(&"neighbour-failed".to_owned()), "{armed:?}");
        assert!(!options.probes.is_empty());
        assert!(!options.capture.classes.own.is_empty());
    }

    #[test]
    fn the_example_has_every_key() {
        let example: toml::Table = toml::from_str(&in_force(EXAMPLE)).unwrap();
        for key in keys("") {
            assert!(example.contains_key(&key), "docs/dashcap.toml lacks {key}");
        }
        for list in [
            "class",
            "trigger",
            "probe",
            "log",
            "attribute",
            "filter_match",
            "rate_limit",
            "silence",
            "hook",
            "export",
            "webhook",
        ] {
            let tables = example[list].as_array().unwrap();
            for key in keys(list) {
                let has = |table: &toml::Value| table.get(&key).is_some();
                assert!(tables.iter().any(has), "docs/dashcap.toml lacks {key} in [[{list}]]");
            }
        }
        for key in keys_under("[fleet]\n") {
            assert!(
                example["fleet"].get(&key).is_some(),
                "docs/dashcap.toml lacks {key} in [fleet]"
            );
        }
    }

    #[test]
    fn the_example_lists_every_kind_and_every_default() {
        let words = |part: &str| -> Vec<String> {
            let words = part.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
            words.map(str::to_owned).collect()
        };
        let (defaults, kinds) = EXAMPLE.split_once("── Triggers with all").unwrap();
        for kind in TriggerKind::armable() {
            assert!(words(kinds).contains(&kind.to_string()), "{kind} is not listed");
        }
        // Of findings the exceptions are listed.
        let is_finding = |kind: &TriggerKind| matches!(kind, TriggerKind::Finding(_));
        let usual = Rule::defaults(true);
        let exceptions = Rule::unarmed(&usual).into_iter().filter(is_finding).map(Rule::new);
        let named = Rule::LOGS_NAMED.into_iter().filter_map(Rule::of_log);
        let others = usual.iter().filter(|rule| !is_finding(&rule.kind())).cloned();
        for rule in others.chain(exceptions).chain(named) {
            let short = words(&rule.short());
            let mut parts = short.iter().filter(|word| !word.is_empty());
            assert!(parts.all(|word| words(defaults).contains(word)), "{rule} is not listed");
        }
    }

    #[test]
    fn every_armed_log_line_has_a_matcher_and_the_example_names_all_of_them() {
        let matchers = logs::defaults();
        for names in Rule::LOGS.into_iter().chain(Rule::LOGS_NAMED) {
            let pattern = Names::parse(names).unwrap();
            assert!(matchers.iter().any(|matcher| pattern.include(&matcher.name)), "{names}");
        }
        for matcher in matchers {
            assert!(EXAMPLE.contains(&matcher.name), "docs/dashcap.toml lacks {}", matcher.name);
        }
    }

    #[test]
    fn what_is_unknown_is_told_with_its_place_and_the_nearest_right_word() {
        for (text, line, suggested) in [
            ("\n\npro = 1\n", "line 3, column 1", "did you mean pre?"),
            ("probe-fall = 3\n", "line 1, column 1", "did you mean probe_fall?"),
            ("memroy = \"1GiB\"\n", "line 1, column 1", "did you mean memory?"),
            ("[[trigger]]\nkind = \"drops\"\nprre = \"1s\"", "line 3", "did you mean pre?"),
            ("[[trigger]]\nkid = \"drops\"", "line 2", "did you mean kind?"),
            ("[[log]]\nkernle = true", "line 2", "did you mean kernel?"),
            ("[[log]]\nkernel = true\njournal = true", "line 1", "accepted: one of kernel"),
            ("[[log]]\nsyslog = \"514\"", "line 1", "udp://ADDRESS:PORT"),
            ("[[probe]]\nhots = \"x\"", "line 2", "did you mean host?"),
            ("probe = [5]", "line 1", "a host, or a table"),
            ("[[attribute]]\npth = \"x\"", "line 2", "did you mean path?"),
            ("neighbour = [\"gw\"]", "line 1", "invalid IP address"),
            ("[[rate_limit]]\nname = \"x\"\nunit = \"bps\"", "line 3", "bit/s"),
            ("[[class]]\nfliter = \"tcp\"", "line 2", "did you mean filter?"),
            ("fold = \"exakt\"", "line 1", "did you mean exact?"),
            (
                "[[trigger]]\nkind = \"drops\"\nhold = {confrim = \"x\", within = \"1s\"}",
                "line 3",
                "did you mean confirm?",
            ),
            ("[[trigger]]\nkind = \"lacp_expired\"", "line 2", "the nearest is lacp-expired"),
            ("on = [\"linkdown\"]", "line 1", "the nearest is link-down"),
            ("xyzzy = 1", "line 1", "unknown field `xyzzy`"),
        ] {
            let told = parse(text).unwrap_err();
            assert!(told.contains(line) && told.contains(suggested), "{text}: {told}");
        }
    }

    #[test]
    fn a_file_that_is_none_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(LONGEST + 1).unwrap();
        assert!(read(file.path()).unwrap_err().to_string().contains("longer than"));
        std::fs::write(file.path(), [0xff, 0xfe]).unwrap();
        assert!(read(file.path()).unwrap_err().to_string().contains("UTF-8"));
        assert_eq!(read(Path::new("/")).unwrap_err().exit_status(), 1);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,200}") {
            let _ = parse(&text);
            let _ = suggestion(&text);
        }

        #[test]
        fn no_value_panics(key in "[a-z_]{1,12}", value in "[-0-9a-z\"\\[\\]{}=., ]{0,40}") {
            let _ = parse(&format!("{key} = {value}\n[[trigger]]\n{key} = {value}\n"));
        }
    }
}
