"""A Gantry of its own for a test: data root, run root, socket and address pool that nobody else uses.

Tests drive the real executables (GANTRY_BIN, else build/release/bin) as a user would and look at containers,
processes and the kernel rather than at wording. `footprint()` lists what an instance left in the kernel.
"""
import contextlib
import hashlib
import io
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
import urllib.request

from leftovers import Leftovers

REPO = pathlib.Path(__file__).resolve().parents[3]
BIN = pathlib.Path(os.environ.get("GANTRY_BIN", REPO / "build/release/bin"))
SKIPPED = 77  # CTest's SKIP_RETURN_CODE
TIMEOUT = 120


def why_not():
    """What keeps these tests from running here, or None."""
    if os.geteuid() != 0:
        return "needs root: namespaces, mounts and nftables"
    if not (BIN / "gantry").exists():
        return f"needs the built executables in {BIN} (./dev build, or set GANTRY_BIN)"
    if not os.path.exists("/bin/busybox"):
        return "needs /bin/busybox (package busybox-static)"
    return None


def main():
    reason = why_not()
    if reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2, warnings="ignore")


def wait_until(condition, what, seconds=20.0):
    """Waits for the world outside (processes, sockets), which has no event for us to wait on."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


def parent_of(pid):
    """A container's shim, if it is the pid of the container's first process."""
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def sockets_of(pid):
    """How many sockets a process has open: a sign that a command has got as far as asking the daemon."""
    count = 0
    with contextlib.suppress(OSError):
        for entry in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                count += os.readlink(f"/proc/{pid}/fd/{entry}").startswith("socket:")
    return count


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def http_get(url, seconds=5):
    with urllib.request.urlopen(url, timeout=seconds) as answer:
        return answer.read().decode()


def busybox_tar():
    """A root filesystem of one static program and its applets' names."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        def directory(name, mode=0o755):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)

        def file(name, content, mode=0o644):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))

        for name in ("bin", "etc", "root", "home/app", "var", "var/www"):
            directory(name)
        directory("tmp", 0o1777)
        file("bin/busybox", pathlib.Path("/bin/busybox").read_bytes(), 0o755)
        file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n")
        file("etc/group", b"root:x:0:\napp:x:1000:\nextra:x:2000:app\n")
        applets = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout
        for applet in applets.split():
            if applet == "busybox":
                continue
            entry = tarfile.TarInfo("bin/" + applet)
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    return data.getvalue()


class Result:
    def __init__(self, process, command):
        self.code, self.out, self.err, self.command = process.returncode, process.stdout, process.stderr, command

    def __str__(self):
        return f"{' '.join(map(str, self.command))}\nexit {self.code}\n--- out\n{self.out}--- err\n{self.err}"


class Gantry:
    """One instance; a context manager. Leaves its files in place when the test failed (KEEP=1)."""

    def __init__(self, auto_start=False, subnets=24):
        """`subnets`: how long the prefixes of networks are that ask for none."""
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="gte-", dir="/tmp"))
        self.data, self.run = self.root / "data", self.root / "run"
        self.host = f"unix://{self.run}/gantry.sock"
        self.projects = self.root / "projects"
        self.projects.mkdir()
        self.tag = hashlib.sha256(str(self.data).encode()).hexdigest()[:6]
        self.auto_start = auto_start
        self.daemon = None
        pool = f"10.{200 + os.getpid() % 50}.0.0/16:{subnets}"
        self.daemon_command = [BIN / "gantry", "daemon", "--data-root", self.data, "--run-root", self.run,
                               "--host", self.host, "--address-pool", pool, "--log-file", self.root / "daemon.log"]
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.root), "GANTRY_DATA_ROOT": str(self.data),
                            "GANTRY_RUN_ROOT": str(self.run), "LC_ALL": "C.UTF-8"}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                self.environment[name] = os.environ[name]
        self.leftovers = Leftovers(self.tag)

    def __enter__(self):
        if not self.auto_start:
            self.start_daemon()
        return self

    def __exit__(self, kind, value, trace):
        with contextlib.suppress(Exception):
            self.remove_everything()
            self.remove_networks()
            self.leftovers.look(self.daemon_pid(), self.networks())
        with contextlib.suppress(Exception):
            self.stop_daemons()
        left = self.leftovers.after_its_end()
        for pid in self.processes():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if kind is not None:
            log = self.root / "daemon.log"
            if log.exists():
                print("--- daemon.log (end)\n" + log.read_text()[-6000:], file=sys.stderr)
        subprocess.run(["umount", "-R", "-l", self.root], capture_output=True)
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.root, ignore_errors=True)
        if left and kind is None:
            raise AssertionError("networks left behind:\n" + "\n".join(left))

    # The daemon.
    def start_daemon(self):
        with open(self.root / "daemon.err", "ab") as errors:
            self.daemon = subprocess.Popen(self.daemon_command, env=self.environment, stdin=subprocess.DEVNULL,
                                           stdout=subprocess.DEVNULL, stderr=errors)
        wait_until(lambda: self.daemon_pid() or self.daemon.poll() is not None, "the daemon listens")
        if self.daemon.poll() is not None:
            raise AssertionError("the daemon ended: " + (self.root / "daemon.err").read_text())

    def daemon_pid(self):
        """Pid of whoever accepts on the socket, 0 when nobody does."""
        with socket.socket(socket.AF_UNIX) as s:
            try:
                s.connect(str(self.run / "gantry.sock"))
            except OSError:
                return 0
            return int.from_bytes(s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], "little")

    def kill_daemon(self):
        pid = self.daemon_pid()
        os.kill(pid, signal.SIGKILL)
        if self.daemon and self.daemon.pid == pid:
            self.daemon.wait()
        wait_until(lambda: not self.daemon_pid(), "the daemon is gone")
        self.daemon = None
        return pid

    def stop_daemon(self):
        pid = self.daemon_pid()
        if not pid:
            return
        os.kill(pid, signal.SIGTERM)
        if self.daemon and self.daemon.pid == pid:
            self.daemon.wait(30)
        else:
            wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the daemon ends")
        self.daemon = None

    def stop_daemons(self):
        """Also one that a command started and that waits for the other's end."""
        daemons = [pid for pid in self.processes()
                   if b"\0daemon\0" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()]
        for pid in daemons:
            os.kill(pid, signal.SIGTERM)
        if self.daemon:
            self.daemon.wait(30)
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in daemons), "the daemons end", 30)
        self.daemon = None

    # Commands.
    def command(self, *arguments, cwd=None, code=0, env=None, stdin=None, timeout=TIMEOUT):
        """Runs `gantry ARGUMENTS`; `code` None accepts any exit status."""
        words = [BIN / "gantry", *arguments]
        process = subprocess.run(words, cwd=cwd, env=self.environment | (env or {}), capture_output=True, text=True,
                                 timeout=timeout, input=stdin if stdin is not None else "")
        result = Result(process, words)
        if code is not None and result.code != code:
            raise AssertionError(f"expected exit {code}\n{result}")
        return result

    def compose(self, project, *arguments, **options):
        return self.command("compose", *arguments, cwd=project, **options)

    def start(self, project, *arguments, **options):
        """A command in the background, output piped."""
        return subprocess.Popen([BIN / "gantry", "compose", *arguments], cwd=project, env=self.environment, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def project(self, name, yaml, **files):
        """A project directory with compose.yaml and other files (`a__b` is a/b)."""
        directory = self.projects / name
        directory.mkdir(exist_ok=True)
        (directory / "compose.yaml").write_text(yaml)
        for file, text in files.items():
            path = directory / file.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return directory

    def busybox(self, reference="busybox:test"):
        tar = self.root / "busybox.tar"
        tar.write_bytes(busybox_tar())
        self.command("import", tar, reference)
        return reference

    # The API, for what commands do not print.
    def get(self, path):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.run / "gantry.sock"))
            s.sendall(f"GET {path} HTTP/1.0\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            data = b""
            while piece := s.recv(65536):
                data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        if b"chunked" in head.lower():
            out = b""
            while body:
                size, _, body = body.partition(b"\r\n")
                n = int(size or b"0", 16)
                out, body = out + body[:n], body[n + 2:]
                if n == 0:
                    break
            body = out
        return json.loads(body)

    def containers(self):
        return {c["Names"][0].lstrip("/"): c for c in self.get("/containers/json?all=1")}

    def inspect(self, name):
        return self.get(f"/containers/{name}/json")

    def remove_everything(self):
        if not self.daemon_pid():
            self.start_daemon()
        for project in self.get("/gantry/v1/projects"):
            self.command("compose", "-p", project["name"], "down", "-v", "-t", "0", "--remove-orphans", code=None)
        for container in self.get("/containers/json?all=1"):
            self.command("rm", "-f", "-v", container["Id"], code=None)

    def networks(self):
        return [self.get(f"/networks/{network['Id']}") for network in self.get("/networks")]

    def remove_networks(self):
        for network in self.get("/networks"):
            if network["Name"] not in ("bridge", "host", "none"):
                self.command("network", "rm", network["Id"], code=None)

    # What is left in the kernel.
    def processes(self):
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                words = (entry / "cmdline").read_bytes()
                groups = (entry / "cgroup").read_text()
            except OSError:
                continue
            if str(self.root).encode() in words or f"gantry-{self.tag}" in groups:
                found.append(int(entry.name))
        return found

    def links(self):
        """Once the kernel has forgotten those that are being removed: a network is, some 40 ms before its bridge is gone."""
        end = time.monotonic() + 5
        while True:
            shown = subprocess.run(["ip", "-d", "-j", "link"], capture_output=True, text=True, check=True).stdout
            links = json.loads(shown)
            leaving = [link for link in links if self.tag in link.get("ifalias", "") and "UP" not in link["flags"]
                       and link.get("linkinfo", {}).get("info_kind") == "bridge"]
            if not leaving or time.monotonic() > end:
                return links
            time.sleep(0.01)

    def footprint(self):
        """Everything of this instance outside the image store, as sorted text lines."""
        lines = [f"mount {line.split()[4]}" for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
                 if str(self.root) in line]
        lines += [f"interface {link['ifname']}" for link in self.links() if self.tag in link.get("ifalias", "")]
        tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
        lines += [f"nft {line}" for line in tables.splitlines() if self.tag in line]
        lines += [f"cgroup {path}" for path in pathlib.Path("/sys/fs/cgroup").glob(f"*/gantry-{self.tag}*")]
        lines += [f"cgroup {path}" for path in pathlib.Path("/sys/fs/cgroup").glob(f"gantry-{self.tag}*")]
        for pid in self.processes():
            with contextlib.suppress(OSError):  # it ends while we look
                lines.append(f"process {pid} {pathlib.Path(f'/proc/{pid}/cmdline').read_bytes()[:80]!r}")
        for base in (self.data / "containers", self.data / "volumes", self.run):
            if base.exists():
                # Empty lock files stay: removing one races with whoever is about to lock it.
                lines += [f"file {path}" for path in base.rglob("*") if not path.is_dir() and path.suffix != ".lock"]
        for base in (self.data / "containers", self.data / "volumes", self.run / "c"):
            if base.exists():
                lines += [f"directory {path}" for path in base.iterdir() if path.is_dir()]
        return sorted(lines)


class GantryTest(unittest.TestCase):
    """One instance for all tests of a class, with a busybox image; projects are removed after each test."""
    maxDiff = None
    instance = Gantry  # what makes one

    @classmethod
    def setUpClass(cls):
        cls.gantry = cls.instance()
        cls.gantry.__enter__()
        cls.addClassCleanup(cls.gantry.__exit__, None, None, None)
        cls.gantry.busybox()

    def tearDown(self):
        if any(error for _, error in getattr(self._outcome, "errors", []) or []):
            print((self.gantry.root / "daemon.log").read_text()[-3000:], file=sys.stderr)
        self.gantry.remove_everything()


class ProjectTest(GantryTest):
    """Tests about one project at a time, called `name`."""
    name = "project"
    directory = None

    def write(self, yaml, **files):
        self.directory = self.gantry.project(self.name, yaml, **files)

    def compose(self, *words, **options):
        return self.gantry.compose(self.directory, *words, **options)

    def up(self, yaml, *words, **options):
        self.write(yaml)
        return self.compose("up", "-d", "-t", "0", *words, **options)

    def ids(self):
        return {name: c["Id"] for name, c in self.gantry.containers().items()}

    def states(self):
        return {name: c["State"] for name, c in self.gantry.containers().items()}
