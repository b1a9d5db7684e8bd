//! Servers to be asked, in a namespace of their own: they answer as they are told to, after as long as
//! they are told to, until dropped.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::lab::{BOUND, Namespace};

/// How soon a server notices that it was dropped.
const GLANCE: Duration = Duration::from_millis(50);

pub(super) struct Server {
    stop: Arc<AtomicBool>,
    delay: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers HTTP with this text; plain connections are just accepted.
    pub(super) fn tcp(ns: &Namespace, address: &str, answer: &'static str) -> Self {
        let address: SocketAddr = address.parse().unwrap();
        ns.inside(|| {
            let listener = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
            listener.set_reuse_address(true).unwrap();
            listener.bind(&address.into()).unwrap();
            listener.listen(64).unwrap();
            listener.set_read_timeout(Some(GLANCE)).unwrap();
            Self::serve(move |delay| {
                if let Ok((stream, _)) = listener.accept() {
                    let _ = answer_http(stream.into(), answer, delay);
                }
            })
        })
    }

    /// Sends queries back as answers with this code, to `client` if that is given.
    pub(super) fn dns(ns: &Namespace, address: &str, code: u8, client: Option<&str>) -> Self {
        let client = client.map(str::to_owned);
        ns.inside(|| {
            let socket = UdpSocket::bind(address).unwrap();
            socket.set_read_timeout(Some(GLANCE)).unwrap();
            Self::serve(move |delay| {
                let mut query = [0; 512];
                let Ok((length, from)) = socket.recv_from(&mut query) else { return };
                if client.as_ref().is_some_and(|client| *client != from.ip().to_string()) {
                    return;
                }
                thread::sleep(delay);
                (query[2], query[3]) = (query[2] | 0x80, code);
                let _ = socket.send_to(&query[..length], from);
            })
        })
    }

    /// Answers come this much later from now on.
    pub(super) fn delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap();
        self.delay.store(millis, Ordering::Relaxed);
    }

    fn serve(mut one: impl FnMut(Duration) + Send + 'static) -> Self {
        let (stop, delay) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, delayed) = (Arc::clone(&stop), Arc::clone(&delay));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                one(Duration::from_millis(delayed.load(Ordering::Relaxed)));
            }
        });
        Self { stop, delay, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Reads a request to its end, waits, and answers; a client that only connects is gone by then.
fn answer_http(mut stream: TcpStream, answer: &str, delay: Duration) -> std::io::Result<()> {
    stream.set_read_timeout(Some(BOUND))?;
    let mut request = Vec::new();
    let mut bytes = [0; 1_024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut bytes)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            length => request.extend(&bytes[..length]),
        }
    }
    thread::sleep(delay);
    stream.write_all(answer.as_bytes())
}
