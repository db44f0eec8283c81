"""What short commands, one container and idleness cost: whole processes, the API, memory, latencies.

Every round measures each of them once, beside `true` and the kernel's floor of one container, so that a slow minute of the
machine hits all. Prints medians and half of the whole spread; writes the raw numbers as JSON. No number here is a pass or
a failure.
"""
import argparse
import http.client
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import time

from figures import milliseconds, process, spread

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/root/e2e"))

SLEEPER = "{image: busybox:test, init: false, command: [sleep, '100000']}"


class Api(http.client.HTTPConnection):
    """One kept connection to the daemon's socket."""

    def __init__(self, path):
        super().__init__("gantry")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def call(self, method, path, body=None):
        self.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
        answer = self.getresponse()
        text = answer.read()
        if answer.status >= 400:
            sys.exit(f"{method} {path}: {answer.status} {text!r}")
        return json.loads(text) if text else None


def one_container(api):
    """create + start + wait + remove."""
    made = api.call("POST", "/containers/create", {"Image": "busybox:test", "Cmd": ["true"]})
    api.call("POST", f"/containers/{made['Id']}/start")
    api.call("POST", f"/containers/{made['Id']}/wait")
    api.call("DELETE", f"/containers/{made['Id']}")


class Runtime:
    """crun or runc alone, without a network, a store or a log: what a container costs that others start."""

    def __init__(self, program, root, lower):
        self.program, self.name = program, pathlib.Path(program).name
        self.bundle = root / f"bundle-{self.name}"
        self.bundle.mkdir()
        subprocess.run([program, "spec"], cwd=self.bundle, check=True)
        file = self.bundle / "config.json"
        config = json.loads(file.read_text())
        config["process"] |= {"args": ["true"], "terminal": False}
        config["process"].pop("rlimits", None)  # not everywhere may they be raised
        config["root"]["path"] = str(lower)
        file.write_text(json.dumps(config))

    def words(self):
        return [self.program, "run", f"bench-{os.getpid()}"]

    @classmethod
    def that_works(cls, root, lower):
        """The first that runs here (crun refuses a hybrid cgroup tree), or none."""
        for program in filter(None, map(shutil.which, ["crun", "runc"])):
            found = cls(program, root, lower)
            if subprocess.run(found.words(), cwd=found.bundle, capture_output=True, stdin=subprocess.DEVNULL).returncode == 0:
                return found
        return None


def restart_latency(gantry, api):
    """From the end of a `restart: always` program to its successor's start, as the daemon tells them, less the policy's 100 ms."""
    made = api.call("POST", "/containers/create", {
        "Image": "busybox:test", "Cmd": ["sleep", "100000"], "HostConfig": {"RestartPolicy": {"Name": "always"}}})
    path = f"/containers/{made['Id']}"
    api.call("POST", path + "/start")
    time.sleep(0.2)
    first = api.call("GET", path + "/json")["State"]["Pid"]
    os.kill(first, 9)
    while True:
        state = api.call("GET", path + "/json")["State"]
        if state["Pid"] not in (0, first) and state["Running"]:
            break
    ended, started = when(state["FinishedAt"]), when(state["StartedAt"])
    api.call("DELETE", path + "?force=1")
    return (started - ended) * 1000 - 100


def readiness_latency(gantry):
    """From the moment when a probe could first succeed to the start of the service that waits for it; the probe's interval is 5 s."""
    project = gantry.project("ready", """services:
  db: {image: busybox:test, init: false, command: [sh, -c, 'usleep 700000; echo $$EPOCHREALTIME > /ready; exec sleep 100000'],
       healthcheck: {test: [CMD, test, -e, /ready], interval: 5s}}
  web: {image: busybox:test, init: false, command: [sleep, '100000'], depends_on: {db: {condition: service_healthy}}}
""")
    gantry.compose(project, "up", "-d")
    pid = gantry.inspect("ready-db-1")["State"]["Pid"]
    # The program says it itself: a file's time is the kernel's last tick, up to 4 ms before.
    ready = float(pathlib.Path(f"/proc/{pid}/root/ready").read_text())
    started = when(gantry.inspect("ready-web-1")["State"]["StartedAt"])
    gantry.compose(project, "down", "-t", "0")
    return (started - ready) * 1000


def daemon_start(gantry):
    """From the start of a daemon that finds its containers running to its first answer."""
    gantry.kill_daemon()

    def answer():
        gantry.daemon = subprocess.Popen(gantry.daemon_command, env=gantry.environment, stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not gantry.daemon_pid():
            time.sleep(0.001)
        gantry.get("/containers/json")
    return milliseconds(answer)


def when(stamp):
    """Seconds since the epoch of 2026-01-02T03:04:05.123456789Z."""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float("0." + (fraction or "0"))


def private_kilobytes(pid):
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))


def resident_kilobytes(pid):
    return next(int(line.split()[1]) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                if line.startswith("VmRSS"))


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def services(count, rest=SLEEPER):
    return "services:\n" + "".join(f"  s{i}: {rest}\n" for i in range(count))


def shims(gantry):
    from harness import parent_of
    pids = [gantry.inspect(name)["State"]["Pid"] for name in gantry.containers()]
    return [parent_of(pid) for pid in pids if pid]


def idle(gantry, count, seconds):
    """Memory and CPU time of the daemon and its shims with `count` containers that do nothing."""
    project = gantry.project("idle", services(max(count, 1)))
    if count:
        gantry.compose(project, "up", "-d")
    daemon = gantry.daemon_pid()
    helpers = shims(gantry)
    before = cpu_seconds([daemon, *helpers])
    time.sleep(seconds)  # what is measured is that nothing happens
    used = cpu_seconds([daemon, *helpers]) - before
    out = {"containers": count, "daemon_mb": resident_kilobytes(daemon) / 1024, "cpu_percent": used / seconds * 100,
           "daemon_start_ms": daemon_start(gantry)}
    if helpers:
        out["shim_private_kb"] = statistics.median(private_kilobytes(pid) for pid in helpers)
    if count:
        gantry.compose(project, "down", "-t", "0")
    return out


def measure_round(gantry, api, options, projects, floor, runtime):
    environment = gantry.environment
    changed = environment | {"CHANGE": str(time.time_ns())}
    compose, tool = pathlib.Path(options.bin) / "compose", pathlib.Path(options.bin) / "gantry"
    pid = gantry.inspect("hundred-s0-1")["State"]["Pid"]
    beside = {f"{runtime.name} run true, no network": process(runtime.words(), environment, runtime.bundle)} if runtime else {}
    return beside | {
        "true": process(["/bin/true"], environment),
        "compose version": process([compose, "version"], environment),
        "compose config of 200": process([compose, "config"], environment, projects["config"]),
        "compose ps of 101": process([compose, "ps"], environment, projects["hundred"]),
        "compose up of 101, one changed": process([compose, "up", "-d"], changed, projects["hundred"]),
        "compose up of 101, no change": process([compose, "up", "-d"], changed, projects["hundred"]),
        "compose exec true": process([compose, "exec", "-T", "s0", "true"], environment, projects["hundred"]),
        "gantry exec true": process([tool, "exec", "hundred-s0-1", "true"], environment),
        "floor of an exec": process([floor[0].with_name("bench_floor_exec"), pid, "/bin/true"], environment),
        "gantry run --rm true": process([tool, "run", "--rm", "busybox:test", "true"], environment),
        "API: create, start, wait, remove": milliseconds(lambda: one_container(api)),
        "floor of one container": sum(json.loads(subprocess.run(floor, capture_output=True, check=True).stdout)[key]
                                      for key in ("start_ms", "stop_ms")),
        "restart beyond the delay": restart_latency(gantry, api),
        "healthy to its dependant's start": readiness_latency(gantry),
    }


# Of what the daemon does by itself: no process is started for them.
LATENCIES = {"API: create, start, wait, remove", "restart beyond the delay", "healthy to its dependant's start"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--idle", default="0,60", help="numbers of containers to be idle with")
    parser.add_argument("--idle-seconds", type=float, default=10)
    parser.add_argument("--json", default="build/bench-commands.json")
    options = parser.parse_args()
    os.environ["GANTRY_BIN"] = options.bin
    import harness

    with harness.Gantry(subnets=20) as gantry:
        gantry.busybox()
        idles = [idle(gantry, int(count), options.idle_seconds) for count in options.idle.split(",")]
        lower = gantry.root / "rootfs"
        lower.mkdir()
        subprocess.run(["tar", "-xf", gantry.root / "busybox.tar", "-C", lower], check=True)
        floor = [pathlib.Path(options.bin) / "bench_floor", lower, "1"]
        runtime = Runtime.that_works(gantry.root, lower)
        projects = {"config": gantry.project("config", services(
            200, "{image: 'a:${TAG:-1}', environment: {A: b, C: d}, ports: ['80'], networks: [front, back], restart: always,"
                 " healthcheck: {test: [CMD, 'true'], interval: 5s}, labels: {x: y}}") + "networks: {front: , back: }\n"),
            "hundred": gantry.project("hundred", services(100) + "  changing: " + SLEEPER.replace("}", ", labels: {change: '${CHANGE:-0}'}}") + "\n")}
        gantry.compose(projects["hundred"], "up", "-d")
        api = Api(gantry.run / "gantry.sock")
        measure_round(gantry, api, options, projects, floor, runtime)  # warm
        rounds = [measure_round(gantry, api, options, projects, floor, runtime) for _ in range(options.rounds)]
        gantry.compose(projects["hundred"], "down", "-t", "0")
        shutil.rmtree(lower)

    print(f"{options.rounds} interleaved rounds, medians and half of the whole spread")
    empty = statistics.median(sample["true"] for sample in rounds)
    for name in rounds[0]:
        values = [sample[name] for sample in rounds]
        beyond = f"   {statistics.median(values) - empty:7.2f} ms beyond `true`" if name not in LATENCIES else ""
        print(f"  {name:34} {spread(values, 2)}{beyond}")
    for sample in idles:
        print(f"  idle with {sample['containers']:4} containers: daemon {sample['daemon_mb']:.1f} MB, CPU {sample['cpu_percent']:.2f} %, "
              f"another daemon answers after {sample['daemon_start_ms']:.0f} ms"
              + (f", a shim {sample['shim_private_kb']:.0f} kB private" if "shim_private_kb" in sample else ""))
    pathlib.Path(options.json).write_text(json.dumps({"rounds": rounds, "idle": idles}, indent=1))


if __name__ == "__main__":
    main()
