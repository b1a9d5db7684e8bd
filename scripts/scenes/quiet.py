"""Nothing fails: whatever freezes here is a false alarm."""
import os
import random
import time

import dhcp
import vrrp
from run import scene

# Seconds of the long control, and between two of its happenings.
LONG = float(os.environ.get("SCENE_LONG", 1800))
PAUSE = (5, 25)


@scene("quiet-lan", after=15)
def lan(net):
    gateway, client, other, names, newcomer = net.host("gateway", "client", "other", "names", "newcomer")
    switch, server = net.lan(gateway, client, other, names, newcomer)
    mode = f"{net.folder}/mode"
    with open(mode, "w") as file:
        file.write("ok")
    resolver = names.play(f"resolver {mode}")
    for host in (server, client):
        host.play("web")
    server.play("sink 5001")
    time.sleep(1)
    client.play("users 5 10.40.0.80")
    other.play("users 3 10.30.0.10")
    client.play("names 10.30.0.30")
    client.play("stream 10.40.0.80 5001 4")
    for host in (client, switch, gateway):
        host.record()
    net.normal()
    # A host boots.
    newcomer.start("arping -U -c 2 -I eth0 10.30.0.40")
    newcomer.start("ping -c 3 10.30.0.1")
    time.sleep(5)
    # A backup, as fast as it goes.
    backup = client.play("stream 10.40.0.80 5001 2000")
    time.sleep(8)
    backup.kill()
    # Monitoring scans, and pings hosts that are off.
    for port in range(100, 250):
        other.run(["timeout", "1", "bash", "-c", f"</dev/tcp/10.30.0.10/{port}"], check=False)
    for host in (201, 202, 203):
        other.start(f"ping -c 4 10.30.0.{host}")
    time.sleep(8)
    # A service is restarted.
    resolver.kill()
    time.sleep(0.5)
    names.play(f"resolver {mode}")
    time.sleep(8)


@scene("quiet-redundancy", after=10)
def redundancy(net):
    vrrp.pair(net, ("client",))
    net.hosts["client"].start("ping -i 0.2 10.40.0.80")
    time.sleep(20)


@scene("quiet-half-hour", alone=True, long=True)
def half_hour(net):
    """An office day: users, names, streams and backups come and go, hosts boot, sleep and are scanned."""
    gateway, client, names, server, laptop, printer = net.host("gateway", "client", "names", "leases", "laptop", "printer")
    switch, web = net.lan(gateway, client, names, server, laptop, printer)
    for host in (client, names, laptop):
        host.address("eth0", f"2001:db8:30::{host.name[0]}/64".replace("n", "a").replace("l", "b"))
    with open(f"{net.folder}/mode", "w") as file:
        file.write("ok")
    os.chmod(net.folder, 0o755)
    names.play(f"resolver {net.folder}/mode")
    for host in (web, client, printer):
        host.play("web")
    web.play("sink 5001")
    dhcp.serve(net, server, "10.30.0.100", "10.30.0.150", "10.30.0.1")
    time.sleep(1)
    client.play("users 4 10.40.0.80")
    laptop.play("users 2 10.30.0.10")
    client.play("names 10.30.0.20 5")
    client.start("ping -i 1 10.30.0.1")
    for host in (client, switch, gateway, web):
        host.record()
    kept = []

    def for_a_while(process, seconds):
        time.sleep(seconds)
        process.kill()

    def boots():
        # Its link stays up: a port of the switch that goes down is no quiet thing for who records there.
        laptop.run("ip address flush dev eth0 scope global")
        time.sleep(2)
        laptop.address("eth0", "10.30.0.40/24")
        laptop.route("default", "10.30.0.1")
        laptop.start("arping -U -c 2 -I eth0 10.30.0.40")

    def wants_lease():
        dhcp_client = net.host(f"guest{len(kept)}")
        net.wire(dhcp_client, "eth0", switch, f"to-{dhcp_client.name}")
        switch.run(f"ip link set to-{dhcp_client.name} master br0")
        with open(f"{net.folder}/script", "w") as file:
            file.write(dhcp.SCRIPT)
        os.chmod(f"{net.folder}/script", 0o755)
        with open(f"{net.folder}/dhclient.conf", "w") as file:
            file.write("timeout 20;\nretry 8;\n")
        kept.append(dhcp.ask(net, dhcp_client))

    happenings = [
        boots,
        wants_lease,
        lambda: for_a_while(client.play("stream 10.40.0.80 5001 2000"), 8),
        lambda: for_a_while(client.play("stream 10.40.0.80 5001 50"), 15),
        lambda: for_a_while(client.play("users 30 10.40.0.80 80 0.1 20000"), 10),
        lambda: for_a_while(client.play("users 2 10.40.0.80 81"), 6),
        lambda: client.start("ping -c 5 10.30.0.201"),
        lambda: client.start("ping -c 3 10.40.0.99"),
        lambda: [gateway.run(["timeout", "1", "bash", "-c", f"</dev/tcp/10.30.0.10/{port}"], check=False) for port in range(100, 200)],
        lambda: for_a_while(client.play("flood eth0 multicast 300 10"), 10),
        lambda: for_a_while(client.play("names 10.30.0.20 100"), 8),
        lambda: client.run("ip neigh flush dev eth0"),
        lambda: printer.start("arping -D -c 2 -I eth0 10.30.0.50"),
        lambda: printer.start("arping -A -c 1 -I eth0 10.30.0.50"),
    ]
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        random.choice(happenings)()
        time.sleep(random.uniform(*PAUSE))
