//! The stories: the real `dashcap`, on a real kernel, judged by the tools its readers use.
//!
//! Unit tests beside the code prove the parts; here the parts meet. Every story makes network
//! namespaces of its own, lets something happen to a link, a probe, a disk or a clock, and reads the
//! bundle with tshark, capinfos, zstd and jq. Whatever the story is about, every bundle is checked for
//! what all bundles promise ([`lab::Bundle`]).
//!
//! Stories wait for what they need to see, with a bound; none depends on how fast the machine is.
//! Without root they say so and pass; where `DASHCAP_TESTS_MUST_RUN` is set, that is a failure.

mod api;
#[cfg(feature = "fleet")]
mod bus;
mod capture;
mod cli;
mod config;
mod cut;
mod doctor;
#[cfg(all(feature = "export", feature = "http"))]
mod export;
mod fetch;
mod fleet;
mod frames;
mod hooks;
#[cfg(feature = "http")]
mod http;
mod incident;
#[path = "../lab/incident.rs"]
mod incidents;
mod interop;
mod lab;
mod memory;
mod page;
#[cfg(feature = "http")]
mod past;
mod privilege;
#[cfg(feature = "http")]
mod prometheus;
mod recorder;
mod recovery;
mod replay;
mod report;
mod rules;
mod service;

mod spool;
mod store;
mod storm;
#[path = "../story/mod.rs"]
mod story;
mod thin;
#[cfg(feature = "top")]
mod top;
mod traffic;
mod watch;
mod watchers;
#[cfg(feature = "web")]
mod web;
mod wireshark;
