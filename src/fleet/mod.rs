//! One failure freezes every recorder that saw it, and one person reads what all of them kept.
//!
//! What hosts say to each other are a [`notice::Notice`], which asks for the seconds around a moment, and a
//! [`answer::HostAnswer`], which tells what became of that. Neither carries frames.

pub mod answer;
mod fields;
pub mod notice;
pub mod token;
