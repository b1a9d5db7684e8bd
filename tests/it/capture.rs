//! What is recorded: interfaces as they come and go, tags, lengths, filters, sources.

use std::collections::BTreeSet;

use crate::lab::{Bundle, Dashcap, Lab, Pace, Sender, assert_contiguous, frame, ipv4_udp, until};

/// 802.1Q (IEEE 802.1Q-2018, 9.5).
const CUSTOMER: u16 = 0x8100;
/// 802.1ad, the outer tag of a provider.
const PROVIDER: u16 = 0x88a8;

/// A tag's control information.
fn tci(priority: u16, drop_eligible: bool, id: u16) -> u16 {
    priority << 13 | u16::from(drop_eligible) << 12 | id
}

/// Freezes what there is and ends; the only bundle.
fn frozen(lab: &Lab, dashcap: Dashcap) -> Bundle {
    dashcap.snapshot();
    dashcap.finish_well();
    lab.bundle()
}

#[test]
fn f10_a_rename_under_load_loses_no_frame() {
    let Some(lab) = Lab::new() else { return };
    let options = ["--on", "signal", "--pre", "1m", "--post", "0s", "--memory", "64MiB"];
    let dashcap = lab.record(&[&["-i", "eth0"][..], &options].concat());
    let talker = lab.far.talk("far0", Pace { burst: 20, len: 200, ..Pace::GENTLE });
    talker.wait_for(500);
    lab.near.ip("link set eth0 name eth9");
    talker.wait_for_more(1_000);
    let sent = talker.stop().len() as u64;
    let bundle = frozen(&lab, dashcap);
    let numbers = [bundle.numbers("eth0"), bundle.numbers("eth9")].concat();
    assert_eq!(numbers, (0..sent).collect::<Vec<_>>(), "every frame under one of its names, once");
    assert!(!bundle.numbers("eth9").is_empty());
    let told =
        bundle.jq(".interfaces|map([.name,.counts.gaps,.counts.stored,.renamed_to])|tostring");
    assert_eq!(told, format!("[[\"eth9\",0,{sent},null],[\"eth0\",0,0,\"eth9\"]]"));
}

#[test]
fn an_interface_that_is_created_again_goes_on_in_the_same_bundle() {
    const SECOND_LIFE: u64 = 1_000_000;
    let Some(lab) = Lab::new() else { return };
    let dashcap = lab.record(&["-i", "eth0", "--pre", "1m", "--post", "10m"]);
    let first_life = lab.far.talk("far0", Pace::GENTLE);
    first_life.wait_for(50);
    let first_life = first_life.stop();
    lab.near.ip("link del eth0");
    dashcap.wait_for("link-down: ");
    lab.cable("eth0", "far0");
    dashcap.wait_for_nth(2, "capture on eth0: started");
    let second_life = lab.far.talk("far0", Pace { from: SECOND_LIFE, ..Pace::GENTLE });
    second_life.wait_for(50);
    let second_life = second_life.stop();
    let end = dashcap.finish_well();
    let sent = (first_life.len() + second_life.len()) as u64;
    assert_eq!(end.received("eth0"), (sent, sent), "every frame of both lives");

    let bundle = lab.bundle();
    assert_eq!(bundle.triggers(), ["link-down eth0"]);
    assert_eq!(bundle.jq(".interfaces[].counts.gaps"), "1");
    assert_eq!(
        bundle.jq(".interfaces[]|[.name,(.origins|map(.index)|unique|length)]"),
        "[\"eth0\",2]"
    );
    let told: Vec<_> = bundle
        .events
        .iter()
        .filter(|event| event["what"]["fact"] == "capture")
        .map(|event| event["what"]["event"]["event"].as_str().expect("an event"))
        // It may be seen before it is brought up, or after.
        .filter(|event| !["down", "up"].contains(event))
        .collect();
    assert!(told.ends_with(&["gap", "started"]), "{told:?}");
    let (first, second): (Vec<_>, Vec<_>) =
        bundle.numbers("eth0").into_iter().partition(|number| *number < SECOND_LIFE);
    for (found, sent) in [(first, first_life), (second, second_life)] {
        assert_eq!(found, sent.iter().map(|frame| frame.number).collect::<Vec<_>>());
    }
    assert!(bundle.timeline.iter().any(|row| row.state == "gone"), "{:?}", bundle.timeline);
}

#[test]
fn vlan_tags_directions_and_interfaces_come_back_merged_by_time() {
    let Some(lab) = Lab::new() else { return };
    lab.cable("eth1", "far1");
    let dashcap = lab.record(&["-i", "eth0", "-i", "eth1", "--post", "10m"]);
    let (mut far0, mut far1) = lab.far.inside(|| (Sender::on("far0"), Sender::on("far1")));
    let mut eth1 = lab.near.inside(|| Sender::on("eth1"));
    far0.send(&frame(0, &[(CUSTOMER, tci(5, true, 956))], 64));
    far1.send(&frame(1, &[(PROVIDER, tci(3, false, 100)), (CUSTOMER, tci(0, true, 956))], 64));
    far0.send(&frame(2, &[(CUSTOMER, tci(6, false, 0))], 64));
    eth1.send(&frame(3, &[(CUSTOMER, tci(1, false, 4_094))], 64));
    far0.send(&frame(4, &[], 64));
    far1.send(&frame(5, &[(PROVIDER, tci(7, true, 4_094))], 64));
    let bundle = frozen(&lab, dashcap);

    let fields = [
        "frame.interface_name",
        "frame.packet_flags_direction",
        "ieee8021ad.priority",
        "ieee8021ad.dei",
        "ieee8021ad.id",
        "vlan.priority",
        "vlan.dei",
        "vlan.id",
        "data.data",
    ];
    let told = bundle.tshark("not systemd_journal", &fields);
    let told: Vec<String> = told.iter().map(|line| line.replace("0x0000000", "")).collect();
    let number = |n: u64| format!("{n:016x}");
    let told: Vec<_> = told
        .iter()
        .enumerate()
        .map(|(n, line)| {
            let (before, data) = line.rsplit_once('\t').expect("fields");
            assert!(data.starts_with(&number(n as u64)), "{line}");
            before
        })
        .collect();
    assert_eq!(
        told,
        [
            "eth0\t1\t\t\t\t5\t1\t956",
            "eth1\t1\t3\t0\t100\t0\t1\t956",
            "eth0\t1\t\t\t\t6\t0\t0",
            "eth1\t2\t\t\t\t1\t0\t4094",
            "eth0\t1\t\t\t\t\t\t",
            "eth1\t1\t7\t1\t4094\t\t\t",
        ]
    );
}

#[test]
fn jumbo_frames_are_kept_whole_or_cut_at_the_snaplen() {
    const JUMBO: usize = 9_014;
    let Some(lab) = Lab::new() else { return };
    for (snaplen, captured) in [("262144", JUMBO as u64), ("128", 128)] {
        let dashcap = lab.record(&["-i", "eth0", "--snaplen", snaplen, "--post", "10m"]);
        lab.far.inside(|| Sender::on("far0")).send(&frame(7, &[], JUMBO));
        dashcap.snapshot();
        dashcap.finish_well();
        let bundle = lab.bundles().pop().expect("the latest");
        let lengths: Vec<_> = bundle.packets.iter().map(|p| (p.captured, p.len)).collect();
        assert_eq!(lengths, [(captured, JUMBO as u64)], "--snaplen {snaplen}");
        let cut = u64::from(captured < JUMBO as u64);
        assert_eq!(bundle.number("/interfaces/0/counts/truncated"), cut);
        assert_eq!(bundle.numbers("eth0"), [7]);
    }
}

#[test]
fn a_filter_on_vlan_and_port_matches_on_a_live_interface() {
    const FILTER: &str = "vlan 956 and port 1434";
    let Some(lab) = Lab::new() else { return };
    let dashcap = lab.record(&["-i", "eth0", "--filter", FILTER, "--post", "10m"]);
    let mut far0 = lab.far.inside(|| Sender::on("far0"));
    let vlan = |id| [(CUSTOMER, tci(0, false, id))];
    for _ in 0..3 {
        far0.send(&ipv4_udp(1_434, &vlan(957)));
        far0.send(&ipv4_udp(53, &vlan(956)));
        far0.send(&ipv4_udp(1_434, &[]));
        far0.send(&ipv4_udp(1_434, &vlan(956)));
        far0.send(&frame(0, &vlan(956), 64));
    }
    let bundle = frozen(&lab, dashcap);
    assert_eq!(bundle.packets.len(), 3);
    let told = bundle.tshark("vlan.id == 956 && udp.dstport == 1434", &["frame.number"]);
    assert_eq!(told.len(), 3, "tshark agrees");
    assert_eq!(bundle.jq(".interfaces[].filter"), FILTER);
}

#[test]
fn the_fallback_source_says_what_it_cannot_know() {
    let Some(lab) = Lab::new() else { return };
    let dashcap = lab.record(&["-i", "eth0", "--source", "pnet", "--pre", "1m", "--post", "10m"]);
    let talker = lab.far.talk("far0", Pace::GENTLE);
    talker.wait_for(50);
    dashcap.snapshot();
    talker.wait_for_more(50);
    let sent = talker.stop();
    dashcap.finish_well();

    let bundle = lab.bundle();
    assert_eq!(bundle.jq(".interfaces[].source"), "pnet");
    assert_ne!(bundle.jq(".interfaces[].unknowns"), "[]");
    let unknown = "[.interfaces[].counts|.kernel_received,.kernel_dropped,.waiting_in_kernel]";
    assert_eq!(bundle.jq(unknown), "[null,null,null]");
    let numbers = bundle.numbers("eth0");
    assert_contiguous(&numbers);
    assert!(!numbers.is_empty() && numbers.len() <= sent.len(), "{numbers:?}");
    // 0 is "not known" (epb_flags, draft-ietf-opsawg-pcapng).
    let directions = bundle.tshark("not systemd_journal", &["frame.packet_flags_direction"]);
    assert!(directions.iter().all(|told| told.is_empty() || told == "0x00000000"));
}

#[test]
fn without_names_every_interface_but_loopback_is_recorded_and_new_ones_too() {
    let Some(lab) = Lab::new() else { return };
    lab.near.ip("link set lo up");
    let dashcap = lab.record(&["--pre", "1m", "--post", "10m"]);
    let told = dashcap.wait_for("recording ");
    assert!(told.contains("recording eth0 (all interfaces that are up but loopback"), "{told}");
    lab.cable("eth1", "far1");
    dashcap.wait_for("capture on eth1: started");
    let (mut far0, mut far1) = lab.far.inside(|| (Sender::on("far0"), Sender::on("far1")));
    far0.send(&frame(0, &[], 64));
    far1.send(&frame(1, &[], 64));
    let bundle = frozen(&lab, dashcap);
    assert_eq!(bundle.jq("[.interfaces[].name]"), "[\"eth0\",\"eth1\"]");
    assert_eq!((bundle.numbers("eth0"), bundle.numbers("eth1")), (vec![0], vec![1]));
    let listed: BTreeSet<_> = bundle.timeline.iter().map(|row| row.interface.as_str()).collect();
    assert_eq!(listed, BTreeSet::from(["eth0", "eth1"]), "both in the timeline, loopback not");
}

#[test]
fn interfaces_that_come_and_go_leave_neither_threads_nor_memory_and_their_frames_stay() {
    const BATCHES: usize = 2;
    const CABLES: usize = 10;
    const LEFT: u64 = 4 << 10;
    let Some(lab) = Lab::new() else { return };
    let small = ["--memory", "16MiB", "--kernel-memory", "2MiB", "--pre", "10m", "--on", "signal"];
    let dashcap = lab.record(&small);
    let recorded = |count: usize| {
        until("as many threads as interfaces", || {
            (dashcap.captures().len() == count).then_some(())
        });
    };
    let plug = |names: &[String]| {
        for name in names {
            lab.near.ip(&format!("link add name {name}a type veth peer name {name}b"));
            let up = |end| lab.near.ip(&format!("link set dev {name}{end} addrgenmode none up"));
            ["a", "b"].into_iter().for_each(up);
        }
    };
    // One for what is there, one for all that is gone.
    let still = dashcap.captures().len();
    assert_eq!(still, 2, "{:?}", dashcap.captures());
    let round = |round: usize| {
        for batch in 0..BATCHES {
            let names: Vec<_> = (0..CABLES).map(|n| format!("v{round}{batch}{n}")).collect();
            plug(&names);
            recorded(still + 2 * CABLES);
            if (round, batch) == (0, 0) {
                lab.near.inside(|| Sender::on("v000b")).send(&frame(1, &[], 64));
            }
            names.iter().for_each(|name| lab.near.ip(&format!("link del {name}a")));
            recorded(still);
        }
        dashcap.kib("VmRSS:") - dashcap.kib("RssFile:")
    };
    // What the allocator keeps of the first rounds is used again by those that follow.
    let rounds: Vec<_> = (0..5).map(round).collect();
    assert!(rounds[4] <= rounds[3] + LEFT, "KiB after each round: {rounds:?}");
    plug(&["v000".to_owned()]);
    recorded(still + 2);
    lab.near.inside(|| Sender::on("v000b")).send(&frame(2, &[], 64));
    let bundle = frozen(&lab, dashcap);
    assert_eq!(bundle.numbers("v000a"), [1, 2], "both lives of an interface that came back late");
    assert_eq!(bundle.jq(".interfaces[]|select(.name==\"v000a\")|.counts.gaps"), "1");
}
