//! Which interface to capture on, and what its frames begin with.

use crate::error::{Error, Result};
use crate::frame::LinkType;
use crate::observation::link::LinkState;

/// An interface as rtnetlink names it: one life of it, since a re-created interface has a new index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Name; at most 15 bytes (`IFNAMSIZ`, linux/if.h).
    pub name: String,
    /// Index.
    pub index: u32,
    /// Hardware type (`ARPHRD_*`, linux/if_arp.h; `/sys/class/net/NAME/type`).
    pub hardware_type: u16,
}

/// `ARPHRD_RAWIP` (linux/if_arp.h): modems that carry bare IP.
const ARPHRD_RAWIP: u16 = 519;
/// `ARPHRD_IP6GRE` (linux/if_arp.h): GRE over IPv6.
const ARPHRD_IP6GRE: u16 = 823;
/// `ARPHRD_NETLINK` (linux/if_arp.h): nlmon.
pub(super) const ARPHRD_NETLINK: u16 = 824;

impl Interface {
    /// True for the loopback interface, where every frame would come twice: sent and received.
    pub fn is_loopback(&self) -> bool {
        self.hardware_type == libc::ARPHRD_LOOPBACK
    }

    /// What its frames begin with on a raw packet socket.
    ///
    /// The map is libpcap's (`map_arphrd_to_dlt`, pcap-linux.c), less what needs its cooked mode. PPP,
    /// GRE and other tunnels are [`LinkType::RAW`]: since Linux 5.11 a packet socket begins at the
    /// network header where the device has no `header_ops->create` (`dev_has_header`, af_packet.c).
    ///
    /// # Errors
    /// When dashcap does not know the hardware type.
    pub fn link_type(&self) -> Result<LinkType> {
        match self.hardware_type {
            libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK | libc::ARPHRD_METRICOM => {
                Ok(LinkType::ETHERNET)
            }
            libc::ARPHRD_NONE
            | libc::ARPHRD_PPP
            | libc::ARPHRD_TUNNEL
            | libc::ARPHRD_TUNNEL6
            | libc::ARPHRD_SIT
            | libc::ARPHRD_IPGRE
            | libc::ARPHRD_RAWHDLC
            | ARPHRD_RAWIP
            | ARPHRD_IP6GRE => Ok(LinkType::RAW),
            libc::ARPHRD_IEEE80211_RADIOTAP => Ok(LinkType::RADIOTAP),
            ARPHRD_NETLINK => Ok(LinkType::NETLINK),
            other => Err(Error::operation(
                "open capture on",
                &self.name,
                format!("its hardware type {other} (ARPHRD, linux/if_arp.h) is not supported"),
            )
            .hint(
                "supported: Ethernet and loopback (1, 772), bare IP and tunnels (65534, 512, 519, \
                 768, 769, 776, 778, 823), radiotap (803), netlink (824)",
            )),
        }
    }
}

impl From<&LinkState> for Interface {
    fn from(link: &LinkState) -> Self {
        Self { name: link.name.clone(), index: link.index, hardware_type: link.hardware }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_types_decide_the_link_type() {
        let of = |hardware_type| {
            Interface { name: "x0".to_owned(), index: 7, hardware_type }.link_type()
        };
        for (hardware_type, expected) in [
            (1, LinkType::ETHERNET),
            (772, LinkType::ETHERNET),
            (65534, LinkType::RAW),
            (512, LinkType::RAW),
            (768, LinkType::RAW),
            (769, LinkType::RAW),
            (776, LinkType::RAW),
            (778, LinkType::RAW),
            (803, LinkType::RADIOTAP),
            (824, LinkType::NETLINK),
        ] {
            assert_eq!(of(hardware_type).unwrap(), expected, "{hardware_type}");
        }
        let error = of(280).unwrap_err();
        assert_eq!(error.exit_status(), 1);
        let text = error.to_string();
        assert!(text.starts_with("cannot open capture on x0: its hardware type 280"), "{text}");
        assert!(text.contains("supported: Ethernet"), "{text}");
    }
}
