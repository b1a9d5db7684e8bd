//! The control socket: a UNIX stream socket for those who may administer dashcap.
//!
//! Who may: root, the user dashcap runs as, and the group the socket belongs to, as the kernel tells it
//! of each connection (SO_PEERCRED, SO_PEERGROUPS), whatever the permissions on the way were.
//!
//! One dashcap has it at a time. It holds a lock on `PATH.lock` as long as it lives, so a socket left
//! behind by one that died is known as such and replaced, and one of a living process never is. The
//! socket appears by rename, with its permissions set: nobody meets it half-made. Links that somebody puts
//! there are not followed, and pipes are not waited for.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use socket2::{Domain, SockAddr, Type};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::line::RecorderLine;
use super::peer::{Owner, Peer};
use super::session;
use crate::error::{Error, Result};

/// Where it is if systemd made no directory for us (`RuntimeDirectory=`, systemd.exec(5)).
const DIRECTORY: &str = "/run/dashcap";
/// Its name there.
const NAME: &str = "control.sock";
/// Longest path: `sun_path` has 108 bytes, the last of them zero (unix(7)), and the name under which it
/// is made has a few more than the final one.
const LONGEST: usize = 107 - PART.len();
/// Suffix while it is being made.
const PART: &str = ".new";
/// Owner and group may connect; connecting needs permission to write (unix(7)).
const MODE: u32 = 0o660;
/// The directory, if it has to be made: others may look, and find nothing they can use.
const DIRECTORY_MODE: u32 = 0o755;
/// Clients at a time. Each costs some 20 kB; those beyond wait in the backlog.
const CLIENTS: usize = 64;
/// Clients waiting to be taken.
const BACKLOG: i32 = 64;
/// Pause after a connection could not be taken, as when descriptors ran out.
const PAUSE: Duration = Duration::from_millis(100);

/// Where the control socket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Its path.
    pub path: PathBuf,
    /// True if the operator named it: then dashcap does not start without.
    pub required: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { path: default_path(), required: false }
    }
}

impl Options {
    /// At `path`, because the operator says so.
    pub fn at(path: PathBuf) -> Self {
        Self { path, required: true }
    }

    /// Refuses a path that no socket can have.
    ///
    /// # Errors
    /// [`Error::Usage`] when it is empty or too long.
    pub fn check(&self) -> Result<()> {
        let path = self.path.as_os_str();
        let reason = match path.len() {
            0 => "a path is needed, and this one is empty",
            length if length > LONGEST => "the path of a socket is at most 107 bytes",
            _ if self.path.file_name().is_none() => {
                "the path names a socket, and this is a directory"
            }
            _ => return Ok(()),
        };
        let accepted = format!("a path of at most {LONGEST} bytes, such as {DIRECTORY}/{NAME}");
        Err(Error::usage("--control", path.to_string_lossy(), reason, accepted))
    }
}

/// `$RUNTIME_DIRECTORY/control.sock` under systemd, else `/run/dashcap/control.sock`.
pub fn default_path() -> PathBuf {
    in_runtime_directory(NAME)
}

/// A name in that directory.
pub(super) fn in_runtime_directory(name: &str) -> PathBuf {
    let ours = std::env::var_os("RUNTIME_DIRECTORY").filter(|directory| !directory.is_empty());
    let all = ours.unwrap_or_else(|| DIRECTORY.into());
    // Several are separated by colons (systemd.exec(5)).
    let first = std::env::split_paths(&all).next().unwrap_or_else(|| DIRECTORY.into());
    first.join(name)
}

/// The socket, and the lock that says it is ours.
#[derive(Debug)]
pub struct Socket {
    listener: net::UnixListener,
    place: SocketFile,
}

/// Gone when dropped.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    lock: File,
}

impl Socket {
    /// Makes it; none, with a warning, if that is refused and the operator did not name it.
    ///
    /// # Errors
    /// When it is refused and the operator named it.
    pub fn open(options: &Options) -> Result<Option<Self>> {
        options.check()?;
        match Self::at(&options.path, "--control") {
            Ok(socket) => {
                tracing::info!("control socket {}", options.path.display());
                Ok(Some(socket))
            }
            Err(error) if options.required => Err(error),
            Err(error) => {
                tracing::warn!(
                    "no control socket, so `dashcap snapshot` finds nobody here: {error}"
                );
                Ok(None)
            }
        }
    }

    /// Makes one at `path`, as `option` says.
    ///
    /// # Errors
    /// When it is refused.
    pub(super) fn at(path: &Path, option: &str) -> Result<Self> {
        let hint = format!("name another with {option} PATH, or none with {option} off");
        make(path).map_err(|reason| {
            Error::operation("make socket", path.display().to_string(), reason).hint(hint)
        })
    }

    /// Registers it with the runtime that is entered.
    pub(super) fn listen(self) -> io::Result<Listener> {
        self.listener.set_nonblocking(true)?;
        Ok(Listener { listener: UnixListener::from_std(self.listener)?, place: self.place })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Still locked: what is there is ours.
        let _ = fs::remove_file(&self.path);
        // Released explicitly, since a program just being started may hold a copy (flock(2)).
        let _ = self.lock.unlock();
    }
}

fn make(path: &Path) -> Result<Socket, String> {
    let failed = |e: io::Error| e.to_string();
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(DIRECTORY_MODE).create(directory).map_err(failed)?;
    }
    let taken = "another dashcap listens there";
    let lock = with_suffix(path, ".lock");
    let lock = lock_file(&lock).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(taken.to_owned()),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    match fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => return Err("it is no socket".to_owned()),
        // Without our lock, so it is another program's; of one that died, it is refused.
        Ok(_) if net::UnixStream::connect(path).is_ok() => return Err("it is in use".to_owned()),
        Ok(_) => tracing::info!("replacing the socket of a dashcap that has died"),
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(failed(e)),
    }
    let listener = bind(path).map_err(failed)?;
    Ok(Socket { listener, place: SocketFile { path: path.to_owned(), lock } })
}

/// A regular file of that name, made if there is none.
fn lock_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600);
    let lock = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    match lock.metadata()?.is_file() {
        true => Ok(lock),
        false => Err(io::Error::other("its lock is not a regular file")),
    }
}

/// Sets the permissions of the socket at `path`, and of nothing that somebody put in its place: chmod(2) follows
/// links, and for a descriptor that is only a place (O_PATH) there is no other way (open(2)).
fn permit(path: &Path) -> io::Result<()> {
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    let place = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !place.metadata()?.file_type().is_socket() {
        return Err(io::Error::other("it is no socket"));
    }
    let place = format!("/proc/self/fd/{}", place.as_raw_fd());
    fs::set_permissions(place, Permissions::from_mode(MODE))
}

/// Bound aside, then permitted, then listening, then in its place.
fn bind(path: &Path) -> io::Result<net::UnixListener> {
    let part = with_suffix(path, PART);
    match fs::remove_file(&part) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(&part)?)?;
    let ready = || {
        permit(&part)?;
        socket.listen(BACKLOG)?;
        fs::rename(&part, path)
    };
    ready().inspect_err(|_| {
        let _ = fs::remove_file(&part);
    })?;
    Ok(socket.into())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The socket, on the runtime.
pub(super) struct Listener {
    listener: UnixListener,
    place: SocketFile,
}

impl Listener {
    /// The next client, and to whom the socket belongs now.
    pub(super) async fn accept(&self) -> io::Result<(UnixStream, Option<Owner>)> {
        let (stream, _) = self.listener.accept().await?;
        Ok((stream, Owner::of(&self.place.path)))
    }

    /// Takes clients until the runtime ends.
    pub(super) async fn serve(self, line: RecorderLine) {
        let (room, refused) = (Arc::new(Semaphore::new(CLIENTS)), Arc::new(AtomicU64::new(0)));
        loop {
            // Never closed, so never refused.
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            match self.accept().await {
                Ok((stream, owner)) => {
                    let line = line.clone();
                    let refused = Arc::clone(&refused);
                    tokio::spawn(async move {
                        match Peer::of(&stream, owner, &refused) {
                            Ok(peer) => session::serve(stream, &peer, &line).await,
                            Err(reason) => session::refuse(stream, &reason).await,
                        }
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!("cannot take a client of the control socket: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_the_user_and_the_group_may_ask() {
        let owner = Some(Owner { user: 990, group: 991 });
        for (user, groups, owner, may) in [
            (0, vec![0], owner, true),
            (990, vec![100], owner, true),
            (1_000, vec![100, 991], owner, true),
            (1_000, vec![100], owner, false),
            (991, vec![990], owner, false),
            (990, vec![991], None, false),
            (0, vec![], None, true),
        ] {
            let peer = Peer { user, groups, process: None };
            assert_eq!(peer.may(owner), may, "{peer:?}");
        }
    }

    /// F9 of the faults: the target of a dangling link was made, by root.
    #[test]
    fn a_link_or_a_pipe_in_place_of_the_lock_is_neither_followed_nor_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::os::unix::fs::symlink(at("victim"), at("a.lock")).unwrap();
        assert!(make(&at("a")).is_err());
        assert!(!at("victim").exists() && !at("a").exists());
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let pipe = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, at("b.lock"), pipe, mode, 0).unwrap();
        assert!(make(&at("b")).is_err() && make(&at("c")).is_ok());
    }

    #[test]
    fn only_a_socket_gets_the_permissions_of_one() {
        let directory = tempfile::tempdir().unwrap();
        let (victim, link) = (directory.path().join("victim"), directory.path().join("link"));
        fs::write(&victim, b"").unwrap();
        fs::set_permissions(&victim, Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        assert!(permit(&link).is_err() && permit(&victim).is_err());
        assert_eq!(fs::metadata(&victim).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn paths_no_socket_can_have_are_refused() {
        for (path, reason) in [
            (String::new(), "a path is needed"),
            ("/".to_owned(), "the path names a socket, and this is a directory"),
            ("x".repeat(LONGEST + 1), "the path of a socket is at most 107 bytes"),
        ] {
            let error = Options::at(path.into()).check().unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
        assert!(Options::at("x".repeat(LONGEST).into()).check().is_ok());
        assert!(Options::default().check().is_ok());
    }

    #[test]
    fn a_dead_ones_socket_is_replaced_a_living_ones_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/control.sock");
        let first = make(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        let refused = make(&path).unwrap_err().to_string();
        assert!(refused.contains("another dashcap listens there"), "{refused}");
        assert!(Socket::open(&Options { path: path.clone(), required: false }).unwrap().is_none());

        // As when it is killed: the lock goes with the process, the socket stays.
        let Socket { listener, place } = first;
        place.lock.unlock().unwrap();
        std::mem::forget(place);
        drop(listener);
        let second = make(&path).unwrap();
        drop(second);
        assert!(!path.exists(), "and is gone when dashcap ends");
    }

    /// Fault F9: a dangling link in place of the lock was followed, and its target made by root.
    #[test]
    fn a_link_in_place_of_the_lock_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, victim) = (directory.path().join("c.sock"), directory.path().join("victim"));
        std::os::unix::fs::symlink(&victim, directory.path().join("c.sock.lock")).unwrap();
        assert!(make(&path).is_err());
        assert!(!victim.exists());
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "precious").unwrap();
        assert!(make(&path).unwrap_err().to_string().contains("it is no socket"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let path = directory.path().join("other.sock");
        let _other = net::UnixListener::bind(&path).unwrap();
        assert!(make(&path).unwrap_err().to_string().contains("it is in use"));
    }
}
