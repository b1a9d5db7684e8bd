//! The lines that every operator of a network wants to know about, whoever writes them.
//!
//! Each pattern is made from the message in the source named beside it, and stays loose where versions
//! differ. What happens in the ordinary life of a host (a container's bridge port going away, a link
//! coming up) is not here. One list serves every source, because the same message reaches an operator
//! by different ways: the kernel's own log, the journal, a file, a syslog server.

use super::matcher::Matcher;

/// Name and pattern.
const DEFAULTS: &[(&str, &str)] = &[
    // keepalived, vrrp/vrrp_scheduler.c: "(%s) Entering FAULT STATE", "VRRP_Instance(%s) Now in FAULT
    // state", "(%s): entering FAULT state"
    (
        "vrrp-fault",
        r"(?:\((?<instance>[^()\s]+)\):? )?(?i:(?:entering|now in|transition to) fault state)",
    ),
    // keepalived: "VRRP_Instance(%s) Entering MASTER STATE", "... Transition to MASTER STATE"; with "(init)"
    // behind it, it has only just been started
    (
        "vrrp-transition",
        r"(?:\((?<instance>[^()\s]+)\):? )?(?i:entering|transition to) (?<state>(?i:master|backup)) (?i:state)(?:$|\s*[^\s(])",
    ),
    // FRR, vrrpd/vrrp.c, vrrp_change_state(): "[CORE] [VRID %u] [%s] %s -> %s"
    (
        "vrrp-router-transition",
        r"\[VRID (?<instance>\d+)\].* (?:Backup -> Master|Master -> Backup)",
    ),
    // keepalived, vrrp/vrrp_track.c: "Kernel is reporting: interface %s DOWN"; vrrp/vrrp_vmac.c adds
    // "is"; since 2.0: "Netlink reports %s down"
    (
        "vrrp-interface-down",
        r"(?i:kernel is reporting: interface|netlink reports) (?<interface>\S+) (?i:is )?(?i:down)\b",
    ),
    // Routing suites of the ZebOS family: "NSM Interface is Down"
    ("nsm-interface-down", r"(?i)\bnsm\b.{0,40}\binterface\b.{0,80}\bis down\b"),
    // FRR, bgpd/bgp_fsm.c: "%%ADJCHANGE: neighbor %s in vrf %s Down %s"; Cisco likewise. ospfd, ospf6d:
    // "AdjChg: Nbr %s on %s: %s -> %s (%s)", Deleted and whatever Full falls back to. isisd: "%%ADJCHANGE:
    // Adjacency to %s (%s) for %s changed from %s to %s, %s". Junos: "RPD_OSPF_NBRDOWN: OSPF neighbor %s
    // ... state changed from Full to Down". Coming up is told in the same words, from Down to another state.
    (
        "routing-neighbor-down",
        r"(?ix)(?:adj(?:change|chg|acency)|nbrdown)\b .*? \b(?:neighbor|nbr|peer|adjacency\ to)\ (?<neighbor>[^\s,()]+) .*
          (?:[^m\s>]\ down(?:$|\S|\ [^-]) | ->\ (?:down|deleted)\b | (?:full|2-?way)\ (?:->|to)\ (?:init|exstart|attempt)\b)",
    ),
    // FRR, eigrpd/eigrp_neighbor.c: "Neighbor %pI4 (%s) is down: holding time expired"; Cisco:
    // "%DUAL-5-NBRCHANGE: EIGRP-IPv4 1: Neighbor 192.0.2.1 (Gi0/0) is down: ..."
    (
        "eigrp-neighbor-down",
        r"Neighbor (?<neighbor>[\da-fA-F.:]+) \((?<interface>[^\s)]+)\) (?:is|going) down: ",
    ),
    // FRR, pimd/pim_neighbor.c: "PIM NEIGHBOR DOWN: neighbor %pPA on interface %s: %s"
    (
        "pim-neighbor-down",
        r"PIM NEIGHBOR DOWN: neighbor (?<neighbor>\S+) on interface (?<interface>[^\s:]+)",
    ),
    // BIRD, proto/bgp/bgp.c, bgp_log_error(): "%s: Error: Hold timer expired", "%s: Received: ..."
    ("bgp-hold-timer", r"(?<protocol>\S+): (?:Error|Received): Hold timer expired"),
    // Switches: "%LINEPROTO-5-UPDOWN: Line protocol on Interface Gi0/1, changed state to down"
    (
        "switch-interface-down",
        r"(?i:interface) (?<interface>[^\s,]+),? (?i:changed state to (?:administratively )?down)",
    ),
    // drivers/net/bonding/bond_main.c, bond_miimon_inspect() and bond_miimon_commit(), since and
    // before Linux 5.8
    (
        "bond-link-down",
        r"(?<bond>\S+): \(slave (?<interface>[^\s)]+)\): link status (?:definitely )?down",
    ),
    (
        "bond-interface-down",
        r"(?<bond>\S+): link status (?:definitely )?down for (?:\w+ )?interface (?<interface>[^\s,]+)",
    ),
    // drivers/net/bonding/bond_main.c, bond_select_active_slave()
    (
        "bond-no-active-interface",
        r"(?<interface>\S+): (?:\w+: )?now running without any active interface",
    ),
    // drivers/net/bonding/bond_3ad.c, ad_agg_selection_logic()
    ("lacp-no-partner", r"(?<interface>\S+): Warning: No 802\.3ad response from the link partner"),
    // libteam, teamd_runner_lacp.c, lacp_port_set_state()
    (
        "team-lacp-state",
        r#"(?<interface>\S+): Changed port state: "(?<before>\w+)" -> "(?<state>expired|defaulted|disabled)""#,
    ),
    // Other LACP implementations, switches' among them
    (
        "lacp-trouble",
        r"(?i)\blacp\b.*\b(?:expired|defaulted|timed? ?out|suspended|out of sync|not in sync)\b",
    ),
    // Network drivers: "igb: eth0 NIC Link is Down", "eth0: Link is Down", "eth0: Link down"
    ("nic-link-down", r"(?<interface>[^\s:\[\]]+)(?:: (?:NIC )?| NIC )[Ll]ink (?:is )?(?i:down)\b"),
    // net/sched/sch_generic.c, dev_watchdog(), before and since Linux 6.8
    (
        "transmit-timeout",
        r"NETDEV WATCHDOG: (?<interface>\S+) \([^)]*\): transmit queue (?<queue>\d+) timed out",
    ),
    (
        "transmit-queue-timeout",
        r"(?<interface>\S+): NETDEV WATCHDOG: (?:CPU: \d+: )?transmit queue (?<queue>\d+) timed out",
    ),
    // drivers/net/ethernet/intel: "Detected Tx Unit Hang", "Detected Hardware Unit Hang"
    ("transmit-hang", r"(?:(?<interface>[^\s:]+): )?Detected (?:Tx|Hardware) Unit Hang"),
    // net/bridge/br_fdb.c, br_fdb_update()
    (
        "bridge-loop",
        r"(?<bridge>\S+): received pack\w+ on (?<interface>\S+) with own address as source(?: address \(addr:(?<station>[\da-f:]+))?",
    ),
    // net/ipv6/addrconf.c, addrconf_dad_failure()
    (
        "duplicate-address",
        r"(?:(?<interface>[^\s:]+): )?IPv6 duplicate address (?<address>\S+) used by (?<station>\S+) detected",
    ),
    // net/core/neighbour.c, neigh_alloc()
    ("neighbor-table-full", r"(?:(?<table>\w+): )?neighbou?r table overflow"),
    // net/netfilter/nf_conntrack_core.c, __nf_conntrack_alloc(); with the namespace's inode since Linux 6.18
    (
        "conntrack-table-full",
        r"nf_conntrack: table full(?: in netns (?<namespace>\d+))?, dropping packet",
    ),
    // net/ipv4/tcp_input.c, tcp_syn_flood_action(); with the address since Linux 6.2
    (
        "syn-flood",
        r"[Pp]ossible SYN flooding on port (?:\[?(?<address>[\da-fA-F.:]+?)\]?:)?(?<port>\d+)\.",
    ),
    // drivers/pci/pcie/aer.c: an adapter, or its slot, is failing
    ("pcie-error", r"(?:(?<device>[\da-f:.]+): )?AER: (?:Multiple )?Uncorrect"),
    // arch/x86/kernel/cpu/mce, drivers/firmware/efi/cper.c
    ("hardware-error", r"\[Hardware Error\]|Machine check events logged"),
    // mm/oom_kill.c
    (
        "out-of-memory",
        r"Out of memory: Kill(?:ed)? process (?<pid>\d+)(?: \((?<program>[^)]*)\))?|invoked oom-killer",
    ),
    // kernel/watchdog.c, kernel/rcu/tree_stall.h, kernel/hung_task.c: nobody was scheduled for seconds
    (
        "stall",
        r"soft lockup - CPU#\d+ stuck|(?:self-detected stall|detected stalls) on CPU|hard LOCKUP|blocked for more than \d+ seconds",
    ),
];

/// The matchers that come with dashcap, in the order they are tried.
pub fn defaults() -> Vec<Matcher> {
    DEFAULTS.iter().map(|(name, pattern)| Matcher::new(*name, *pattern)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::matcher::Matchers;
    use super::*;

    /// A line, the matcher it belongs to, the interface it is about. The first three are the
    /// incident's own.
    const LINES: &[(&str, &str, &str)] = &[
        ("Entering FAULT STATE", "vrrp-fault", ""),
        ("Kernel is reporting: interface dp0bond0 DOWN", "vrrp-interface-down", "dp0bond0"),
        ("NSM Interface is Down", "nsm-interface-down", ""),
        (
            "Nov 22 14:14:20 router Keepalived_vrrp[812]: VRRP_Instance(VI_1) Entering FAULT STATE",
            "vrrp-fault",
            "",
        ),
        ("VRRP_Instance(VI_1) Now in FAULT state", "vrrp-fault", ""),
        ("(VI_1) Entering MASTER STATE", "vrrp-transition", ""),
        ("VRRP_Instance(VI_1) Transition to MASTER STATE", "vrrp-transition", ""),
        ("(VI_1) Entering BACKUP STATE", "vrrp-transition", ""),
        ("vrrpd[7]: [CORE] [VRID 5] [IPv4] Backup -> Master", "vrrp-router-transition", ""),
        ("Netlink reports eth0 down", "vrrp-interface-down", "eth0"),
        ("Kernel is reporting: Interface eth0 is DOWN", "vrrp-interface-down", "eth0"),
        ("ospfd[77]: [OSPF] NSM: Interface dp0bond0.956 is down", "nsm-interface-down", ""),
        (
            "%ADJCHANGE: neighbor 192.0.2.1(r1) in vrf default Down Hold Timer Expired",
            "routing-neighbor-down",
            "",
        ),
        (
            "AdjChg: Nbr 192.0.2.1(default) on eth0:192.0.2.2: Full -> Deleted (InactivityTimer)",
            "routing-neighbor-down",
            "",
        ),
        (
            "AdjChg: Nbr 192.0.2.1(default) on eth0:192.0.2.2: Full -> Init (1-WayReceived)",
            "routing-neighbor-down",
            "",
        ),
        ("%BGP-5-ADJCHANGE: neighbor 2001:db8:: Down Peer closed", "routing-neighbor-down", ""),
        (
            "%OSPF-5-ADJCHG: Process 1, Nbr 192.0.2.1 on Gi0/1 from FULL to DOWN, Dead timer expired",
            "routing-neighbor-down",
            "",
        ),
        (
            "%ADJCHANGE: Adjacency to r2 (eth1) for level-2 changed from Up to Down, holding time expired",
            "routing-neighbor-down",
            "",
        ),
        (
            "RPD_OSPF_NBRDOWN: OSPF neighbor 192.0.2.1 (realm ospf-v2 ge-0/0/0.0) state changed from Full to Down",
            "routing-neighbor-down",
            "",
        ),
        ("Neighbor 192.0.2.1 (eth1) is down: holding time expired", "eigrp-neighbor-down", "eth1"),
        ("PIM NEIGHBOR DOWN: neighbor 192.0.2.1 on interface eth1: x", "pim-neighbor-down", "eth1"),
        ("bird: uplink: Error: Hold timer expired", "bgp-hold-timer", ""),
        (
            "%LINEPROTO-5-UPDOWN: Line protocol on Interface Ethernet1/2, changed state to down",
            "switch-interface-down",
            "Ethernet1/2",
        ),
        (
            "bond0: (slave eth1): link status definitely down, disabling slave",
            "bond-link-down",
            "eth1",
        ),
        (
            "bond0: link status definitely down for interface eth1, disabling it",
            "bond-interface-down",
            "eth1",
        ),
        ("bond0: now running without any active interface!", "bond-no-active-interface", "bond0"),
        (
            "bond0: Warning: No 802.3ad response from the link partner for any adapters in the bond",
            "lacp-no-partner",
            "bond0",
        ),
        ("dp0s0: Changed port state: \"current\" -> \"expired\"", "team-lacp-state", "dp0s0"),
        ("LACP: port 3 partner timed out", "lacp-trouble", ""),
        ("igb 0000:02:00.2 eth2: igb: eth2 NIC Link is Down", "nic-link-down", "eth2"),
        ("ixgbe 0000:03:00.1 eth1: NIC Link is Down", "nic-link-down", "eth1"),
        ("r8169 0000:02:00.0 enp2s0: Link is Down", "nic-link-down", "enp2s0"),
        ("mlx5_core 0000:03:00.0 ens1f0: Link down", "nic-link-down", "ens1f0"),
        ("NETDEV WATCHDOG: eth0 (igb): transmit queue 3 timed out", "transmit-timeout", "eth0"),
        (
            "igb 0000:02:00.2 eth2: NETDEV WATCHDOG: CPU: 1: transmit queue 3 timed out 5008 ms",
            "transmit-queue-timeout",
            "eth2",
        ),
        ("e1000e 0000:00:1f.6 eno1: Detected Hardware Unit Hang:", "transmit-hang", "eno1"),
        (
            "br0: received packet on eth1 with own address as source address (addr:02:00:00:00:00:01, vlan:0)",
            "bridge-loop",
            "eth1",
        ),
        (
            "IPv6: eth0: IPv6 duplicate address fe80::1 used by 02:00:00:00:00:01 detected!",
            "duplicate-address",
            "eth0",
        ),
        ("neighbour: arp_cache: neighbor table overflow!", "neighbor-table-full", ""),
        ("nf_conntrack: nf_conntrack: table full, dropping packet", "conntrack-table-full", ""),
        ("nf_conntrack: table full in netns 4026532, dropping packet", "conntrack-table-full", ""),
        (
            "TCP: request_sock_TCP: Possible SYN flooding on port 80. Sending cookies.  Check SNMP counters.",
            "syn-flood",
            "",
        ),
        (
            "TCP: request_sock_TCP: Possible SYN flooding on port [::]:443. Sending cookies.",
            "syn-flood",
            "",
        ),
        (
            "TCP: request_sock_TCP: Possible SYN flooding on port 0.0.0.0:80. Sending cookies.",
            "syn-flood",
            "",
        ),
        (
            "pcieport 0000:00:1c.0: AER: Uncorrected (Fatal) error received: 0000:01:00.0",
            "pcie-error",
            "",
        ),
        ("mce: [Hardware Error]: Machine check events logged", "hardware-error", ""),
        ("Out of memory: Killed process 812 (bgpd) total-vm:1kB", "out-of-memory", ""),
        ("watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [swapper/0:0]", "stall", ""),
        ("INFO: task kworker/0:1:9 blocked for more than 120 seconds.", "stall", ""),
        // Ordinary life.
        ("(VI_1) Entering BACKUP STATE (init)", "", ""),
        ("%ADJCHANGE: neighbor 192.0.2.1(r1) in vrf default Up", "", ""),
        ("AdjChg: Nbr 192.0.2.1(default) on eth0:192.0.2.2: Down -> Init (HelloReceived)", "", ""),
        (
            "%OSPF-5-ADJCHG: Process 1, Nbr 192.0.2.1 on Gi0/1 from LOADING to FULL, Loading Done",
            "",
            "",
        ),
        (
            "%ADJCHANGE: Adjacency to r2 (eth1) for level-2 changed from Down to Initializing, x",
            "",
            "",
        ),
        ("igb 0000:02:00.2 eth2: igb: eth2 NIC Link is Up 1000 Mbps Full Duplex", "", ""),
        ("br0: port 1(veth0) entered disabled state", "", ""),
        ("bond0: (slave eth1): link status definitely up, 1000 Mbps full duplex", "", ""),
        ("Kernel is reporting: interface dp0bond0 UP", "", ""),
        ("dp0s0: Changed port state: \"expired\" -> \"current\"", "", ""),
        ("systemd[1]: Started Network Time Service.", "", ""),
        ("device eth0 entered promiscuous mode", "", ""),
        ("monitor[9]: the link is down", "", ""),
        ("-- MARK --", "", ""),
        ("", "", ""),
    ];

    #[test]
    fn every_line_finds_its_matcher_and_every_matcher_has_a_line() {
        let matchers = Matchers::compile(&defaults()).unwrap();
        for (line, name, interface) in LINES {
            let found = matchers.find(line);
            assert_eq!(found.as_ref().map_or("", |found| &found.name), *name, "{line}");
            let about = found.and_then(|found| found.fields.get("interface").cloned());
            assert_eq!(about.unwrap_or_default(), *interface, "{line}");
        }
        for (name, _) in DEFAULTS {
            assert!(LINES.iter().any(|(_, matched, _)| matched == name), "{name} is not tested");
        }
    }
}
