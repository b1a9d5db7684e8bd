//! The copy of a bundle that is being made here: which pieces it lacks, and where they go.
//!
//! The host that sends may be anybody's. It promises: nothing is written outside the directory, through a link or over
//! a file that was there; no file grows beyond what was told, nor all of them beyond the room there is; a file with
//! another sum than was told is thrown away. Whoever stops it at any moment loses what was under way.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use sha2::{Digest, Sha256};

use super::{Piece, UNDER_WAY};
use crate::error::{Error, Result};
use crate::fleet::token::token;
use crate::incident::fetched::{Fetched, is_bundle_name};
use crate::incident::folder::{Folder, Inside};
use crate::incident::layout::{FETCHED, SUFFIX};
use crate::incident::manifest::FileEntry;
use crate::incident::store;
use crate::observation::fetch::PacketShare;

/// Bytes that stay free beside the copy: a disk that is full to the last byte stops more than us.
const RESERVE: u64 = 16 << 20;
/// Bytes summed at once.
const CHUNK: usize = 64 << 10;

/// What a fetch begins with.
#[derive(Debug)]
pub enum Begun {
    /// It is here, with as many of its frames, and each file has the sum that was promised.
    There(PathBuf, PacketShare),
    /// It is to be made, or made whole.
    Copying(Box<BundleCopy>),
}

/// A copy under way.
#[derive(Debug)]
pub struct BundleCopy {
    path: PathBuf,
    /// Where it will appear.
    around: Folder,
    partial: Folder,
    fetched: Fetched,
    /// Bytes of each file that are here and need not be asked for.
    there: Vec<u64>,
    /// The file and the place in it of the next piece to be asked for.
    next: (usize, u64),
    /// Asked for, in the order of the files.
    window: VecDeque<Awaited>,
    sink: Option<Sink>,
    written: u64,
}

/// A piece that was asked for.
#[derive(Debug)]
struct Awaited {
    number: usize,
    piece: Piece,
    /// Here, and those before it are not.
    data: Option<Vec<u8>>,
}

/// The file that is being written.
#[derive(Debug)]
struct Sink {
    number: usize,
    file: File,
    sum: Sha256,
    resumed: bool,
}

impl BundleCopy {
    /// Begins, or goes on with, the bundle `name` of what `fetched` tells, in a directory of its host's in `directory`.
    ///
    /// # Errors
    /// When it cannot be made there: no room, somebody else is at it, or something of that name was not fetched.
    pub fn begin(directory: &Path, name: &str, fetched: Fetched) -> Result<Begun> {
        let place = directory.join(directory_of(&fetched.host));
        let path = place.join(name);
        let failed = |e: io::Error| cannot(&path, e);
        if !is_bundle_name(name) {
            return Err(cannot(&place, format!("no bundle is called {name:?}")));
        }
        let around = Folder::named(directory).and_then(|directory| {
            let host = directory_of(&fetched.host);
            directory.folder(&*host).or_else(|_| directory.make(&host))
        });
        let around =
            around.map_err(|e| Error::operation("make", place.display().to_string(), e))?;
        let aside = format!("{name}{SUFFIX}");
        if let Ok(folder) = around.folder(name) {
            match Fetched::read(&folder) {
                None => {
                    let why = "what lies there has no fetched.json that can be read: move it away";
                    return Err(cannot(&path, why));
                }
                Some(before) if before.packets < fetched.packets => {}
                Some(before) if is_whole(&folder, &before) => {
                    return Ok(Begun::There(path, before.packets));
                }
                Some(before) if before.packets > fetched.packets => {
                    let why = "what lies there is damaged, and fewer of its frames may be had now";
                    return Err(cannot(&path, why));
                }
                // What is not damaged need not come again.
                Some(_) if !around.has(&aside) => around.rename(name, &aside).map_err(failed)?,
                Some(_) => {}
            }
        }
        let partial = around.folder(&*aside).or_else(|_| around.make(&aside)).map_err(failed)?;
        if !partial.lock().map_err(failed)? || !around.holds(&aside, &partial) {
            return Err(cannot(&path, "somebody else is fetching it"));
        }
        let count = fetched.files.len();
        let mut copy = Self {
            path: path.clone(),
            around,
            partial,
            fetched,
            there: vec![0; count],
            next: (0, 0),
            window: VecDeque::new(),
            sink: None,
            written: 0,
        };
        copy.take_stock().map_err(failed)?;
        copy.written = copy.there.iter().sum();
        copy.next = (0, copy.there.first().copied().unwrap_or_default());
        let room = copy.partial.room().map_err(failed)?;
        let missing = copy.fetched.bytes().saturating_sub(copy.written);
        if missing.saturating_add(RESERVE) > room {
            let told = format!(
                "{missing} bytes are missing, the disk has room for {room}, and {RESERVE} stay free"
            );
            return Err(cannot(&path, told));
        }
        Ok(Begun::Copying(copy.into()))
    }

    /// What is here already and is, as far as it goes, what was promised; the rest goes.
    fn take_stock(&mut self) -> io::Result<()> {
        let before = Fetched::read(&self.partial);
        let expected = |path: &str| {
            let file = self.fetched.file(path);
            file.is_some_and(|file| before.as_ref().and_then(|b| b.file(path)) == Some(file))
        };
        prune(&self.partial, "", &expected)?;
        self.fetched.write(&self.partial)?;
        for number in 0..self.fetched.files.len() {
            let FileEntry { name, size, sha256 } = &self.fetched.files[number];
            let (folder, leaf) = self.place(name)?;
            let folder = folder.as_ref().unwrap_or(&self.partial);
            let length = folder.length(leaf).unwrap_or_default();
            let whole = length >= *size;
            let differs =
                || Ok::<_, io::Error>(hex(summed(&mut folder.grow(leaf)?, length)?) != *sha256);
            if whole && (length > *size || differs()?) {
                folder.remove_file(leaf)?;
                if *size == 0 {
                    return Err(io::Error::other(format!("{name} is empty, and has no such sum")));
                }
            }
            self.there[number] = folder.length(leaf).unwrap_or_default();
        }
        Ok(())
    }

    /// The directory of a file, if it is not the bundle's own, and its name there.
    fn place<'a>(&self, path: &'a str) -> io::Result<(Option<Folder>, &'a str)> {
        let Some((directory, leaf)) = path.split_once('/') else { return Ok((None, path)) };
        let folder = self.partial.folder(directory).or_else(|_| self.partial.make(directory))?;
        Ok((Some(folder), leaf))
    }

    /// What of which files is lacking, in the order in which it is asked for: the file, where, how many bytes.
    pub fn lacking(&self) -> impl Iterator<Item = (&str, u64, u64)> {
        let files = self.fetched.files.iter().zip(&self.there);
        let files = files.map(|(file, there)| (&*file.name, *there, file.size - there));
        files.filter(|(.., bytes)| *bytes > 0)
    }

    /// What is fetched.
    pub fn fetched(&self) -> &Fetched {
        &self.fetched
    }

    /// Bytes that are here, and of all.
    pub fn progress(&self) -> (u64, u64) {
        (self.written, self.fetched.bytes())
    }

    /// The next piece to ask for, of so many bytes at most; none while enough is under way, or at the end.
    pub fn next(&mut self, most: u32) -> Option<Piece> {
        if self.window.len() >= UNDER_WAY {
            return None;
        }
        loop {
            let (number, offset) = self.next;
            let file = self.fetched.files.get(number)?;
            let left = file.size - offset;
            if left > 0 {
                let bytes = u32::try_from(left).map_or(most, |left| left.min(most));
                let piece = Piece { file: file.name.clone(), offset, bytes };
                self.next.1 += u64::from(bytes);
                self.window.push_back(Awaited { number, piece: piece.clone(), data: None });
                return Some(piece);
            }
            self.next = (number + 1, self.there.get(number + 1).copied().unwrap_or_default());
        }
    }

    /// Pieces that were asked for and did not come.
    pub fn awaited(&self) -> impl Iterator<Item = &Piece> {
        self.window.iter().filter(|awaited| awaited.data.is_none()).map(|awaited| &awaited.piece)
    }

    /// A piece is here; one that was not asked for, or came before, is passed over.
    ///
    /// # Errors
    /// When it has another length than was asked for, its file another sum than was told, or the disk refuses.
    pub fn take(&mut self, file: &str, offset: u64, data: Vec<u8>) -> Result<()> {
        let is_it = |awaited: &&mut Awaited| {
            awaited.data.is_none() && awaited.piece.offset == offset && awaited.piece.file == file
        };
        let Some(awaited) = self.window.iter_mut().find(is_it) else { return Ok(()) };
        if data.len() != awaited.piece.bytes as usize {
            let (asked, came) = (awaited.piece.bytes, data.len());
            let told = format!("of {file} {came} bytes came, and {asked} were asked for");
            return Err(cannot(&self.path, told));
        }
        awaited.data = Some(data);
        while self.window.front().is_some_and(|awaited| awaited.data.is_some())
            && let Some(Awaited { number, piece, data: Some(data) }) = self.window.pop_front()
        {
            self.write(number, piece.offset, &data).map_err(|e| cannot(&self.path, e))?;
        }
        Ok(())
    }

    /// Writes what follows what is there.
    fn write(&mut self, number: usize, offset: u64, data: &[u8]) -> io::Result<()> {
        let FileEntry { name, size, sha256 } = &self.fetched.files[number];
        let (folder, leaf) = self.place(name)?;
        let folder = folder.as_ref().unwrap_or(&self.partial);
        let mut sink = match self.sink.take().filter(|sink| sink.number == number) {
            Some(sink) => sink,
            None => {
                let mut file = folder.grow(leaf)?;
                let (length, resumed) = (file.metadata()?.len(), offset > 0);
                if length != offset {
                    return Err(io::Error::other(format!("{name} is being written by others")));
                }
                Sink { number, sum: summed(&mut file, offset)?, file, resumed }
            }
        };
        sink.file.write_all(data)?;
        sink.sum.update(data);
        self.written += data.len() as u64;
        if offset + data.len() as u64 != *size {
            self.sink = Some(sink);
            return Ok(());
        }
        sink.file.sync_all()?;
        if hex(sink.sum) == *sha256 {
            return Ok(());
        }
        folder.remove_file(leaf)?;
        Err(io::Error::other(match sink.resumed {
            true => format!("{name} is not what it was when its fetch began; it begins anew"),
            false => format!("{name} is not what its host told: it has another sum"),
        }))
    }

    /// True once everything is here.
    pub fn is_whole(&self) -> bool {
        self.window.is_empty() && self.written == self.fetched.bytes()
    }

    /// Gives it its name, in place of a copy with fewer frames. Tells where it is.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(self) -> Result<PathBuf> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if self.around.has(&name) {
            store::remove(&self.path, false)?;
        }
        let inside = self.partial.inside().map_err(|e| cannot(&self.path, e))?;
        let mut directories =
            inside.iter().filter_map(|inside| self.partial.folder(&*inside.name).ok());
        directories
            .try_for_each(|folder| folder.sync())
            .and_then(|()| self.partial.sync())
            .and_then(|()| self.around.rename(&format!("{name}{SUFFIX}"), &name))
            .and_then(|()| self.around.sync())
            .map_err(|e| cannot(&self.path, e))?;
        Ok(self.path)
    }
}

/// True if each file of a copy has the sum that was promised.
fn is_whole(folder: &Folder, promised: &Fetched) -> bool {
    promised.files.iter().all(|FileEntry { name, size, sha256 }| {
        let file = match name.split_once('/') {
            Some((directory, leaf)) => folder.folder(directory).and_then(|inner| inner.file(leaf)),
            None => folder.file(name),
        };
        let sum = file.and_then(|mut file| summed(&mut file, size + 1));
        sum.is_ok_and(|sum| hex(sum) == *sha256)
    })
}

/// Takes everything out of a copy that is not `expected` there.
fn prune(folder: &Folder, before: &str, expected: &impl Fn(&str) -> bool) -> io::Result<()> {
    for Inside { name, kind, .. } in folder.inside()? {
        let path = format!("{before}{}", name.to_string_lossy());
        match folder.folder(&*name) {
            Ok(inner) if before.is_empty() => prune(&inner, &format!("{path}/"), expected)?,
            Ok(_) => folder.remove(&*name)?,
            Err(_) if kind == FileType::RegularFile && (expected(&path) || path == FETCHED) => {}
            Err(_) => folder.remove_file(&*name)?,
        }
    }
    Ok(())
}

/// The directory of a host's bundles: its name where that is a harmless one. No two hosts share one.
fn directory_of(host: &str) -> String {
    /// Bytes of a name that stays as it is.
    const MOST: usize = 100;
    let is_harmless = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let begins_well = host.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins_well && host.len() <= MOST && host.chars().all(is_harmless) {
        host.to_owned()
    } else {
        // It has a `_`, and the others have none.
        format!("_{}", token(host))
    }
}

/// The sum of the first bytes of a file, to go on with.
fn summed(file: &mut File, bytes: u64) -> io::Result<Sha256> {
    let mut sum = Sha256::new();
    let mut rest = file.take(bytes);
    let mut chunk = vec![0; CHUNK];
    loop {
        match rest.read(&mut chunk)? {
            0 => return Ok(sum),
            read => sum.update(&chunk[..read]),
        }
    }
}

/// In hexadecimal.
pub fn hex(sum: Sha256) -> String {
    sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cannot(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::operation("fetch", path.display().to_string(), why)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::incident::layout::{CAPTURE, MANIFEST};
    use crate::time::Wall;

    const NAME: &str = "2026-11-22T14-14-20.811Z_link-down_eth0";

    /// A bundle on another host.
    struct Far(Vec<(&'static str, Vec<u8>)>);

    impl Far {
        fn usual() -> Self {
            let capture = (0..1_000).map(|byte| byte as u8).collect();
            Self(vec![
                (MANIFEST, b"{}".to_vec()),
                ("system/ip.txt", b"up".to_vec()),
                ("system/none.txt", Vec::new()),
                (CAPTURE, capture),
            ])
        }

        fn told(&self, packets: PacketShare) -> Fetched {
            let entry = |(name, content): &(&str, Vec<u8>)| FileEntry {
                name: (*name).to_owned(),
                size: content.len() as u64,
                sha256: hex(Sha256::new().chain_update(content)),
            };
            Fetched::new("b", Wall(1), packets, self.0.iter().map(entry).collect()).unwrap()
        }

        fn content(&self, piece: &Piece) -> Vec<u8> {
            let (_, content) = self.0.iter().find(|(name, _)| *name == piece.file).unwrap();
            content[piece.offset as usize..][..piece.bytes as usize].to_vec()
        }

        fn begin(&self, place: &Path) -> Result<Begun> {
            BundleCopy::begin(place, NAME, self.told(PacketShare::Full))
        }
    }

    fn copying(begun: Result<Begun>) -> BundleCopy {
        match begun {
            Ok(Begun::Copying(copy)) => *copy,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_cut_off_goes_on_where_it_stopped() {
        let directory = tempfile::tempdir().unwrap();
        let far = Far::usual();
        let mut asked = 0;
        // Killed after each few pieces.
        for _ in 0..100 {
            let mut copy = copying(far.begin(directory.path()));
            assert!(far.begin(directory.path()).unwrap_err().to_string().contains("somebody else"));
            for _ in 0..3 {
                let Some(piece) = copy.next(64) else { break };
                asked += u64::from(piece.bytes);
                copy.take(&piece.file, piece.offset, far.content(&piece)).unwrap();
            }
            if copy.is_whole() {
                let path = copy.finish().unwrap();
                for (name, content) in &far.0 {
                    assert_eq!(fs::read(path.join(name)).unwrap(), *content);
                }
                break;
            }
        }
        assert_eq!(asked, 1_004, "nothing twice");
        let there = || {
            let Ok(Begun::There(path, PacketShare::Full)) = far.begin(directory.path()) else {
                panic!("it is there")
            };
            path
        };
        let path = there();
        assert_eq!(path, directory.path().join("b").join(NAME));
        // One file that somebody changed, and one that is gone, come again, and nothing else does.
        fs::write(path.join("system/ip.txt"), "no").unwrap();
        fs::remove_file(path.join(MANIFEST)).unwrap();
        let mut copy = copying(far.begin(directory.path()));
        assert_eq!(copy.progress(), (1_000, 1_004));
        while let Some(piece) = copy.next(64) {
            copy.take(&piece.file, piece.offset, far.content(&piece)).unwrap();
        }
        copy.finish().unwrap();
        assert_eq!(fs::read(there().join("system/ip.txt")).unwrap(), b"up");
        assert_eq!(fs::read_dir(directory.path().join("b")).unwrap().count(), 1);
    }

    #[test]
    fn pieces_may_come_in_any_order_and_twice() {
        let directory = tempfile::tempdir().unwrap();
        let far = Far::usual();
        let mut copy = copying(far.begin(directory.path()));
        while !copy.is_whole() {
            let pieces: Vec<_> = std::iter::from_fn(|| copy.next(100)).collect();
            assert!(pieces.len() <= UNDER_WAY);
            assert_eq!(copy.awaited().count(), pieces.len());
            for piece in pieces.iter().rev().chain(&pieces) {
                copy.take(&piece.file, piece.offset, far.content(piece)).unwrap();
            }
        }
        copy.finish().unwrap();
    }

    #[test]
    fn a_file_that_changed_begins_anew() {
        let directory = tempfile::tempdir().unwrap();
        let mut far = Far::usual();
        let mut copy = copying(far.begin(directory.path()));
        for _ in 0..5 {
            let piece = copy.next(200).unwrap();
            copy.take(&piece.file, piece.offset, far.content(&piece)).unwrap();
        }
        drop(copy);
        // Another file of the same name, and one that was planted.
        far.0[3].1.reverse();
        fs::write(directory.path().join("b").join(format!("{NAME}.partial/evil")), "x").unwrap();
        let mut copy = copying(far.begin(directory.path()));
        assert_eq!(copy.progress(), (4, 1_004), "the others stay");
        while let Some(piece) = copy.next(200) {
            copy.take(&piece.file, piece.offset, far.content(&piece)).unwrap();
        }
        let path = copy.finish().unwrap();
        assert!(!path.join("evil").exists());
        assert_eq!(fs::read(path.join(CAPTURE)).unwrap(), far.0[3].1);
        // More of its frames are to be had than were fetched.
        let cut = far.told(PacketShare::Headers);
        fs::remove_dir_all(&path).unwrap();
        let mut copy = copying(BundleCopy::begin(directory.path(), NAME, cut));
        while let Some(piece) = copy.next(900) {
            copy.take(&piece.file, piece.offset, far.content(&piece)).unwrap();
        }
        copy.finish().unwrap();
        assert!(matches!(far.begin(directory.path()), Ok(Begun::Copying(_))));
    }

    #[test]
    fn a_hostile_host_writes_nothing_that_it_did_not_tell() {
        let directory = tempfile::tempdir().unwrap();
        let far = Far::usual();
        let mut copy = copying(far.begin(directory.path()));
        let piece = copy.next(64).unwrap();
        copy.take("../../evil", 0, vec![0; 64]).unwrap();
        copy.take(&piece.file, 7, vec![0; 64]).unwrap();
        assert_eq!(copy.progress().0, 0, "nobody asked for these");
        let longer = copy.take(&piece.file, piece.offset, vec![0; 65]).unwrap_err().to_string();
        assert!(longer.contains("65 bytes came, and 2 were asked for"), "{longer}");
        let wrong = copy.take(&piece.file, piece.offset, vec![0; 2]).unwrap_err().to_string();
        assert!(wrong.contains("not what its host told"), "{wrong}");
        drop(copy);
        // A link in place of a file, of a directory, of the bundle.
        let victim = tempfile::tempdir().unwrap();
        let partial = directory.path().join("b").join(format!("{NAME}.partial"));
        std::os::unix::fs::symlink(victim.path().join("x"), partial.join(MANIFEST)).unwrap();
        let _ = fs::remove_dir_all(partial.join("system"));
        std::os::unix::fs::symlink(victim.path(), partial.join("system")).unwrap();
        let mut copy = copying(far.begin(directory.path()));
        while let Some(piece) = copy.next(900) {
            copy.take(&piece.file, piece.offset, far.content(&piece)).unwrap();
        }
        copy.finish().unwrap();
        assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 0);

        for (name, why) in [("../../x", "no bundle is called"), ("thesis", "no bundle is called")] {
            let told = BundleCopy::begin(directory.path(), name, far.told(PacketShare::Full));
            assert!(told.unwrap_err().to_string().contains(why), "{name}");
        }
        let mut huge = far.told(PacketShare::Full);
        huge.files[3].size = i64::MAX as u64;
        let told = BundleCopy::begin(directory.path(), &format!("{NAME}-2"), huge).unwrap_err();
        assert!(told.to_string().contains("the disk has room for"), "{told}");
    }

    #[test]
    fn each_host_has_a_directory_of_its_own() {
        for (host, directory) in [
            ("r1.example.net", "r1.example.net"),
            ("..", "__2e_2e"),
            ("a b", "_a_20b"),
            ("-x", "_-x"),
            ("a/b", "_a_2fb"),
        ] {
            assert_eq!(directory_of(host), directory);
        }
    }

    proptest! {
        #[test]
        fn no_host_leaves_the_directory(host in ".{1,300}") {
            let name = directory_of(&host);
            prop_assert!(!name.contains('/') && !name.starts_with('.') && !name.is_empty());
        }
    }
}
