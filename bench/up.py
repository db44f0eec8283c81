"""Start, keep and stop 1, 20 and 60 services, as multiples of the kernel's floor taken in the same run.

Interleaved: every round measures the floor and Gantry at each size, so that a slow minute of the machine hits both.
Prints medians, their spread and the ratios; writes the raw numbers as JSON. No number here is a pass or a failure.
"""
import argparse
import contextlib
import json
import os
import pathlib
import resource
import select
import shutil
import statistics
import subprocess
import sys
import time

from figures import milliseconds, process, spread

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/root/e2e"))


def rootfs(gantry):
    """The same files for both: the floor's lower directory."""
    target = gantry.root / "rootfs"
    target.mkdir()
    subprocess.run(["tar", "-xf", gantry.root / "busybox.tar", "-C", target], check=True)
    return target


class Shims:
    """Those that there are; a `down` answers before the last of them has ended."""

    def __enter__(self):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.fds = []
        for entry in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and (entry / "comm").read_text() == "gantry-shim\n":
                    self.fds.append(os.pidfd_open(int(entry.name)))
        return self

    def wait(self):
        for fd in self.fds:
            end = select.poll()
            end.register(fd, select.POLLIN)
            end.poll()

    def __exit__(self, *_):
        for fd in self.fds:
            os.close(fd)


def measure(gantry, floor, lower, n):
    project = gantry.project(f"bench{n}", "services:\n" + "".join(
        f"  s{i}: {{image: busybox:test, command: [sleep, '1000']}}\n" for i in range(n)))
    words, environment = [pathlib.Path(os.environ["GANTRY_BIN"]) / "gantry", "compose", "up", "-d"], gantry.environment
    floor_of = json.loads(subprocess.run([floor, lower, str(n)], capture_output=True, text=True, check=True).stdout)
    sample = {"n": n, "floor_up": floor_of["start_ms"], "floor_down": floor_of["stop_ms"]}
    sample["up"] = milliseconds(lambda: gantry.compose(project, "up", "-d"))
    # At once, when the last of the programs are still beginning, and when they have.
    sample["no_change_at_once"] = process(words, environment, project)
    sample["process_at_once"] = process(["/bin/true"], environment)
    time.sleep(0.3)
    sample["no_change"] = process(words, environment, project)
    sample["process"] = process(["/bin/true"], environment)
    with Shims() as shims:
        begin = time.perf_counter()
        sample["down"] = milliseconds(lambda: gantry.compose(project, "down", "-t", "0"))
        shims.wait()  # or their end would be on the floor's account, in the next round
        sample["gone"] = (time.perf_counter() - begin) * 1000
    return sample


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", default="1,20,60")
    parser.add_argument("--json", default="build/bench-up.json")
    options = parser.parse_args()
    os.environ["GANTRY_BIN"] = options.bin
    import harness

    samples = []
    with harness.Gantry(subnets=20) as gantry:  # 4,094 addresses
        gantry.busybox()
        lower = rootfs(gantry)
        floor = pathlib.Path(options.bin) / "bench_floor"
        sizes = [int(size) for size in options.sizes.split(",")]
        measure(gantry, floor, lower, sizes[0])  # warm: page cache, modules, seccomp program
        for _ in range(options.rounds):
            for n in sizes:
                samples.append(measure(gantry, floor, lower, n))
        shutil.rmtree(lower)

    print(f"{options.rounds} interleaved rounds, medians and half of the whole spread")
    for n in sizes:
        of = {key: [s[key] for s in samples if s["n"] == n] for key in samples[0]}
        ratio = {a: statistics.median(x / y for x, y in zip(of[a], of[b]))
                 for a, b in (("up", "floor_up"), ("down", "floor_down"))}
        beyond = {key: statistics.median(x - y for x, y in zip(of[f"no_change{key}"], of[f"process{key}"]))
                  for key in ("", "_at_once")}
        print(f"N={n}")
        print(f"  up         {spread(of['up'])}   floor {spread(of['floor_up'])}   ratio {ratio['up']:.2f}")
        print(f"  down       {spread(of['down'])}   floor {spread(of['floor_down'])}   ratio {ratio['down']:.2f}; "
              f"all shims gone after {statistics.median(of['gone']):.0f} ms")
        print(f"  no change  {spread(of['no_change'])}   {beyond['']:.1f} ms beyond an empty process "
              f"({beyond['_at_once']:.1f} right after the up), "
              f"{statistics.median(x / y for x, y in zip(of['no_change'], of['floor_up'])):.2f} of the floor's up")
    pathlib.Path(options.json).write_text(json.dumps(samples, indent=1))


if __name__ == "__main__":
    main()
