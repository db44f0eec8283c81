"""kill -9 of the daemon in the middle of load, build, rmi and prune: what was acknowledged is there and runs, what was
not has left nothing. POINTS=200 SEED=7 for more than CI's few."""
import os
import random
import subprocess

from harness import BIN, GantryTest, main

POINTS = int(os.environ.get("POINTS", "12"))
SEED = int(os.environ.get("SEED", "1"))


class ImageCrash(GantryTest):
    def setUp(self):
        self.random = random.Random(SEED)
        self.archive = self.gantry.root / "saved.tar"
        self.gantry.command("tag", "busybox:test", "kept:1")
        self.context = self.gantry.root / "context"
        self.context.mkdir()
        (self.context / "Dockerfile").write_text(
            "FROM kept:1 AS a\nCOPY big /big\nFROM kept:1\nRUN echo one > /one\nCOPY --from=a /big /big\nRUN echo two > /two\n")

    def action(self, i):
        """One command that changes the store; the names that it makes or takes away when it succeeds."""
        kind = self.random.choice(["load", "build", "rmi", "prune"])
        if kind == "load":
            return kind, ["load", "-i", self.archive], {"loaded:1"}
        if kind == "build":
            (self.context / "big").write_bytes(self.random.randbytes(2_000_000))
            return kind, ["build", "-q", "-t", f"built:{i}", self.context], {f"built:{i}"}
        names = sorted(self.expected - {"kept:1", "busybox:test"})
        if kind == "rmi" and names:
            name = self.random.choice(names)
            return kind, ["rmi", name], {name}
        return "prune", ["images"], set()

    def names(self):
        return {tag for image in self.gantry.get("/images/json") for tag in image["RepoTags"]}

    def stray_files(self):
        """What no image and no cache entry speaks of."""
        images = self.gantry.data / "images"
        return [str(path) for path in (images / "tmp").iterdir()]

    def test_random_points(self):
        self.gantry.command("build", "-q", "-t", "loaded:1", self.prepared())
        self.gantry.command("save", "-o", self.archive, "loaded:1")
        self.gantry.command("rmi", "loaded:1")
        self.expected = {"kept:1", "busybox:test"}
        for i in range(POINTS):
            kind, words, names = self.action(i)
            process = subprocess.Popen([BIN / "gantry", *map(str, words)], env=self.gantry.environment,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                process.wait(self.random.uniform(0, 0.6))  # the point at which it is hit
            except subprocess.TimeoutExpired:
                pass
            self.gantry.kill_daemon()
            acknowledged = process.wait(60) == 0
            self.gantry.start_daemon()
            found = self.names()
            if kind in ("load", "build"):
                sure = self.expected | (names if acknowledged else set())
                self.assertLessEqual(sure, found, f"point {i}: {kind}")
                self.assertLessEqual(found, self.expected | names, f"point {i}: {kind}")
            else:
                self.assertLessEqual(self.expected - names, found, f"point {i}: {kind}")
                if acknowledged:
                    self.assertFalse(names & found, f"point {i}: {kind}")
            self.expected = found
            self.assertEqual(self.stray_files(), [], f"point {i}: {kind}")
            for name in sorted(found - {"busybox:test"})[:2] + ["kept:1"]:
                self.assertEqual(self.gantry.command("run", "--rm", name, "echo", "runs").out, "runs\n")
        for name in self.expected - {"busybox:test"}:
            self.gantry.command("rmi", name)
        self.gantry.command("rmi", "busybox:test")
        subprocess.run(["curl", "-sf", "-X", "POST", "--unix-socket", self.gantry.run / "gantry.sock",
                        "http://x/build/prune"], check=True, capture_output=True)
        images = self.gantry.data / "images"
        left = [path for place in ("layers", "blobs/sha256", "tmp") for path in (images / place).iterdir()]
        self.assertEqual(left, [], "no byte stays after the last image and a prune")
        self.assertEqual([p for p in (self.gantry.data / "build").glob("step-*")], [])

    def prepared(self):
        (self.context / "big").write_bytes(random.Random(0).randbytes(8_000_000))
        return self.context


if __name__ == "__main__":
    main()
