#!/usr/bin/env python3
"""Writes src/start/gantry.order and gantry-shim.order: the functions that these programs run, in the order of their first call.

The linker lays them beside each other (gantry_orders_functions in src/CMakeLists.txt), so that a short command touches a third
of the pages. Every instruction of a client, and of the shims that a daemon starts, is stepped through by ptrace: some minutes.
To be run, as root on x86-64, when what the commands do has changed much; names that are gone do no harm.

usage: function_order.py DIRECTORY-OF-EXECUTABLES
"""
import bisect
import contextlib
import ctypes
import os
import pathlib
import signal
import subprocess
import sys

REPO = pathlib.Path(__file__).resolve().parents[1]
BIN = pathlib.Path(sys.argv[1]).resolve()
os.environ["GANTRY_BIN"] = str(BIN)
sys.path[:0] = [str(REPO / "tests/root/e2e")]
import harness

COMPOSE = """
services:
  web:
    image: busybox:test
    command: [sh, -c, "echo hello; exec sleep 1000"]
    environment: {MODE: test}
    ports: ["127.0.0.1::8080"]
    volumes: ["data:/data"]
    healthcheck: {test: [CMD, "true"], interval: 60s}
  worker:
    image: busybox:test
    command: [sleep, "1000"]
    depends_on: {web: {condition: service_healthy}}
volumes: {data: }
"""

SHORT_COMMANDS = (["compose", "version"], ["exec", "order-web-1", "true"], ["compose", "ps"], ["compose", "up", "-d"])
LONGER_COMMANDS = (["ps"], ["compose", "exec", "-T", "web", "true"], ["compose", "config"], ["compose", "logs"],
                   ["compose", "restart", "-t", "0", "worker"], ["compose", "down", "-t", "0"], ["compose", "up", "-d"],
                   ["run", "--rm", "busybox:test", "true"])
# Up to here start/pages.cc brings pages in.
START_ENDS = "gantry_start_ends"

# ptrace(2)
CONT, SINGLESTEP, PEEKUSER, SEIZE, GETEVENTMSG = 7, 9, 3, 0x4206, 0x4201
FORK, VFORK, CLONE, EXEC = 1, 2, 3, 4
FOLLOW = 1 << FORK | 1 << VFORK | 1 << CLONE | 1 << EXEC
ANY_CHILD = 0x40000000  # __WALL
INSTRUCTION_POINTER = 16 * 8  # struct user, x86-64

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(request, task, address=0, data=0):
    return libc.ptrace(request, task, address, data)


class Calls:
    """What was run of one program: offsets from where it is loaded, in the order in which they were first seen."""

    def __init__(self, program):
        self.program = program
        self.offsets = {}

    def names(self):
        """Of functions."""
        symbols = []
        listed = subprocess.run(["nm", "--numeric-sort", "--defined-only", BIN / self.program], capture_output=True, text=True,
                                check=True)
        first = min(self.loads())
        for line in listed.stdout.splitlines():
            address, kind, name = line.split(None, 2)
            if kind in "tTwWiI" and name != START_ENDS:
                symbols.append((int(address, 16) - first, name))
        starts = [start for start, _ in symbols]
        ordered = {}
        for offset in self.offsets:
            last = bisect.bisect_right(starts, offset)
            for at in range(bisect.bisect_left(starts, starts[last - 1]), last):  # one function may have many names
                ordered[symbols[at][1]] = True
        return list(ordered)

    def loads(self):
        text = subprocess.run(["readelf", "-lW", BIN / self.program], capture_output=True, text=True, check=True).stdout
        return [int(line.split()[2], 16) & ~4095 for line in text.splitlines() if line.split()[:1] == ["LOAD"]]


class Stepper:
    """Steps through each process of the wanted programs, and lets all others run."""

    def __init__(self, wanted, copies=None):
        self.wanted = wanted  # name of a program → its Calls
        self.copies = copies  # of what was forked and has not become another program yet; none: as what it is a copy of
        self.stepped = {}  # task → (Calls, where the program is loaded)
        self.known = set()
        self.early = set()  # new tasks that stopped before their parent told of them

    def watch(self, task):
        if ptrace(SEIZE, task, 0, FOLLOW) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace {task}")
        self.known.add(task)

    def program_of(self, task):
        with contextlib.suppress(OSError):
            path = os.readlink(f"/proc/{task}/exe").split(" ")[0]
            for name, calls in self.wanted.items():
                if os.path.basename(path).removeprefix("memfd:") == name:
                    for line in pathlib.Path(f"/proc/{task}/maps").read_text().splitlines():
                        if path in line:
                            return calls, int(line.split("-")[0], 16)
        return None

    def until_ended(self, process):
        """Goes on until that child of ours has ended."""
        while True:
            task, status = os.waitpid(-1, ANY_CHILD)
            if os.WIFSTOPPED(status):
                self.stopped(task, os.WSTOPSIG(status), status >> 16)
            else:
                self.stepped.pop(task, None)
                self.known.discard(task)
                if task == process:
                    return os.waitstatus_to_exitcode(status)

    def stopped(self, task, number, event):
        passed_on = 0
        if event == EXEC:
            self.stepped.pop(task, None)
            if program := self.program_of(task):
                self.stepped[task] = program
        elif event in (FORK, VFORK, CLONE):
            number = ctypes.c_ulong()
            ptrace(GETEVENTMSG, task, 0, ctypes.addressof(number))
            child = number.value
            if task in self.stepped:
                calls, base = self.stepped[task]
                self.stepped[child] = self.copies or calls, base
            self.known.add(child)
            if child in self.early:
                self.early.remove(child)
                self.go_on(child, 0)
        elif event == 0 and number != signal.SIGTRAP:
            passed_on = number
        if task in self.known:
            self.go_on(task, passed_on)
        else:
            self.early.add(task)

    def go_on(self, task, passed_on):
        if task not in self.stepped:
            ptrace(CONT, task, 0, passed_on)
            return
        calls, base = self.stepped[task]
        at = ptrace(PEEKUSER, task, INSTRUCTION_POINTER) - base
        if 0 <= at < 1 << 24:
            calls.offsets.setdefault(at, True)
        ptrace(SINGLESTEP, task, 0, passed_on)


def start(arguments, gantry, folder, traced):
    process = os.fork()
    if process != 0:
        return process
    os.chdir(folder)
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    if traced:
        os.kill(os.getpid(), signal.SIGSTOP)
    os.execve(arguments[0], arguments, gantry.environment)


def step_client(calls, commands, gantry, folder):
    stepper = Stepper({"gantry": calls})
    for arguments in commands:
        process = start([str(BIN / "gantry"), *arguments], gantry, folder, traced=True)
        os.waitpid(process, os.WUNTRACED)
        stepper.watch(process)
        os.kill(process, signal.SIGCONT)
        status = stepper.until_ended(process)
        if status != 0:
            sys.exit(f"gantry {' '.join(arguments)}: {status}")


def step_shims(calls, first, execs, gantry, folder):
    """`first`, `execs`: of the shims' copies that become a container's first program, and one of an exec."""
    stepper = Stepper({"gantry-shim": calls})
    for task in os.listdir(f"/proc/{gantry.daemon_pid()}/task"):
        stepper.watch(int(task))
    for arguments, stepper.copies in ((["compose", "up", "-d"], first), (["exec", "order-web-1", "true"], execs),
                                      (["compose", "down", "-t", "0"], None)):
        process = start([str(BIN / "gantry"), *arguments], gantry, folder, traced=False)
        if stepper.until_ended(process) != 0:
            sys.exit(f"gantry {' '.join(arguments)} failed")


def write(order, names):
    names = list(dict.fromkeys(names))
    order.write_text("\n".join(names) + "\n")
    print(f"{order.relative_to(REPO)}: {len(names) - 1} functions", flush=True)


def main():
    with harness.Gantry() as gantry:
        gantry.busybox()
        folder = gantry.project("order", COMPOSE)
        # In a process of its own: when it ends, the daemon is traced no more.
        tracer = os.fork()
        if tracer == 0:
            shim, first, execs = (Calls("gantry-shim") for _ in range(3))
            step_shims(shim, first, execs, gantry, folder)
            # What touches all its pages anew most often, and for the shortest time, lies closest together.
            write(REPO / "src/start/gantry-shim.order", execs.names() + first.names() + shim.names() + [START_ENDS])
            os._exit(0)
        if os.waitpid(tracer, 0)[1] != 0:
            return 1
        short, longer = Calls("gantry"), Calls("gantry")
        gantry.compose(folder, "up", "-d")
        step_client(short, SHORT_COMMANDS, gantry, folder)
        step_client(longer, LONGER_COMMANDS, gantry, folder)
        write(REPO / "src/start/gantry.order", short.names() + [START_ENDS] + longer.names())
    return 0


if __name__ == "__main__":
    sys.exit(main())
