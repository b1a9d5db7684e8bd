//! What a recording keeps when the process gives up its privileges: one list of places, files, programs
//! and capabilities, by the options. Whoever opens something new while frames are recorded adds it here.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use glob::glob;

use super::Options;
use crate::fleet;
use crate::incident::system;
use crate::privilege::{Capabilities, Grants, WritableDirectory};
use crate::sys::attribute;
use crate::watch::logs;

/// Bundles and what asks for them: the owner writes, the group reads.
const PRIVATE: u32 = 0o750;
/// Where the control socket is, everybody may look.
const PUBLIC: u32 = 0o755;
/// Ports below need CAP_NET_BIND_SERVICE, unless `net.ipv4.ip_unprivileged_port_start` says otherwise
/// (ip(7)).
const PRIVILEGED_PORTS: u16 = 1_024;
/// Followed files that are looked at to see whether they can be read; the others are told when they are
/// opened.
const LOOKED_AT: usize = 256;
/// What begins a wildcard (glob(7)).
const WILDCARDS: [char; 3] = ['*', '?', '['];

impl Options {
    /// Everything that recording with these options takes.
    pub fn grants(&self) -> Grants {
        let mut grants = Grants::default();
        self.grant_places(&mut grants);
        for log in self.watchers.logs.each() {
            grant_log(&log.place, &mut grants);
        }
        let search = system::search_path();
        for program in system::PROGRAMS {
            for found in find(program, &search) {
                grants.run(found);
            }
        }
        grants.capabilities |= self.capabilities();
        grants
    }

    fn grant_places(&self, grants: &mut Grants) {
        grants.write(WritableDirectory::new(&self.output, PRIVATE));
        if let Some(control) = &self.api.control {
            let directory = control.path.parent().filter(|path| !path.as_os_str().is_empty());
            let is_ours = !control.required;
            let path = directory.unwrap_or(Path::new("."));
            grants.write(WritableDirectory { is_ours, ..WritableDirectory::new(path, PUBLIC) });
        }
        if let Some(directory) = self.api.web.as_ref().and_then(|web| web.socket()?.parent()) {
            grants.write(WritableDirectory::new(directory, PUBLIC));
        }
        if let Some(directory) = &self.api.directory {
            grants.write(WritableDirectory::new(&directory.path, PRIVATE));
        }
        if let Some(directory) = self.ring_file.as_deref().and_then(Path::parent) {
            grants.write(WritableDirectory::new(directory, PRIVATE));
        }
        let webhooks = self.api.export.webhooks.iter();
        let secrets = webhooks.flat_map(|webhook| {
            [webhook.token_file.as_deref(), webhook.ca_file.as_deref(), webhook.address.file()]
        });
        let http = self.api.http.as_ref().map(|http| &*http.token_file);
        for secret in secrets.flatten().chain(http) {
            grants.read(secret);
            grants.needs_to_read(secret);
        }
        for file in self.api.fleet.iter().flat_map(fleet::Options::files) {
            grants.needs_to_read(file);
            // Read at each connection: a renewed one may have come by rename.
            grants.read(
                file.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new(".")),
            );
        }
    }

    /// Beyond what capturing takes: each only where the operator asked for what needs it.
    fn capabilities(&self) -> Capabilities {
        let logs = self.watchers.logs.each();
        let ports = logs.iter().filter_map(|log| match &log.place {
            logs::Place::Syslog { address, .. } => Some(address.port()),
            _ => None,
        });
        let http = self.api.http.as_ref().map(|http| http.listen.port());
        let metrics = self.api.metrics.as_ref().map(|metrics| metrics.listen.port());
        let privileged = |port: u16| (1..PRIVILEGED_PORTS).contains(&port);
        let mut kept = Capabilities::empty();
        // SIOCSHWTSTAMP, also on interfaces that appear later.
        kept.set(Capabilities::NET_ADMIN, self.capture.ring.hardware_stamps);
        // mlock(2), beyond RLIMIT_MEMLOCK.
        kept.set(Capabilities::IPC_LOCK, self.pool.lock);
        // A listener is opened again when its matchers change.
        kept.set(Capabilities::NET_BIND_SERVICE, ports.chain(http).chain(metrics).any(privileged));
        kept
    }
}

fn grant_log(place: &logs::Place, grants: &mut Grants) {
    match place {
        logs::Place::Files(pattern) => {
            let directory = beginning(pattern);
            grants.read(&directory);
            if has_wildcard(pattern) {
                grants.needs_to_read(directory);
            }
            for file in glob(pattern).into_iter().flatten().flatten().take(LOOKED_AT) {
                // A link, as container logs are: what it leads to must be readable where it is.
                if let Some(there) = file.canonicalize().ok().as_deref().and_then(Path::parent) {
                    grants.read(there);
                }
                grants.needs_to_read(file);
            }
        }
        logs::Place::Journal { journalctl } => {
            for found in find(&journalctl.to_string_lossy(), &system::search_path()) {
                grants.run(found);
            }
        }
        logs::Place::Kernel | logs::Place::Syslog { .. } => {}
    }
}

/// The directory of a log with wildcards that we may not list: nothing in it would be found, and nobody would
/// say so. After a reload it may lie outside of what was granted at the start.
pub(super) fn unlisted(place: &logs::Place) -> Option<PathBuf> {
    let logs::Place::Files(pattern) = place else { return None };
    let directory = Some(beginning(pattern)).filter(|_| has_wildcard(pattern))?;
    let opened = attribute::open(&directory);
    opened.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied).then_some(directory)
}

fn has_wildcard(pattern: &str) -> bool {
    pattern.contains(WILDCARDS)
}

/// The directory that everything a pattern can find lies in, or the nearest above it that is there.
fn beginning(pattern: &str) -> PathBuf {
    let literal = pattern.split(WILDCARDS).next().unwrap_or_default();
    let directory = literal.rsplit_once('/').map_or("/", |(directory, _)| directory);
    let mut there = Path::new(if directory.is_empty() { "/" } else { directory });
    while let Some(above) = there.parent().filter(|_| !there.is_dir()) {
        there = above;
    }
    there.to_owned()
}

/// A program by its path, or wherever `search` has it.
fn find(program: &str, search: &str) -> Vec<PathBuf> {
    if program.contains('/') {
        return vec![PathBuf::from(program)];
    }
    let candidates = std::env::split_paths(search).map(|directory| directory.join(program));
    candidates.filter(|path| path.is_absolute() && path.is_file()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_begins_in_a_directory_that_is_there() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().to_str().unwrap();
        for (pattern, directory) in [
            ("/*.log".to_owned(), "/"),
            ("/etc/*/x.log".to_owned(), "/etc"),
            (format!("{path}/a.log"), path),
            (format!("{path}/later/[ab]/x"), path),
        ] {
            assert_eq!(beginning(&pattern), Path::new(directory), "{pattern}");
        }
    }

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        assert!(find("uname", &system::search_path()).iter().any(|path| path.is_file()));
        assert!(find("no-such-program", "/bin:/usr/bin").is_empty());
        assert!(find("sh", "relative:.").is_empty());
        assert_eq!(find("/x/journalctl", ""), [PathBuf::from("/x/journalctl")]);
    }
}
