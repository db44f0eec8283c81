"""Network namespaces standing for other machines, and threads of this process inside any namespace."""
import contextlib
import ctypes
import os
import socket
import subprocess
import threading

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def inside(netns, action):
    """Runs `action` on a thread that has entered the namespace (a path or a pid) and returns what it returns."""
    path = f"/proc/{netns}/ns/net" if isinstance(netns, int) else netns
    outcome = {}

    def run():
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if LIBC.setns(fd, CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            finally:
                os.close(fd)
            outcome["value"] = action()
        except BaseException as error:  # handed to the caller's thread
            outcome["error"] = error

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]


def fetch(address, port, path="/", seconds=5):
    """Body of an HTTP answer, or the error's name: "timeout", "ConnectionRefusedError", …"""
    try:
        with socket.create_connection((address, port), timeout=seconds) as s:
            s.sendall(f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
            data = b""
            while piece := s.recv(65536):
                data += piece
        return data.replace(b"\r\n", b"\n").partition(b"\n\n")[2].decode().strip()
    except socket.timeout:
        return "timeout"
    except OSError as error:
        return type(error).__name__


def exchange_datagram(address, port, payload, seconds=5):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(seconds)
        s.connect((address, port))
        s.send(payload)
        return s.recv(65536)


@contextlib.contextmanager
def datagram_echo(netns, port):
    """Sends every datagram back, in that namespace."""
    def bind():
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        s.bind(("::", port))
        return s

    s = inside(netns, bind)

    def serve():
        while True:
            data, peer = s.recvfrom(65536)
            if data == b"stop":
                return
            s.sendto(data, peer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        with inside(netns, lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)) as stopper:
            stopper.sendto(b"stop", ("::1", port))
        thread.join()
        s.close()


class Outside:
    """Another machine on a cable of its own: 10.98.0.1/fd98::1 is this host, 10.98.0.2/fd98::2 the other one."""
    HOST, OTHER, HOST6, OTHER6 = "10.98.0.1", "10.98.0.2", "fd98::1", "fd98::2"

    def __enter__(self):
        self.process = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo ready; exec sleep 100000"],
                                        stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()
        self.name = f"gto{self.process.pid}"[:15]
        self.ip("link", "add", self.name, "type", "veth", "peer", "name", "eth0", "netns", str(self.process.pid))
        for address in (f"{self.HOST}/24", f"{self.HOST6}/64"):
            self.ip("address", "add", address, "dev", self.name, *(["nodad"] if ":" in address else []))
        self.ip("link", "set", self.name, "up")
        for words in (["link", "set", "lo", "up"], ["address", "add", f"{self.OTHER}/24", "dev", "eth0"],
                      ["address", "add", f"{self.OTHER6}/64", "dev", "eth0", "nodad"], ["link", "set", "eth0", "up"],
                      ["route", "add", "default", "via", self.HOST], ["-6", "route", "add", "default", "via", self.HOST6]):
            self.run("ip", *words)
        return self

    def __exit__(self, *_):
        with contextlib.suppress(subprocess.CalledProcessError):
            self.ip("link", "delete", self.name)
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    @staticmethod
    def ip(*words):
        subprocess.run(["ip", *words], check=True, capture_output=True)

    def run(self, *words):
        return subprocess.run(["nsenter", "-t", str(self.process.pid), "-n", *words], check=True, capture_output=True,
                              text=True).stdout

    def inside(self, action):
        return inside(self.process.pid, action)

    def fetch(self, address, port, path="/", seconds=5):
        return self.inside(lambda: fetch(address, port, path, seconds))
