//! The only unsafe code: what the kernel offers and no safe crate does. Each file owns its resource
//! at once and gives out a safe type.
#![allow(unsafe_code, reason = "this folder is where the safe types are made")]

pub mod attribute;
pub mod child;
pub mod descriptors;
pub mod discipline;
pub(crate) mod drops;
pub mod ethtool;
pub(crate) mod file_system;
pub mod heap;
pub mod kernel_log;
pub mod landlock;
pub mod link_address;
pub mod locked_file;
pub(crate) mod packet_block;
pub(crate) mod packet_ring;
pub(crate) mod packet_socket;
pub mod pages;
pub mod peer;
pub mod poll;
pub mod priority;
pub mod signal;
pub mod socket;
pub mod space;
pub mod wakeup;
