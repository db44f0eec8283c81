"""Load: many containers, many projects at once, many lifetimes, storms of requests, log lines and names, and programs
that misbehave. Prints a table (Markdown) of what was done, how the daemon's memory and descriptors stood before and
after, and how long `compose ps` of a bystander project took meanwhile. Exit status 1 if something was left behind, a
bystander was harmed or an answer was wrong; figures alone never fail.

    ./dev load [--scale S]       S=1 is the full size (300 containers, 20 clients, 50,000 lifetimes); default 0.05
"""
import argparse
import concurrent.futures
import http.client
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/root/e2e"))
import harness  # noqa: E402


class Unix(http.client.HTTPConnection):
    """A kept-alive connection to the daemon's socket."""

    def __init__(self, path):
        super().__init__("localhost")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def call(self, method, path, body=None, expect=(200, 201, 204, 304)):
        data = json.dumps(body) if body is not None else None
        self.request(method, path, body=data, headers={"Content-Type": "application/json"} if data else {})
        answer = self.getresponse()
        text = answer.read()
        if answer.status not in expect:
            raise AssertionError(f"{method} {path}: {answer.status} {text[:300]!r}")
        return json.loads(text) if text.startswith((b"{", b"[")) else text


class Load:
    def __init__(self, gantry, scale):
        self.gantry, self.scale = gantry, scale
        self.rows, self.failures = [], []
        self.bystander = gantry.project("bystander", "services:\n  a: {image: busybox:test, command: sleep 100000, init: true}\n")
        gantry.compose(self.bystander, "up", "-d")
        self.bystander_pid = gantry.inspect("bystander-a-1")["State"]["Pid"]

    def size(self, full, least=1):
        return max(least, round(full * self.scale))

    def daemon(self):
        pid = self.gantry.daemon_pid()
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        memory = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) // 1024
        return pid, memory, len(os.listdir(f"/proc/{pid}/fd"))

    def connection(self):
        return Unix(self.gantry.run / "gantry.sock")

    def scenario(self, name, work):
        pid, memory, fds = self.daemon()
        latencies, over = [], threading.Event()

        def watch():
            while not over.wait(0.1):
                begin = time.perf_counter()
                self.gantry.compose(self.bystander, "ps", "-q")
                latencies.append((time.perf_counter() - begin) * 1000)
        watcher = threading.Thread(target=watch)
        watcher.start()
        begin = time.perf_counter()
        try:
            done = work()
        except Exception as problem:  # a scenario that fails is reported, the others go on
            done = f"FAILED: {problem}"
            self.failures.append(f"{name}: {problem}")
        seconds = time.perf_counter() - begin
        over.set()
        watcher.join()
        after_pid, after_memory, after_fds = self.daemon()
        if after_pid != pid:
            self.failures.append(f"{name}: the daemon was replaced")
        if self.gantry.inspect("bystander-a-1")["State"]["Pid"] != self.bystander_pid:
            self.failures.append(f"{name}: the bystander was restarted")
        others = [c for c in self.gantry.containers() if not c.startswith("bystander")]
        if others:
            self.failures.append(f"{name}: left containers {others[:5]}")
        slow = sorted(latencies)
        self.rows.append((name, done, f"{seconds:.1f} s", f"{memory} → {after_memory} MB", f"{fds} → {after_fds}",
                          f"{statistics.median(slow):.0f} / {slow[int(len(slow) * 0.99)]:.0f} ms" if slow else "-"))
        print("| " + " | ".join(self.rows[-1]) + " |", flush=True)

    # Scenarios.
    def many_containers(self):
        count = self.size(300)
        project = self.gantry.project("many", "services:\n" + "".join(
            f"  s{i}: {{image: busybox:test, command: sleep 100000, init: true}}\n" for i in range(count)))
        begin = time.perf_counter()
        self.gantry.compose(project, "up", "-d", timeout=900)
        up = time.perf_counter() - begin
        begin = time.perf_counter()
        self.gantry.compose(project, "down", "-t", "0", timeout=900)
        return f"{count} containers: up {up:.1f} s, down {time.perf_counter() - begin:.1f} s"

    def many_projects(self):
        clients = self.size(20, least=4)

        def one(index):
            project = self.gantry.project(f"p{index}", """
                services:
                  web: {image: busybox:test, command: sleep 100000, init: true, scale: 3}
                  db: {image: busybox:test, command: sleep 100000, init: true, volumes: [data:/data]}
                volumes: {data: {}}
                """)
            for _ in range(3):
                self.gantry.compose(project, "up", "-d", timeout=600)
                self.gantry.compose(project, "down", "-v", "-t", "0", timeout=600)
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            list(pool.map(one, range(clients)))
        return f"{clients} clients, 3 × up and down of 4 containers each"

    def lifetimes(self):
        count, workers = self.size(50_000, least=200), 8
        body = {"Image": "busybox:test", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}

        def some(number):
            api = self.connection()
            for _ in range(number):
                identity = api.call("POST", "/containers/create", body)["Id"]
                api.call("POST", f"/containers/{identity}/start")
                code = api.call("POST", f"/containers/{identity}/wait")["StatusCode"]
                if code != 0:
                    raise AssertionError(f"exit code {code}")
                api.call("DELETE", f"/containers/{identity}?force=1")
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            list(pool.map(some, [count // workers] * workers))
        return f"{count // workers * workers} × create, start, wait, remove by {workers} clients"

    def api_storm(self):
        clients, calls = 32, self.size(2000, least=100)

        def some(_):
            api = self.connection()
            for _ in range(calls):
                api.call("GET", "/containers/json?all=1")
                api.call("GET", "/containers/bystander-a-1/json")
                api.call("GET", "/_ping")
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            list(pool.map(some, range(clients)))
        return f"{clients} clients × {calls * 3} requests"

    def log_storm(self):
        lines = self.size(1_000_000, least=20_000)
        project = self.gantry.project("talk", f"""
            services:
              a: {{image: busybox:test, command: ["seq", "1", "{lines}"]}}
              b: {{image: busybox:test, command: ["seq", "1", "{lines}"]}}
            """)
        self.gantry.compose(project, "up", "-d")
        harness.wait_until(lambda: all(c["State"] == "exited" for n, c in self.gantry.containers().items()
                                       if n.startswith("talk")), "all is said", seconds=600)
        for service in "ab":
            said = self.gantry.compose(project, "logs", "--no-log-prefix", service, timeout=600).out.split()
            if said != [str(i) for i in range(1, lines + 1)]:
                raise AssertionError(f"{service}: {len(said)} of {lines} lines, or not in order")
        self.gantry.compose(project, "down", "-t", "0")
        return f"2 containers × {lines} lines, all read back in order"

    def name_storm(self):
        count = self.size(2000, least=100)
        loop = f"i=0; while [ $$i -lt {count} ]; do nslookup -type=a store > /dev/null || echo lost; i=$$((i+1)); done"
        project = self.gantry.project("names", f"""
            services:
              store: {{image: busybox:test, command: sleep 100000, init: true}}
              ask: {{image: busybox:test, command: ["sh", "-c", "{loop}"], scale: 10, depends_on: [store]}}
            """)
        self.gantry.compose(project, "up", "-d")
        harness.wait_until(lambda: all(c["State"] == "exited" for n, c in self.gantry.containers().items()
                                       if n.startswith("names-ask")), "all asked", seconds=900)
        lost = self.gantry.compose(project, "logs", "--no-log-prefix", "ask").out.count("lost")
        self.gantry.compose(project, "down", "-t", "0")
        if lost:
            raise AssertionError(f"{lost} names were not found")
        return f"10 containers × {count} look-ups, none lost"

    def misbehaving(self):
        project = self.gantry.project("bad", """
            services:
              bomb: {image: busybox:test, command: ["sh", "-c", "b() { b | b & b; }; b"], pids_limit: 50}
              hog: {image: busybox:test, command: ["sh", "-c", "x=x; while :; do x=$$x$$x; done"], mem_limit: 32m}
              filler:
                image: busybox:test
                command: ["sh", "-c", "cat /dev/zero > /data/all; cat /dev/zero > /tmp/all; yes"]
                tmpfs: ["/tmp:size=8m"]
                volumes: [data:/data]
                logging: {driver: json-file, options: {max-size: 1m, max-file: "2"}}
              spin: {image: busybox:test, command: ["sh", "-c", "while :; do :; done"], cpus: 0.2}
            volumes: {data: {driver_opts: {type: tmpfs, device: tmpfs, o: size=16m}}}
            """)
        self.gantry.compose(project, "up", "-d")
        harness.wait_until(lambda: self.gantry.inspect("bad-hog-1")["State"]["Status"] == "exited", "the hog is ended",
                           seconds=120)
        log = pathlib.Path(self.gantry.inspect("bad-filler-1")["LogPath"])
        harness.wait_until(lambda: pathlib.Path(f"{log}.1").exists(), "disks are full and the log went round", seconds=120)
        logged = sum(path.stat().st_size for path in log.parent.glob(log.name + "*"))
        state = self.gantry.inspect("bad-hog-1")["State"]
        self.gantry.compose(project, "down", "-v", "-t", "0", timeout=300)
        if logged > 4_000_000:
            raise AssertionError(f"the log of at most 2 MB takes {logged} bytes")
        if not state["OOMKilled"]:
            raise AssertionError(f"the hog ended with {state['ExitCode']}, not by the memory limit")
        return "fork bomb within pids_limit, memory hog killed by its limit, a busy loop, a disk filler held by its volume's, tmpfs's and log's sizes"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=0.05)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    scenarios = [("Many containers", Load.many_containers), ("Many projects at once", Load.many_projects),
                 ("Lifetimes", Load.lifetimes), ("API storm", Load.api_storm), ("Log storm", Load.log_storm),
                 ("Name storm", Load.name_storm), ("Misbehaving programs", Load.misbehaving)]
    with harness.Gantry(subnets=21) as gantry:  # 2,046 addresses each
        gantry.busybox()
        load = Load(gantry, options.scale)
        print("| scenario | done | time | daemon's memory | descriptors | `compose ps` meanwhile, median / 99 % |\n"
              "| --- | --- | --- | --- | --- | --- |")
        for name, work in scenarios:
            if options.only in name:
                load.scenario(name, lambda: work(load))
        gantry.compose(load.bystander, "down", "-t", "0")
    for failure in load.failures:
        print("FAILED " + failure)
    return 1 if load.failures else 0


if __name__ == "__main__":
    reason = harness.why_not()
    if reason:
        sys.exit(f"load: {reason}")
    sys.exit(main())
