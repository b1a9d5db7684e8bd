"""Address assignment: dnsmasq serves, dhclient asks."""
import os
import time

from run import See, scene

SCRIPT = """#!/bin/sh
case $reason in
  BOUND|RENEW|REBIND|REBOOT) ip address replace $new_ip_address/24 dev $interface; ip route replace default via $new_routers ;;
  EXPIRE|FAIL|RELEASE|STOP) ip address flush dev $interface scope global ;;
esac
"""


def serve(net, host, first, last, router, *more):
    line = f"dnsmasq -d -C /dev/null --no-resolv --port=0 --user=root --pid-file= --interface=eth0 --bind-interfaces --dhcp-authoritative"
    leases = f"--dhcp-leasefile={net.folder}/leases.{host.name}"
    return host.start([*line.split(), f"--dhcp-range={first},{last},2m", f"--dhcp-option=3,{router}", leases, *more])


def ask(net, host, fresh=False):
    lease = f"{net.folder}/lease.{host.name}"
    if fresh or not os.path.exists(lease):
        open(lease, "w").close()
    common = f"-cf {net.folder}/dhclient.conf -lf {lease} -pf {net.folder}/pid.{host.name} -sf {net.folder}/script"
    return host.start(f"dhclient -d {common} eth0"), common


def lan(net):
    gateway, server, client, newcomer, rogue = net.host("gateway", "server", "client", "newcomer", "rogue")
    web = net.host("web")
    net.switch("switch", gateway, server, client, newcomer, rogue)
    net.wire(gateway, "eth1", web, "eth0")
    gateway.routes()
    gateway.address("eth0", "10.30.0.1/24")
    gateway.address("eth1", "10.40.0.1/24")
    web.address("eth0", "10.40.0.80/24")
    web.route("default", "10.40.0.1")
    server.address("eth0", "10.30.0.2/24")
    with open(f"{net.folder}/script", "w") as file:
        file.write(SCRIPT)
    os.chmod(f"{net.folder}/script", 0o755)
    with open(f"{net.folder}/dhclient.conf", "w") as file:
        file.write("timeout 20;\nretry 8;\n")
    os.chmod(net.folder, 0o755)
    return server, client, newcomer, rogue, web


def begin(net, client, web):
    asking = ask(net, client)
    net.wait("a lease", lambda: "default" in client.run("ip route"))
    web.play("web")
    time.sleep(1)
    client.play("users 3 10.40.0.80")
    client.record()
    net.normal()
    return asking


@scene("dhcp-dead", See("client", (r"dhcp|lease", r"answer|offer|server|silen|release"), within=6.5, onset=1.5, begins=1), after=25)
def dead(net):
    server, client, _, _, web = lan(net)
    daemon = serve(net, server, "10.30.0.100", "10.30.0.150", "10.30.0.1")
    time.sleep(1)
    _, common = begin(net, client, web)
    net.fault()
    daemon.kill()
    time.sleep(0.3)
    client.run(f"dhclient -r {common} eth0", check=False)
    ask(net, client, fresh=True)


@scene("dhcp-nak", See("client", (r"nak|refus|reject|declin", r"10\.30\.|dhcp"), within=3, onset=1.5, begins=1.5), after=25)
def nak(net):
    server, client, _, _, web = lan(net)
    daemon = serve(net, server, "10.30.0.100", "10.30.0.150", "10.30.0.1")
    time.sleep(1)
    asking, _ = begin(net, client, web)
    net.fault()
    daemon.kill()
    server.run("ip address flush dev eth0 scope global")
    server.address("eth0", "10.30.77.2/24")
    os.remove(f"{net.folder}/leases.server")
    serve(net, server, "10.30.77.100", "10.30.77.150", "10.30.77.1")
    asking.kill()
    time.sleep(1)
    ask(net, client)


@scene("dhcp-rogue", See("client", (r"dhcp|lease", r"10\.30\.0\.66", r"second|another|other|rogue|two|new|differ|both"), within=3, onset=1.5, begins=1.2), after=25)
def rogue(net):
    server, client, _, stranger, web = lan(net)
    serve(net, server, "10.30.0.100", "10.30.0.150", "10.30.0.1", "--dhcp-reply-delay=1")
    time.sleep(1)
    asking, _ = begin(net, client, web)
    net.fault()
    stranger.address("eth0", "10.30.0.66/24")
    serve(net, stranger, "10.30.0.200", "10.30.0.220", "10.30.0.66", "--no-ping")
    time.sleep(1)
    asking.kill()
    ask(net, client, fresh=True)


@scene("dhcp-pool-exhausted", See("server", (r"dhcp", r"answer|in vain"), within=20, onset=3, begins=0.5), after=25)
def exhausted(net):
    server, client, newcomer, _, web = lan(net)
    # One client that waits is its own trouble to whoever only passes it on; the server knows better.
    server.record()
    net.wait("a recording", lambda: "capture on eth0: started" in open(f"{net.folder}/server.log").read())
    serve(net, server, "10.30.0.100", "10.30.0.100", "10.30.0.1")
    time.sleep(1)
    ask(net, client)
    net.wait("a lease", lambda: "default" in client.run("ip route"))
    net.normal()
    net.fault()
    ask(net, newcomer)
