//! Bytes and their meaning, both ways. What comes from the wire may be anything: readers here return
//! nothing rather than panic, and never read past what they were given.

pub mod control;
pub mod headers;
pub mod icmp;
