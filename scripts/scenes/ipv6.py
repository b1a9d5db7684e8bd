"""Routers that advertise themselves, and those that stop."""
import time

from run import See, scene

RADVD = """interface eth0 {
  AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; AdvDefaultLifetime 12;
  prefix 2001:db8:30::/64 { };
};
"""


def lan(net):
    gateway, client, rogue = net.host("gateway", "client", "rogue")
    net.switch("switch", gateway, client, rogue)
    server = net.host("server")
    net.wire(gateway, "eth1", server, "eth0")
    gateway.routes()
    gateway.address("eth0", "2001:db8:30::1/64")
    gateway.address("eth1", "2001:db8:40::1/64")
    server.address("eth0", "2001:db8:40::80/64")
    server.route("default", "2001:db8:40::1")
    with open(f"{net.folder}/radvd.conf", "w") as file:
        file.write(RADVD)
    client.run("sysctl -qw net.ipv6.conf.eth0.accept_ra=1")
    daemon = gateway.start(f"radvd -n -C {net.folder}/radvd.conf -p {net.folder}/radvd.pid -m stderr")
    net.wait("an address", lambda: "2001:db8:30:" in client.run("ip -6 address") and "default" in client.run("ip -6 route"))
    server.play("web")
    time.sleep(2)
    client.play("users 3 2001:db8:40::80")
    client.record()
    net.normal()
    return daemon, rogue


@scene("router-not-advertised", See("client", (r"router|default route|\bra\b|advert", r"gone|expire|lifetime|silen|no longer|stopp"), within=14, onset=8, begins=6))
def expired(net):
    daemon, _ = lan(net)
    net.fault()
    daemon.kill()


@scene("router-rogue", See("client", (r"router|advert|\bra\b|default route", r"2001:db8:bad|fe80::|[0-9a-f]{2}:[0-9a-f]{2}:"), within=1.5, onset=1))
def rogue(net):
    _, stranger = lan(net)
    net.fault()
    stranger.play("advertise eth0 2001:db8:bad::")
