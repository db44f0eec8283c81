"""kill -9 in the middle of commands: of the daemon, the client, shims, and several of them at once at random moments; and of
daemon or shim by itself at each fault point (src/base/fault.h), between one change of state and the next.

    crash_test.py [RUNS [SEED]]         (./dev crash RUNS SEED; the suite makes a small number of runs)

After each kill the daemon is started again and then must hold: every command works; a repeat of the command that was
cut off succeeds and gives what it promises; no process, mount, interface, rule or directory belongs to a container
that nobody lists; what had been acknowledged is there; after `down -v` nothing is left.
"""
import collections
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest

import harness
from harness import BIN, Gantry, wait_until
from registry_test import Registry

RUNS = int(os.environ.get("CRASH_RUNS", "100"))
SEED = int(os.environ.get("CRASH_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)

COMPOSE = """
services:
  store:
    image: busybox:test
    command: sleep 1000
    init: true
    volumes: [data:/data, "home:/home"]
    healthcheck: {test: "true", interval: 1s, start_interval: 100ms, start_period: 10s}
    networks: [back]
  web:
    image: busybox:test
    command: httpd -f -p 80
    init: true
    ports: ["127.0.0.1::80"]
    networks: [front, back]
    depends_on: {store: {condition: service_healthy}}
  worker:
    image: busybox:test
    command: sleep 1000
    init: true
    restart: always
    scale: 2
    networks: [back, apart]
networks: {front: {}, back: {internal: true}, apart: {driver_opts: {com.gantry.isolated: "true"}}}
volumes: {data: {}, home: {}}
"""
REPLICAS = {"store": 1, "web": 1, "worker": 2}

# What can be cut off: its command, and the replicas that there must be once it was repeated (None: as before).
OPERATIONS = {
    "up": (["up", "-d"], REPLICAS),
    "first up": (["up", "-d"], REPLICAS),
    "leased up": (["up", "-d", "--lease", "1h"], REPLICAS),
    "recreate": (["up", "-d", "--force-recreate", "-t", "0"], REPLICAS),
    "scale": (["up", "-d", "--scale", "worker=4"], REPLICAS | {"worker": 4}),
    "down": (["down", "-t", "0"], {}),
    "down -v": (["down", "-v", "-t", "0"], {}),
    "stop": (["stop", "-t", "0"], None),
    "restart": (["restart", "-t", "0"], None),
    "run": (["run", "--rm", "-T", "--no-deps", "web", "sh", "-c", "echo x; sleep 0.2"], None),
    "failing start": (["run", "--rm", "-T", "--no-deps", "web", "/nothing"], None),
    "exec": (["exec", "-T", "store", "sh", "-c", "echo x > /data/x; sleep 0.2"], None),
    "rm": (["rm", "-f", "-s", "worker"], None),
    "build": (["build"], None),
    "pull": (["pull", "-q", "pulled"], None),
    "network connect": (["network", "connect", "crash_front", "crash-store-1"], None),
    "update": (["update", "--memory", "100m", "crash-store-1"], None),
}
ENGINE_OPERATIONS = ("network connect", "update")  # of `gantry`, not of `gantry compose`
EXIT = {"failing start": 1}
NEEDS_PROJECT = ("failing start", "exec", "rm", "stop", "restart", "run", "network connect", "update")

# Every fault point, with an operation that comes by it.
POINTS = {
    "blob in place": "pull",
    "blob written": "pull",
    "cgroups removed": "failing start",
    "container directory made": "recreate",
    "container files removed": "rm",
    "enclave attached": "first up",
    "enclave made": "first up",
    "file replaced": "leased up",
    "file written": "leased up",
    "images write after": "build",
    "images write before": "build",
    "layer in place": "build",
    "layer unpacked": "build",
    "names told": "recreate",
    "names withdrawn": "stop",
    "network attached": "recreate",
    "network change told": "network connect",
    "network detached": "stop",
    "network joined": "network connect",
    "ports reserved": "recreate",
    "program started": "recreate",
    "run directory made": "recreate",
    "run directory removed": "failing start",
    "sandbox ready": "recreate",
    "shim cgroup made": "recreate",
    "shim cgroup removed": "run",
    "shim child cloned": "recreate",
    "shim exec cloned": "first up",
    "shim launched": "recreate",
    "shim listening": "recreate",
    "shim log drained": "run",
    "shim program ended": "run",
    "shim program started": "recreate",
    "shim reported": "run",
    "shim started": "recreate",
    "store begin after": "recreate",
    "store begin before": "recreate",
    "store commit after": "recreate",
    "store commit before": "recreate",
    "store container after": "recreate",
    "store container before": "recreate",
    "store container removal after": "rm",
    "store container removal before": "rm",
    "store container spec after": "update",
    "store container spec before": "update",
    "store container state after": "stop",
    "store container state before": "stop",
    "store network after": "first up",
    "store network before": "first up",
    "store network removal after": "down",
    "store network removal before": "down",
    "store project after": "first up",
    "store project before": "first up",
    "store project removal after": "down",
    "store project removal before": "down",
    "store volume after": "first up",
    "store volume before": "first up",
    "store volume removal after": "down -v",
    "store volume removal before": "down -v",
    "uplink made": "first up",
    "volume copied": "first up",
    "volume directory made": "first up",
    "volume set aside": "down -v",
}


def words_of(operation):
    """The command's words after `gantry`."""
    words = OPERATIONS[operation][0]
    if operation in ENGINE_OPERATIONS:
        return words
    # Services of a profile are named by it; others take the whole project.
    return ["compose", *(["--profile", "no"] if operation in ("build", "pull") else []), *words]


def tell(run, runs, what):
    """How far a long run is."""
    if (run + 1) % 100 == 0 and runs > 100:
        print(f"{run + 1} of {runs} {what}", file=sys.stderr, flush=True)


VICTIMS = ("daemon", "client", "shim", "shims", "daemon and client", "daemon and shim")


class Crash(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(SEED)
        self.gantry = Gantry()
        self.gantry.__enter__()
        self.addCleanup(self.gantry.__exit__, None, None, None)
        self.gantry.busybox()
        built = "  built: {build: {context: ., dockerfile_inline: \"FROM busybox:test\\nCOPY salt /\\nRUN echo 1 > /1\\nRUN echo 2 > /2\\n\"}, command: 'true', profiles: [no]}\n"
        self.operations = sorted(OPERATIONS)
        if shutil.which("docker-registry"):
            # Outside of the instance's own root: what is there counts as left behind.
            directory = pathlib.Path(tempfile.mkdtemp(prefix="gte-registry-"))
            self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
            registry = Registry(directory, "registry")
            self.addCleanup(registry.close)
            self.pulled = f"{registry.host}/pulled:1"
            archive = self.gantry.root / "pulled.tar"  # an image whose blobs no other has
            with tarfile.open(archive, "w") as tar:
                tar.add(__file__, "test.py")
            self.gantry.command("import", archive, self.pulled)
            self.gantry.command("push", self.pulled)
            built += f"  pulled: {{image: '{self.pulled}', command: 'true', profiles: [no]}}\n"
        else:
            self.operations.remove("pull")
        self.project = self.gantry.project("crash", COMPOSE.replace("networks: {front", built + "networks: {front"))
        self.met = collections.Counter()
        self.durations = {}

    def test_random_kills(self):
        started = time.monotonic()
        for run in range(self.random_runs()):
            operation = self.random.choice(self.operations)
            victim = self.random.choice(VICTIMS)
            share = self.random.random()
            try:
                self.one_run(operation, victim, share)
            except AssertionError as violation:
                self.fail(f"run {run} of seed {SEED}: {operation}, kill of {victim} after {share:.3f} of its time: {violation}")
            self.met[operation, victim] += 1
            tell(run, self.random_runs(), "kills at random moments")
        print(f"{self.random_runs()} kills at random moments in {time.monotonic() - started:.0f} s, seed {SEED}, {len(self.met)} of "
              f"{len(self.operations) * len(VICTIMS)} pairs of command and victim met", file=sys.stderr)

    @staticmethod
    def random_runs():
        return max(0, min(RUNS - len(POINTS), RUNS // 2))

    # Each point once in the operation that is known to come by it, then others in the operations that come by them as well.
    def test_fault_points(self):
        started = time.monotonic()
        runs = [(point, operation, 1) for point, operation in POINTS.items() if operation in self.operations]
        certain = len(runs)
        while len(runs) < RUNS - self.random_runs():
            runs.append((self.random.choice(list(POINTS)), self.random.choice(self.operations), self.random.choice((1, 1, 2, 3))))
        hits = collections.Counter()
        for run, (point, operation, times) in enumerate(runs):
            try:
                reached = self.one_point(operation, point, times)
                self.assertTrue(reached or run >= certain, "the point was not reached")
            except AssertionError as violation:
                self.fail(f"run {run} of seed {SEED}: {operation} with GANTRY_FAULT='{point}:{times}': {violation}")
            hits[point] += reached
            tell(run, len(runs), "fault points")
        print(f"{sum(hits.values())} kills at {len(hits)} fault points in {time.monotonic() - started:.0f} s, seed {SEED}; "
              f"{len(runs) - sum(hits.values())} commands did not come by theirs so often", file=sys.stderr)

    def one_point(self, operation, point, times):
        """True if it was reached."""
        before = self.prepare(operation)
        self.gantry.stop_daemon()
        sign = self.gantry.root / "reached"
        self.gantry.environment["GANTRY_FAULT"] = f"{point}:{times}:{sign}"
        try:
            self.gantry.start_daemon()
        except AssertionError:  # the point was reached while it was still starting
            self.gantry.daemon = None
        finally:
            del self.gantry.environment["GANTRY_FAULT"]
        armed = self.gantry.daemon
        self.start(operation).communicate(timeout=harness.TIMEOUT)
        if armed:
            self.kill(armed.pid)
            armed.wait()
            # A shim that it was about to start still has its socket for a moment, and takes connections for nobody.
            wait_until(lambda: self.gantry.daemon_pid() != armed.pid, "the armed daemon is gone")
            self.gantry.daemon = None
        # If the armed one killed itself, the client may have started the next.
        if not self.gantry.daemon_pid():
            self.gantry.start_daemon()
        reached = sign.exists()
        sign.unlink(missing_ok=True)
        self.check(operation, before if not point.startswith("shim ") else None)
        return reached

    def start(self, operation):
        return subprocess.Popen([BIN / "gantry", *words_of(operation)], cwd=self.project, env=self.gantry.environment, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def prepare(self, operation):
        """The containers before it, by name."""
        if operation == "build":  # nothing of it comes out of the cache
            (self.project / "salt").write_text(str(self.random.random()))
        if operation == "pull":
            self.gantry.command("rmi", "-f", self.pulled, code=None)
        if operation == "first up":
            self.gantry.compose(self.project, "down", "-v", "-t", "0")
        elif self.random.random() < 0.7 or operation in NEEDS_PROJECT or operation in ("down", "down -v", "recreate"):
            self.gantry.compose(self.project, "up", "-d", "--wait")
            if operation == "network connect":
                self.gantry.command("network", "disconnect", "crash_front", "crash-store-1", code=None)
            return {name: c["Id"] for name, c in self.gantry.containers().items()}
        return {}

    def one_run(self, operation, victim, share):
        before = self.prepare(operation)
        self.cut_off(operation, victim, share, self.durations.get(operation, 0.3))
        self.check(operation, before if victim in ("client", "daemon", "daemon and client") else None)

    def check(self, operation, before):
        """A new daemon is there: what must hold. `before` None: shims were killed, so containers were recreated."""
        promised = OPERATIONS[operation][1]
        self.gantry.compose(self.project, "ps", "-a")
        self.assert_all_belongs_to_somebody()
        begin = time.monotonic()
        if operation in NEEDS_PROJECT:
            self.gantry.compose(self.project, "up", "-d", "--wait")
        if operation == "network connect":
            self.gantry.command("network", "disconnect", "crash_front", "crash-store-1", code=None)
        self.gantry.command(*words_of(operation), cwd=self.project, code=EXIT.get(operation, 0))
        self.durations[operation] = time.monotonic() - begin
        if promised is not None:
            self.assertEqual(self.replicas(), promised)
        if operation in ("up", "update") and before is not None:
            after = {name: c["Id"] for name, c in self.gantry.containers().items()}
            self.assertEqual({n: i for n, i in after.items() if n in before}, before, "nothing was recreated")
        self.assert_all_belongs_to_somebody()
        if self.random.random() < 0.3:
            self.gantry.compose(self.project, "down", "-v", "-t", "0", "--remove-orphans")
            self.assert_nothing_is_left()

    def cut_off(self, operation, victim, share, usual):
        client = self.start(operation)
        try:
            client.wait(share * usual * 1.2)
        except subprocess.TimeoutExpired:
            pass
        killed = self.gantry.daemon_pid() if "daemon" in victim else 0
        self.kill(killed)
        if "client" in victim and client.poll() is None:
            client.kill()
        if "shim" in victim:
            shims = self.shims()
            self.random.shuffle(shims)
            victims = shims if victim == "shims" else shims[:1]
            for pid in victims:
                self.kill(pid)
            # Until then their containers run, for the daemon as well: with both processors busy that can be long.
            wait_until(lambda: not any(map(self.lives, victims)), "the killed shims are gone")
        client.communicate(timeout=harness.TIMEOUT)
        if killed:
            if self.gantry.daemon and self.gantry.daemon.pid == killed:
                self.gantry.daemon.wait()
                self.gantry.daemon = None
            wait_until(lambda: self.gantry.daemon_pid() != killed, "the daemon is gone")
            if not self.gantry.daemon_pid():  # else the client has started the next one
                self.gantry.start_daemon()

    @staticmethod
    def kill(pid):
        if pid:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    @staticmethod
    def lives(pid):
        try:
            return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return False

    # A shim is not in its container's cgroup, and its command line says nothing: what it has open tells whose it is (its
    # log, its cgroup, or the socket in its run directory).
    def shims(self):
        ours = (str(self.gantry.root), f"gantry-{self.gantry.tag}")
        sockets = {}
        for line in pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]:
            fields = line.split()
            if len(fields) > 7:
                sockets[f"socket:[{fields[6]}]"] = fields[7]
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if not entry.name.isdigit() or not (entry / "cmdline").read_bytes().startswith(b"gantry-shim"):
                    continue
                targets = [os.readlink(fd) for fd in (entry / "fd").iterdir()]
            except OSError:
                continue
            if any(word in sockets.get(target, target) for target in targets for word in ours):
                found.append(int(entry.name))
        return sorted(found)

    def replicas(self):
        count = collections.Counter()
        for container in self.gantry.containers().values():
            labels = container["Labels"]
            if labels.get("com.docker.compose.oneoff") != "True":
                count[labels["com.docker.compose.service"]] += 1
        return dict(count)

    def orphaned_shims(self):
        listed = self.gantry.get("/containers/json?all=1")
        running = sum(c["State"] in ("running", "paused") for c in listed)
        return max(0, len(self.shims()) - running)

    # Nothing that the kernel holds for us belongs to a container that nobody lists. What a shim that was killed left is
    # tidied up at once or, where the daemon was killed too, by its next start: so it may take a moment, but not more.
    def assert_all_belongs_to_somebody(self):
        try:
            wait_until(lambda: not self.strays(), "strays are gone", seconds=15)
        except AssertionError:
            raise AssertionError("these belong to nobody: " + "\n".join(self.strays())) from None

    def strays(self):
        listed = {c["Id"]: c["State"] for c in self.gantry.get("/containers/json?all=1")}
        strays = []
        for base in (self.gantry.data / "containers", self.gantry.run / "c"):
            if base.exists():
                strays += [f"directory {path}" for path in base.iterdir()
                           if not any(identity.startswith(path.name) for identity in listed)]
        running = {identity for identity, state in listed.items() if state in ("running", "paused", "restarting")}
        mounts = pathlib.Path("/proc/self/mountinfo").read_text()
        for line in mounts.splitlines():
            path = line.split()[4]
            if path.startswith(f"{self.gantry.run}/netns/"):  # of isolated networks
                continue
            if str(self.gantry.root) in path and not any(identity[:12] in path for identity in listed):
                strays.append(f"mount {path}")
        root = pathlib.Path("/sys/fs/cgroup")
        for path in (*root.glob(f"gantry-{self.gantry.tag}/*/"), *root.glob(f"*/gantry-{self.gantry.tag}/*/")):
            if path.name not in listed:
                strays.append(f"cgroup {path}")
        for pid in self.gantry.processes():
            try:
                groups = pathlib.Path(f"/proc/{pid}/cgroup").read_text()
                state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
            except OSError:
                continue
            if state == "Z" or f"gantry-{self.gantry.tag}" not in groups:
                continue
            if not any(identity in groups or identity[:12] in groups for identity in running):
                strays.append(f"process {pid} {groups.split(chr(10))[0]}")
        return strays

    def assert_nothing_is_left(self):
        # The daemon's own: itself and its name service, its table and cgroup, its sockets, and the default network's
        # bridge, which builds use.
        daemon = self.gantry.daemon_pid()
        bridge = "interface br-" + self.gantry.get("/networks/bridge")["Id"][:12]

        def left():
            return [line for line in self.gantry.footprint()
                    if not line.startswith(("nft ", "cgroup ", f"file {self.gantry.run}/", f"process {daemon} ")) and
                    "gantry-dns" not in line and line != bridge]
        try:
            wait_until(lambda: not self.orphaned_shims(), "no shim waits for nobody", seconds=15)
            wait_until(lambda: not left(), "nothing is left", seconds=15)
        except AssertionError:
            raise AssertionError("left after down -v: " + "\n".join(left())) from None


class Groups(harness.GantryTest):
    # What `update` leaves when the daemon is killed after it has made a cgroup for the new limit and before it has noted that:
    # neither the shim nor the next daemon knows of it.
    def test_a_group_that_an_update_made_and_did_not_note_goes_with_its_container(self):
        hierarchy = pathlib.Path("/sys/fs/cgroup/memory")
        if not hierarchy.is_dir() or (hierarchy / "cgroup.controllers").exists():
            self.skipTest("the memory controller is not one of cgroups v1")
        self.gantry.command("run", "-d", "--name", "box", "--init", "busybox:test", "sleep", "1000")
        box = self.gantry.inspect("box")
        group = hierarchy / f"gantry-{self.gantry.tag}" / box["Id"]
        self.assertFalse(group.exists())
        group.mkdir(parents=True)
        (group / "cgroup.procs").write_text(str(box["State"]["Pid"]))
        self.gantry.command("stop", "-t", "0", "box")
        wait_until(lambda: not group.exists(), "the group is gone")


if __name__ == "__main__":
    arguments = [word for word in sys.argv[1:] if word.isdigit()]
    if arguments:
        RUNS = int(arguments[0])
        sys.argv.remove(arguments[0])
    if len(arguments) > 1:
        SEED = int(arguments[1])
        sys.argv.remove(arguments[1])
    harness.main()
