//! `dashcap why`: the report's one sentence, for the pager and for who was just woken.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::control::print;
use super::incidents::{LAST, absolute, found};
use super::settings::Settings;
use crate::error::{Error, Result};
use crate::incident::folder::Folder;
use crate::incident::layout::REPORT_JSON;
use crate::incident::store::Listing;
use crate::report::{self, Options};
use crate::visible::{self, plain};

/// Say in one sentence what happened: what, since when, who is silent, what still works.
///
/// BUNDLE is a bundle's name, any beginning of it that only one has, its directory, or a capture file of anybody.
/// The rest of the report: dashcap report BUNDLE.
#[derive(Debug, Args)]
pub(super) struct Why {
    /// The bundle [default: the newest one].
    #[arg(default_value = LAST, hide_default_value = true)]
    bundle: String,

    /// Directory of the bundles [default: what the --config file says, or the working directory].
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Configuration file of the dashcap that writes them.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print JSON, for scripts: the sentence, onset and trigger.
    #[arg(long)]
    json: bool,
}

impl Why {
    pub(super) fn start(self) -> Result<ExitCode> {
        let path = self.path()?;
        let report = told(&path).map_or_else(|| made(&path), Ok)?;
        let headline = report["headline"].as_str().unwrap_or_default();
        if self.json {
            let part = |name: &str| &report[name];
            let (onset, trigger) = (part("onset"), part("trigger"));
            let bundle = absolute(&path);
            let told =
                json!({"bundle": bundle, "headline": headline, "onset": onset, "trigger": trigger});
            print(&visible::json(&told.to_string()))?;
        } else {
            print(&plain(headline))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// What was named: a path that is there, else a bundle of the store.
    fn path(&self) -> Result<PathBuf> {
        let named = Path::new(&self.bundle);
        if self.bundle != LAST && named.exists() {
            return Ok(named.to_owned());
        }
        let directory = match &self.output {
            Some(output) => output.clone(),
            None => Settings::output_of(self.config.as_deref())?,
        };
        let listing = Listing::read(&directory)?;
        Ok(found(&listing, &self.bundle)?.path.clone())
    }
}

/// The report that lies in a bundle, if it has the sentence.
fn told(bundle: &Path) -> Option<Value> {
    let file = Folder::named(bundle).and_then(|folder| folder.file(REPORT_JSON)).ok()?;
    let report: Value = serde_json::from_reader(BufReader::new(file)).ok()?;
    report["headline"].is_string().then_some(report)
}

/// A report made now.
fn made(path: &Path) -> Result<Value> {
    let options = Options { files: vec![path.to_owned()], ..Options::default() };
    let report = report::report(&options, |_| {})?;
    let failed = |e: serde_json::Error| Error::operation("write", "the report", e);
    serde_json::to_value(&report).map_err(failed)
}
