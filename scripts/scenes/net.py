"""A network of namespaces on this machine: hosts, wires, switches, daemons, recorders. Everything lives below one folder,
and ends with the scene: processes by their id, namespaces by their name."""
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DASHCAP = os.environ["DASHCAP"]
NORMAL = float(os.environ.get("SCENE_NORMAL", 20))  # seconds of ordinary traffic before the fault
AFTER = float(os.environ.get("SCENE_AFTER", 20))  # and after it
BOUND = 120  # longest wait for anything, in seconds: beside others, a debug build packs a flood for a minute


class Host:
    """A namespace."""

    def __init__(self, net, name):
        self.net, self.name = net, name
        self.space = f"dc-{net.name}-{name}"

    def run(self, command, check=True):
        """Runs a command to its end; what it prints."""
        line = command.split() if isinstance(command, str) else command
        done = subprocess.run(["ip", "netns", "exec", self.space, *line], capture_output=True, text=True, timeout=BOUND)
        if check and done.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(line)}: {done.stderr.strip()}")
        return done.stdout

    def start(self, command):
        """Starts a command that goes on until the scene ends."""
        line = command.split() if isinstance(command, str) else command
        log = open(f"{self.net.folder}/{self.name}.log", "ab")
        process = subprocess.Popen(["ip", "netns", "exec", self.space, *line], stdout=log, stderr=log, cwd=self.net.folder)
        self.net.processes.append(process)
        return process

    def play(self, command):
        """Starts a part of play.py."""
        return self.start([sys.executable, f"{HERE}/play.py", *command.split()])

    def sysctl(self, **values):
        for key, value in values.items():
            self.run(f"sysctl -qw {key.replace('__', '.')}={value}")

    def routes(self):
        """Makes it a router."""
        self.run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")

    def address(self, interface, *addresses):
        for address in addresses:
            six = ["-6"] if ":" in address else []
            nodad = ["nodad"] if six else []
            self.run(["ip", *six, "address", "add", address, "dev", interface, *nodad])

    def route(self, target, via):
        self.run(f"ip {'-6' if ':' in via else ''} route add {target} via {via}")

    def mac(self, interface):
        return self.run(f"cat /sys/class/net/{interface}/address").strip()

    def filter(self, rules):
        """Loads a table of nftables."""
        self.run(["nft", rules])

    def drops_in(self, interface, what=""):
        """Loses what arrives on an interface: a dead receiver, a firewall."""
        self.filter(f'table netdev lost {{ chain in {{ type filter hook ingress device "{interface}" priority 0; {what} drop; }}; }}')

    def drops_out(self, interface, what=""):
        self.filter(f'table netdev lost {{ chain out {{ type filter hook egress device "{interface}" priority 0; {what} drop; }}; }}')

    def forgets(self):
        """Nothing is lost any more."""
        self.run("nft delete table netdev lost")

    def record(self, *options):
        """dashcap with its defaults."""
        folder = f"{self.net.folder}/{self.name}"
        os.makedirs(folder)
        line = [DASHCAP, "run", "--control", f"{folder}.sock", "-o", folder, *options]
        self.net.recorders[self.name] = self.start(line)


class Net:
    """A scene's network."""

    def __init__(self, name, folder):
        self.name, self.folder = name, folder
        self.hosts, self.processes, self.recorders, self.marks = {}, [], {}, []
        os.makedirs(folder)

    def host(self, *names):
        """Makes hosts; one, or as many as were named."""
        made = []
        for name in names:
            host = self.hosts[name] = Host(self, name)
            subprocess.run(["ip", "netns", "delete", host.space], capture_output=True)
            subprocess.run(["ip", "netns", "add", host.space], check=True)
            host.run("ip link set lo up")
            host.run("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0")
            made.append(host)
        return made[0] if len(made) == 1 else made

    def wire(self, one, its, other, theirs):
        """A cable between two interfaces."""
        make = f"ip link add {its} netns {one.space} type veth peer name {theirs} netns {other.space}"
        subprocess.run(make.split(), check=True)
        one.run(f"ip link set {its} up")
        other.run(f"ip link set {theirs} up")

    def switch(self, name, *hosts, stp=False):
        """A switch with a port `to-HOST` for the eth0 of each host."""
        switch = self.host(name)
        extra = "stp_state 1 hello_time 100 forward_delay 200 max_age 600" if stp else ""
        switch.run(f"ip link add br0 type bridge {extra}")
        switch.run("ip link set br0 up")
        for host in hosts:
            self.wire(host, "eth0", switch, f"to-{host.name}")
            switch.run(f"ip link set to-{host.name} master br0")
        return switch

    def lan(self, *hosts, prefix="10.30.0"):
        """A LAN whose first host is the gateway `.1` to a server behind it (10.40.0.80); the others are `.10`, `.20`, ..."""
        gateway = hosts[0]
        switch = self.switch("switch", *hosts)
        server = self.host("server")
        self.wire(gateway, "eth1", server, "eth0")
        gateway.routes()
        gateway.address("eth0", f"{prefix}.1/24")
        gateway.address("eth1", "10.40.0.1/24")
        server.address("eth0", "10.40.0.80/24")
        server.route("default", "10.40.0.1")
        for number, host in enumerate(hosts[1:], 1):
            host.address("eth0", f"{prefix}.{number}0/24")
            host.route("default", f"{prefix}.1")
        return switch, server

    def normal(self, seconds=NORMAL):
        """Ordinary traffic for a time."""
        time.sleep(seconds)

    def wait(self, what, true):
        """Until something is true."""
        end = time.monotonic() + BOUND
        while not true():
            if time.monotonic() > end:
                raise RuntimeError(f"waited in vain for {what}")
            time.sleep(0.2)

    def fault(self):
        """From now on something is wrong."""
        self.marks.append(time.time())

    def finish(self, seconds):
        """A while later the recorders are asked to end, and do."""
        time.sleep(seconds)
        for recorder in self.recorders.values():
            recorder.send_signal(signal.SIGINT)
        for recorder in self.recorders.values():
            recorder.wait(BOUND)

    def remove(self):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait(BOUND)
        for host in self.hosts.values():
            left = subprocess.run(["ip", "netns", "pids", host.space], capture_output=True, text=True).stdout
            for process in left.split():
                try:
                    os.kill(int(process), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            subprocess.run(["ip", "netns", "delete", host.space], capture_output=True)
