"""Packets that are too large for the way."""
import time

from run import See, scene

LARGE = r"mtu|large|size|full.?size|big"


def path(net, told):
    """Two routers with a narrow wire between them; whether the sender is told of it."""
    client, near, far, server = net.host("client", "near", "far", "server")
    net.wire(client, "eth0", near, "lan")
    net.wire(near, "wan", far, "wan")
    net.wire(far, "lan", server, "eth0")
    for router in (near, far):
        router.routes()
    client.address("eth0", "10.30.0.10/24")
    near.address("lan", "10.30.0.1/24")
    near.address("wan", "10.90.0.1/24")
    far.address("wan", "10.90.0.2/24")
    far.address("lan", "10.40.0.1/24")
    server.address("eth0", "10.40.0.80/24")
    client.route("default", "10.30.0.1")
    server.route("default", "10.40.0.1")
    near.route("10.40.0.0/24", "10.90.0.2")
    far.route("10.30.0.0/24", "10.90.0.1")
    server.play("web")
    server.play("sink 5001")
    time.sleep(1)
    client.play("users 4 10.40.0.80 80 0.3 20000")
    client.play("stream 10.40.0.80 5001 4")
    client.record()
    server.record()
    net.normal()
    net.fault()
    for router in (near, far):
        if not told:
            router.filter("table ip mute { chain out { type filter hook output priority 0; icmp type destination-unreachable drop; }; }")
        router.run("ip link set wan mtu 1280")


@scene("mtu-hole", *(See(name, (r"10\.40\.0\.80|10\.30\.0\.10", LARGE)) for name in ("client", "server")))
def hole(net):
    path(net, told=False)
