"""BGP between two routers: FRR."""
import time

import frr
from run import See, scene

SESSION = r"bgp|179"


def configuration(number, autonomous=None, password=None, limit=None):
    other = 3 - number
    peer = f"10.91.12.{other}"
    lines = [
        f"router bgp {autonomous or 64510 + number}", f" bgp router-id {number}.{number}.{number}.{number}", " no bgp ebgp-requires-policy",
        f" neighbor {peer} remote-as {64510 + other}", f" neighbor {peer} timers 3 9", f" neighbor {peer} timers connect 5",
    ]
    lines += [f" neighbor {peer} password {password}"] if password else []
    lines += [" address-family ipv4 unicast", f"  network 10.31.{number}.0/24", "  redistribute static"]
    lines += [f"  neighbor {peer} maximum-prefix {limit}"] if limit else []
    return "\n".join([*lines, " exit-address-family", ""])


def peers(net, recorders, limit=None):
    client, r1, r2, server = net.host("client", "r1", "r2", "server")
    net.wire(client, "eth0", r1, "lan")
    net.wire(r1, "peer", r2, "peer")
    net.wire(r2, "lan", server, "eth0")
    for host, interface, address in (
        (client, "eth0", "10.31.1.10"), (r1, "lan", "10.31.1.1"), (r1, "peer", "10.91.12.1"),
        (r2, "peer", "10.91.12.2"), (r2, "lan", "10.31.2.1"), (server, "eth0", "10.31.2.80"),
    ):
        host.address(interface, f"{address}/24")
    client.route("default", "10.31.1.1")
    server.route("default", "10.31.2.1")
    for number, router in enumerate((r1, r2), 1):
        router.routes()
        frr.daemon(net, router, "zebra")
        frr.daemon(net, router, "staticd")
        daemon = frr.daemon(net, router, "bgpd", configuration(number, limit=limit if number == 1 else None))
    server.play("web")
    net.wait("routes", lambda: "10.31.2.0/24" in r1.run("ip route"))
    time.sleep(2)
    client.play("users 4 10.31.2.80")
    for name in recorders:
        net.hosts[name].record()
    net.normal()
    return r1, r2, daemon


@scene("bgp-killed", *(See(name, (SESSION, r"10\.91\.12\.\d", r"clos|reset|\bfin\b|gone|ended|lost|without"), onset=1) for name in ("r1", "r2")), quick=True)
def killed(net):
    *_, daemon = peers(net, ("r1", "r2"))
    net.fault()
    daemon.kill()


@scene("bgp-one-way", See("r1", (SESSION, r"10\.91\.12\.2\b", r"silen|nothing|not heard|no answer|no longer|hold|one.?way|sent again"), within=10.5, onset=3.5, begins=1.5), after=25)
def one_way(net):
    r1, *_ = peers(net, ("r1",))
    net.fault()
    r1.drops_in("peer", "tcp dport 179")
    r1.filter('table netdev lost { chain in { tcp sport 179 drop; }; }')


@scene("bgp-maximum-prefixes", *(See(name, (SESSION, r"prefix"), within=3, onset=1.5, begins=0.6, never=(r"administrat",)) for name in ("r1", "r2")))
def prefixes(net):
    _, r2, _ = peers(net, ("r1", "r2"), limit=4)
    net.fault()
    for number in range(8):
        frr.tell(net, r2, "staticd", "configure terminal", f"ip route 10.20.{number}.0/24 Null0")


@scene("bgp-wrong-as", See("r1", (SESSION, r"64999|peer as\b|bad peer"), onset=1.5))
def wrong(net):
    _, r2, daemon = peers(net, ("r1",))
    net.fault()
    daemon.kill()
    frr.daemon(net, r2, "bgpd", configuration(2, autonomous=64999))


@scene("bgp-password-on-one-side", See("r1", (SESSION, r"md5|sign|password|authentic"), within=8, onset=6), after=25)
def password(net):
    _, r2, daemon = peers(net, ("r1",))
    net.fault()
    daemon.kill()
    frr.daemon(net, r2, "bgpd", configuration(2, password="secret"))
