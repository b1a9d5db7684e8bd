//! A real nats-server on loopback: at a port of its own, with TLS and permissions, stopped and started as a story wants.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use dashcap::fleet::permissions;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::lab::{BINARY, needs, until};

/// The password of everybody.
pub(super) const PASSWORD: &str = "story-password";

pub(super) struct Server {
    pub(super) directory: TempDir,
    pub(super) port: u16,
    /// The network namespace it lives in; none = that of the tests.
    space: Option<String>,
    child: Option<Child>,
    starts: usize,
}

impl Server {
    /// Ready to be started; none, and that is told, where the program is missing.
    pub(super) fn prepared(recorders: &[&str], persons: &[&str]) -> Option<Self> {
        if !needs("nats-server") || !needs("openssl") {
            return None;
        }
        let directory = tempfile::tempdir().expect("a directory");
        // Nobody else takes it in the moment until the server does.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = port.expect("a port").port();
        let server = Self { port, directory, space: None, child: None, starts: 0 };
        server.certify();
        let owned =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let users = permissions::snippet("edge", &owned(recorders), &owned(persons));
        let users =
            users.replace("jetstream {}", "").replace("\"PASSWORD\"", &format!("{PASSWORD:?}"));
        let path = |name: &str| server.path(name).display().to_string();
        let text = format!(
            "host: 127.0.0.1\nport: {}\nlog_file: {:?}\njetstream {{ store_dir: {:?} }}\nallow_non_tls: true\n\
             tls {{ cert_file: {:?}, key_file: {:?} }}\n{users}",
            server.port,
            path("log"),
            path("store"),
            path("server.pem"),
            path("server.key"),
        );
        fs::write(server.path("nats.conf"), text).expect("it can be written");
        fs::write(server.path("password"), PASSWORD).expect("it can be written");
        Some(server)
    }

    /// The same, in the network namespace `space`.
    pub(super) fn within(self, space: &str) -> Self {
        let mut server = self;
        server.space = Some(space.to_owned());
        server
    }

    /// `program`, where the server is; `ip netns exec` becomes what it runs.
    fn program(&self, program: &str) -> Command {
        let Some(space) = &self.space else { return Command::new(program) };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", space, program]);
        command
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// An authority, and a certificate of it for this host.
    fn certify(&self) {
        let make = |arguments: &str| {
            let mut openssl = Command::new("openssl");
            openssl
                .current_dir(self.directory.path())
                .args(arguments.split(' '))
                .stderr(Stdio::null());
            assert!(openssl.status().expect("openssl runs").success(), "openssl {arguments}");
        };
        let key = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
        make(&format!("{key} -subj /CN=authority -keyout ca.key -out ca.pem"));
        let signed = "-CA ca.pem -CAkey ca.key -addext subjectAltName=IP:127.0.0.1";
        let leaf = "-addext basicConstraints=critical,CA:FALSE";
        make(&format!("{key} -subj /CN=server {signed} {leaf} -keyout server.key -out server.pem"));
    }

    /// Starts it, and waits until it takes connections.
    pub(super) fn start(&mut self) {
        let child = self.program("nats-server").arg("-c").arg(self.path("nats.conf")).spawn();
        self.child = Some(child.expect("nats-server starts"));
        self.starts += 1;
        let said = || fs::read_to_string(self.path("log")).unwrap_or_default();
        let is_ready = || said().matches("Server is ready").count() == self.starts;
        until("the server is ready", || is_ready().then_some(()));
    }

    pub(super) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill(Pid::from_raw(child.id().cast_signed()), signal).expect("it is ours");
    }

    /// Kills it, as a crash would.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// `[fleet]` for `host`, with further keys.
    pub(super) fn configuration(&self, host: &str, more: &str) -> String {
        let path = |name: &str| self.path(name).display().to_string();
        format!(
            "[fleet]\nname = \"edge\"\nservers = [\"tls://127.0.0.1:{}\"]\nca_file = {:?}\n\
             password_file = {:?}\nhost = {host:?}\nuser = {host:?}\n{more}\n",
            self.port,
            path("ca.pem"),
            path("password")
        )
    }

    /// What `dashcap fleet ARGUMENTS` prints, asked by `noc`.
    pub(super) fn asked(&self, arguments: &[&str]) -> String {
        let file = self.path("noc.toml");
        fs::write(&file, self.configuration("noc", "")).expect("it can be written");
        let place = ["fleet", "--as", "noc", "-c", file.to_str().expect("text")];
        let asked = self.program(BINARY).args(place).args(arguments).output().expect("it runs");
        let told = String::from_utf8_lossy(&asked.stderr);
        assert!(asked.status.success(), "dashcap fleet {arguments:?}: {told}");
        String::from_utf8(asked.stdout).expect("text")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(self.path("log")).unwrap_or_default());
        }
        self.kill();
    }
}
