"""Two routers that stand in for each other: keepalived."""
import time

from run import See, scene

TWO = (r"master", r"10\.30\.0\.2", r"10\.30\.0\.3", r"two|both|second|another|also")


def pair(net, recorders):
    one, two, up, client = net.host("one", "two", "up", "client")
    net.switch("switch", one, two, client)
    net.wire(one, "eth1", up, "to-one")
    net.wire(two, "eth1", up, "to-two")
    for number, (router, priority) in enumerate(((one, 150), (two, 100)), 2):
        router.address("eth0", f"10.30.0.{number}/24")
        router.address("eth1", f"10.70.{number}.2/24")
        up.address(f"to-{router.name}", f"10.70.{number}.1/24")
        router.routes()
        router.route("default", f"10.70.{number}.1")
        with open(f"{net.folder}/{router.name}.conf", "w") as file:
            file.write(
                f"vrrp_instance LAN {{\n state BACKUP\n interface eth0\n virtual_router_id 77\n priority {priority}\n advert_int 1\n"
                " track_interface {\n  eth1\n }\n virtual_ipaddress {\n  10.30.0.1/24\n }\n}\n"
            )
    up.run("ip address add 10.40.0.80/32 dev lo")
    up.route("10.30.0.0/24", "10.70.2.2")
    client.address("eth0", "10.30.0.10/24")
    client.route("default", "10.30.0.1")
    up.play("web")
    daemons = [start(net, router) for router in (one, two)]
    net.wait("a master", lambda: "10.30.0.1/" in one.run("ip address show dev eth0"))
    client.play("users 4 10.40.0.80")
    for name in recorders:
        net.hosts[name].record()
    net.normal()
    return one, two, up, daemons


def start(net, router):
    files = " ".join(f"-{letter} {net.folder}/{router.name}.{word}" for letter, word in (("p", "pid"), ("r", "vrrp"), ("c", "check")))
    return router.start(f"keepalived -n -l -D -P -f {net.folder}/{router.name}.conf {files}")


@scene("vrrp-uplink", See("one", ("eth1", r"down|carrier|no link"), within=1.5, onset=1), *(See(name, (r"10\.30\.0\.2", r"resign|priority 0|gives up|gave up"), within=1.5, onset=1) for name in ("two", "client")), quick=True)
def uplink(net):
    _, _, up, _ = pair(net, ("one", "two", "client"))
    net.fault()
    up.run("ip link set to-one down")


@scene("vrrp-split", *(See(name, TWO, within=5.2, begins=3.6) for name in ("one", "client")))
def split(net):
    _, two, *_ = pair(net, ("one", "client"))
    net.fault()
    two.drops_in("eth0", "ip protocol vrrp")


@scene("vrrp-hangs", See("client", (r"10\.30\.0\.2\b", r"no announcement|silen|hear|stopp"), within=5, begins=1))
def hangs(net):
    one, _, _, _ = pair(net, ("client",))
    net.fault()
    for process in one.run(f"ip netns pids {one.space}").split():
        if "keepalived" in one.run(f"cat /proc/{process}/comm", check=False):
            one.run(f"kill -STOP {process}")
