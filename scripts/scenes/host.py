"""Limits of the host itself."""
import time

from run import See, scene


# Speaks to 1,500 addresses that nobody has, more than the kernel's table holds by default (gc_thresh3, arp(7)), all at
# once: given up one by one, they would make room for each other.
SPEAKS = """
import socket, time
# What waits for an address fills its sender's buffer.
senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(50)]
for _ in range(6):
    for n in range(1500):
        try:
            senders[n % 50].sendto(b"x", (f"10.44.{n // 250}.{n % 250 + 2}", 9))
        except OSError:
            pass
    time.sleep(1)
"""


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
    gateway.start(["python3", "-c", SPEAKS])
