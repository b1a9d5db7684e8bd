//! A bundle of this host that is being fetched: opened once, by descriptors, and read piece by piece.
//!
//! Who asks may be anybody. It promises: only files that the manifest lists are read, below the store and through no
//! link; frames go as far as the operator lets them, and where they are cut, the copy that goes has no name on the disk
//! and is gone with the fetch.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process;

use sha2::{Digest, Sha256};

use super::copy::hex;
use super::{Piece, headers};
use crate::incident::fetched::{MOST_FILES, is_bundle_name, is_file_name};
use crate::incident::folder::Folder;
use crate::incident::layout::{CAPTURE, MANIFEST, SIGNATURE};
use crate::incident::manifest::FileEntry;
use crate::incident::manifest::read;
use crate::observation::fetch::PacketShare;

/// Bytes of a signature at most: one of ssh-keygen has some 300, a chain of certificates a few thousand.
const LONGEST_SIGNATURE: u64 = 64 << 10;
/// Room on the disk that a copy with cut frames leaves.
const RESERVE: u64 = 64 << 20;

/// A bundle that is open.
#[derive(Debug)]
pub struct OpenBundle {
    store: Folder,
    folder: Folder,
    packets: PacketShare,
    files: Vec<FileEntry>,
    /// What goes instead of the capture.
    cut: Option<File>,
}

impl OpenBundle {
    /// Opens the bundle `name` in `store`, of whose frames `packets` go.
    ///
    /// # Errors
    /// Why it cannot be fetched, for who asks.
    pub fn open(store: &Path, name: &str, packets: PacketShare) -> Result<Self, String> {
        if !is_bundle_name(name) {
            return Err("no bundle is called that".to_owned());
        }
        let gone = |_| "there is no such bundle any more".to_owned();
        let store = Folder::named(store).map_err(gone)?;
        let folder = store.folder(name).map_err(gone)?;
        let manifest = read::text(&folder).map_err(gone)?;
        let mut files = read::parse(&manifest)?.files;
        files.retain(|file| is_file_name(&file.name) && file.name != MANIFEST);
        files.retain(|file| packets != PacketShare::Never || file.name != CAPTURE);
        files.truncate(MOST_FILES - 2);
        files.push(entry(MANIFEST, &manifest));
        files.extend(signature(&folder).map(|text| entry(SIGNATURE, &text)));
        // What explains comes before what takes long.
        files.sort_by_key(|file| file.name == CAPTURE);
        Ok(Self { store, folder, packets, files, cut: None })
    }

    /// What of its frames goes.
    pub fn packets(&self) -> PacketShare {
        self.packets
    }

    /// Its files, as they go.
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// Bytes of them.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).fold(0, u64::saturating_add)
    }

    /// The capture, if it has to be cut before anything goes.
    pub fn to_cut(&self) -> Option<&FileEntry> {
        let is_cut = self.packets != PacketShare::Headers || self.cut.is_some();
        self.files.iter().find(|file| !is_cut && file.name == CAPTURE)
    }

    /// Cuts its frames, telling how many bytes of the capture were read, while `go_on` says so.
    ///
    /// # Errors
    /// Why it could not be done.
    pub fn cut(&mut self, go_on: impl FnMut(u64) -> bool) -> Result<(), String> {
        let Some(at) = self.files.iter().position(|file| file.name == CAPTURE) else {
            return Ok(());
        };
        let size = self.files[at].size;
        let failed = |error: std::io::Error| format!("its frames cannot be cut: {error}");
        let room = self.store.room().map_err(failed)?;
        if room < size.saturating_add(RESERVE) {
            return Err("its frames cannot be cut: there is no room on the disk".to_owned());
        }
        let whole = self.folder.file(CAPTURE).map_err(failed)?;
        let into = self.store.unnamed(&format!(".fetch-{}", process::id())).map_err(failed)?;
        let (into, size, sum) = headers::cut(whole, into, size, go_on)?;
        let name = CAPTURE.to_owned();
        self.files[at] = FileEntry { name, size, sha256: hex(sum) };
        self.cut = Some(into);
        Ok(())
    }

    /// Reads a piece.
    ///
    /// # Errors
    /// Why there is no such one, for who asks.
    pub fn read(&self, piece: &Piece) -> Result<Vec<u8>, String> {
        let Piece { file: name, offset, bytes } = piece;
        let file =
            self.files.iter().find(|file| file.name == *name).ok_or("it has no such file")?;
        let end = offset.checked_add(u64::from(*bytes)).filter(|end| *end <= file.size);
        if end.is_none() {
            return Err(format!("{name} has {} bytes", file.size));
        }
        let gone = |_| format!("{name} is gone, or is not what it was");
        let mut data = vec![0; *bytes as usize];
        match &self.cut {
            Some(cut) if name == CAPTURE => cut.read_exact_at(&mut data, *offset),
            _ => self.opened(name).and_then(|file| file.read_exact_at(&mut data, *offset)),
        }
        .map_err(gone)?;
        Ok(data)
    }

    fn opened(&self, name: &str) -> std::io::Result<File> {
        match name.split_once('/') {
            Some((directory, leaf)) => self.folder.folder(directory)?.file(leaf),
            None => self.folder.file(name),
        }
    }
}

/// Whoever vouches for the manifest, if somebody does.
fn signature(folder: &Folder) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    folder.file(SIGNATURE).ok()?.take(LONGEST_SIGNATURE + 1).read_to_end(&mut text).ok()?;
    Some(text).filter(|text| text.len() as u64 <= LONGEST_SIGNATURE)
}

fn entry(name: &str, content: &[u8]) -> FileEntry {
    let sha256 = hex(Sha256::new().chain_update(content));
    FileEntry { name: name.to_owned(), size: content.len() as u64, sha256 }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::incident::bundle;
    use crate::incident::fixture::{MONO, Story, frame, origin};
    use crate::incident::pcapng::Level;
    use crate::incident::store::Store;
    use crate::time::Mono;

    const SECRET: [u8; 700] = [b'S'; 700];

    fn written(place: &Path) -> String {
        let origin = Arc::new(origin("eth0", 1));
        // Ethernet, IPv4, UDP, and what nobody else is to read.
        let mut bytes = vec![2; 12];
        bytes.extend([8, 0, 0x45, 0, 2, 0xd8, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend([0, 53, 0, 53, 2, 0xc4, 0, 0]);
        bytes.extend(SECRET);
        let frames = (0..50).map(|n| frame(&origin, Mono(MONO + n), &bytes)).collect();
        let incident = Story::new().track_of(origin.clone(), frames).incident();
        let store = Store::open(place, 0).unwrap();
        let bundle = bundle::write(&store, &incident, Level::default()).unwrap();
        bundle.path.file_name().unwrap().to_string_lossy().into_owned()
    }

    fn all_of(bundle: &OpenBundle, name: &str) -> Vec<u8> {
        let size = bundle.files().iter().find(|file| file.name == name).unwrap().size;
        let piece = Piece { file: name.to_owned(), offset: 0, bytes: size as u32 };
        bundle.read(&piece).unwrap()
    }

    #[test]
    fn frames_go_as_far_as_they_may() {
        let directory = tempfile::tempdir().unwrap();
        let name = written(directory.path());
        let open = |packets| OpenBundle::open(directory.path(), &name, packets).unwrap();
        let [never, mut headers, full] =
            [PacketShare::Never, PacketShare::Headers, PacketShare::Full].map(open);
        assert!(never.files().iter().all(|file| file.name != CAPTURE) && never.to_cut().is_none());
        assert_eq!(full.files().last().unwrap().name, CAPTURE);
        assert!(full.to_cut().is_none() && headers.to_cut().is_some());
        let mut read = 0;
        headers
            .cut(|now| {
                read = now;
                true
            })
            .unwrap();
        assert!(headers.to_cut().is_none());
        let unpacked =
            |bundle: &OpenBundle| zstd::decode_all(&all_of(bundle, CAPTURE)[..]).unwrap();
        let has = |bytes: &[u8], length: usize| {
            bytes.windows(length).any(|part| *part == SECRET[..length])
        };
        assert!(has(&unpacked(&full), 700) && !has(&unpacked(&headers), 60));
        for bundle in [&never, &headers, &full] {
            for file in bundle.files() {
                let sum = hex(Sha256::new().chain_update(all_of(bundle, &file.name)));
                assert_eq!(sum, file.sha256, "{}", file.name);
            }
        }
        // The same again has the same sum: an interrupted fetch goes on with it.
        let mut again = open(PacketShare::Headers);
        again.cut(|_| true).unwrap();
        assert_eq!(again.files(), headers.files());
        assert!(open(PacketShare::Headers).cut(|_| false).unwrap_err().contains("nobody"));
        let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().flatten().collect();
        assert_eq!(left.len(), 2, "the bundle and the record: {left:?}");
    }

    #[test]
    fn nothing_but_the_files_of_a_bundle_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let name = written(directory.path());
        for wrong in [
            "",
            ".",
            "..",
            "/etc",
            "manifests.sha256",
            &format!("{name}/system"),
            &format!("{name}/."),
        ] {
            assert!(
                OpenBundle::open(directory.path(), wrong, PacketShare::Full).is_err(),
                "{wrong}"
            );
        }
        let bundle = OpenBundle::open(directory.path(), &name, PacketShare::Never).unwrap();
        let piece = |file: &str, offset, bytes| Piece { file: file.to_owned(), offset, bytes };
        for wrong in [
            piece(CAPTURE, 0, 1),
            piece("../manifests.sha256", 0, 1),
            piece("/etc/passwd", 0, 1),
            piece(MANIFEST, u64::MAX, 1),
            piece(MANIFEST, 0, u32::MAX),
        ] {
            assert!(bundle.read(&wrong).is_err(), "{wrong:?}");
        }
        let path = directory.path().join(&name).join("events.jsonl");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path).unwrap();
        assert!(bundle.read(&piece("events.jsonl", 0, 1)).unwrap_err().contains("is gone"));
    }
}
