//! The screen: threads that ask and hear, keys, and when to draw.
//!
//! ```text
//!   top/status ── how it stands, every second ──┐
//!   top/events ── what it sees ─────────────────┴─► screen (main) ◄── keys
//!         ▲ both connect again when dashcap went away      └── snapshot ──► top/status
//! ```

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use serde_json::Value;
use signal_hook::consts::SIGTERM;

use crate::api::client::Client;
use crate::api::protocol::{Answer, Command, SnapshotWanted};
use crate::api::question::Verdict;
use crate::api::status::RecorderStatus;
use crate::error::{Error, Result};
use crate::finding::Severity;
use crate::top::{Key, Top, Wish, draw};

/// Time between two looks at how it stands, and between two tries to reach it.
const PERIOD: Duration = Duration::from_secs(1);
/// Keys are looked for this often while none comes; the screen is drawn as often at least.
const KEYS: Duration = Duration::from_millis(100);
/// News on their way to the screen; beyond it the threads wait, and dashcap counts events as missed.
const NEWS: usize = 1_024;
/// News taken before the screen is drawn again.
const BATCH: usize = 256;

/// What a thread learned.
enum News {
    Stands(Box<RecorderStatus>),
    Gone(String),
    Begin,
    Saw(Value),
    Missed(u64),
    Outcome(Result<Verdict, String>),
}

/// Shows the dashcap at the control socket `path` until the operator leaves.
///
/// # Errors
/// When nobody answers there, or this is not a terminal.
pub(super) fn run(path: &Path, severity: Option<Severity>) -> Result<()> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Error::operation("show", "dashcap top", "this is not a terminal")
            .hint("for scripts there are `dashcap status --json` and `dashcap events --json`"));
    }
    // Whoever may not ask, or asks nobody, learns it before the screen is taken.
    drop(Client::connect(path)?);
    let (tell, news) = bounded(NEWS);
    let (wish, wishes) = bounded(1);
    begin("top/status", {
        let (path, tell) = (path.to_owned(), tell.clone());
        move || look(&path, &wishes, &tell)
    })?;
    begin("top/events", {
        let path = path.to_owned();
        move || hear(&path, &tell)
    })?;
    let failed = |e: io::Error| Error::operation("use", "the terminal", e);
    let ended = Arc::new(AtomicBool::new(false));
    // SIGHUP ends it at once: there is no terminal left to restore, and none to wait for.
    signal_hook::flag::register(SIGTERM, Arc::clone(&ended)).map_err(failed)?;
    // Also restores the terminal should anything panic.
    let mut terminal = ratatui::try_init().map_err(failed)?;
    // https://no-color.org: any value but none.
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let top = Top::new(plain, severity);
    let shown = show(top, &mut terminal, &news, &wish, &ended);
    let restored = ratatui::try_restore();
    shown.and(restored).map_err(failed)
}

fn begin(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned.map(drop).map_err(|e| Error::operation("start thread", name, e))
}

/// Until somebody wants to leave.
fn show(
    mut top: Top,
    terminal: &mut DefaultTerminal,
    news: &Receiver<News>,
    wishes: &Sender<String>,
    ended: &AtomicBool,
) -> io::Result<()> {
    while !ended.load(Ordering::Relaxed) {
        news.try_iter().take(BATCH).for_each(|news| learn(&mut top, news));
        terminal.draw(|frame| draw(&top, frame))?;
        if !event::poll(KEYS)? {
            continue;
        }
        let Event::Key(pressed) = event::read()? else { continue };
        let wish = key(pressed).and_then(|key| top.key(key));
        if wish == Some(Wish::Quit) {
            break;
        }
        if let Some(Wish::Snapshot(reason)) = wish
            && wishes.try_send(reason).is_err()
        {
            top.came_of_it(Err("the one before was not answered yet".to_owned()));
        }
    }
    Ok(())
}

fn learn(top: &mut Top, news: News) {
    match news {
        News::Stands(standing) => top.stands(*standing),
        News::Gone(why) => top.is_gone(why),
        News::Begin => top.events_begin(),
        News::Saw(event) => top.saw(&event),
        News::Missed(count) => top.missed(count),
        News::Outcome(outcome) => top.came_of_it(outcome),
    }
}

fn key(pressed: KeyEvent) -> Option<Key> {
    let control = pressed.modifiers.contains(KeyModifiers::CONTROL);
    match pressed.code {
        _ if pressed.kind == KeyEventKind::Release => None,
        KeyCode::Char('c') if control => Some(Key::Interrupt),
        KeyCode::Char(c) => Some(Key::Char(c)),
        KeyCode::Up => Some(Key::Up),
        KeyCode::Down => Some(Key::Down),
        KeyCode::Enter => Some(Key::Enter),
        KeyCode::Esc => Some(Key::Escape),
        KeyCode::Backspace => Some(Key::Backspace),
        _ => None,
    }
}

/// Asks how it stands, every second, and for snapshots; ends with the screen.
fn look(path: &Path, wishes: &Receiver<String>, tell: &Sender<News>) {
    loop {
        let ended = match Client::connect(path) {
            Ok(client) => look_until_gone(client, wishes, tell),
            Err(error) => Err(error),
        };
        match ended {
            Ok(()) => return,
            Err(error) if tell.send(News::Gone(error.to_string())).is_err() => return,
            Err(_) => {}
        }
        match wishes.recv_timeout(PERIOD) {
            Ok(_) => {
                let refused = News::Outcome(Err("dashcap is not there".to_owned()));
                if tell.send(refused).is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// True only when the screen has gone.
fn look_until_gone(
    mut client: Client,
    wishes: &Receiver<String>,
    tell: &Sender<News>,
) -> Result<()> {
    loop {
        client.ask(&Command::Status {})?;
        if let Answer::Status(standing) = client.answer()?
            && tell.send(News::Stands(standing)).is_err()
        {
            return Ok(());
        }
        match wishes.recv_timeout(PERIOD) {
            Ok(reason) => {
                let wanted = SnapshotWanted { reason, ..SnapshotWanted::default() };
                let snapshot = Command::Snapshot(wanted);
                client.ask(&snapshot)?;
                if let Answer::Verdict(verdict) = client.answer()?
                    && tell.send(News::Outcome(Ok(verdict))).is_err()
                {
                    return Ok(());
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// Hears what is seen; ends with the screen.
fn hear(path: &Path, tell: &Sender<News>) {
    let mut listening = true;
    while listening {
        if let Ok(client) = Client::connect(path) {
            listening = tell.send(News::Begin).is_ok() && hear_until_gone(client, tell);
        }
        thread::sleep(PERIOD);
    }
}

/// False when the screen has gone. That dashcap has is told by the other thread.
fn hear_until_gone(mut client: Client, tell: &Sender<News>) -> bool {
    let mut answer = client.ask(&Command::Events { follow: true }).and_then(|()| client.answer());
    loop {
        let news = match answer {
            Ok(Answer::Event { event }) => News::Saw(event),
            Ok(Answer::Missed { count }) => News::Missed(count),
            Ok(_) | Err(_) => return true,
        };
        if tell.send(news).is_err() {
            return false;
        }
        answer = client.answer();
    }
}
