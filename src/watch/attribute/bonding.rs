//! `/proc/net/bonding/BOND`, where the driver tells what it keeps from rtnetlink: churn, the keys, how
//! often each port's link failed.
//!
//! Written for people (`bond_info_show_master()`, drivers/net/bonding/bond_procfs.c): lines of `Name:
//! value`, first of the bond, then of each port after a line `Slave Interface: NAME`, in it two blocks
//! that quote the LACPDUs of either side. Lines that are configuration, or always the same, are passed
//! over; so is everything that this parser has never seen.

use crate::observation::link_role::LacpState;

/// Values that change when something happens, of the bond.
const OF_BOND: [&str; 7] = [
    "MII Status",
    "Currently Active Slave",
    "Aggregator ID",
    "Number of ports",
    "Actor Key",
    "Partner Key",
    "Partner Mac Address",
];
/// The same, of a port.
const OF_PORT: [&str; 9] = [
    "MII Status",
    "Speed",
    "Duplex",
    "Link Failure Count",
    "Aggregator ID",
    "Actor Churn State",
    "Partner Churn State",
    "Actor Churned Count",
    "Partner Churned Count",
];
/// The same, of what an LACPDU says.
const OF_LACPDU: [&str; 4] = ["system mac address", "port key", "oper key", "port state"];
/// Most values of a file: more than 32 ports have.
const VALUES: usize = 512;

/// The values that are worth watching, by name: `MII Status`, `dp0s0 Link Failure Count`,
/// `dp0s0 partner port state`. At most 512.
pub fn read(text: &str) -> Vec<(String, String)> {
    let mut values = Vec::new();
    let (mut port, mut side) = (None, None);
    for line in text.lines() {
        let indented = line.starts_with([' ', '\t']);
        if !indented {
            side = None;
        }
        let Some((name, value)) = line.trim().split_once(':') else { continue };
        let value = value.trim();
        match (name, port) {
            ("Slave Interface", _) => port = Some(value),
            ("details actor lacp pdu", _) => side = Some("actor"),
            ("details partner lacp pdu", _) => side = Some("partner"),
            (name, Some(port)) => match side {
                Some(side) if OF_LACPDU.contains(&name) => {
                    values.push((format!("{port} {side} {name}"), said(name, value)));
                }
                None if OF_PORT.contains(&name) => {
                    values.push((format!("{port} {name}"), value.to_owned()));
                }
                _ => {}
            },
            (name, None) if OF_BOND.contains(&name) => {
                values.push((name.to_owned(), value.to_owned()));
            }
            (_, None) => {}
        }
        if values.len() >= VALUES {
            break;
        }
    }
    values
}

/// A port state by the names of its bits, everything else as it is.
fn said(name: &str, value: &str) -> String {
    match value.parse() {
        Ok(bits) if name == "port state" => format!("{value} ({})", LacpState(bits)),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LACP: &str = include_str!("../../../tests/data/netlink/bonding-lacp.txt");
    const ACTIVE_BACKUP: &str =
        include_str!("../../../tests/data/netlink/bonding-active-backup.txt");

    #[test]
    fn the_values_of_a_bond_that_lost_lacp() {
        let values = read(LACP);
        let value = |name: &str| {
            let found = values.iter().find(|(item, _)| item == name);
            found.map(|(_, value)| value.as_str())
        };
        for (name, expected) in [
            ("MII Status", Some("down")),
            ("Number of ports", Some("1")),
            ("Partner Mac Address", Some("00:00:00:00:00:00")),
            ("dp0s0 MII Status", Some("up")),
            ("dp0s0 Link Failure Count", Some("0")),
            ("dp0s0 Actor Churn State", Some("monitoring")),
            (
                "dp0s0 actor port state",
                Some("79 (activity timeout aggregation synchronization defaulted)"),
            ),
            ("dp0s2 partner port state", Some("0 ()")),
            ("dp0s0 partner oper key", Some("1")),
            ("Min links", None),
            ("dp0s0 Slave queue ID", None),
        ] {
            assert_eq!(value(name), expected, "{name} in {values:#?}");
        }
    }

    #[test]
    fn the_values_of_an_active_backup_bond() {
        let values = read(ACTIVE_BACKUP);
        assert!(values.contains(&("Currently Active Slave".to_owned(), "b0".to_owned())));
        assert!(values.contains(&("a0 Link Failure Count".to_owned(), "1".to_owned())));
        assert!(values.iter().all(|(name, _)| !name.contains("port state")));
    }

    #[test]
    fn a_file_that_never_ends_has_a_bound() {
        let endless = "Slave Interface: a\n".to_owned() + &"MII Status: up\n".repeat(10_000);
        assert_eq!(read(&endless).len(), VALUES);
    }

    proptest! {
        #[test]
        fn random_text_never_panics(text in "(?s).{0,200}") {
            let _ = read(&text);
        }

        #[test]
        fn random_lines_never_panic(
            lines in prop::collection::vec("[ \t]?(Slave Interface|port state|MII Status|details actor lacp pdu)?:? ?.{0,8}", 0..20),
        ) {
            let _ = read(&lines.join("\n"));
        }
    }
}
