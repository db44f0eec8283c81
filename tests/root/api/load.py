#!/usr/bin/env python3
"""What the daemon endures: containers by the thousand, logs with hundreds of readers. `./dev endure` runs it in full.

Figures go to standard output; a broken promise is an exit status of 1. Memory is the daemon's proportional set size
(Pss) when nothing is under way.
"""
import argparse
import concurrent.futures
import hashlib
import http.client
import json
import pathlib
import socket
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402


class Connection(http.client.HTTPConnection):
    """Keep-alive on the daemon's socket."""

    def __init__(self, path):
        super().__init__("gantry", timeout=600)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def call(self, method, target, body=None, expect=(200, 201, 204)):
        headers = {} if body is None else {"Content-Type": "application/json"}
        self.request(method, target, None if body is None else json.dumps(body), headers)
        answer = self.getresponse()
        data = answer.read()
        if answer.status not in expect:
            raise AssertionError(f"{method} {target}: {answer.status} {data[:300]!r}")
        return json.loads(data) if data.startswith((b"{", b"[")) else data


def socket_of(gantry):
    return gantry.run / "gantry.sock"


def daemon_memory(gantry):
    """Bytes, and how many threads and descriptors."""
    pid = gantry.daemon_pid()
    pss = 0
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            pss = int(line.split()[1]) * 1024
    return pss, len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))


def settled_memory(gantry):
    """The same, once the shims of what has ended have been let go."""
    while True:
        before = daemon_memory(gantry)
        time.sleep(0.5)
        after = daemon_memory(gantry)
        if after[1] >= before[1]:
            return after


def one_life(connection):
    """create + start + wait + remove."""
    identity = connection.call("POST", "/containers/create", {"Image": "busybox:test", "Cmd": ["true"]})["Id"]
    connection.call("POST", f"/containers/{identity}/start")
    code = connection.call("POST", f"/containers/{identity}/wait")["StatusCode"]
    connection.call("DELETE", f"/containers/{identity}")
    if code != 0:
        raise AssertionError(f"exit code {code}")


def churn(gantry, workers, each):
    def work():
        connection = Connection(socket_of(gantry))
        for _ in range(each):
            one_life(connection)
        connection.close()

    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(work) for _ in range(workers)]:
            done.result()
    return time.monotonic() - begin


def check_nothing_left(gantry, what):
    """Containers, their directories, mounts, shims; what belongs to the daemon itself stays."""
    own = f"process {gantry.daemon_pid()} "
    left = [line for line in gantry.footprint()
            if line.startswith(("mount", "directory")) or
            (line.startswith("process") and not line.startswith(own) and "gantry-dns" not in line)]
    if gantry.get("/containers/json?all=1") or left:
        raise AssertionError(f"left after {what}: {left}")


def life_and_death(gantry, sequential, workers, each):
    """Memory must not grow with the number of containers that have come and gone."""
    warm_up = max(50, sequential // 20)
    churn(gantry, 1, warm_up)
    churn(gantry, workers, 3)
    before, descriptors_before = settled_memory(gantry)
    seconds = churn(gantry, 1, sequential)
    middle, _ = settled_memory(gantry)
    print(f"sequential: {sequential} lives in {seconds:.1f} s, {seconds / sequential * 1000:.1f} ms each", flush=True)
    seconds = churn(gantry, workers, each)
    after, descriptors_after = settled_memory(gantry)
    print(f"parallel: {workers} x {each} lives in {seconds:.1f} s, {seconds / workers / each * 1000:.1f} ms each")
    print(f"memory of the daemon: {before / 1e6:.1f} MB before, {middle / 1e6:.1f} MB between, {after / 1e6:.1f} MB after; "
          f"descriptors {descriptors_before} before, {descriptors_after} after", flush=True)
    check_nothing_left(gantry, "the churn")
    if descriptors_after > descriptors_before + 8:
        raise AssertionError("descriptors leak")
    # Allocators keep some; what grows with the number of lives shows far above this.
    if after > before * 1.3 + 8e6:
        raise AssertionError("the daemon's memory grows")


class Follower:
    """Reads one log to its end, and remembers only what order and completeness need: every line is a frame, so the whole
    stream is known beforehand."""

    def __init__(self, gantry, identity):
        self.bytes = 0
        self.hash = hashlib.sha256()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(1800)
        self.socket.connect(str(socket_of(gantry)))
        query = urllib.parse.urlencode({"stdout": 1, "follow": 1})
        # HTTP/1.0: no chunks around the frames.
        self.socket.sendall(f"GET /containers/{identity}/logs?{query} HTTP/1.0\r\nHost: x\r\n\r\n".encode())

    def run(self):
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.socket.recv(65536)
        piece = head.partition(b"\r\n\r\n")[2]
        buffer = bytearray(1 << 18)
        while True:
            self.hash.update(piece)
            self.bytes += len(piece)
            size = self.socket.recv_into(buffer)
            if size == 0:
                break
            piece = memoryview(buffer)[:size]
        self.socket.close()


def followers(gantry, readers, lines):
    """Every follower gets every line in order; short requests are answered meanwhile."""
    connection = Connection(socket_of(gantry))
    identity = connection.call("POST", "/containers/create", {
        "Image": "busybox:test", "OpenStdin": True, "StdinOnce": True,
        "Cmd": ["sh", "-c", f"read go; seq 1 {lines}"]})["Id"]
    attached = socket.socket(socket.AF_UNIX)
    attached.connect(str(socket_of(gantry)))
    attached.sendall(f"POST /containers/{identity}/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
                     "Upgrade: tcp\r\nContent-Length: 0\r\n\r\n".encode())
    assert attached.recv(4096).startswith(b"HTTP/1.1 101")
    connection.call("POST", f"/containers/{identity}/start")
    crowd = [Follower(gantry, identity) for _ in range(readers)]
    threads = [threading.Thread(target=follower.run) for follower in crowd]
    for thread in threads:
        thread.start()
    begin = time.monotonic()
    attached.sendall(b"go\n")
    slowest, asked = 0.0, 0
    while any(thread.is_alive() for thread in threads):
        start = time.monotonic()
        connection.call("GET", "/containers/json?all=1")
        slowest, asked = max(slowest, time.monotonic() - start), asked + 1
        time.sleep(0.05)
    seconds = time.monotonic() - begin
    attached.close()
    connection.call("DELETE", f"/containers/{identity}?force=1")
    expected, size = hashlib.sha256(), 0
    for number in range(1, lines + 1):
        line = b"%d\n" % number
        expected.update(b"\x01\0\0\0" + len(line).to_bytes(4, "big") + line)
        size += 8 + len(line)
    wrong = [f for f in crowd if f.hash.digest() != expected.digest()]
    print(f"followers: {readers} x {lines} lines in {seconds:.1f} s, {readers * lines / seconds / 1e6:.2f} million lines/s; "
          f"{asked} lists meanwhile, the slowest took {slowest * 1000:.0f} ms", flush=True)
    if wrong:
        raise AssertionError(f"{len(wrong)} followers did not get every line in order; the first got {wrong[0].bytes} of "
                             f"{size} bytes")
    if asked == 0:
        raise AssertionError("no list was answered")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequential", type=int, default=10_000, help="lives one after the other")
    parser.add_argument("--workers", type=int, default=64, help="clients at once")
    parser.add_argument("--each", type=int, default=200, help="lives of each client")
    parser.add_argument("--followers", type=int, default=500, help="readers of one log")
    parser.add_argument("--lines", type=int, default=1_000_000, help="lines of that log")
    parser.add_argument("--only", choices=["lives", "logs"])
    options = parser.parse_args()
    reason = harness.why_not()
    if reason:
        print(f"skipped: {reason}")
        return harness.SKIPPED
    with harness.Gantry() as gantry:
        gantry.busybox()
        if options.only != "logs":
            life_and_death(gantry, options.sequential, options.workers, options.each)
        if options.only != "lives":
            followers(gantry, options.followers, options.lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
