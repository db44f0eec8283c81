"""DNS messages for tests: questions as bytes, answers as one line of text, and name servers that misbehave as told."""
import socket
import struct
import threading
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "OPT": 41,
         "ANY": 255}
CODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}


def encode_name(name):
    wire = b""
    for label in name.rstrip(".").split("."):
        if label:
            wire += bytes([len(label)]) + label.encode("latin-1")
    return wire + b"\0"


def question(name, kind="A", ident=0x1234, flags=0x0100, edns=None, klass=1, count=1):
    packet = struct.pack("!6H", ident, flags, count, 0, 0, 0 if edns is None else 1)
    packet += encode_name(name) + struct.pack("!2H", TYPES.get(kind, kind), klass)
    if edns is not None:
        packet += b"\0" + struct.pack("!2HIH", 41, edns, 0, 0)
    return packet


def read_name(packet, at):
    labels, end = [], None
    for _ in range(128):
        length = packet[at]
        if length & 0xc0 == 0xc0:
            end = at + 2 if end is None else end
            at = (length & 0x3f) << 8 | packet[at + 1]
            continue
        at += 1
        if length == 0:
            return ".".join(labels), at if end is None else end
        labels.append(packet[at:at + length].decode("latin-1"))
        at += length
    raise ValueError("a name without end")


def records(packet):
    """(type, ttl, text) of the answer section."""
    at, found = 12, []
    for _ in range(struct.unpack("!H", packet[4:6])[0]):
        at = read_name(packet, at)[1] + 4
    for _ in range(struct.unpack("!H", packet[6:8])[0]):
        at = read_name(packet, at)[1]
        kind, _, ttl, size = struct.unpack("!2HIH", packet[at:at + 10])
        at += 10
        data = packet[at:at + size]
        if kind in (1, 28):
            text = socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, data)
        elif kind in (5, 12):
            text = read_name(packet, at)[0] + "."
        else:
            text = data.hex()
        found.append((kind, ttl, text))
        at += size
    return found


def summary(packet):
    """"NOERROR 10.0.0.1 10.0.0.2", with " TC" where records were left out; "nothing" without an answer."""
    if not packet:
        return "nothing"
    flags = struct.unpack("!H", packet[2:4])[0]
    words = [CODES.get(flags & 15, str(flags & 15))] + sorted(text for _, _, text in records(packet))
    return " ".join(words + (["TC"] if flags & 0x0200 else []))


def ask_udp(packet, server="127.0.0.11", port=53, seconds=5.0):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(seconds)
        s.connect((server, port))
        s.send(packet)
        try:
            return s.recv(65535)
        except (socket.timeout, ConnectionError):
            return b""


def read_exactly(s, count):
    data = b""
    while len(data) < count:
        piece = s.recv(count - len(data))
        if not piece:
            return data
        data += piece
    return data


def ask_tcp(*packets, server="127.0.0.11", port=53, seconds=5.0):
    """All in one send; the answers in the order in which they came, the last alone if one was asked."""
    with socket.create_connection((server, port), timeout=seconds) as s:
        s.sendall(b"".join(struct.pack("!H", len(p)) + p for p in packets))
        answers = []
        for _ in packets:
            head = read_exactly(s, 2)
            answers.append(read_exactly(s, struct.unpack("!H", head)[0]) if len(head) == 2 else b"")
    return answers[0] if len(packets) == 1 else answers


class Upstream:
    """A name server on an address of this host (port 53), by UDP and TCP. `zone`: name → what it does: a list of IPv4
    addresses, "nxdomain", "servfail", "refused", "silence", or a number of seconds to wait before 192.0.2.9."""

    def __init__(self, address, zone, denial_ttl=30):
        self.address, self.zone, self.denial_ttl, self.asked = address, zone, denial_ttl, []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.udp.bind((address, 53))
        self.tcp = socket.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind((address, 53))
        self.tcp.listen(64)
        self.threads = [threading.Thread(target=self.serve_udp, daemon=True),
                        threading.Thread(target=self.serve_tcp, daemon=True)]
        for thread in self.threads:
            thread.start()

    def close(self):
        for s in (self.udp, self.tcp):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def times_asked(self, name):
        return self.asked.count(name)

    def answer(self, packet, over_tcp):
        name, end = read_name(packet, 12)
        name = name.lower()
        self.asked.append(name)
        kind = struct.unpack("!H", packet[end:end + 2])[0]
        does = self.zone.get(name, "nxdomain")
        if isinstance(does, (int, float)):
            time.sleep(does)
            does = ["192.0.2.9"]
        if does == "silence":
            return None
        asked = packet[12:end + 4]
        code = {"nxdomain": 3, "servfail": 2, "refused": 5}.get(does, 0) if isinstance(does, str) else 0
        found, authority, flags = b"", b"", 0x8180 | code
        count = 0
        if isinstance(does, list) and kind == 1:
            for address in does:
                found += b"\xc0\x0c" + struct.pack("!2HIH", 1, 1, 300, 4) + socket.inet_aton(address)
            count = len(does)
            if not over_tcp and len(found) > 480:
                found, count, flags = b"", 0, flags | 0x0200
        elif code in (0, 3):
            soa = b"\0\0" + struct.pack("!5I", 1, 2, 3, 4, self.denial_ttl)
            authority = b"\xc0\x0c" + struct.pack("!2HIH", 6, 1, self.denial_ttl, len(soa)) + soa
        return struct.pack("!6H", struct.unpack("!H", packet[:2])[0], flags, 1, count, 1 if authority else 0, 0) + \
            asked + found + authority

    def serve_udp(self):
        while True:
            try:
                packet, peer = self.udp.recvfrom(65535)
            except OSError:
                return
            if packet:
                threading.Thread(target=self.reply_udp, args=(packet, peer), daemon=True).start()

    def reply_udp(self, packet, peer):
        reply = self.answer(packet, False)
        if reply:
            try:
                self.udp.sendto(reply, peer)
            except OSError:
                pass

    def serve_tcp(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            with connection:
                head = read_exactly(connection, 2)
                if len(head) < 2:
                    continue
                reply = self.answer(read_exactly(connection, struct.unpack("!H", head)[0]), True)
                if reply:
                    connection.sendall(struct.pack("!H", len(reply)) + reply)
