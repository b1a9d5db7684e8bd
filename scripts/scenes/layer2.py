"""Storms, loops and bridges."""
import time

from run import See, scene


def lan(net, recorders, *more, stp=False):
    """Two switches with a cable between them; hosts on both, one of which will misbehave."""
    gateway, client, other, rogue = net.host("gateway", "client", "other", "rogue")
    left = net.switch("left", gateway, client, stp=stp)
    right = net.switch("right", other, rogue, stp=stp)
    net.wire(left, "trunk1", right, "trunk1")
    for switch in (left, right):
        switch.run("ip link set trunk1 master br0")
    for number, host in enumerate((gateway, client, other, rogue)):
        host.address("eth0", f"10.30.0.{number or 1}{'0' if number else ''}/24")
    other.play("web")
    client.play("web")
    time.sleep(8 if stp else 1)
    client.play("users 4 10.30.0.20")
    other.play("users 2 10.30.0.10")
    for name in recorders:
        net.hosts[name].record()
    net.normal()
    return left, right, rogue


@scene("loop", See("left", (r"trunk1", r"trunk2", r"loop"), within=1.5, onset=1, never=(r"segments sent again",)), See("client", (r"loop|storm|duplicate|cop(y|ies)",), within=1.5, onset=1))
def loop(net):
    left, right, _ = lan(net, ("left", "client"))
    net.fault()
    net.wire(left, "trunk2", right, "trunk2")
    for switch in (left, right):
        switch.run("ip link set trunk2 master br0")
    time.sleep(3)
    left.run("ip link delete trunk2")


@scene("broadcast-flood", *(See(name, (r"broadcast|storm|flood", r"02:|10\.30\.0\.66|[0-9a-f]{2}:[0-9a-f]{2}:"), within=1.5, onset=1) for name in ("left", "client")), quick=True)
def broadcast(net):
    _, _, rogue = lan(net, ("left", "client"))
    net.fault()
    rogue.play("flood eth0 broadcast 6000 6")


@scene("unknown-unicast-flood", *(See(name, (r"unicast|unknown|flood|nobody", r"from .*[0-9a-f]{2}:[0-9a-f]{2}:"), within=1.5, onset=1) for name in ("left", "client")))
def unicast(net):
    _, _, rogue = lan(net, ("left", "client"))
    net.fault()
    rogue.play("flood eth0 unicast 6000 6")


@scene("station-flood", See("left", (r"new|stations|addresses|table|mac", r"\d+"), within=2, onset=1))
def stations(net):
    _, _, rogue = lan(net, ("left",))
    net.fault()
    rogue.play("flood eth0 stations 4000 6")


@scene("better-root", See("left", (r"root", r"chang|new|better|instead"), within=2.5, begins=1, onset=1.5))
def root(net):
    _, _, rogue = lan(net, ("left",), stp=True)
    net.fault()
    rogue.run("ip link add br9 type bridge stp_state 1 priority 4096 hello_time 100")
    rogue.run("ip link set eth0 master br9")
    rogue.run("ip link set br9 up")
