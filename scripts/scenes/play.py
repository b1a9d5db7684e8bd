"""What hosts of a scene do: play.py PART ARGUMENT... Plain sockets; each part goes on until it is ended."""
import itertools
import os
import random
import socket
import struct
import sys
import threading
import time


def thread(part, *arguments):
    threading.Thread(target=part, args=arguments, daemon=True).start()


def forever():
    while True:
        time.sleep(3600)


def family(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


# services and their users


def web(port="80", backlog="64"):
    """A web server; SIGSTOP makes it one that accepts and says nothing."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self):
            page = b"x" * int(self.path[1:] or 2000)
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6  # and IPv4 mapped into it
        request_queue_size = int(backlog)

    Server(("::", int(port)), Pages).serve_forever()


def users(count, host, port="80", every="0.3", page="2000"):
    """Each asks for a page, again and again, on a new connection."""

    def user():
        while True:
            began = time.monotonic()
            try:
                with socket.create_connection((host, int(port)), 3) as connection:
                    connection.sendall(f"GET /{page} HTTP/1.0\r\n\r\n".encode())
                    while connection.recv(65536):
                        pass
            except OSError as error:
                print(f"{time.time():.3f} {host}:{port} {error}", flush=True)
            time.sleep(max(0.02, float(every) - (time.monotonic() - began)))

    for _ in range(int(count)):
        thread(user)
        time.sleep(0.03)
    forever()


def sink(port):
    """Takes whatever it is sent; SIGSTOP makes it a receiver that does not read."""
    server = socket.create_server(("", int(port)), reuse_port=True)

    def read(connection):
        while connection.recv(65536):
            pass

    while True:
        thread(read, server.accept()[0])


def stream(host, port, megabits="8"):
    """Sends steadily to a sink."""
    piece = b"s" * int(float(megabits) * 1e6 / 8 / 50)
    while True:
        try:
            with socket.create_connection((host, int(port)), 3) as connection:
                for number in itertools.count(1):
                    connection.sendall(piece)
                    time.sleep(0.02)
        except OSError:
            time.sleep(0.5)


def resolver(mode):
    """A name server that answers as the file MODE says: ok, servfail, refused, nxdomain, late=SECONDS, mute."""
    server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    server.bind(("::", 53))
    codes = {"servfail": 2, "nxdomain": 3, "refused": 5}
    while True:
        question, client = server.recvfrom(2048)
        with open(mode) as file:
            word = file.read().strip()
        if word == "mute":
            continue
        code = codes.get(word, 0)
        name = question[12 : question.index(b"\0", 12) + 5]
        address = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\x28\0\x50"
        answer = question[:2] + struct.pack(">5H", 0x8180 | code, 1, int(not code), 0, 0) + name + (b"" if code else address)
        if word.startswith("late="):
            threading.Timer(float(word[5:]), server.sendto, (answer, client)).start()
        else:
            server.sendto(answer, client)


def names(server, rate="10"):
    """Asks for names, so many a second; each question from a port of its own."""

    def ask(number):
        name = f"host{number % 20}.example.test"
        labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
        question = os.urandom(2) + b"\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1"
        with socket.socket(family(server), socket.SOCK_DGRAM) as client:
            client.settimeout(3)
            try:
                client.sendto(question, (server, 53))
                client.recv(512)
            except OSError as error:
                print(f"{time.time():.3f} name {error}", flush=True)

    for number in itertools.count():
        thread(ask, number)
        time.sleep(1 / float(rate))


# frames


class Port:
    """An interface to send frames out of."""

    def __init__(self, interface):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.bind((interface, 0))
        with open(f"/sys/class/net/{interface}/address") as file:
            self.mac = mac(file.read().strip())

    def send(self, frame):
        try:
            self.socket.send(frame.ljust(60, b"\0"))
        except OSError:
            pass  # the interface may be down for a moment


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source, destination, protocol, content):
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(content), random.getrandbits(16), 0, 64, protocol, 0, source, destination)
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + content


def icmp6(source, destination, content):
    pseudo = source + destination + struct.pack(">II", len(content), 58)
    content = content[:2] + struct.pack(">H", checksum(pseudo + content)) + content[4:]
    return struct.pack(">IHBB", 6 << 28, len(content), 58, 255) + source + destination + content


def link_local(station):
    return b"\xfe\x80" + bytes(6) + bytes([station[0] ^ 2]) + station[1:3] + b"\xff\xfe" + station[3:]


def paced(rate, seconds, send):
    began = time.monotonic()
    for number in range(int(float(rate) * float(seconds))):
        send(number)
        ahead = began + (number + 1) / float(rate) - time.monotonic()
        if ahead > 0.002:
            time.sleep(ahead)


def flood(interface, kind, rate, seconds, target="02:00:00:00:00:99", address="10.40.0.80"):
    """broadcast: questions for ever other hosts. multicast. unicast: to a station that nobody is. stations: from ever
    new ones. syn: from ever new hosts to port 80 of `address`, whose router or self is `target`."""
    port = Port(interface)

    def broadcast(number):
        asked = struct.pack(">BBH", 10, 31, number & 0xFFFF)
        port.send(b"\xff" * 6 + port.mac + b"\x08\x06\0\1\x08\0\6\4\0\1" + port.mac + b"\x0a\x1e\0\x42" + bytes(6) + asked)

    def datagram(to, source, number):
        content = struct.pack(">HHHHI", 4000, 9, 108, 0, number) + b"f" * 96
        port.send(to + source + b"\x08\0" + ipv4(b"\x0a\x1e\0\x42", b"\x0a\x1e\0\x63", 17, content))

    def syn(number):
        source = b"\xc6\x12" + os.urandom(2)
        head = struct.pack(">HHIIBBHHH", random.randrange(1024, 65535), 80, random.getrandbits(32), 0, 0x50, 2, 64240, 0, 0)
        to = socket.inet_aton(address)
        total = checksum(source + to + struct.pack(">BBH", 0, 6, 20) + head)
        port.send(mac(target) + port.mac + b"\x08\0" + ipv4(source, to, 6, head[:16] + struct.pack(">H", total) + head[18:]))

    kinds = {
        "broadcast": broadcast,
        "multicast": lambda number: datagram(mac("01:00:5e:01:02:03"), port.mac, number),
        "unicast": lambda number: datagram(mac(target), port.mac, number),
        "stations": lambda number: datagram(mac(target), b"\x02\xee" + struct.pack(">I", number), number),
        "syn": syn,
    }
    paced(rate, seconds, kinds[kind])


def claim(interface, address, victim, its, times="60"):
    """Says once a second to a victim that `address` is here."""
    port = Port(interface)
    for _ in range(int(times)):
        if ":" in address:
            flags = 0x60000000  # solicited and overriding
            said = struct.pack(">BBHI", 136, 0, 0, flags) + socket.inet_pton(socket.AF_INET6, address) + b"\2\1" + port.mac
            content = icmp6(socket.inet_pton(socket.AF_INET6, address), socket.inet_pton(socket.AF_INET6, its), said)
            port.send(mac(victim) + port.mac + b"\x86\xdd" + content)
        else:
            said = b"\0\1\x08\0\6\4\0\2" + port.mac + socket.inet_aton(address) + mac(victim) + socket.inet_aton(its)
            port.send(mac(victim) + port.mac + b"\x08\x06" + said)
        time.sleep(1)


def advertise(interface, prefix, lifetime="1800", every="2"):
    """A router that advertises itself."""
    port = Port(interface)
    everybody = b"\xff\x02" + bytes(13) + b"\1"
    options = b"\1\1" + port.mac + struct.pack(">BBBBIII", 3, 4, 64, 0xC0, 3600, 1800, 0) + socket.inet_pton(socket.AF_INET6, prefix)
    said = struct.pack(">BBHBBHII", 134, 0, 0, 64, 0, int(lifetime), 0, 0) + options
    while True:
        port.send(b"\x33\x33\0\0\0\1" + port.mac + b"\x86\xdd" + icmp6(link_local(port.mac), everybody, said))
        time.sleep(float(every))


def relay(one, other, knobs):
    """A box in the wire between two interfaces. The file KNOBS says `loss=PERCENT delay=SECONDS tag=VLAN`: with a tag, what
    goes to `other` is tagged and what comes from there is lost."""
    import select

    ports = [Port(one), Port(other)]
    loss = delay = tag = looked = 0.0
    while True:
        if time.monotonic() > looked:
            with open(knobs) as file:
                said = dict(word.split("=") for word in file.read().split())
            loss, delay, tag = (float(said.get(key, 0)) for key in ("loss", "delay", "tag"))
            looked = time.monotonic() + 0.1
        for ready in select.select([port.socket for port in ports], [], [], 0.05)[0]:
            frame, origin = ready.recvfrom(65536)
            from_other = ready is ports[1].socket
            if origin[2] == socket.PACKET_OUTGOING or random.random() * 100 < loss or tag and from_other:
                continue
            if tag:
                frame = frame[:12] + struct.pack(">HH", 0x8100, int(tag)) + frame[12:]
            to = ports[0] if from_other else ports[1]
            if delay:
                threading.Timer(delay, to.send, (frame,)).start()
            else:
                to.send(frame)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
