"""The next hop, and addresses that somebody else takes."""
import time

from run import See, scene

SILENT = r"silen|nothing|answer|hear|no longer|unreach"


def office(net, *more, six=False):
    """A client that uses a server behind its gateway, and others on its LAN."""
    gateway, client, other = net.host("gateway", "client", "other")
    rest = [net.host(name) for name in more]
    switch, server = net.lan(gateway, client, other, *rest)
    target = "10.40.0.80"
    if six:
        target = "2001:db8:40::80"
        gateway.address("eth0", "2001:db8:30::1/64")
        gateway.address("eth1", "2001:db8:40::1/64")
        server.address("eth0", f"{target}/64")
        server.route("default", "2001:db8:40::1")
        for number, host in enumerate((client, other, *rest), 1):
            host.address("eth0", f"2001:db8:30::{number}0/64")
            host.route("default", "2001:db8:30::1")
    for host in (server, client):
        host.play("web")
    time.sleep(1)
    client.play(f"users 5 {target}")
    other.play("users 3 10.30.0.10")
    client.record()
    return (switch, gateway, client, other, *rest)


@scene("gateway-silent", See("client", (r"10\.30\.0\.1\b", SILENT)))
def silent(net):
    _, gateway, *_ = office(net)
    net.normal()
    net.fault()
    gateway.drops_in("eth0")


@scene("gateway-silent-ipv6", See("client", (r"2001:db8:30::1\b|fe80::|2001:db8:40::80", SILENT)))
def silent_six(net):
    _, gateway, *_ = office(net, six=True)
    net.normal()
    net.fault()
    gateway.drops_in("eth0", "meta protocol ip6")


@scene("receive-dead", See("client", ("eth0", r"receiv|inbound|\bin\b|hear|arriv", r"nothing|no frame|silen|stopp")), quick=True)
def receive(net):
    switch, *_ = office(net)
    net.normal()
    net.fault()
    switch.drops_out("to-client")


@scene("transmit-dead", See("client", (r"10\.30\.0\.1\b|10\.40\.0\.80|eth0", SILENT)))
def transmit(net):
    switch, *_ = office(net)
    net.normal()
    net.fault()
    switch.drops_in("to-client")


@scene(
    "address-taken",
    See("client", (r"10\.30\.0\.10\b", r"conflict|duplicate|uses|claim|also|two|taken"), onset=1),
    See("switch", (r"10\.30\.0\.10\b", r"conflict|duplicate|uses|claim|also|two|taken"), onset=1, never=(r"10\.30\.0\.10 does not answer",)),
    quick=True,
)
def taken(net):
    switch, gateway, _, other, thief = office(net, "thief")
    switch.record()
    net.normal()
    net.fault()
    thief.address("eth0", "10.30.0.10/24")
    thief.start("arping -U -c 3 -I eth0 10.30.0.10")
    thief.start("ping -I 10.30.0.10 -i 1 10.30.0.1")
    for _ in range(4):
        time.sleep(2)
        for host in (gateway, other):
            host.run("ip neigh flush dev eth0")


@scene("gateway-hijacked", See("client", (r"10\.30\.0\.1\b", r"mac|moved|changed|another|claim|conflict"), onset=1))
def hijacked(net):
    _, _, client, _, thief = office(net, "thief")
    net.normal()
    net.fault()
    thief.play(f"claim eth0 10.30.0.1 {client.mac('eth0')} 10.30.0.10")


@scene("gateway-hijacked-ipv6", See("client", (r"2001:db8:30::1\b", r"mac|moved|changed|another|claim|conflict"), onset=1))
def hijacked_six(net):
    _, _, client, _, thief = office(net, "thief", six=True)
    net.normal()
    net.fault()
    thief.play(f"claim eth0 2001:db8:30::1 {client.mac('eth0')} 2001:db8:30::10")


@scene("tagged-instead", See("client", (r"vlan|tag", r"\b42\b")))
def tagged(net):
    gateway, client, box, switch = net.host("gateway", "client", "box", "switch")
    server = net.host("server")
    switch.run("ip link add br0 type bridge")
    switch.run("ip link set br0 up")
    net.wire(gateway, "eth0", switch, "to-gateway")
    net.wire(client, "eth0", box, "inner")
    net.wire(box, "outer", switch, "to-client")
    for port in ("to-gateway", "to-client"):
        switch.run(f"ip link set {port} master br0")
    for host, interface in ((client, "eth0"), (box, "inner"), (box, "outer"), (switch, "to-client")):
        host.run(f"ethtool -K {interface} tso off gso off gro off tx off")
    net.wire(gateway, "eth1", server, "eth0")
    gateway.routes()
    gateway.address("eth0", "10.30.0.1/24")
    gateway.address("eth1", "10.40.0.1/24")
    server.address("eth0", "10.40.0.80/24")
    server.route("default", "10.40.0.1")
    client.address("eth0", "10.30.0.10/24")
    client.route("default", "10.30.0.1")
    knobs = f"{net.folder}/knobs"
    with open(knobs, "w") as file:
        file.write("loss=0")
    box.play(f"relay outer inner {knobs}")
    server.play("web")
    time.sleep(1)
    client.play("users 5 10.40.0.80")
    client.record()
    net.normal()
    net.fault()
    # What comes from the switch is tagged, and what the client says is lost.
    with open(knobs, "w") as file:
        file.write("tag=42")
