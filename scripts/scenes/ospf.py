"""OSPF in a chain of three routers, a client at one end and a server at the other: FRR."""
import time

import frr
from run import See, scene

LOST = r"answer|silen|nothing|\bhear|dead|lost|no longer|gone|stopp|down\b"


def configuration(number, interfaces, hello=2, dead=8, router_id=None):
    lines = []
    for interface in interfaces:
        lines += [f"interface {interface}", f" ip ospf hello-interval {hello}", f" ip ospf dead-interval {dead}"]
    identity = router_id or ".".join([str(number)] * 4)
    return "\n".join([*lines, "router ospf", f" ospf router-id {identity}", " network 10.0.0.0/8 area 0", ""])


def chain(net, recorders):
    client, r1, r2, r3, server = net.host("client", "r1", "r2", "r3", "server")
    net.wire(client, "eth0", r1, "lan")
    net.wire(r1, "east", r2, "west")
    net.wire(r2, "east", r3, "west")
    net.wire(r3, "lan", server, "eth0")
    for host, interface, address in (
        (client, "eth0", "10.31.1.10"), (r1, "lan", "10.31.1.1"), (r1, "east", "10.91.12.1"), (r2, "west", "10.91.12.2"),
        (r2, "east", "10.91.23.2"), (r3, "west", "10.91.23.3"), (r3, "lan", "10.31.3.1"), (server, "eth0", "10.31.3.80"),
    ):
        host.address(interface, f"{address}/24")
    client.route("default", "10.31.1.1")
    server.route("default", "10.31.3.1")
    daemons = {}
    for number, (router, interfaces) in enumerate(((r1, ("lan", "east")), (r2, ("west", "east")), (r3, ("west", "lan"))), 1):
        router.routes()
        frr.daemon(net, router, "zebra")
        daemons[router.name] = frr.daemon(net, router, "ospfd", configuration(number, interfaces))
    server.play("web")
    net.wait("routes", lambda: "10.31.3.0/24" in r1.run("ip route"))
    time.sleep(2)
    client.play("users 4 10.31.3.80")
    client.start("ping -i 0.5 10.31.3.80")
    for name in recorders:
        net.hosts[name].record()
    net.normal()
    return r3, daemons["r3"]


@scene(
    "ospf-killed",
    See("r2", (r"3\.3\.3\.3|10\.91\.23\.3", LOST), within=9.5, onset=2, begins=1),
    See("r1", (r"10\.31\.3\.0|10\.31\.3\.80", r"route|unreach|gone|answer|silen"), within=10.5, onset=2.5),
    See("client", (r"10\.31\.3\.80", LOST)),
    after=25,
)
def killed(net):
    _, daemon = chain(net, ("r2", "r1", "client"))
    net.fault()
    daemon.kill()


@scene("ospf-mtu", See("r2", (r"mtu", r"1400", r"1500"), within=2.5, begins=0.5, never=(r"again \(over\)",)), after=30)
def mtu(net):
    r3, daemon = chain(net, ("r2",))
    net.fault()
    r3.run("ip link set west mtu 1400")
    daemon.kill()
    time.sleep(0.5)
    frr.daemon(net, r3, "ospfd", configuration(3, ("west", "lan")))


@scene("ospf-hello", See("r2", (r"hello|dead|interval|timer", r"\b2\b.*\b3\b|\b3\b.*\b2\b|\b8\b.*\b12\b|\b12\b.*\b8\b"), within=3.5, begins=1), after=25)
def hello(net):
    r3, daemon = chain(net, ("r2",))
    net.fault()
    daemon.kill()
    frr.daemon(net, r3, "ospfd", configuration(3, ("west", "lan"), 3, 12))


@scene("ospf-duplicate-id", See("r2", (r"2\.2\.2\.2", r"two|both|duplicate|same|also"), within=15, onset=5, begins=2), after=25)
def duplicate(net):
    r3, daemon = chain(net, ("r2",))
    net.fault()
    daemon.kill()
    frr.daemon(net, r3, "ospfd", configuration(3, ("west", "lan"), router_id="2.2.2.2"))
