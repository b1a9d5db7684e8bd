"""Name servers that do not answer, or not well."""
import time

from run import See, scene

SERVER = r"10\.30\.0\.20\b"
ABOUT = r"dns|resolver|port 53|name"


def lan(net, mode="ok"):
    """A client that asks a name server on its LAN ten times a second; the file that says how that answers."""
    gateway, client, names = net.host("gateway", "client", "names")
    net.lan(gateway, client, names)
    file = f"{net.folder}/mode"
    say(file, mode)
    process = names.play(f"resolver {file}")
    time.sleep(1)
    client.play("names 10.30.0.20")
    client.record()
    net.normal()
    return file, process, names


def say(file, mode):
    with open(file, "w") as text:
        text.write(mode)


@scene("dns-killed", See("client", (SERVER, ABOUT)), quick=True)
def killed(net):
    _, process, _ = lan(net)
    net.fault()
    process.kill()


@scene("dns-dropped", See("client", (SERVER, ABOUT, r"answer|silen")))
def dropped(net):
    _, _, names = lan(net)
    net.fault()
    names.drops_in("eth0", "udp dport 53")


@scene("dns-servfail", See("client", (SERVER, r"servfail|server failure")))
def servfail(net):
    file, *_ = lan(net)
    net.fault()
    say(file, "servfail")


@scene("dns-refused", See("client", (SERVER, r"refused")))
def refused(net):
    file, *_ = lan(net)
    net.fault()
    say(file, "refused")


@scene("dns-late", See("client", (SERVER, r"slow|late|latency|takes|after", r"1[.,]2|1[.,]?2\d\d"), onset=2, never=(r"10\.30\.0\.20.{0,40} is down",)))
def late(net):
    file, *_ = lan(net)
    net.fault()
    say(file, "late=1.2")


@scene("dns-nxdomain-flood", See("client", (r"nxdomain|no such name", r"10\.30\.0\.\d+")))
def nxdomain(net):
    file, *_ = lan(net)
    client = net.hosts["client"]
    net.fault()
    say(file, "nxdomain")
    client.play("names 10.30.0.20 120")


@scene("dnsmasq-killed", See("client", (SERVER, ABOUT)))
def dnsmasq(net):
    gateway, client, names = net.host("gateway", "client", "names")
    net.lan(gateway, client, names)
    daemon = names.start("dnsmasq -d -C /dev/null --no-resolv --no-hosts --user=root --pid-file= --address=/example.test/10.40.0.80")
    time.sleep(1)
    client.play("names 10.30.0.20")
    client.record()
    net.normal()
    net.fault()
    daemon.kill()
