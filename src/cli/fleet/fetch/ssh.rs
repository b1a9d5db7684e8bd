//! Bundles of a host that an ssh login reaches: no bus, no dashcap that runs there, nothing but reading files; where
//! frames are to be cut to headers, by the dashcap that is installed there.
//!
//! What that host says is believed no more than what comes over a bus: see [`BundleCopy`].

use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::thread::{self, JoinHandle};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::FetchCourse;
use crate::cli::extcap::hosts::quoted;
use crate::error::{Error, Result};
use crate::fleet::fetch::PIECE;
use crate::fleet::fetch::copy::{BundleCopy, hex};
use crate::incident::fetched::{Fetched, is_bundle_name};
use crate::incident::layout::{CAPTURE, MANIFEST, SIGNATURE};
use crate::incident::manifest::FileEntry;
use crate::incident::manifest::read;
use crate::observation::fetch::PacketShare;
use crate::visible::plain;

/// Nobody is asked anything; a host that is away, or goes away, is given up.
const OPTIONS: [&str; 8] = [
    "-o",
    "BatchMode=yes",
    "-o",
    "ConnectTimeout=10",
    "-o",
    "ServerAliveInterval=5",
    "-o",
    "ServerAliveCountMax=3",
];
/// Bundles of one failure on one host.
const MOST: usize = 64;
/// Bytes of names that are read.
const NAMES: u64 = 64 << 10;
/// Bytes of a manifest with its signature.
const LONGEST: u64 = 64 << 20;
/// Bytes of complaints that are said.
const COMPLAINTS: u64 = 4 << 10;
/// Cuts a capture there.
const CUT: &str = "dashcap fleet headers";
/// Stands between a manifest and its signature, and in neither.
const BETWEEN: u8 = 0;

/// A host as ssh takes it, and where its bundles are.
pub(super) struct SshHost<'a> {
    name: &'a str,
    store: &'a str,
}

/// ssh at work; it ends with this.
struct Ssh {
    child: Child,
    /// Says what it complains of.
    complaints: Option<JoinHandle<()>>,
}

impl<'a> SshHost<'a> {
    pub(super) fn new(name: &'a str, store: &'a str) -> Result<Self> {
        if name.starts_with('-') || name.is_empty() {
            let accepted = "as after ssh, such as router1 or admin@192.0.2.1";
            return Err(Error::usage("--ssh", name, "this is an option of ssh", accepted));
        }
        Ok(Self { name, store })
    }

    /// Without who logs in there.
    pub(super) fn host(&self) -> &str {
        self.name.rsplit_once('@').map_or(self.name, |(_, host)| host)
    }

    /// Names of the bundles there that have `id` in their manifests, or that one of this name.
    pub(super) fn named(&self, id: &str) -> Result<Vec<String>> {
        if is_bundle_name(id) {
            return Ok(vec![id.to_owned()]);
        }
        // Files that this user may not read are none of ours.
        let words = format!(
            "cd -- {} || exit; grep -lsF -e {} -- */{MANIFEST}; exit 0",
            quoted(self.store),
            quoted(id)
        );
        let told = self.told(&words, NAMES)?;
        let told = String::from_utf8_lossy(&told);
        let names = told.lines().filter_map(|line| line.strip_suffix(MANIFEST)?.strip_suffix('/'));
        Ok(names.filter(|name| is_bundle_name(name)).take(MOST).map(str::to_owned).collect())
    }

    /// The files of a bundle there; none if it is not of `id` after all.
    pub(super) fn bundle(
        &self,
        name: &str,
        id: &str,
        headers: bool,
        course: &FetchCourse,
    ) -> Result<Option<Fetched>> {
        let place = self.place(name);
        let words = format!(
            "{place} && cat {MANIFEST} && printf '\\0' && {{ cat {SIGNATURE} 2>/dev/null; exit 0; }}"
        );
        let told = self.told(&words, LONGEST)?;
        let at = told.iter().position(|byte| *byte == BETWEEN).unwrap_or(told.len());
        let (manifest, signature) = (&told[..at], told.get(at + 1..).unwrap_or_default());
        let value: Value = serde_json::from_slice(manifest).unwrap_or_default();
        let ids = value["fleet"]["ids"].as_array();
        let is_of = ids.into_iter().flatten().any(|known| known == id);
        if name != id && !is_of {
            return Ok(None);
        }
        let mut files = read::parse(manifest).map_err(|why| self.cannot(why))?.files;
        files.push(entry(MANIFEST, manifest));
        files.extend(Some(signature).filter(|text| !text.is_empty()).map(|t| entry(SIGNATURE, t)));
        let packets = if headers { PacketShare::Headers } else { PacketShare::Full };
        if let (true, Some(capture)) = (headers, files.iter_mut().find(|f| f.name == CAPTURE)) {
            *capture = self.cut(name)?;
        }
        let fetched = Fetched::new(self.host(), course.now().wall, packets, files);
        fetched.map(Some).map_err(|why| self.cannot(why))
    }

    /// The capture, cut to headers there.
    fn cut(&self, name: &str) -> Result<FileEntry> {
        let told = self.told(&format!("{} && {CUT} --sum {CAPTURE}", self.place(name)), NAMES)?;
        let cut: FileEntry = serde_json::from_slice(&told).map_err(|why| self.cannot(why))?;
        Ok(FileEntry { name: CAPTURE.to_owned(), ..cut })
    }

    /// The words that lead into a bundle.
    fn place(&self, name: &str) -> String {
        format!("cd -- {}", quoted(&format!("{}/{name}", self.store)))
    }

    /// Brings what is lacking of it.
    pub(super) fn fetch(
        &self,
        name: &str,
        mut copy: BundleCopy,
        course: &mut FetchCourse,
    ) -> Result<PathBuf> {
        course.is_under_way = true;
        let mut words = self.place(name);
        let is_cut = copy.fetched().packets == PacketShare::Headers;
        for (file, offset, bytes) in copy.lacking() {
            let source = match is_cut && file == CAPTURE {
                true => format!("{CUT} {CAPTURE}"),
                false => format!("cat -- {}", quoted(file)),
            };
            words += &format!(" && {source} | tail -c +{} | head -c {bytes}", offset + 1);
        }
        let (_ssh, output) = self.begin(&words)?;
        let mut output = BufReader::with_capacity(PIECE as usize, output);
        while let Some(piece) = copy.next(course.piece(PIECE)) {
            let mut data = vec![0; piece.bytes as usize];
            output.read_exact(&mut data).map_err(|error| self.cut_off(&error))?;
            thread::sleep(course.wait_for(piece.bytes));
            copy.take(&piece.file, piece.offset, data)?;
            course.show(&copy, self.host());
        }
        let path = copy.finish()?;
        course.is_under_way = false;
        Ok(path)
    }

    /// What a command there prints, if it is not more than `most` bytes.
    fn told(&self, words: &str, most: u64) -> Result<Vec<u8>> {
        let (mut ssh, output) = self.begin(words)?;
        let mut told = Vec::new();
        output.take(most + 1).read_to_end(&mut told).map_err(|error| self.cannot(error))?;
        if told.len() as u64 > most {
            return Err(self.cannot(format!("it tells more than {most} bytes")));
        }
        let ended = ssh.child.wait().map_err(|error| self.cannot(error))?;
        if ended.success() { Ok(told) } else { Err(self.cannot(format!("ssh ended with {ended}"))) }
    }

    fn begin(&self, words: &str) -> Result<(Ssh, ChildStdout)> {
        let mut command = Command::new("ssh");
        command.arg("-T").args(OPTIONS).args(["--", self.name, words]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| Error::operation("run", "ssh", error))?;
        let mut ssh = Ssh { child, complaints: None };
        let host = self.host().to_owned();
        let said = ssh.child.stderr.take();
        ssh.complaints = said.map(|said| thread::spawn(move || complain(&host, said)));
        let output = ssh.child.stdout.take().ok_or_else(|| self.cannot("it says nothing"))?;
        Ok((ssh, output))
    }

    fn cut_off(&self, error: &io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => self.cannot("it was cut off"),
            _ => self.cannot(error),
        }
    }

    fn cannot(&self, why: impl std::fmt::Display) -> Error {
        Error::operation("fetch through ssh from", self.name, why)
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.complaints.take().map(JoinHandle::join);
    }
}

/// Says what ssh and the host complain of, in letters, as far as anybody reads it.
fn complain(host: &str, said: ChildStderr) {
    let mut said = BufReader::new(said);
    for line in said.by_ref().take(COMPLAINTS).split(b'\n').map_while(Result::ok) {
        // Of ssh itself a line ends as on a terminal.
        eprintln!("{}: {}", plain(host), plain(String::from_utf8_lossy(&line).trim_end()));
    }
    // Who is not read any more would wait.
    let _ = io::copy(&mut said, &mut io::sink());
}

fn entry(name: &str, content: &[u8]) -> FileEntry {
    let sha256 = hex(Sha256::new().chain_update(content));
    FileEntry { name: name.to_owned(), size: content.len() as u64, sha256 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_no_host_and_who_logs_in_is_none() {
        assert!(SshHost::new("-oProxyCommand=x", "/s").is_err());
        assert_eq!(SshHost::new("admin@r1", "/s").unwrap().host(), "r1");
        assert_eq!(SshHost::new("r1", "/s").unwrap().host(), "r1");
    }
}
