//! What Wireshark is told, in the sentences of extcap(4): `word {key=value}{key=value}`.

use super::hosts::RemoteHost;
use crate::capture::filter::Filter;
use crate::error::Result;
use crate::visible;

/// The interface of this machine's dashcap, and the beginning of the others' names.
pub(super) const LOCAL: &str = "dashcap";
/// Between that and the name of a host.
const OF: char = ':';
/// How far back a capture begins: as far as memory is kept for an incident without configuration.
pub(super) const LAST: &str = "2m";
/// The number of the option that names interfaces, in [`OPTIONS`].
const INTERFACE: &str = "2";

/// Frames are Ethernet, for what Wireshark wants to know beforehand: each interface in the stream says for itself
/// what it has.
pub(super) const LINK_TYPES: &str = "dlt {number=1}{name=EN10MB}{display=Ethernet}";

/// What can be chosen in the dialog, and as `-o extcap.dashcap.last:5m`.
pub(super) const OPTIONS: [&str; 6] = [
    "arg {number=0}{call=--last}{display=From so long ago}{type=string}{default=2m}{group=Time}\
     {tooltip=Such as 30s, 2m or 1h. Empty: as far as memory reaches}",
    "arg {number=1}{call=--follow}{display=Go on live}{type=boolflag}{default=true}{group=Time}\
     {tooltip=Without it only what is in memory now}",
    "arg {number=2}{call=--interface}{display=Interfaces of the host}{type=selector}{reload=true}{group=Frames}\
     {tooltip=Reload asks the host for their names}",
    "value {arg=2}{value=}{display=all}{default=true}",
    "arg {number=3}{call=--no-fade}{display=Without frames cut to their headers}{type=boolflag}{default=false}\
     {group=Frames}{tooltip=Of old frames memory may have only the headers}",
    "arg {number=4}{call=--no-fold}{display=Without frames that stand for copies}{type=boolflag}{default=false}\
     {group=Frames}{tooltip=Frames that came too fast to be kept each are one frame with a comment that counts them}",
];

/// The interfaces there are: this machine's if it records, and one for each host.
pub(super) fn interfaces(has_local: bool, hosts: &[RemoteHost]) -> String {
    let mut lines =
        vec![format!("extcap {{version={}}}{{display=dashcap}}", env!("CARGO_PKG_VERSION"))];
    if has_local {
        lines.push(format!("interface {{value={LOCAL}}}{{display=dashcap on this machine}}"));
    }
    lines.extend(hosts.iter().map(|RemoteHost { name, .. }| {
        format!("interface {{value={LOCAL}{OF}{name}}}{{display=dashcap on {name}}}")
    }));
    lines.join("\n")
}

/// The host that an interface's name tells; none for this machine.
pub(super) fn host_of(interface: &str) -> Option<&str> {
    interface.strip_prefix(LOCAL)?.strip_prefix(OF)
}

/// The values of the option for interfaces, of those recorded. Names in which a brace would end the sentence are
/// left out: they can still be typed.
pub(super) fn values(recorded: &[String]) -> String {
    let tellable = |name: &&String| !name.contains(['{', '}']);
    let value = |name| format!("value {{arg={INTERFACE}}}{{value={name}}}{{display={name}}}");
    let all = format!("value {{arg={INTERFACE}}}{{value=}}{{display=all}}{{default=true}}");
    let each = recorded.iter().filter(tellable).map(|name| value(visible::plain(name)));
    std::iter::once(all).chain(each).collect::<Vec<_>>().join("\n")
}

/// What is wrong with a filter, in a line; nothing if nothing is.
pub(super) fn judged(filter: Result<Filter>) -> String {
    filter.err().map(|error| error.to_string().replace('\n', " ")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_this_machine_and_the_hosts() {
        let hosts = [RemoteHost { name: "root@r1.example.net".into(), command: "dashcap".into() }];
        let told = interfaces(true, &hosts);
        let lines: Vec<_> = told.lines().collect();
        assert!(lines[0].starts_with("extcap {version="), "{told}");
        assert!(lines[1].starts_with("interface {value=dashcap}{display="), "{told}");
        assert!(lines[2].starts_with("interface {value=dashcap:root@r1.example.net}{"), "{told}");
        assert_eq!(interfaces(false, &[]).lines().count(), 1);
        assert_eq!(host_of("dashcap:root@r1.example.net"), Some("root@r1.example.net"));
        assert_eq!(host_of("dashcap"), None);
    }

    #[test]
    fn a_sentence_of_an_option_is_whole_and_numbered() {
        let options = OPTIONS.iter().filter(|line| line.starts_with("arg "));
        for (number, line) in options.enumerate() {
            assert!(line.contains(&format!("{{number={number}}}")), "{line}");
            assert_eq!(line.matches('{').count(), line.matches('}').count(), "{line}");
        }
        let interfaces = OPTIONS.iter().find(|line| line.contains("--interface"));
        assert!(interfaces.is_some_and(|line| line.contains(&format!("{{number={INTERFACE}}}"))));
        assert!(OPTIONS[0].contains(&format!("{{default={LAST}}}")));
    }

    #[test]
    fn a_hostile_name_says_no_sentence_of_its_own() {
        let told = values(&[
            "eth0".into(),
            "a}{default=true".into(),
            "b\nvalue {arg=0}".into(),
            "c\nd".into(),
        ]);
        assert_eq!(told.lines().count(), 3, "{told}");
        assert!(
            told.contains("{value=eth0}{display=eth0}") && told.contains(r"{value=c\nd}"),
            "{told}"
        );
    }

    #[test]
    fn a_filter_is_judged_in_one_line() {
        assert_eq!(judged(Filter::parse("arp or port 53")), "");
        let judged = judged(Filter::parse("port port"));
        assert!(judged.contains("syntax error") && judged.lines().count() == 1, "{judged}");
    }
}
