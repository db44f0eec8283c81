"""The same load, through the same API, on Gantry and on a dockerd, one after the other: containers at once, lifetimes, a
storm of requests, a storm of log lines. Prints a table (Markdown): the time it took, what the engine's own processes
(daemon and name service; dockerd and containerd) held in memory and descriptors before and after, and how long a list of
containers took meanwhile. Without dockerd: Gantry alone.

    load_beside.py [--scale S] [--only NAME]       S=1: 300 containers, 50,000 lifetimes; default 0.05
"""
import argparse
import concurrent.futures
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1] / "tests/root/e2e")]
import harness  # noqa: E402
import images  # noqa: E402
from load import Unix  # noqa: E402

WORKERS = 8


class Gantry:
    name = "Gantry"

    def __init__(self, root):
        self.instance = harness.Gantry(subnets=21)
        self.instance.__enter__()
        self.socket = self.instance.run / "gantry.sock"
        self.instance.busybox()

    def processes(self):
        return [self.instance.daemon_pid()] + [pid for pid in self.instance.processes() if command_of(pid).endswith("gantry-dns")]

    def close(self):
        self.instance.__exit__(None, None, None)


class Docker:
    name = "dockerd"

    def __init__(self, root):
        self.engine = images.Dockerd(root)
        self.place = root / "dockerd"
        self.socket = self.place / "docker.sock"
        archive = root / "busybox.tar"
        archive.write_bytes(harness.busybox_tar())
        images.run(["docker", "import", archive, "busybox:test"], env=self.engine.environment)

    def processes(self):
        daemon = self.engine.process.pid
        children = pathlib.Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split()
        everyone = [entry.name for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit()]
        return [daemon] + [int(pid) for pid in {*children, *everyone}
                           if command_of(pid) == "containerd" and parent_of(pid) == daemon]

    def close(self):
        self.engine.close()
        subprocess.run(["umount", "-R", "-l", self.place], capture_output=True)


def command_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode().rsplit("/", 1)[-1]
    except OSError:
        return ""


def parent_of(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


class Load:
    def __init__(self, engine, scale):
        self.engine, self.scale = engine, scale

    def api(self):
        return Unix(self.engine.socket)

    def size(self, full, least):
        return max(least, round(full * self.scale))

    def held(self):
        """Megabytes and descriptors of the engine's processes."""
        memory = descriptors = 0
        for pid in self.engine.processes():
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            memory += int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
            descriptors += len(os.listdir(f"/proc/{pid}/fd"))
        return memory // 1024, descriptors

    def measure(self, name, work):
        before, over, latencies = self.held(), threading.Event(), []

        def watch():
            api = self.api()
            while not over.wait(0.05):
                begin = time.perf_counter()
                api.call("GET", "/containers/json")
                latencies.append((time.perf_counter() - begin) * 1000)
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            done = work()
        finally:
            over.set()
            watcher.join()
        after, slow = self.held(), sorted(latencies)
        print(f"| {name} | {self.engine.name} | {done} | {before[0]} → {after[0]} MB | {before[1]} → {after[1]} | "
              f"{statistics.median(slow):.1f} / {slow[int(len(slow) * 0.99)]:.1f} ms |", flush=True)

    def together(self, action, items):
        """Seconds; each worker has one connection and its share of the items."""
        def some(share):
            api = self.api()
            for item in share:
                action(api, item)
        begin = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(some, [items[i::WORKERS] for i in range(WORKERS)]))
        return time.perf_counter() - begin

    def create(self, api, name, command):
        body = {"Image": "busybox:test", "Cmd": command, "HostConfig": {"NetworkMode": "none"}}
        return api.call("POST", f"/containers/create?name={name}", body)["Id"]

    def containers(self):
        names = [f"c{i}" for i in range(self.size(300, 8))]

        def start(api, name):
            api.call("POST", f"/containers/{self.create(api, name, ['sleep', '100000'])}/start")
        up = self.together(start, names)
        down = self.together(lambda api, name: api.call("DELETE", f"/containers/{name}?force=1"), names)
        return f"{len(names)} at once: created and started in {up:.1f} s, removed in {down:.1f} s"

    def lifetimes(self):
        count = self.size(50_000, 80)

        def live(api, number):
            identity = self.create(api, f"l{number}", ["true"])
            api.call("POST", f"/containers/{identity}/start")
            if api.call("POST", f"/containers/{identity}/wait")["StatusCode"] != 0:
                raise AssertionError("true failed")
            api.call("DELETE", f"/containers/{identity}?force=1")
        seconds = self.together(live, range(count))
        return f"{count} in {seconds:.1f} s, {seconds / count * 1000:.1f} ms each"

    def requests(self):
        count = self.size(192_000, 4_000)
        self.create(self.api(), "looked-at", ["true"])
        paths = ("/containers/json?all=1", "/containers/looked-at/json", "/_ping")
        seconds = self.together(lambda api, number: api.call("GET", paths[number % 3]), range(count))
        self.api().call("DELETE", "/containers/looked-at")
        return f"{count} in {seconds:.1f} s, {count / seconds:.0f} a second"

    def lines(self):
        count = self.size(1_000_000, 20_000)
        api, begin = self.api(), time.perf_counter()
        names = ("talk-a", "talk-b")
        for name in names:
            api.call("POST", f"/containers/{self.create(api, name, ['seq', '1', str(count)])}/start")
        for name in names:
            api.call("POST", f"/containers/{name}/wait")
        said = time.perf_counter() - begin
        for name in names:
            read = api.call("GET", f"/containers/{name}/logs?stdout=1")
            if read.count(b"\n") != count:
                raise AssertionError(f"{read.count(bytes([10]))} of {count} lines")
        total = time.perf_counter() - begin
        self.together(lambda api, name: api.call("DELETE", f"/containers/{name}?force=1"), names)
        return f"2 × {count} written in {said:.1f} s, read back in {total - said:.1f} s"


SCENARIOS = {"containers": Load.containers, "lifetimes": Load.lifetimes, "requests": Load.requests, "log lines": Load.lines}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=0.05)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    engines = [Gantry] + ([Docker] if shutil.which("dockerd") and shutil.which("docker") else [])
    root = pathlib.Path(tempfile.mkdtemp(prefix="gantry-load-", dir="/tmp"))
    print("| load | engine | done | memory | descriptors | list of containers meanwhile, median / 99 % |\n"
          "| --- | --- | --- | --- | --- | --- |")
    try:
        for kind in engines:
            engine = kind(root)
            try:
                for name, work in SCENARIOS.items():
                    if options.only in name:
                        load = Load(engine, options.scale)
                        load.measure(name, lambda: work(load))
            finally:
                engine.close()
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    reason = harness.why_not()
    if reason:
        sys.exit(f"load: {reason}")
    sys.exit(main())
