"""Where the time of an `up` goes, beside the kernel's floor: what each kind of process takes of the processors, and what is idle.
Needs perf (Debian: linux-perf). Samples all processors while `compose up -d` (and bench_floor) run; the lines add up to the
time that passed, times the processors.

    budget.py --bin DIR [--services 60] [--rounds 5]
"""
import argparse
import collections
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/root/e2e"))

FREQUENCY = 4000  # samples a second and processor
KINDS = {"compose": "client", "gantry": "client", "gantry-daemon": "daemon", "gantry-dns": "name service",
         "gantry-shim": "shims", "gantry-child": "sandboxes", "sleep": "programs", "bench_floor": "floor's sandboxes", "swapper": "idle"}


def kind_of(command):
    if command.startswith(("kworker", "ksoftirqd", "rcu", "migration", "kcompactd", "kswapd", "jbd2", "kthreadd", "kdamond", "khugepaged")):
        return "kernel's threads"
    if command.isdigit():  # a shim that has just been started from a descriptor
        return "shims"
    return KINDS.get(command, "others on the machine")


def sampled(words, place, environment, data):
    """Milliseconds of the processors by kind and side while the command runs."""
    subprocess.run(["perf", "record", "-q", "-a", "-e", "cpu-clock", "-F", str(FREQUENCY), "-o", data, "--", *map(str, words)],
                   cwd=place, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines = subprocess.run(["perf", "script", "-i", data, "-F", "comm,ip,dso"], check=True, capture_output=True, text=True).stdout
    spent = collections.Counter()
    for command, code in re.findall(r"^ *(\S.*?) +[0-9a-f]+ \((.*)\)$", lines, re.MULTILINE):
        kind = kind_of(command)
        side = "kernel" if code == "[kernel.kallsyms]" else "program"
        spent[(kind, "" if kind in ("idle", "kernel's threads") else side)] += 1000 / FREQUENCY
    return spent


def table(title, rounds, processors):
    total = statistics.mean(spent.total() for spent in rounds)
    print(f"\n{title}: {total / processors:.1f} ms on each of {processors} processors (mean of {len(rounds)})\n")
    print("| what | ms of the processors | part |\n| --- | --- | --- |")
    means = {key: statistics.mean(spent[key] for spent in rounds) for key in set().union(*rounds)}
    for (kind, side), value in sorted(means.items(), key=lambda item: -item[1]):
        print(f"| {kind}{', ' + side if side else ''} | {value:.1f} | {value / total * 100:.0f} % |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--services", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if not shutil.which("perf"):
        sys.exit("budget.py: needs perf (Debian: linux-perf)")
    os.environ["GANTRY_BIN"] = options.bin
    import harness
    from up import rootfs

    bin = pathlib.Path(options.bin)
    ups, downs, floors = [], [], []
    with harness.Gantry(subnets=20) as gantry:
        gantry.busybox()
        lower = rootfs(gantry)
        data = gantry.root / "perf.data"
        project = gantry.project("budget", "services:\n" + "".join(
            f"  s{i}: {{image: busybox:test, command: [sleep, '1000']}}\n" for i in range(options.services)))
        for number in range(options.rounds + 1):
            up = sampled([bin / "compose", "up", "-d"], project, gantry.environment, data)
            down = sampled([bin / "compose", "down", "-t", "0"], project, gantry.environment, data)
            floor = sampled([bin / "bench_floor", lower, options.services], project, os.environ, data)
            if number == 0:
                continue  # warm
            ups.append(up)
            downs.append(down)
            floors.append(floor)
        shutil.rmtree(lower)
    processors = os.cpu_count()
    table(f"up -d of {options.services}", ups, processors)
    table(f"down -t 0 of {options.services}", downs, processors)
    table(f"floor of {options.services}, start and stop", floors, processors)


if __name__ == "__main__":
    main()
