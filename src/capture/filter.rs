//! Which frames to capture, in libpcap's language (pcap-filter(7)).
//!
//! The same words need two programs. The kernel strips the outer VLAN tag before it runs a filter, so
//! there `vlan` must ask the ring header (ancillary loads); libpcap compiles that only on a handle
//! that is live. Compiled on a dead handle, `vlan` looks into the payload, which is right after the
//! tag was put back, in user space.
//!
//! ```text
//!   wire ─► kernel strips tag ─► [kernel program] ─► ring ─► tag put back ─► [user program] ─► sink
//!                                 compiled live                              compiled dead
//! ```
//!
//! One difference remains, and it is the one tcpdump has: `port 1434` without `vlan` also matches a
//! frame whose only tag the kernel stripped, and not where the tag is in place (frames sent with it,
//! the user program). Who means tagged frames says `vlan`, who means both `port 1434 or (vlan and port
//! 1434)`, which is right in every place.
//!
//! It promises that an expression accepted by [`Filter::parse`] has been understood by libpcap, and
//! never runs a program of one kind in the other place.

use std::fmt;

use ::pnet::datalink::{self, NetworkInterface};
use pcap::{Active, BpfInstruction, BpfProgram, Capture, Linktype};

use super::Interface;
use crate::error::{Error, Result};
use crate::frame::{Frame, LinkType};
use crate::sys::packet_socket::{Instruction, RETURN};

/// How many other interfaces are tried when libpcap cannot open the one to filter; each try opens a
/// socket with a ring, and the user-space program is always there.
const LIVE_TRIES: usize = 8;
/// Bytes per frame of the live handle, which never reads one; small, so that its ring is.
const LIVE_SNAPLEN: i32 = 64;
/// Its ring, in bytes.
const LIVE_BUFFER: i32 = 1 << 16;
/// `DLT_RAW` of Linux's libpcap, where capture files say `LINKTYPE_RAW` 101 (pcap/dlt.h).
const DLT_RAW: i32 = 12;
/// Loopback of the BSDs: a word with the address family before the packet, in the byte order of who captured
/// or, of the second, in the network's (LINKTYPE_NULL, LINKTYPE_LOOP).
const NULL: LinkType = LinkType(0);
const LOOP: LinkType = LinkType(108);
/// `AF_INET6` of those who write such files: NetBSD and OpenBSD, FreeBSD, macOS (gencode.c).
const FAMILIES_V6: [u32; 3] = [24, 28, 30];
/// `BPF_CLASS(code)` (linux/bpf_common.h).
const CLASS: u16 = 0x07;
/// `BPF_LD`: loads that can reach what is not in the frame.
const LOAD: u16 = 0x00;
/// `BPF_MODE(code)`; `BPF_ABS`.
const MODE: u16 = 0xe0;
const ABSOLUTE: u16 = 0x20;
/// Absolute loads from here on ask the kernel, not the frame (linux/filter.h).
const ANCILLARY: u32 = libc::SKF_AD_OFF.cast_unsigned();

/// An expression that libpcap understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(String);

impl Filter {
    /// Reads an expression such as `vlan 956 and port 1434`; an empty one matches every frame.
    ///
    /// # Errors
    /// Wrong usage, with libpcap's own words, when the expression fits no link type dashcap knows.
    pub fn parse(expression: &str) -> Result<Self> {
        let filter = Self(expression.to_owned());
        let others = [LinkType::RAW, LinkType::RADIOTAP, LinkType::NETLINK];
        filter.compile_dead(LinkType::ETHERNET).or_else(|ethernet| {
            let fitting = others.into_iter().find_map(|other| filter.compile_dead(other).ok());
            fitting.ok_or(ethernet)
        })?;
        Ok(filter)
    }

    /// The program for the kernel, keeping `snaplen` bytes of what matches; none where libpcap cannot
    /// make one now, because neither the interface nor another of its kind is up.
    pub(super) fn for_kernel(
        &self,
        interface: &Interface,
        link_type: LinkType,
        snaplen: u32,
    ) -> Option<Vec<Instruction>> {
        // The kernel shows a netlink message without the header that libpcap counts from.
        if link_type == LinkType::NETLINK {
            return None;
        }
        let others = datalink::interfaces().into_iter().filter(NetworkInterface::is_up);
        let names = others.map(|other| other.name).filter(|name| *name != interface.name);
        let handle = std::iter::once(interface.name.clone())
            .chain(names.take(LIVE_TRIES))
            .find_map(|name| live(&name, link_type))?;
        let program = handle.compile(&self.0, true).ok()?;
        kernel_program(&program, snaplen)
    }

    /// The program for user space.
    ///
    /// # Errors
    /// Wrong usage when the expression does not fit the link type, or asks what only the kernel knows
    /// (`inbound`, `outbound`).
    pub fn for_user_space(&self, link_type: LinkType) -> Result<UserFilter> {
        let program = self.compile_dead(link_type)?;
        let asks_kernel = |i: Instruction| {
            i.code & CLASS == LOAD && i.code & MODE == ABSOLUTE && i.k >= ANCILLARY
        };
        if instructions(&program).is_none_or(|all| all.into_iter().any(asks_kernel)) {
            return Err(self.refused(
                "it asks for the direction or another fact that only the kernel knows, and the \
                 filter has to run in user space here",
            ));
        }
        let is_loopback = [NULL, LOOP].contains(&link_type);
        let family = is_loopback.then_some(link_type);
        Ok(UserFilter { program, family, scratch: Vec::new() })
    }

    fn compile_dead(&self, link_type: LinkType) -> Result<BpfProgram> {
        Capture::dead(dlt(link_type))
            .and_then(|handle| handle.compile(&self.0, true))
            .map_err(|error| self.refused(words(&error)))
    }

    fn refused(&self, reason: impl Into<String>) -> Error {
        let accepted = "a libpcap filter, see pcap-filter(7), such as \"vlan 956 and port 1434\"";
        Error::usage("--filter", &self.0, reason, accepted)
    }
}

/// As it was typed.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A program that judges whole frames, with their VLAN tags.
pub struct UserFilter {
    program: BpfProgram,
    /// Of frames that begin with a BSD's address family: their link type.
    family: Option<LinkType>,
    /// The frame in one piece; grows to the longest frame once.
    scratch: Vec<u8>,
}

impl UserFilter {
    /// True if the frame matches. Copies it only when it is in pieces, or begins with a family of another
    /// system: a program compiled here asks for this one's.
    #[inline]
    pub fn accepts(&mut self, frame: &Frame<'_>) -> bool {
        let [first, rest @ ..] = frame.parts;
        if self.family.is_none() && rest.iter().all(|part| part.is_empty()) {
            return self.program.filter(first);
        }
        self.scratch.clear();
        for part in frame.parts {
            self.scratch.extend_from_slice(part);
        }
        if let (Some(link_type), Some(word)) = (self.family, self.scratch.first_chunk_mut()) {
            *word = as_here(link_type, *word);
        }
        self.program.filter(&self.scratch)
    }
}

/// The word of an address family as this system has it, whichever wrote it.
fn as_here(link_type: LinkType, word: [u8; 4]) -> [u8; 4] {
    let families = [u32::from_be_bytes(word), u32::from_le_bytes(word)];
    let is = |known: &[u32]| families.iter().any(|family| known.contains(family));
    let family = if is(&FAMILIES_V6) {
        libc::AF_INET6.cast_unsigned()
    } else if is(&[libc::AF_INET.cast_unsigned()]) {
        libc::AF_INET.cast_unsigned()
    } else {
        return word;
    };
    if link_type == LOOP { family.to_be_bytes() } else { family.to_ne_bytes() }
}

impl fmt::Debug for UserFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserFilter").finish_non_exhaustive()
    }
}

/// A live handle whose frames begin with `link_type`; libpcap opens some interfaces (PPP) in its
/// cooked mode, where offsets differ from ours.
fn live(interface: &str, link_type: LinkType) -> Option<Capture<Active>> {
    let inactive = Capture::from_device(interface).ok()?;
    let handle = inactive.snaplen(LIVE_SNAPLEN).buffer_size(LIVE_BUFFER).open().ok()?;
    (handle.get_datalink() == dlt(link_type)).then_some(handle)
}

/// libpcap's number for a link type: `DLT_*`, not `LINKTYPE_*`.
fn dlt(link_type: LinkType) -> Linktype {
    Linktype(if link_type == LinkType::RAW { DLT_RAW } else { link_type.0.into() })
}

/// The compiled program with every accepting end changed from the handle's snaplen to ours.
fn kernel_program(program: &BpfProgram, snaplen: u32) -> Option<Vec<Instruction>> {
    let mut instructions = instructions(program)?;
    for instruction in &mut instructions {
        if instruction.code == RETURN && instruction.k != 0 {
            instruction.k = snaplen;
        }
    }
    Some(instructions)
}

/// The crate shows an instruction only as text: "code jt jf k" in decimal, as `tcpdump -ddd` does.
fn instructions(program: &BpfProgram) -> Option<Vec<Instruction>> {
    program.get_instructions().iter().map(instruction).collect()
}

fn instruction(shown: &BpfInstruction) -> Option<Instruction> {
    let shown = shown.to_string();
    let mut numbers = shown.split(' ');
    Some(Instruction {
        code: numbers.next()?.parse().ok()?,
        jump_true: numbers.next()?.parse().ok()?,
        jump_false: numbers.next()?.parse().ok()?,
        k: numbers.next()?.parse().ok()?,
    })
}

/// libpcap's message without the crate's "libpcap error".
fn words(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(message) => message.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameHeader;

    /// An Ethernet frame with these tags, then IPv4 and UDP to port 1434.
    fn udp_1434(tags: &[[u8; 4]]) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        frame.extend(tags.concat());
        frame.extend([8, 0, 0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend([4, 0, 0x05, 0x9a, 0, 12, 0, 0, 1, 2, 3, 4]);
        frame
    }

    const VID_956: [u8; 4] = [0x81, 0, 3, 0xbc];

    #[test]
    fn user_space_sees_the_tag_that_was_put_back() {
        let outer = [0x88, 0xa8, 0, 100];
        let inner = [0x81, 0, 0, 200];
        for (expression, tags, expected) in [
            ("vlan 956 and port 1434", &[VID_956][..], true),
            ("vlan 957 and port 1434", &[VID_956], false),
            ("vlan 956 and port 1435", &[VID_956], false),
            ("vlan 956", &[], false),
            ("port 1434", &[], true),
            ("port 1434", &[VID_956], false),
            ("vlan 100 and vlan 200 and udp", &[outer, inner], true),
            ("vlan 100 and vlan 201", &[outer, inner], false),
            ("", &[], true),
        ] {
            let mut filter =
                Filter::parse(expression).unwrap().for_user_space(LinkType::ETHERNET).unwrap();
            let bytes = udp_1434(tags);
            let whole = Frame::whole(FrameHeader::default(), &bytes);
            assert_eq!(filter.accepts(&whole), expected, "{expression}, whole");
            let parts = [&bytes[..12], &bytes[12..16], &bytes[16..]];
            let pieces = Frame { parts, ..whole };
            assert_eq!(filter.accepts(&pieces), expected, "{expression}, in pieces");
        }
    }

    #[test]
    fn loopback_captures_of_every_bsd_are_filtered() {
        let mut v6 = vec![0x60, 0, 0, 0, 0, 8, 17, 64];
        v6.resize(40, 1);
        v6.extend([4, 0, 0x05, 0x9a, 0, 8, 0, 0]);
        let v4 = &udp_1434(&[])[14..];
        let mut checked = 0;
        for link_type in [NULL, LOOP] {
            let accepts = |expression: &str, word: [u8; 4], packet: &[u8]| {
                let filter = Filter::parse(expression).unwrap();
                let bytes = [&word[..], packet].concat();
                let frame = Frame::whole(FrameHeader::default(), &bytes);
                filter.for_user_space(link_type).unwrap().accepts(&frame)
            };
            for family in [24_u32, 28, 30] {
                let orders = [family.to_be_bytes(), family.to_le_bytes()];
                for word in orders {
                    assert!(accepts("ip6 and port 1434", word, &v6), "{link_type:?} {word:?}");
                    assert!(!accepts("ip", word, &v6) && !accepts("ip6 and tcp", word, &v6));
                    checked += 1;
                }
            }
            for word in [2_u32.to_be_bytes(), 2_u32.to_le_bytes()] {
                assert!(accepts("ip and port 1434", word, v4) && !accepts("ip6", word, v4));
            }
        }
        assert_eq!(checked, 12);
    }

    #[test]
    fn bad_expressions_are_refused_in_libpcaps_words() {
        for expression in ["port port", "vlan 4096 xor", "host", "a\0b"] {
            let error = Filter::parse(expression).unwrap_err();
            assert_eq!(error.exit_status(), 2, "{expression}");
            let text = error.to_string();
            assert!(text.contains("pcap-filter(7)"), "{text}");
        }
        let text = Filter::parse("port port").unwrap_err().to_string();
        assert!(text.contains("syntax error"), "{text}");
    }

    #[test]
    fn what_only_the_kernel_knows_is_refused_in_user_space() {
        let filter = Filter::parse("inbound and port 1434").unwrap();
        let error = filter.for_user_space(LinkType::ETHERNET).unwrap_err();
        assert!(error.to_string().contains("only the kernel knows"), "{error}");
        assert!(Filter::parse("wlan type mgt").is_ok(), "fits radiotap only");
    }

    #[test]
    fn accepting_ends_keep_our_snaplen() {
        let program = Filter::parse("ip or arp").unwrap().compile_dead(LinkType::ETHERNET).unwrap();
        let kernel = kernel_program(&program, 96).unwrap();
        let ends: Vec<u32> = kernel.iter().filter(|i| i.code == RETURN).map(|i| i.k).collect();
        assert!(ends.contains(&96) && ends.contains(&0) && ends.len() == 2, "{ends:?}");
        assert!(kernel.iter().any(|i| i.k == 0x0806), "{kernel:?}");
    }
}
