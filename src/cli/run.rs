//! `dashcap run`: record until stopped.

use std::process::ExitCode;

use clap::Args;

use super::log::StatusLine;
use super::rights;
use super::settings::{Defaults, Settings};
use crate::doctor::{self, Check, Subject};
use crate::error::Result;
use crate::privilege;
use crate::recorder::{Links, Options, Privileged, Recorder, Reloader, Selection, WindowOptions};
use crate::service::Service;
use crate::service::notify::{Environment, Notifier, Word};
use crate::time::Clock;
use crate::watch::config::ConfigWatcher;
use crate::watch::link::{self, LinkWatcher};
use crate::watch::probe;
use crate::watch::signal::{SnapshotWatcher, StopWatcher};

/// Record until stopped; write a bundle whenever a trigger fires.
///
/// SIGUSR1 freezes a snapshot; SIGINT or SIGTERM finishes the open incident and ends, a second one that comes
/// a second or more later ends at once. With a configuration file SIGHUP reads it again, as a change of the file does; without one it
/// ends like SIGTERM, because then it means that the terminal is gone.
///
/// Under a service manager (systemd, Type=notify) it says when frames are recorded and how it stands, and
/// feeds the watchdog only while every capture moves.
#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    settings: Settings,
}

/// A slow LACP failure shows its cause 93 s before its symptom: 3 × 30 s until a partner's last LACPDU
/// expires, 3 s until its port is defaulted (IEEE 802.1AX-2020, 6.4.4).
pub(super) const DEFAULTS: Defaults =
    Defaults { pre: WindowOptions::PRE, post: WindowOptions::POST, control: true };

/// Exit status of a program that SIGINT ended, as shells count: 128 and 2.
const INTERRUPTED: i32 = 130;

impl Run {
    pub(super) fn start(self, line: &StatusLine) -> Result<ExitCode> {
        let clock = Clock::system();
        let service = Service::open(&Environment::read(), std::process::id(), clock.now().mono)?;
        let notifier = service.notifier();
        self.record(service, &clock, line)
            .inspect_err(|error| say(notifier.as_ref(), &[Word::Status(&error.to_string())]))
    }

    fn record(self, service: Service, clock: &Clock, line: &StatusLine) -> Result<ExitCode> {
        let file = self.settings.file();
        let content = file.map(ConfigWatcher::content);
        let options = options(self.settings.clone())?;
        // Here is one thread, with all its privileges: programs that need them are started here.
        rights::check(&options, file)?;
        let hints = doctor::hints(&subject(&options)?);
        let privileged = Privileged::open(&options)?;
        let account = privilege::give_up(&options.privilege, &rights::grants(&options, file))?;
        rights::tell(&account, &options.privilege);
        // Here may be threads, without privileges. Listening first: a signal that comes while memory is
        // obtained is not lost.
        let snapshot = SnapshotWatcher::open()?;
        let stop = StopWatcher::open(clock.clone(), || std::process::exit(INTERRUPTED))?;
        let config = file.map(ConfigWatcher::open).transpose()?;
        let config = config.map(|config| config.since(content.flatten()));
        let mut recorder = Recorder::start_with(privileged, options, clock.clone())?;
        recorder.confined(account);
        for Check { subject, found, advice, .. } in hints {
            tracing::info!("{subject}: {found}; {}", advice.unwrap_or_default());
        }
        let notifier = service.notifier();
        recorder.attended_by(service);
        recorder.add_watcher(snapshot)?;
        recorder.add_watcher(stop)?;
        if let Some(config) = config {
            let (mut read, clock) = (reading(self.settings, recorder.reloader()), clock.clone());
            let read = move || {
                say(notifier.as_ref(), &[Word::Reloading(clock.now().mono)]);
                // What is accepted is ready once the recorder has taken it up.
                read().inspect_err(|_| say(notifier.as_ref(), &[Word::Ready]))
            };
            recorder.add_watcher(config.calling(read))?;
        }
        let summary = recorder.run(|status| line.show(status));
        Ok(ExitCode::from(u8::from(summary.lost > 0)))
    }
}

/// To the service manager, if there is one. What it does not take is not worth trouble: it shows a little
/// less, or waits a little longer.
fn say(notifier: Option<&Notifier>, words: &[Word<'_>]) {
    if let Some(notifier) = notifier {
        notifier.say(words);
    }
}

fn options(settings: Settings) -> Result<Options> {
    settings.options(DEFAULTS, Settings::usual_rules)
}

/// Reads the file again, under what was typed.
fn reading(typed: Settings, mut reloader: Reloader) -> impl FnMut() -> Result<()> {
    let file = typed.file().map(|file| file.display().to_string()).unwrap_or_default();
    move || reloader.reload(&file, options(typed.clone())?)
}

/// What these options mean on this machine.
pub(super) fn subject(options: &Options) -> Result<Subject> {
    let links = LinkWatcher::open(&link::Options::default())?.links();
    let recorded = if options.interfaces.is_empty() {
        let selection = Selection::new(&[], &links)?;
        let all = Links::of(&links);
        let wanted = links.iter().filter(|link| selection.wants(link, &all));
        wanted.map(|link| link.name.clone()).collect()
    } else {
        options.interfaces.clone()
    };
    let ring = &options.capture.ring;
    Ok(Subject {
        links,
        recorded,
        memory: options.pool.memory,
        traffic_memory: options.traffic.memory,
        kernel_memory: u64::from(ring.blocks) * u64::from(ring.block_size),
        lanes: options.capture.classes.lanes().into(),
        lock: options.pool.lock,
        ring_file: options.ring_file.clone(),
        output: options.output.clone(),
        control: options.api.control.as_ref().map(|control| control.path.clone()),
        probed: options.probes.iter().filter_map(probe::Options::address).collect(),
        logs: options.watchers.logs.each().into_iter().map(|log| log.place).collect(),
    })
}
