//! Signatures of manifests in the format of SSH (PROTOCOL.sshsig of OpenSSH), checked by ssh-keygen(1) itself: whoever
//! doubts them can do the same without dashcap.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::incident::layout::{MANIFEST, SIGNATURE};
use crate::incident::verify::Verification;

/// What a signature is made for, so that one that was made for something else is none.
const NAMESPACE: &str = "dashcap";
/// Checks signatures, since OpenSSH 8.1.
const PROGRAM: &str = "ssh-keygen";

/// Who may sign: lines of a principal and a public key ("ALLOWED SIGNERS" of ssh-keygen(1)).
pub(super) struct Signers(PathBuf);

impl Signers {
    /// Those in `file`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn open(file: &Path) -> Result<Self> {
        let failed = |e| Error::operation("read", file.display().to_string(), e);
        File::open(file).map_err(failed)?;
        Ok(Self(file.to_owned()))
    }

    /// Adds to `verdict` what the signature of the manifest in `bundle` is worth.
    ///
    /// # Errors
    /// When it cannot be checked.
    pub(super) fn judge(&self, bundle: &Path, verdict: &mut Verification) -> Result<()> {
        let signature = bundle.join(SIGNATURE);
        if !signature.is_file() {
            verdict.chain.push(format!("{MANIFEST} is not signed"));
            return Ok(());
        }
        let found = self.run(&["-Y", "find-principals"], &signature, None)?;
        let Some(principal) = found.as_deref().and_then(|told| told.lines().next()) else {
            verdict.chain.push(format!("{SIGNATURE} is of nobody who may sign"));
            return Ok(());
        };
        let words = ["-Y", "verify", "-n", NAMESPACE, "-I", principal];
        match self.run(&words, &signature, Some(&bundle.join(MANIFEST)))? {
            Some(_) => verdict.notes.push(format!("{MANIFEST} is signed by {principal}")),
            None => verdict.chain.push(format!("{SIGNATURE} is not that of {MANIFEST}")),
        }
        Ok(())
    }

    /// What ssh-keygen says; none where it says no.
    fn run(
        &self,
        words: &[&str],
        signature: &Path,
        input: Option<&Path>,
    ) -> Result<Option<String>> {
        let failed =
            |e| Error::operation("run", PROGRAM, e).hint("install openssh-client, 8.1 or newer");
        let input = match input {
            Some(path) => Stdio::from(File::open(path).map_err(failed)?),
            None => Stdio::null(),
        };
        let output = Command::new(PROGRAM)
            .args(words)
            .arg("-f")
            .arg(&self.0)
            .arg("-s")
            .arg(signature)
            .stdin(input)
            .output()
            .map_err(failed)?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(output.status.success().then_some(told))
    }
}
