//! The bytes of an rtnetlink message about a link, and the [`LinkState`] they mean.
//!
//! It promises a whole state or none: half a state would look like a change. It never panics.

use netlink_packet_core::{NlasIterator, ParseableParametrized};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::{LinkAttribute, LinkHeader, State};

use super::role;
use crate::observation::link::{LinkState, OperState};

/// `struct ifinfomsg` (linux/rtnetlink.h) in bytes; attributes follow. Bytes 2 and 3 are the hardware
/// type, which the packet crate folds into those it has names for.
const IFINFOMSG: usize = 16;
const IFINFOMSG_TYPE: std::ops::Range<usize> = 2..4;

/// The state that an `RTM_NEWLINK` tells; none for one that tells no whole state, as wireless events
/// do (net/wireless/wext-core.c sends the name and nothing else). Attributes are read one by one, so
/// that an odd one costs itself and not the message.
pub(in crate::watch) fn read_state(payload: &[u8]) -> Option<LinkState> {
    let header = link_header(payload)?;
    let mut state = LinkState {
        index: header.index,
        flags: header.flags.bits(),
        hardware: u16::from_ne_bytes(payload.get(IFINFOMSG_TYPE)?.try_into().ok()?),
        ..LinkState::default()
    };
    let (mut operstate, mut elsewhere) = (None, false);
    for attribute in NlasIterator::new(payload.get(IFINFOMSG..)?).map_while(Result::ok) {
        match LinkAttribute::parse_with_param(&attribute, AddressFamily::Unspec) {
            Ok(LinkAttribute::IfName(name)) => state.name = name,
            Ok(LinkAttribute::OperState(told)) => operstate = Some(told),
            Ok(LinkAttribute::Carrier(carrier)) => state.carrier = Some(carrier != 0),
            Ok(LinkAttribute::Mtu(mtu)) => state.mtu = mtu,
            Ok(LinkAttribute::Controller(master)) => state.master = some_index(master),
            Ok(LinkAttribute::Link(lower)) => state.lower = some_index(lower),
            Ok(LinkAttribute::LinkNetNsId(_)) => elsewhere = true,
            Ok(LinkAttribute::CarrierUpCount(count)) => state.carrier_up_count = Some(count),
            Ok(LinkAttribute::CarrierDownCount(count)) => state.carrier_down_count = Some(count),
            Ok(LinkAttribute::ParentDevName(_)) => state.physical = true,
            Ok(LinkAttribute::Address(address)) => state.address = role::ethernet(&address),
            Ok(LinkAttribute::LinkInfo(infos)) => role::read(infos, &mut state),
            _ => {}
        }
    }
    state.operstate = operstate.map(OperState::from)?;
    if state.name.is_empty() {
        return None;
    }
    if elsewhere {
        // An index in another network namespace names another interface here, or none.
        state.lower = None;
    }
    if !state.admin_up() {
        // The driver has not looked; what the attribute says is what it was (sysfs answers EINVAL).
        state.carrier = None;
    }
    Some(state)
}

/// The header of a message about a link itself. A bridge announces its ports under the same message
/// types with a family of its own (`br_ifinfo_notify()`, net/bridge/br_netlink.c), and a port that
/// leaves a bridge is not removed.
pub(in crate::watch) fn link_header(payload: &[u8]) -> Option<LinkHeader> {
    let header = LinkHeader::parse(payload).ok()?;
    (header.interface_family == AddressFamily::Unspec).then_some(header)
}

/// Zero is no interface.
fn some_index(index: u32) -> Option<u32> {
    (index != 0).then_some(index)
}

impl From<State> for OperState {
    fn from(state: State) -> Self {
        match state {
            State::NotPresent => Self::NotPresent,
            State::Down => Self::Down,
            State::LowerLayerDown => Self::LowerLayerDown,
            State::Testing => Self::Testing,
            State::Dormant => Self::Dormant,
            State::Up => Self::Up,
            // RFC 2863 has no further state, and the kernel would show a new one as unknown too.
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_without_a_whole_state_is_none() {
        /// A netlink attribute (linux/netlink.h): length, type, value, padding.
        fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
            let length = u16::try_from(4 + value.len()).unwrap();
            let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        }
        let (name, operstate) = (attribute(3, b"wlan0\0"), attribute(16, &[6]));
        let broken_stats = attribute(26, &[0xff; 3]);
        let mut header = [0; IFINFOMSG];
        header[2] = 1;
        header[4] = 5;
        let whole = [&header[..], &broken_stats, &name, &operstate].concat();
        let state = read_state(&whole).unwrap();
        assert_eq!((state.index, state.name.as_str(), state.hardware), (5, "wlan0", 1));
        assert_eq!(read_state(&[&header[..], &name].concat()), None, "a wireless event");
        assert_eq!(read_state(&[&header[..], &operstate].concat()), None);
        let mut bridge_port = whole.clone();
        bridge_port[0] = 7; // AF_BRIDGE (linux/socket.h)
        assert_eq!(read_state(&bridge_port), None);
        assert_eq!(link_header(&bridge_port), None, "left its bridge, still there");
        assert_eq!(link_header(&whole).map(|header| header.index), Some(5));
        for length in 0..whole.len() {
            let _ = read_state(&whole[..length]);
        }
    }
}
