"""Nothing fails: whatever freezes here is a false alarm."""
import time

import vrrp
from run import scene


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
