"""Two daemons at once, one of them over TLS on loopback: who gets in, and how contexts lead to each."""
import json
import os
import pathlib
import re
import shutil
import socket
import stat
import subprocess
import threading
import unittest

from harness import BIN, Gantry, free_port, main, wait_until


def children(pid, name):
    """Processes of that name which `pid` has started."""
    listed = subprocess.run(["pgrep", "-P", str(pid), "-x", name], capture_output=True, text=True).stdout
    return [int(word) for word in listed.split()]


def is_running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Reach(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.near = Gantry()
        cls.near.__enter__()
        cls.addClassCleanup(cls.near.__exit__, None, None, None)
        cls.far = Gantry(auto_start=True)
        cls.certs = cls.far.root / "certs"
        cls.far.command("certs", "init", "--dir", cls.certs, "--host", "far.example")
        cls.port = free_port()
        cls.address = f"tcp://127.0.0.1:{cls.port}"
        cls.far.daemon_command += ["--host", cls.address, "--tlsverify", "--tlscacert", cls.certs / "ca.pem",
                                   "--tlscert", cls.certs / "server-cert.pem", "--tlskey", cls.certs / "server-key.pem",
                                   "--address-pool", f"10.{150 + os.getpid() % 50}.0.0/16:24"]
        cls.far.auto_start = False
        cls.far.__enter__()
        cls.addClassCleanup(cls.far.__exit__, None, None, None)
        for instance, name in ((cls.near, "near"), (cls.far, "far")):
            instance.busybox()
            instance.command("create", "--name", name, "busybox:test", "true")

    def client(self, *arguments, code=0, env=None, **more):
        """A user of neither daemon's roots: with a home of his own."""
        environment = {"HOME": str(self.near.root), "GANTRY_DATA_ROOT": "", "GANTRY_RUN_ROOT": ""} | (env or {})
        return self.near.command(*arguments, code=code, env=environment, **more)

    def tls(self, directory=None):
        directory = directory or self.certs
        return ["--host", self.address, "--tlsverify", "--tlscacert", directory / "ca.pem", "--tlscert", directory / "cert.pem",
                "--tlskey", directory / "key.pem"]

    def test_certificates_are_made_with_tight_modes(self):
        for name in ("ca-key.pem", "server-key.pem", "key.pem"):
            self.assertEqual(stat.S_IMODE((self.certs / name).stat().st_mode), 0o600, name)
        text = subprocess.run(["openssl", "x509", "-noout", "-text", "-in", self.certs / "server-cert.pem"], capture_output=True, text=True)
        if text.returncode == 0:
            self.assertIn("far.example", text.stdout)
            self.assertIn("IP Address:127.0.0.1", text.stdout)

    def test_with_a_certificate_everything_works(self):
        out = self.client(*self.tls(), "ps", "-a", "--format", "{{.Names}}").out
        self.assertEqual(out, "far\n")
        result = self.client(*self.tls(), "run", "--rm", "-i", "busybox:test", "sh", "-c", "cat; echo err >&2; exit 7", stdin="over tls\n", code=7)
        self.assertEqual((result.out, result.err), ("over tls\n", "err\n"))
        big = "x" * 3_000_000
        self.assertEqual(len(self.client(*self.tls(), "run", "--rm", "-i", "busybox:test", "cat", stdin=big).out), len(big))

    def test_without_one_nobody_gets_in(self):
        self.assertNotEqual(self.client("--host", self.address, "--tls", "ps", code=None).code, 0)
        self.assertNotEqual(self.client("--host", self.address, "ps", code=None).code, 0)
        stranger = self.near.root / "stranger"
        self.near.command("certs", "init", "--dir", stranger)
        (stranger / "ca.pem").write_bytes((self.certs / "ca.pem").read_bytes())
        self.assertNotEqual(self.client(*self.tls(stranger), "ps", code=None).code, 0)
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            s.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
            s.settimeout(20)
            try:
                self.assertNotIn(b"200", s.recv(1000))
            except ConnectionResetError:
                pass

    def test_the_wrong_daemon_is_not_believed(self):
        other = self.near.root / "other"
        self.near.command("certs", "init", "--dir", other)
        (other / "cert.pem").write_bytes((self.certs / "cert.pem").read_bytes())
        (other / "key.pem").write_bytes((self.certs / "key.pem").read_bytes())
        result = self.client(*self.tls(other), "ps", code=1)
        self.assertIn("certificate", result.err)

    def test_tcp_without_tls_is_refused_at_the_start(self):
        process = subprocess.run([BIN / "gantry", "daemon", "--data-root", self.near.root / "d3", "--host", "tcp://127.0.0.1:0"],
                                 capture_output=True, text=True, timeout=60)
        self.assertEqual(process.returncode, 2)
        self.assertIn("without --tlsverify", process.stderr)

    def test_contexts_switch_between_them(self):
        names = lambda *words, **more: self.client(*words, "ps", "-a", "--format", "{{.Names}}", **more).out.split()
        self.client("context", "create", "near", "--host", self.near.host, "--description", "the near one")
        self.client("context", "create", "far", "--host", self.address, "--certs", self.certs)
        self.assertIn("already exists", self.client("context", "create", "far", "--host", "unix:///x", code=1).err)
        self.assertEqual(names("--context", "near"), ["near"])
        self.assertEqual(names("--context", "far"), ["far"])
        self.client("context", "use", "far")
        self.assertEqual(self.client("context", "show").out, "far\n")
        self.assertEqual(names(), ["far"])
        self.assertEqual(names(env={"GANTRY_CONTEXT": "near"}), ["near"])
        self.assertRegex(self.client("context", "ls").out, r"far \* +tcp://")
        shown = json.loads(self.client("context", "inspect", "far").out)[0]
        self.assertEqual(shown["Endpoints"]["docker"]["Host"], self.address)
        self.assertEqual(self.client("context", "inspect", "-f", "{{.Metadata.Description}}", "near").out, "the near one\n")
        self.assertIn("is in use", self.client("context", "rm", "far", code=1).err)
        self.client("context", "use", "default")
        self.client("context", "rm", "near", "far")
        self.assertEqual(self.client("context", "ls", "-q").out, "default\n")
        self.assertIn("does not exist", self.client("--context", "far", "ps", code=1).err)

    def test_dockers_contexts_are_read(self):
        docker = self.near.root / "dockercfg"
        import hashlib
        meta = docker / "contexts/meta" / hashlib.sha256(b"theirs").hexdigest()
        meta.mkdir(parents=True)
        (meta / "meta.json").write_text(json.dumps({"Name": "theirs", "Metadata": {}, "Endpoints": {"docker": {"Host": self.near.host}}}))
        env = {"DOCKER_CONFIG": str(docker)}
        self.assertEqual(self.client("--context", "theirs", "ps", "-aq", "--format", "{{.Names}}", env=env).out, "near\n")
        self.assertIn("Docker's", self.client("context", "rm", "theirs", env=env, code=1).err)

    def forwarder(self):
        """A port on loopback that leads to the near daemon's socket, for plain tcp://."""
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        path = self.near.host.removeprefix("unix://")

        def copy(source, target):
            while piece := source.recv(65536):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)

        def serve():
            while True:
                try:
                    client = listening.accept()[0]
                except OSError:
                    return
                daemon = socket.socket(socket.AF_UNIX)
                daemon.connect(path)
                for pair in ((client, daemon), (daemon, client)):
                    threading.Thread(target=copy, args=pair, daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        return listening.getsockname()[1]

    def test_a_name_is_as_good_as_an_address(self):
        port = self.forwarder()
        for host in ("127.0.0.1", "localhost"):
            words = ["--host", f"tcp://{host}:{port}"]
            self.assertEqual(self.client(*words, "ps", "-a", "--format", "{{.Names}}").out, "near\n")
            result = self.client(*words, "run", "--rm", "-i", "busybox:test", "wc", "-c", stdin="x" * 100000)
            self.assertEqual(result.out.strip(), "100000")
        words = ["--host", f"tcp://localhost:{self.port}", *self.tls()[2:]]
        self.assertEqual(self.client(*words, "ps", "-a", "--format", "{{.Names}}").out, "far\n")

    def test_a_name_that_means_nothing_is_named(self):
        for tls in ([], self.tls()[2:]):
            result = self.client("--host", "tcp://no..such..name:1", *tls, "ps", code=None)
            self.assertNotEqual(result.code, 0)
            self.assertIn("cannot resolve tcp://no..such..name:1: ", result.err)

    def test_a_missing_part_is_named(self):
        alone = self.near.root / "alone"
        alone.mkdir()
        shutil.copy(BIN / "gantry", alone / "gantry")
        for words in (["certs", "init", "--dir", alone / "certs"], ["--host", "tcp://localhost:1", "ps"], [*self.tls(), "ps"]):
            process = subprocess.run([alone / "gantry", *words], capture_output=True, text=True, timeout=60)
            self.assertNotEqual(process.returncode, 0)
            self.assertIn(f'gantry-tls is missing: looked at "{alone}/gantry-tls"', process.stderr)
        self.assertFalse((alone / "certs").exists())

    def test_nothing_outlives_a_killed_client(self):
        # What waits for the end of this pipe, as a shell's $(…) does, is not held up either.
        process = subprocess.Popen([BIN / "gantry", *self.tls(), "events"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   env={"HOME": str(self.near.root), "PATH": os.environ["PATH"]})
        helper = wait_until(lambda: children(process.pid, "gantry-tls"), "gantry-tls to be started")[0]
        wait_until(lambda: os.readlink(f"/proc/{helper}/cwd") == "/", "the connection")
        process.kill()
        self.assertEqual(process.communicate(timeout=10)[0], b"")
        wait_until(lambda: not is_running(helper), "gantry-tls to end")

    def test_ssh_runs_the_systems_ssh(self):
        # A stand-in for ssh that runs what it is told here, as its last words.
        bin_directory = self.near.root / "bin"
        bin_directory.mkdir(exist_ok=True)
        ssh = bin_directory / "ssh"
        ssh.write_text(f"#!/bin/sh\necho \"$@\" > {self.near.root}/ssh-words\nwhile [ \"$1\" != -- ]; do shift; done\nshift 2\nexec \"$@\"\n")
        ssh.chmod(0o755)
        os.path.exists(bin_directory / "gantry") or os.symlink(BIN / "gantry", bin_directory / "gantry")
        env = {"PATH": f"{bin_directory}:{os.environ['PATH']}"}
        out = self.client("--host", f"ssh://me@box:2222{self.near.run}/gantry.sock", "ps", "-a", "--format", "{{.Names}}", env=env).out
        self.assertEqual(out, "near\n")
        words = (self.near.root / "ssh-words").read_text()
        self.assertIn("-l me -p 2222 -- box gantry", words)
        result = self.client("--host", f"ssh://box{self.near.run}/gantry.sock", "run", "--rm", "-i", "busybox:test", "wc", "-c", stdin="x" * 100000, env=env)
        self.assertEqual(result.out.strip(), "100000")


if __name__ == "__main__":
    main()
