"""Something runs out or goes wrong that is not the disk: memory, descriptors, processes, the clock. Whoever is concerned
reads why, nobody else notices, and once it is over everything works.
"""
import os
import resource
import unittest

from faulty_libc import FaultyLibc
from harness import Gantry, GantryTest, main, wait_until


def number_of_free_descriptor(pid, left):
    """The limit under which a process can open `left` more (a limit is on numbers, and there are gaps)."""
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    return [number for number in range(len(used) + left) if number not in used][left - 1] + 1


class Containers(GantryTest):
    def test_a_container_that_eats_memory_dies_alone(self):
        self.gantry.command("run", "-d", "--name", "bystander", "--init", "busybox:test", "sleep", "1000")
        result = self.gantry.command("run", "--name", "hog", "-m", "16m", "busybox:test", "sh", "-c",
                                     "x=x; while true; do x=$x$x; done", code=None)
        self.assertEqual(result.code, 137, result)
        self.assertTrue(self.gantry.inspect("hog")["State"]["OOMKilled"])
        self.assertTrue(self.gantry.inspect("bystander")["State"]["Running"])

    def test_a_container_that_forks_without_end_stops_at_its_limit(self):
        result = self.gantry.command("run", "--rm", "--pids-limit", "20", "busybox:test", "sh", "-c",
                                     "for i in $(seq 50); do sleep 1 & done; echo begun", code=None)
        self.assertIn("Resource temporarily unavailable", result.out + result.err)
        self.gantry.command("run", "--rm", "busybox:test", "true")


class Daemons(unittest.TestCase):
    def gantry_with(self, faulty=False):
        gantry = Gantry(auto_start=True)
        self.addCleanup(gantry.__exit__, None, None, None)
        if faulty:
            self.faults = FaultyLibc(gantry.root)
            gantry.environment |= self.faults.environment
        gantry.start_daemon()
        gantry.busybox()
        gantry.command("run", "-d", "--name", "kept", "--init", "--restart", "always", "busybox:test", "sleep", "1000")
        return gantry

    def assert_fine(self, gantry):
        self.assertTrue(gantry.inspect("kept")["State"]["Running"])
        gantry.command("run", "--rm", "busybox:test", "true")
        gantry.kill_daemon()
        gantry.start_daemon()
        self.assertTrue(gantry.inspect("kept")["State"]["Running"])

    @unittest.skipIf("UBSAN_OPTIONS" in os.environ, "the sanitizer takes descriptors of its own to look at an object")
    def test_no_descriptors_left(self):
        gantry = self.gantry_with()
        pid = gantry.daemon_pid()
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        # The more are left, the later a run finds none, until it needs no more than there are.
        for left in range(1, 60):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (number_of_free_descriptor(pid, left), limits[1]))
            result = gantry.command("run", "--rm", "busybox:test", "true", code=None)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
            self.assertEqual(gantry.daemon_pid(), pid, f"the daemon goes on with {left} left")
            if result.code == 0:
                break
            self.assertIn("Too many open files", result.err, f"{left} left")
        self.assertEqual(result.code, 0, result)
        self.assertGreater(left, 5, "a run needs some")
        self.assert_fine(gantry)

    def test_the_clock_jumps(self):
        gantry = self.gantry_with(faulty=True)
        for seconds in (86400 * 365, -86400 * 365):
            self.faults.tell(f"clock {seconds}")
            # A restart policy, a health check and a stop's patience go by the time that passes, not by what the clock says.
            name = f"box{seconds < 0}"
            gantry.command("run", "-d", "--name", name, "--init", "--restart", "always", "--health-cmd", "true", "--health-interval",
                           "100ms", "busybox:test", "sh", "-c", "sleep 0.2; exit 1")
            wait_until(lambda: gantry.inspect(name)["RestartCount"] >= 2, "it is started again")
            gantry.command("run", "-d", "--name", name + "h", "--init", "--health-cmd", "true", "--health-interval", "100ms",
                           "busybox:test", "sleep", "1000")
            wait_until(lambda: gantry.inspect(name + "h")["State"]["Health"]["Status"] == "healthy", "it is healthy")
            gantry.command("stop", "-t", "1", name, name + "h")
            self.assertGreaterEqual(len(gantry.command("logs", "-t", "kept", code=0).out), 0)
        self.faults.heal()
        self.assert_fine(gantry)


if __name__ == "__main__":
    main()
