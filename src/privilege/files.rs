//! What is kept by commands on files (`report`, `cut`, `thin`, `replay`, `recover`): what is in them comes from
//! strangers, and is read as whoever typed the command, often root. No network, no programs, no other files.

use std::path::{Path, PathBuf};

/// The name of standard input and output.
const STANDARD: &str = "-";

/// Everything that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
    pub(super) ask_names: bool,
}

impl Files {
    /// `files` are read, with all below those that are directories.
    #[must_use]
    pub fn reading(mut self, files: impl IntoIterator<Item = PathBuf>) -> Self {
        self.read.extend(files.into_iter().filter(|path| path.as_os_str() != STANDARD));
        self
    }

    /// Files are made, replaced and removed in `directory`, which is there.
    #[must_use]
    pub fn writing_in(mut self, directory: &Path) -> Self {
        self.write.push(directory.to_owned());
        self
    }

    /// The file `output` is made beside what it replaces, and renamed; a device or pipe is written to.
    #[must_use]
    pub fn writing(mut self, output: &Path) -> Self {
        if output.as_os_str() == STANDARD {
            return self;
        }
        let is_special = output.metadata().is_ok_and(|it| !it.is_file() && !it.is_dir());
        let directory = output.parent().filter(|directory| !directory.as_os_str().is_empty());
        self.write.push(match directory {
            _ if is_special => output.to_owned(),
            Some(directory) => directory.to_owned(),
            None => PathBuf::from("."),
        });
        self
    }

    /// A filter may name hosts, for which the name service is asked.
    #[must_use]
    pub fn asking_names(self, ask_names: bool) -> Self {
        Self { ask_names, ..self }
    }

    pub(super) fn read(&self) -> impl Iterator<Item = &Path> {
        self.read.iter().map(PathBuf::as_path)
    }

    pub(super) fn write(&self) -> impl Iterator<Item = &Path> {
        self.write.iter().map(PathBuf::as_path)
    }
}
