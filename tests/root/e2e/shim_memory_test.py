"""A container's processes begin in their supervisor's memory. None stays there, and none leaves anything behind in it."""
import concurrent.futures
import ctypes
import os
import pathlib
import re
import signal
import time

from harness import Gantry, GantryTest, main, parent_of, wait_until

KCMP, KCMP_VM = 312, 1  # kcmp(2), x86-64
libc = ctypes.CDLL(None, use_errno=True)


def have_one_memory(one, other):
    result = libc.syscall(KCMP, one, other, KCMP_VM, 0, 0)
    if result < 0:
        raise OSError(ctypes.get_errno(), "kcmp")
    return result == 0


def children_of(pid):
    return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def private_kb(pid):
    return sum(int(kb) for kb in re.findall(r"Private_\w+: +(\d+) kB", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()))


class OfTheContainer(GantryTest):
    def start(self, name, *options):
        self.gantry.command("run", "-d", "--name", name, *options, "busybox:test", "sh", "-c", "sleep 1000 & wait")
        return self.gantry.inspect(name)["State"]["Pid"]

    def test_no_process_has_the_supervisors(self):
        self.assertTrue(have_one_memory(os.getpid(), os.getpid()))
        for name, options in (("plain", ()), ("init", ("--init",)), ("score", ("--oom-score-adj", "300"))):
            program = self.start(name, *options)
            supervisor = parent_of(program)
            self.gantry.command("exec", "-d", name, "sleep", "1000")
            wait_until(lambda: len(children_of(supervisor)) == 2, "the exec's program is there")
            for process in children_of(supervisor) + children_of(program):
                self.assertFalse(have_one_memory(process, supervisor), name)

    def test_what_the_kernel_kills_first_is_the_container_alone(self):
        score = lambda pid: pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text()
        program = self.start("first", "--oom-score-adj", "300")
        self.assertEqual(score(program), "300\n")
        self.assertEqual(score(parent_of(program)), score(self.gantry.daemon_pid()))


class OfExecs(GantryTest):
    def test_they_leave_none_behind(self):
        # Larger than what is set aside for one.
        self.gantry.command("run", "-d", "--name", "box", "busybox:test", "sh", "-c",
                            "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo user$i:x:$((i+1000)):100:comment:/home/user$i:/bin/sh; "
                            "done >> /etc/passwd; touch /ready; exec sleep 1000")
        supervisor = parent_of(self.gantry.inspect("box")["State"]["Pid"])
        wait_until(lambda: self.gantry.command("exec", "box", "test", "-e", "/ready", code=None).code == 0, "its users are there")
        same = lambda: self.assertEqual(self.gantry.command("exec", "-u", "user20000", "box", "id", "-u").out, "21000\n")
        fails = lambda: self.gantry.command("exec", "box", "nothing-of-that-name", code=127)
        for _ in range(5):  # what the supervisor's program itself takes for them is there then
            same()
            fails()
        # The client may have its answer before the supervisor has cleared up.
        wait_until(lambda: private_kb(supervisor) < 1024, "the supervisor has cleared up")
        before = private_kb(supervisor)
        for _ in range(40):
            same()
            fails()
        wait_until(lambda: private_kb(supervisor) < before + 64, "the supervisor has the memory of before")

    def test_each_of_many_at_once_gets_its_own(self):
        self.gantry.command("run", "-d", "--name", "box", "busybox:test", "sleep", "1000")

        def one(number):
            if number % 3 == 0:
                result = self.gantry.command("exec", "box", f"missing-{number}", code=127)
                return f'exec: "missing-{number}": executable file not found in $PATH' in result.out
            result = self.gantry.command("exec", "-e", f"NUMBER={number}", "-u", str(number), "box", "sh", "-c",
                                         f"echo $NUMBER $(id -u); exit {number % 100}", code=number % 100)
            return result.out == f"{number} {number}\n"

        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            self.assertEqual([n for n, right in enumerate(pool.map(one, range(1, 181)), 1) if not right], [])

    def test_one_that_is_killed_as_it_begins_harms_nobody(self):
        self.gantry.command("run", "-d", "--name", "box", "busybox:test", "sleep", "1000")
        supervisor = parent_of(self.gantry.inspect("box")["State"]["Pid"])
        until, killed = time.monotonic() + 3, 0
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            running = [pool.submit(self.gantry.command, "exec", "box", "true", code=None) for _ in range(60)]
            while time.monotonic() < until and not all(f.done() for f in running):
                for pid in children_of(supervisor):
                    try:
                        if pathlib.Path(f"/proc/{pid}/comm").read_text() == "gantry-child\n":
                            os.kill(pid, signal.SIGKILL)
                            killed += 1
                    except OSError:
                        pass  # it has ended
        self.assertGreater(killed, 0)
        self.assertEqual(self.gantry.command("exec", "box", "echo", "there").out, "there\n")
        self.assertTrue(self.gantry.inspect("box")["State"]["Running"])


    def memories_while_they_begin(self, name):
        """Whether those that were seen to begin had the supervisor's memory."""
        supervisor = parent_of(self.gantry.inspect(name)["State"]["Pid"])
        seen, until = set(), time.monotonic() + 20
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            while len(seen) < 1 and time.monotonic() < until:
                running = [pool.submit(self.gantry.command, "exec", name, "true") for _ in range(20)]
                while not all(f.done() for f in running):
                    for pid in children_of(supervisor):
                        try:
                            shared = have_one_memory(pid, supervisor)
                            if pathlib.Path(f"/proc/{pid}/comm").read_text() == "gantry-child\n":
                                seen.add(shared)
                        except OSError:
                            pass  # it has ended
        return seen

    def test_they_get_a_copy_where_somebody_may_trace_them(self):
        for name, options in (("plain", ()), ("tracing", ("--cap-add", "SYS_PTRACE")), ("privileged", ("--privileged",)),
                              ("guest", ("--pid", "container:plain"))):
            self.gantry.command("run", "-d", "--name", name, *options, "busybox:test", "sleep", "1000")
        self.assertEqual(self.memories_while_they_begin("plain"), {True})
        for name in ("tracing", "privileged", "guest"):
            self.assertEqual(self.memories_while_they_begin(name), {False}, name)
        # From then on there may be one.
        self.gantry.command("exec", "-d", "--privileged", "plain", "sleep", "1000")
        self.assertEqual(self.memories_while_they_begin("plain"), {False})

    def test_nobody_in_the_container_looks_into_one_that_begins(self):
        look = ("echo looking; while [ ! -e /end ]; do for p in /proc/[0-9]*; do read name < $p/comm; [ \"$name\" = gantry-child ] && "
                "{ echo seen; cat $p/maps; }; done; done 2>/dev/null")
        for options, readable in (((), False), (("--cap-add", "SYS_PTRACE"), True)):
            self.gantry.command("run", "-d", "--name", "box", *options, "busybox:test", "sh", "-c", look)
            said = lambda: self.gantry.command("logs", "box").out
            # It may have become the container's own program meanwhile.
            enough = lambda: said().count("seen") > 20 and (not readable or "gantry-shim" in said())
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                wait_until(lambda: [f.result() for f in [pool.submit(self.gantry.command, "exec", "box", "true") for _ in range(20)]]
                           and enough(), "some were seen", 60)
            self.gantry.command("exec", "box", "touch", "/end")
            self.assertEqual("gantry-shim" in said(), readable)
            self.gantry.command("rm", "-f", "box")


class UnderOneThatIgnoresSignals(GantryTest):
    class instance(Gantry):
        def start_daemon(self):
            self.daemon_command = ["/bin/busybox", "sh", "-c", "trap '' TTIN ALRM HUP PIPE XFSZ INT; exec \"$@\"", "sh", *self.daemon_command]
            super().start_daemon()

    def test_a_program_ignores_none(self):
        ignored = lambda pid: re.search(r"SigIgn:\t(\w+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)
        daemon = int(ignored(self.gantry.daemon_pid()), 16)
        self.assertEqual(daemon, 1 << (signal.SIGHUP - 1) | 1 << (signal.SIGPIPE - 1))
        for options in ((), ("--init",)):
            self.gantry.command("run", "-d", "--name", "box", *options, "busybox:test", "sleep", "1000")
            program = self.gantry.inspect("box")["State"]["Pid"]
            if options:
                program = wait_until(lambda: children_of(program), "its program is there")[0]
            self.assertEqual(int(ignored(program), 16), 0)
            self.assertEqual(self.gantry.command("exec", "box", "grep", "SigIgn", "/proc/self/status").out, "SigIgn:\t0000000000000000\n")
            self.gantry.command("rm", "-f", "box")


if __name__ == "__main__":
    main()
