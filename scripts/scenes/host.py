"""Limits of the host itself."""
import time

from run import See, scene


# Pings 1,500 addresses that nobody has, more than the kernel's table holds by default (gc_thresh3, arp(7)).
PINGS = "for n in $(seq 1500); do ping -c 1 -W 1 10.44.$((n / 250)).$((n % 250 + 2)) >/dev/null 2>&1 & done; wait"


@scene("neighbour-table-full", See("gateway", (r"neighbo", r"table|overflow|full|limit"), onset=2.5), alone=True)
def neighbours(net):
    gateway, client = net.host("gateway", "client")
    _, server = net.lan(gateway, client)
    server.play("web")
    time.sleep(1)
    client.play("users 4 10.40.0.80")
    gateway.record()
    net.normal()
    gateway.address("eth1", "10.44.0.1/16")
    net.fault()
    gateway.start(["sh", "-c", PINGS])


@scene("shaper-drops", See("client", (r"queue|qdisc|drop|sent again|retrans", r"\d"), within=8, onset=3))
def shaper(net):
    gateway, client = net.host("gateway", "client")
    _, server = net.lan(gateway, client)
    server.play("sink 5001")
    time.sleep(1)
    client.play("stream 10.40.0.80 5001 16")
    client.record()
    net.normal()
    net.fault()
    client.run("tc qdisc add dev eth0 root tbf rate 4mbit burst 8kb limit 16kb")
