//! The operator's own programs: hooks, which act when a window is safe or a bundle is whole, and
//! collectors, which tell of the host while it is failing.
//!
//! ```text
//!   recorder ── asks by name ──► thread ─► pipe ─► runner (another process, privileges of the start)
//!      ▲                                             ├─► hook, in a process group of its own
//!      └─ outputs, observations ◄─ watch/hook ◄─ pipe └─► collectors, side by side
//! ```
//!
//! What holds:
//!
//! * Evidence comes first: nothing is asked before the frames are pinned, and neither capture nor a
//!   freeze nor the disk ever waits for a program. A bundle waits a moment for what its own programs
//!   say, as it does for the rest of `system/`.
//! * Every program ends: in time, or it is ended with all that it started; and when dashcap ends, however
//!   that happens, nothing it ran stays.
//! * Each beginning, end and refusal is an observation, with the reason.
//! * dashcap can only ask for what its runner was told at the start, so hooks that change in the
//!   configuration need a restart.

mod allowance;
mod collectors;
mod context;
mod hooks;
mod message;
pub mod options;
mod pending;
mod program;
mod replies;
pub mod runner;

pub use hooks::{Hooks, Runner};
pub use options::{CommandLine, Hook, Options, Pattern, When};
pub use pending::{OutputFile, Pending};
pub use replies::AnswerWatcher;
