"""load.py with numbers for every day: `./dev endure` takes the large ones."""
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import load  # noqa: E402  (finds the harness)
import harness  # noqa: E402


class Load(harness.GantryTest):
    def test_lives_leave_nothing_and_memory_stays(self):
        load.life_and_death(self.gantry, sequential=100, workers=16, each=8)

    @unittest.skipIf({"ASAN_OPTIONS", "TSAN_OPTIONS"} & set(os.environ), "an instrumented program is no measure")
    def test_a_shim_is_small(self):
        self.gantry.command("run", "-d", "--name", "one", "busybox:test", "sleep", "1000")
        program = self.gantry.inspect("one")["State"]["Pid"]
        shim = next(line.split()[1] for line in pathlib.Path(f"/proc/{program}/status").read_text().splitlines()
                    if line.startswith("PPid:"))
        own = sum(int(line.split()[1]) for line in pathlib.Path(f"/proc/{shim}/smaps_rollup").read_text().splitlines()
                  if line.startswith("Private_"))
        self.assertLess(own, 1024, "kB of the shim's own")

    # More readers than the 128 inotify instances that the kernel gives a user.
    def test_every_follower_gets_every_line(self):
        load.followers(self.gantry, readers=150, lines=4_000)


if __name__ == "__main__":
    harness.main()
