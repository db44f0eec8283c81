"""The disk fails: full, out of inodes, errors of the device, read-only, a damaged store. Each time: the command fails and
says why in words that help, what was acknowledged before is there, containers go on, and once the fault is gone the same
command works.
"""
import contextlib
import sqlite3
import subprocess
import unittest

from faulty_libc import FaultyLibc
from harness import Gantry, main

COMPOSE = """
services:
  kept: {image: "busybox:test", command: sleep 1000, init: true, volumes: [data:/data]}
volumes: {data: {}}
"""


class DiskTest(unittest.TestCase):
    def gantry_on(self, options=None, faulty=False):
        """A daemon whose data root is, with `options`, a small file system of its own: those of mke2fs."""
        gantry = Gantry(auto_start=True)
        self.addCleanup(gantry.__exit__, None, None, None)
        if faulty:
            self.faults = FaultyLibc(gantry.root)
            gantry.environment |= self.faults.environment
        if options is not None:
            self.mount(gantry, options)
        gantry.start_daemon()
        gantry.busybox()
        return gantry

    def mount(self, gantry, options):
        image = gantry.root / "disk"
        with open(image, "wb") as disk:
            disk.truncate(48 << 20)
        gantry.data.mkdir()
        made = subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", *options, image], capture_output=True, text=True)
        self.assertEqual(made.returncode, 0, made.stderr)
        mounted = subprocess.run(["mount", "-o", "loop", image, gantry.data], capture_output=True, text=True)
        if mounted.returncode != 0:
            self.skipTest("no loop device here: " + mounted.stderr.strip())
        self.addCleanup(subprocess.run, ["umount", "-l", gantry.data], capture_output=True)

    def running_project(self, gantry):
        project = gantry.project("kept", COMPOSE)
        gantry.compose(project, "up", "-d")
        gantry.compose(project, "exec", "-T", "kept", "sh", "-c", "echo precious > /data/file")
        return project

    def assert_goes_on(self, gantry, project):
        """What was there before the fault is there."""
        self.assertEqual(gantry.compose(project, "exec", "-T", "kept", "cat", "/data/file").out, "precious\n")
        self.assertEqual([c["State"] for c in gantry.containers().values()], ["running"])

    def assert_works_again(self, gantry, project):
        gantry.command("run", "--rm", "busybox:test", "true")
        self.assert_goes_on(gantry, project)
        gantry.kill_daemon()
        gantry.start_daemon()
        self.assert_goes_on(gantry, project)
        gantry.compose(project, "down", "-v", "-t", "0")
        self.assertEqual(gantry.get("/containers/json?all=1"), [])

    def assert_refused(self, result, *words):
        self.assertNotEqual(result.code, 0, result)
        for word in words:
            self.assertIn(word, result.err)

    def test_a_full_disk(self):
        gantry = self.gantry_on(options=[])
        project = self.running_project(gantry)
        filler = gantry.data / "filler"
        with open(filler, "wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 65536)
                file.flush()
        big = gantry.root / "big"
        big.write_bytes(b"y" * (1 << 20))
        (gantry.root / "Dockerfile").write_text("FROM busybox:test\nCOPY big /big\n")
        self.assert_refused(gantry.command("build", "-q", "-t", "big:1", gantry.root, code=None), "No space left on device")
        self.assertNotIn("big:1", [tag for image in gantry.get("/images/json") for tag in image["RepoTags"]])
        self.assert_refused(gantry.command("import", gantry.root / "busybox.tar", "second:1", code=None), "No space left on device")
        # A program that writes gets its own ENOSPC, and nobody else notices.
        self.assertNotEqual(gantry.compose(project, "exec", "-T", "kept", "sh", "-c", "dd if=/dev/zero of=/data/more bs=1M count=8",
                                           code=None).code, 0)
        self.assert_goes_on(gantry, project)
        filler.unlink()
        gantry.command("build", "-q", "-t", "big:1", gantry.root)
        self.assert_works_again(gantry, project)

    def test_no_inodes_left(self):
        gantry = self.gantry_on(options=["-N", "700"])
        project = self.running_project(gantry)
        many = gantry.data / "many"
        many.mkdir()
        with contextlib.suppress(OSError):
            for i in range(10000):
                (many / str(i)).touch()
        self.assert_refused(gantry.command("run", "--rm", "busybox:test", "true", code=None), "No space left on device")
        self.assert_goes_on(gantry, project)
        subprocess.run(["rm", "-rf", many], check=True)
        self.assert_works_again(gantry, project)

    def test_errors_of_the_device(self):
        gantry = self.gantry_on(faulty=True)
        project = self.running_project(gantry)
        self.faults.tell(f"eio {gantry.data}")
        self.assert_refused(gantry.command("create", "busybox:test", "true", code=None), "disk I/O error", "engine.db")
        self.assert_refused(gantry.command("volume", "create", "other", code=None), "disk I/O error")
        self.assert_refused(gantry.command("import", gantry.root / "busybox.tar", "second:1", code=None), "nput/output error")
        self.assert_goes_on(gantry, project)
        self.faults.heal()
        self.assertNotIn("other", gantry.command("volume", "ls", "-q").out)
        self.assert_works_again(gantry, project)

    def test_a_read_only_state_directory(self):
        gantry = self.gantry_on(options=[])
        project = self.running_project(gantry)
        gantry.stop_daemon()
        # As a file system that gave errors: nobody has it open for writing but what overlays hold.
        subprocess.run(["mount", "--bind", gantry.data, gantry.data], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", gantry.data], capture_output=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", gantry.data], check=True)
        with self.assertRaises(AssertionError) as refused:
            gantry.start_daemon()
        self.assertIn("Read-only file system", str(refused.exception))
        self.assertIn(str(gantry.data), str(refused.exception))
        subprocess.run(["umount", gantry.data], check=True)
        gantry.start_daemon()
        self.assert_goes_on(gantry, project)
        self.assert_works_again(gantry, project)

    def damage(self, gantry):
        """Overwrites the pages of the store, header and all but its size."""
        for name in ("engine.db-wal", "engine.db-shm"):
            (gantry.data / name).unlink(missing_ok=True)
        with open(gantry.data / "engine.db", "r+b") as file:
            size = file.seek(0, 2)
            file.seek(0)
            file.write(b"\xde\xad" * (size // 2))

    def test_a_damaged_store_is_said_and_nothing_is_destroyed(self):
        gantry = self.gantry_on()
        project = self.running_project(gantry)
        gantry.stop_daemon()
        intact = (gantry.data / "engine.db").read_bytes()
        self.damage(gantry)
        with self.assertRaises(AssertionError) as refused:
            gantry.start_daemon()
        self.assertIn(f"{gantry.data}/engine.db", str(refused.exception))
        self.assertIn("not a database", str(refused.exception))
        self.assertIn("the store is damaged. Nothing was changed", str(refused.exception))
        # The containers run on, and with the copy of a backup the daemon finds them again.
        (gantry.data / "engine.db").write_bytes(intact)
        self.assertEqual(sqlite3.connect(gantry.data / "engine.db").execute("PRAGMA integrity_check").fetchone(), ("ok",))
        gantry.start_daemon()
        self.assert_goes_on(gantry, project)
        self.assert_works_again(gantry, project)


if __name__ == "__main__":
    main()
