"""The client's heap begins behind its variables (src/start/heap.cc): nothing may lie behind it, and what takes more than it has
goes on elsewhere."""
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

CLIENT = pathlib.Path(os.environ["GANTRY_BIN"]) / "gantry"
SERVICES = 12_000
HEAP_KB = 16 << 10


def misplaced():
    listed = subprocess.run(["nm", "--defined-only", CLIENT], capture_output=True, text=True, check=True).stdout
    symbols = [line.split(None, 2) for line in listed.splitlines()]
    heap = [int(address, 16) for address, _, name in symbols if name == "gantry_heap"]
    if not heap:
        print("the client of this build has the kernel's heap: skipped")
        sys.exit(77)
    if all(name != "gantry_start_ends" for _, _, name in symbols):
        return  # not by lld, the linker that is told of the heap's place: a start touches a page more
    for address, kind, name in symbols:
        if kind in "bBdD" and int(address, 16) > heap[0] and name not in ("_end", "end"):
            yield f"{name} lies behind the heap"


def overgrown():
    with tempfile.TemporaryDirectory() as project:
        services = "".join(f"  s{i}: {{image: 'busybox:test', environment: {{TEXT: '{'x' * 200}'}}}}\n" for i in range(SERVICES))
        pathlib.Path(project, "compose.yaml").write_text("services:\n" + services)
        config = subprocess.run([CLIENT, "compose", "config", "--format", "json"], cwd=project, capture_output=True, text=True)
    if config.returncode != 0:
        yield f"config: {config.returncode} {config.stderr}"
    elif len(json.loads(config.stdout)["services"]) != SERVICES:
        yield "config: services are missing"
    if resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 2 * HEAP_KB:
        yield "config took less memory than the heap has: the test shows nothing"


if __name__ == "__main__":
    found = [*misplaced(), *overgrown()]
    print("\n".join(found) or "client: its heap is where it should be, and may be outgrown")
    sys.exit(1 if found else 0)
