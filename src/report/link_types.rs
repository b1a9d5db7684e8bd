//! Link types that other programs write and that are not decoded here, by the names that people know them by.

use crate::frame::LinkType;

/// Numbers and names (tcpdump.org/linktypes.html).
const NAMES: [(u16, &str); 14] = [
    (0, "NULL"),
    (9, "PPP"),
    (50, "PPP_HDLC"),
    (104, "C_HDLC"),
    (105, "IEEE802_11"),
    (107, "FRELAY"),
    (108, "LOOP"),
    (122, "IP_OVER_FC"),
    (127, "IEEE802_11_RADIOTAP"),
    (187, "BLUETOOTH_HCI_H4"),
    (189, "USB_LINUX"),
    (220, "USB_LINUX_MMAPPED"),
    (239, "NFLOG"),
    (253, "NETLINK"),
];

/// `239 (NFLOG)`.
pub(super) fn named(link_type: LinkType) -> String {
    match NAMES.iter().find(|(number, _)| *number == link_type.0) {
        Some((number, name)) => format!("{number} ({name})"),
        None => link_type.0.to_string(),
    }
}
