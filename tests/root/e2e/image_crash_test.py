"""kill -9 of the daemon in the middle of pull, load, build, rmi and prune: what was acknowledged is there and runs, what
was not has left nothing. POINTS=200 SEED=7 for more than CI's few (`./dev image-crash`)."""
import collections
import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import time
import unittest

from harness import BIN, GantryTest, main
from registries import Registry

POINTS = int(os.environ.get("POINTS", "15"))
SEED = int(os.environ.get("SEED", "1"))
KINDS = ("pull", "build", "load", "rmi", "prune")


@unittest.skipUnless(shutil.which("docker-registry"), "needs docker-registry")
class ImageCrash(GantryTest):
    def setUp(self):
        self.random = random.Random(SEED)
        self.registry = Registry(self.gantry.root, "registry")
        self.addCleanup(self.registry.close)
        self.archive = self.gantry.root / "saved.tar"
        self.gantry.command("tag", "busybox:test", "kept:1")
        self.gantry.command("run", "-d", "--name", "keeper", "kept:1", "sleep", "100000")
        self.context = self.gantry.root / "context"
        self.context.mkdir()
        (self.context / "Dockerfile").write_text(
            "FROM kept:1 AS a\nCOPY big /big\nFROM kept:1\nRUN echo one > /one\nCOPY --from=a /big /big\nRUN echo two > /two\n")
        self.pulled = f"{self.registry.host}/app:1"
        self.serial = 0
        self.build("loaded:1", 8_000_000)
        self.gantry.command("save", "-o", self.archive, "loaded:1")
        self.build(self.pulled, 6_000_000)
        self.gantry.command("push", self.pulled)
        self.gantry.command("system", "prune", "-a", "-f")
        self.expected = {"kept:1", "busybox:test"}

    def new_content(self, size):
        (self.context / "big").write_bytes(self.random.randbytes(size))

    def build(self, name, size):
        self.new_content(size)
        self.gantry.command("build", "-q", "-t", name, self.context)

    def words_of(self, kind):
        """One command that changes the store, and the names that it makes or takes away when it succeeds."""
        if kind == "load":
            return ["load", "-i", self.archive], {"loaded:1"}
        if kind == "pull":
            return ["pull", self.pulled], {self.pulled}
        if kind == "build":
            self.new_content(2_000_000)
            self.serial += 1
            name = f"built:{self.serial}"
            return ["build", "-q", "-t", name, self.context], {name}
        names = self.expected - {"kept:1", "busybox:test"}
        if kind == "rmi":
            return ["rmi", *sorted(names)], names
        return ["system", "prune", "-a", "-f"], names

    def prepare(self, kind):
        """Something to remove, and nothing to be found present."""
        if kind in ("rmi", "prune") and self.expected == {"kept:1", "busybox:test"}:
            self.gantry.command("load", "-i", self.archive)
            self.gantry.command("pull", self.pulled)
            self.expected |= {"loaded:1", self.pulled}
        here = {"load": "loaded:1", "pull": self.pulled}.get(kind)
        if here in self.expected:
            self.gantry.command("rmi", here)
            self.expected.remove(here)

    def spawn(self, words):
        return subprocess.Popen([BIN / "gantry", *map(str, words)], env=self.gantry.environment,
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def durations(self):
        """How long each kind takes when nobody disturbs it: the kills are to fall within."""
        found = {}
        for kind in KINDS:
            self.prepare(kind)
            words, names = self.words_of(kind)
            begun = time.monotonic()
            self.assertEqual(self.spawn(words).wait(60), 0, kind)
            found[kind] = time.monotonic() - begun
            self.expected = self.expected - names if kind in ("rmi", "prune") else self.expected | names
        return found

    def names(self):
        return {tag for image in self.gantry.get("/images/json") for tag in image["RepoTags"]}

    def check_store(self, point):
        """Rows and files are of the same things, each blob is what its name says, and nothing is there for nobody."""
        images = self.gantry.data / "images"
        with sqlite3.connect(f"file:{images}/images.db?mode=ro", uri=True) as database:
            def column(sql):
                return {row[0] for row in database.execute(sql)}
            layers = column("SELECT chain FROM layers")
            blobs = column("SELECT digest FROM layer_blobs") | column("SELECT id FROM images")
            for text in column("SELECT blobs FROM images WHERE blobs != ''"):
                blobs |= set(text.split())
            parents = dict(database.execute("SELECT chain, parent FROM layers"))
            needed = {value.split()[0] for value in column("SELECT value FROM cache")} & layers
            for image in column("SELECT id FROM images"):
                chain = ""
                for diff in json.loads((images / "blobs/sha256" / image[7:]).read_bytes())["rootfs"]["diff_ids"]:
                    chain = diff if not chain else "sha256:" + hashlib.sha256(f"{chain} {diff}".encode()).hexdigest()
                needed.add(chain)
        for chain in list(needed):
            while chain:
                needed.add(chain)
                chain = parents[chain]
        self.assertEqual(layers, needed, point)
        self.assertEqual({"sha256:" + path.name for path in (images / "layers").iterdir()}, layers, point)
        self.assertEqual({"sha256:" + path.name for path in (images / "blobs/sha256").iterdir()}, blobs, point)
        for blob in (images / "blobs/sha256").iterdir():
            self.assertEqual(hashlib.sha256(blob.read_bytes()).hexdigest(), blob.name, point)
        self.assertEqual(list((images / "tmp").iterdir()), [], point)

    def test_random_points(self):
        durations = self.durations()
        cut = collections.Counter()
        for i in range(POINTS):
            kind = KINDS[i % len(KINDS)]
            self.prepare(kind)
            words, names = self.words_of(kind)
            process = self.spawn(words)
            time.sleep(self.random.uniform(0, 1.2 * durations[kind]))  # the point at which it is hit
            self.gantry.kill_daemon()
            acknowledged = process.wait(60) == 0
            cut[kind] += not acknowledged
            self.gantry.start_daemon()
            point = f"point {i} (SEED={SEED}): {kind}, {'acknowledged' if acknowledged else 'cut'}"
            found = self.names()
            if kind in ("rmi", "prune"):
                self.assertLessEqual(self.expected - names, found, point)
                self.assertFalse(acknowledged and names & found, point)
            else:
                self.assertLessEqual(self.expected | (names if acknowledged else set()), found, point)
            self.assertLessEqual(found, self.expected | names, point)
            self.expected = found
            self.check_store(point)
            for name in sorted(found - {"busybox:test"})[:2] + ["kept:1"]:
                self.assertEqual(self.gantry.command("run", "--rm", name, "echo", "runs").out, "runs\n", point)
        print("cut before their end:", ", ".join(f"{kind} {cut[kind]}" for kind in KINDS))
        self.gantry.command("rm", "-f", "keeper")
        self.gantry.command("system", "prune", "-a", "-f")
        self.check_store("after the last prune")
        images = self.gantry.data / "images"
        left = [path for place in ("layers", "blobs/sha256", "tmp") for path in (images / place).iterdir()]
        self.assertEqual(left, [], "no byte stays after the last image and a prune")
        self.assertEqual(list((self.gantry.data / "build").glob("step-*")), [])


if __name__ == "__main__":
    main()
