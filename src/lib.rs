//! dashcap: a dashcam for network interfaces.

pub mod capture;
pub mod cli;
pub mod error;
pub mod frame;
pub mod incident;
pub mod recorder;
pub mod ring;
pub mod stats;
pub mod sys;
pub mod time;
pub mod trigger;
pub mod watch;
pub mod wire;
