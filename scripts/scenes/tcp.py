"""Services and the paths to them."""
import signal
import time

from run import See, scene

SERVICE = r"10\.40\.0\.80"


def web(net, recorders=("client",), port=80, options=""):
    gateway, client = net.host("gateway", "client")
    switch, server = net.lan(gateway, client)
    process = server.play(f"web {port} {options}")
    time.sleep(1)
    client.play(f"users 5 10.40.0.80 {port}")
    for name in recorders:
        net.hosts[name].record()
    net.normal()
    return switch, gateway, client, server, process


def boxed(net):
    """The same behind a box in the wire, and a stream beside the users."""
    gateway, client, box = net.host("gateway", "client", "box")
    server = net.host("server")
    net.wire(client, "eth0", box, "inner")
    net.wire(gateway, "eth0", box, "outer")
    net.wire(gateway, "eth1", server, "eth0")
    gateway.routes()
    gateway.address("eth0", "10.30.0.1/24")
    gateway.address("eth1", "10.40.0.1/24")
    client.address("eth0", "10.30.0.10/24")
    server.address("eth0", "10.40.0.80/24")
    client.route("default", "10.30.0.1")
    server.route("default", "10.40.0.1")
    for host, interface in ((client, "eth0"), (box, "inner"), (box, "outer"), (gateway, "eth0")):
        host.run(f"ethtool -K {interface} tso off gso off gro off tx off")
    knobs = f"{net.folder}/knobs"
    with open(knobs, "w") as file:
        file.write("loss=0")
    box.play(f"relay inner outer {knobs}")
    server.play("web")
    server.play("sink 5001")
    time.sleep(1)
    client.play("users 4 10.40.0.80")
    client.play("stream 10.40.0.80 5001 4")
    client.record()
    net.normal()
    return knobs


@scene("service-killed", *(See(name, (SERVICE, r"\b80\b", r"refus|reset|rst")) for name in ("client", "server")), quick=True)
def killed(net):
    *_, process = web(net, ("client", "server"))
    net.fault()
    process.kill()


@scene("service-killed-8443", See("client", (SERVICE, r"\b8443\b", r"refus|reset|rst")))
def other_port(net):
    *_, process = web(net, port=8443)
    net.fault()
    process.kill()


@scene("service-dropped", See("client", (SERVICE, r"\b80\b", r"answer|silen|unanswered|no longer|nothing")))
def dropped(net):
    _, gateway, *_ = web(net)
    net.fault()
    gateway.drops_in("eth0", "tcp dport 80")


@scene("service-dropped-at-router", See("gateway", (SERVICE, r"\b80\b", r"answer|silen|unanswered|no longer|nothing")))
def at_router(net):
    _, _, _, server, _ = web(net, ("gateway",))
    net.fault()
    server.drops_in("eth0", "tcp dport 80")


@scene("service-stopped", See("client", (SERVICE, r"\b80\b", r"accept|stall|silen|no data|answer"), onset=2))
def stopped(net):
    *_, process = web(net, options="512")
    net.fault()
    process.send_signal(signal.SIGSTOP)


@scene("service-queue-full", See("client", (SERVICE, r"\b80\b", r"accept|stall|silen|no data|answer"), onset=2))
def full(net):
    *_, process = web(net, options="2")
    net.fault()
    process.send_signal(signal.SIGSTOP)


@scene("host-off", See("client", (SERVICE, r"answer|silen|unreach|no longer|nothing")))
def off(net):
    *_, server, _ = web(net)
    net.fault()
    server.run("ip link set eth0 down")


@scene("receiver-does-not-read", See("client", (SERVICE, r"5001", r"window|read|full"), onset=2, begins=0.8))
def window(net):
    gateway, client = net.host("gateway", "client")
    _, server = net.lan(gateway, client)
    process = server.play("sink 5001")
    time.sleep(1)
    client.play("stream 10.40.0.80 5001 16")
    client.record()
    net.normal()
    net.fault()
    process.send_signal(signal.SIGSTOP)


@scene("loss-5-percent", See("client", (r"loss|lost|sent again|retrans", r"\d"), onset=2))
def loss(net):
    knobs = boxed(net)
    net.fault()
    with open(knobs, "w") as file:
        file.write("loss=5")


@scene("path-slow", See("client", (r"slow|latency|round trip|takes", r"\d"), within=8, onset=2))
def slow(net):
    knobs = boxed(net)
    net.fault()
    with open(knobs, "w") as file:
        file.write("delay=0.3")


@scene("syn-flood", See("server", (r"syn", r"\b80\b", r"flood|sources|/s"), never=(r"SYN flooding on.*interface that",)))
def flood(net):
    _, gateway, _, server, _ = web(net, ("server",))
    net.fault()
    gateway.play(f"flood eth1 syn 4000 10 {server.mac('eth0')} 10.40.0.80")
