"""Links and routes of the host itself."""
import time

from run import See, scene

WENT = r"down|carrier|no link"


def office(net):
    gateway, client = net.host("gateway", "client")
    switch, server = net.lan(gateway, client)
    server.play("web")
    time.sleep(1)
    client.play("users 4 10.40.0.80")
    client.record()
    net.normal()
    return switch, gateway, client, server


@scene("link-down", See("client", ("eth0", WENT), within=1.5, onset=1), quick=True)
def down(net):
    switch, *_ = office(net)
    net.fault()
    switch.run("ip link set to-client down")


@scene("link-flap", See("client", ("eth0", WENT, r"flap|times|again|repeat"), within=1.5, onset=1))
def flap(net):
    switch, *_ = office(net)
    net.fault()
    for _ in range(6):
        switch.run("ip link set to-client down")
        time.sleep(1)
        switch.run("ip link set to-client up")
        time.sleep(3)


@scene("link-removed", See("client", ("eth0", r"gone|removed|disappear|down"), within=1.5, onset=1))
def removed(net):
    _, _, client, _ = office(net)
    net.fault()
    client.run("ip link delete eth0")


@scene("default-route-gone", See("client", (r"default route", r"gone|removed|deleted|lost"), within=1.5, onset=1))
def route(net):
    *_, client, _ = office(net)
    net.fault()
    client.run("ip route del default")
