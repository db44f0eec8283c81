"""`gantry build` around the Dockerfile: where contexts come from, where results and caches go, limits, warnings."""
import contextlib
import functools
import http.server
import io
import os
import pathlib
import shutil
import signal
import subprocess
import tarfile
import tempfile
import threading
import unittest

from harness import Gantry, GantryTest, main, wait_until
from registries import Registry


class Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class BuildTest(GantryTest):
    def context(self, dockerfile, **files):
        place = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(dir=self.gantry.root)))
        (place / "Dockerfile").write_text(dockerfile)
        for name, text in files.items():
            (place / name).write_text(text)
        return place

    def build(self, *arguments, gantry=None, **options):
        return (gantry or self.gantry).command("build", *arguments, **options)

    def serve(self, directory):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                 functools.partial(Files, directory=str(directory)))
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    def test_results_go_to_directories_and_archives(self):
        place = self.context("FROM busybox:test AS made\nRUN echo made > /made && ln -s made /link && chmod 640 /made\n"
                             "FROM scratch\nCOPY --from=made /made /link /dir/\n")
        before = self.gantry.command("images", "-q").out
        out = self.gantry.root / "out"
        self.build("-o", out, place)
        self.assertEqual((out / "dir/made").read_text(), "made\n")
        self.assertEqual((out / "dir/made").stat().st_mode & 0o777, 0o640)
        self.build("--output", f"type=local,dest={out}/again", place)
        self.assertTrue((out / "again/dir/made").exists())
        self.build("-o", f"type=tar,dest={out}/made.tar", place)
        with tarfile.open(out / "made.tar") as tar:
            self.assertIn("dir/made", tar.getnames())
        self.assertEqual(self.gantry.command("images", "-q").out, before, "nothing is left without a name")
        self.build("-t", "output:1", "-o", f"type=oci,dest={out}/image.tar", place)
        with tarfile.open(out / "image.tar") as tar:
            self.assertIn("oci-layout", tar.getnames())
        stream = subprocess.run([*self.words(), "build", "-q", "-o", "-", place], env=self.gantry.environment,
                                stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        with tarfile.open(fileobj=io.BytesIO(stream.stdout)) as tar:
            self.assertEqual(tar.extractfile("dir/made").read(), b"made\n")
        self.assertIn('unknown type "foo"', self.build("-o", "type=foo", place, code=1).err)

    def words(self):
        return [self.gantry.daemon_command[0]]

    def test_limits_of_run(self):
        place = self.context("FROM busybox:test\nRUN ulimit -n > /limit\nCMD [\"cat\", \"/limit\"]\n")
        self.build("-t", "limits:1", "--ulimit", "nofile=321:654", place)
        self.assertEqual(self.gantry.command("run", "--rm", "limits:1").out, "321\n")
        project = self.gantry.project("limits", "services:\n  a:\n    build:\n      context: .\n      ulimits: {nofile: 77}\n",
                                      Dockerfile="FROM busybox:test\nRUN ulimit -n > /limit\nCMD [\"cat\", \"/limit\"]\n")
        self.gantry.compose(project, "build")
        self.assertEqual(self.gantry.command("run", "--rm", "limits-a").out, "77\n")

    def step_process(self, words):
        """The pid of the build step's program with this command line, or None."""
        for pid in self.gantry.processes():
            with contextlib.suppress(OSError):
                if pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1] == words:
                    return pid
        return None

    def test_a_step_whose_shim_was_killed_fails_and_leaves_nothing(self):
        place = self.context("FROM busybox:test\nRUN sleep 4321 && true\n")
        self.build(self.context("FROM busybox:test\nRUN true\n"))  # what builds share is there
        before = self.gantry.footprint()
        client = subprocess.Popen([*self.words(), "build", place], env=self.gantry.environment, text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        wait_until(lambda: self.step_process([b"sleep", b"4321"]), "the step runs")
        pid = self.step_process([b"sleep", b"4321"])
        while b"gantry-shim" not in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
            pid = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(pid, signal.SIGKILL)
        out = client.communicate(timeout=60)[0]
        self.assertEqual(client.returncode, 1, out)
        self.assertIn("supervisor was killed", out)
        wait_until(lambda: self.gantry.footprint() == before, "nothing of the step is left")
        self.assertEqual(list((self.gantry.data / "build" / "steps").iterdir()), [])
        groups = pathlib.Path("/sys/fs/cgroup")
        self.assertEqual([*groups.glob(f"gantry-{self.gantry.tag}/*/"), *groups.glob(f"*/gantry-{self.gantry.tag}/*/")], [])

    def test_warnings_stand_at_the_end(self):
        place = self.context("from busybox:test as Base\nENV API_TOKEN=x\nCMD run\n")
        out = self.build(place).out
        for rule in ("StageNameCasing", "SecretsUsedInArgOrEnv", "JSONArgsRecommended", "ConsistentInstructionCasing"):
            self.assertIn(f" - {rule}: ", out)

    def test_several_platforms_are_refused_in_words(self):
        place = self.context("FROM busybox:test\n")
        self.assertIn("built for one platform at a time",
                      self.build("--platform", "linux/amd64,linux/arm64", place, code=1).err)

    def test_contexts_by_url(self):
        place = self.context("FROM busybox:test\nCOPY said /\nCMD [\"cat\", \"/said\"]\n", said="from an archive\n")
        served = self.gantry.root / "served"
        served.mkdir()
        with tarfile.open(served / "context.tar.gz", "w:gz") as tar:
            for name in ("Dockerfile", "said"):
                tar.add(place / name, name)
        (served / "only").write_text("FROM busybox:test\nCMD [\"echo\", \"no files\"]\n")
        url = self.serve(served)
        self.build("-t", "url:1", f"{url}/context.tar.gz")
        self.assertEqual(self.gantry.command("run", "--rm", "url:1").out, "from an archive\n")
        self.build("-t", "url:2", f"{url}/only")
        self.assertEqual(self.gantry.command("run", "--rm", "url:2").out, "no files\n")
        self.assertIn("404", self.build(f"{url}/nothing.tar", code=1).err)

    @unittest.skipUnless(shutil.which("git"), "needs git")
    def test_a_git_repository_as_context(self):
        served = self.gantry.root / "git"
        work = served / "work"
        (work / "sub").mkdir(parents=True)
        (work / "sub/Dockerfile").write_text("FROM busybox:test\nCOPY said /\nCMD [\"cat\", \"/said\"]\n")
        (work / "sub/said").write_text("first\n")
        identity = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}

        def git(*words, cwd=work):
            subprocess.run(["git", *words], cwd=cwd, env=os.environ | identity, check=True, capture_output=True)

        git("init", "-q", "-b", "trunk")
        git("add", ".")
        git("commit", "-q", "-m", "first")
        git("checkout", "-q", "-b", "other")
        (work / "sub/said").write_text("second\n")
        git("commit", "-q", "-a", "-m", "second")
        git("checkout", "-q", "trunk")
        git("clone", "-q", "--bare", "work", "repository.git", cwd=served)
        git("update-server-info", cwd=served / "repository.git")
        url = self.serve(served) + "/repository.git"
        for reference, said in (("#trunk:sub", "first\n"), ("#other:sub", "second\n")):
            self.build("-t", "git:1", url + reference)
            self.assertEqual(self.gantry.command("run", "--rm", "git:1").out, said)
        self.assertIn("nowhere", self.build(url + "#trunk:nowhere", code=1).err)

    @unittest.skipUnless(shutil.which("docker-registry"), "needs docker-registry")
    def test_a_cache_in_a_registry_serves_another_machine(self):
        registry = Registry(self.gantry.root, "cache")
        self.addCleanup(registry.close)
        place = self.context("FROM busybox:test AS one\nRUN cat /proc/sys/kernel/random/uuid > /one\n"
                             "FROM busybox:test\nCOPY --from=one /one /\nRUN cat /proc/sys/kernel/random/uuid > /two\n"
                             "CMD [\"cat\", \"/one\", \"/two\"]\n")
        cache = f"{registry.host}/cache:1"
        self.build("-t", "cached:1", "--cache-to", f"type=registry,ref={cache},mode=max", place)
        said = self.gantry.command("run", "--rm", "cached:1").out
        base = self.gantry.root / "base.tar"  # the same one: importing makes directories of today
        self.gantry.command("save", "-o", base, "busybox:test")
        with Gantry() as other:
            other.command("load", "-i", base)
            other.command("build", "-t", "cached:1", "--cache-from", f"type=registry,ref={cache}", place)
            self.assertEqual(other.command("run", "--rm", "cached:1").out, said)
            project = other.project("cached", "services:\n  a:\n    build:\n      context: .\n"
                                    f"      cache_from: ['{cache}']\n      cache_to: ['type=local,dest=./kept']\n",
                                    Dockerfile=(place / "Dockerfile").read_text())
            other.compose(project, "build")
            self.assertEqual(other.command("run", "--rm", "cached-a").out, said)
            self.assertTrue((project / "kept/index.json").exists())

    def test_pruning_and_the_quota_of_the_cache(self):
        with Gantry() as gantry:
            gantry.daemon_command += ["--build-cache-size", "3mb"]
            gantry.stop_daemon()
            gantry.start_daemon()
            place = self.context("FROM scratch\nCOPY big /\n")
            for i in range(4):
                (place / "big").write_bytes(os.urandom(1_000_000))
                gantry.command("build", "-q", place)
                gantry.command("rmi", gantry.command("images", "-q").out.split()[0])
            (place / "big").write_bytes(os.urandom(1_000_000))
            gantry.command("build", "-q", "-t", "last:1", place)  # what an image has does not count
            size = sum(item["Size"] for item in gantry.get("/system/df")["BuildCache"])
            self.assertLessEqual(size, 3 << 20)
            self.assertGreaterEqual(size, 2_000_000)
            gantry.command("builder", "prune", "-f", "--filter", "until=1h")
            self.assertEqual(sum(item["Size"] for item in gantry.get("/system/df")["BuildCache"]), size)
            gantry.command("builder", "prune", "-f", "--keep-storage", "1000000")
            self.assertEqual(sum(item["Size"] for item in gantry.get("/system/df")["BuildCache"]), 1_000_000)
            gantry.command("builder", "prune", "-f", "-a")
            self.assertEqual(gantry.get("/system/df")["BuildCache"], [])
            gantry.command("build", "-t", "kept:1", place)
            gantry.command("image", "prune", "-a", "-f", "--filter", "until=1h")
            self.assertIn("kept", gantry.command("images").out)
            gantry.command("image", "prune", "-a", "-f")
            self.assertNotIn("kept", gantry.command("images").out)


if __name__ == "__main__":
    main()
