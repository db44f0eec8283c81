"""`compose watch`: from a saved file to the same file in the container, and a checkout of 10,000 files.

The file is looked for in the container's writable layer, twice a millisecond. Prints medians; no number here is a pass or a
failure.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

from figures import spread

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/root/e2e"))

YAML = """
services:
  a:
    image: busybox:test
    init: true
    command: sleep 100000
    develop: {watch: [{action: sync, path: src, target: /app}]}
"""


def wait_for(path, text):
    """Milliseconds until the file holds the text."""
    start = time.perf_counter()
    while True:
        try:
            if path.read_text() == text:
                return (time.perf_counter() - start) * 1000
        except OSError:
            pass
        time.sleep(0.0005)


def git(source, home, *words):
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "gc.auto=0", *words], cwd=source, check=True,
                   capture_output=True, env={"PATH": os.environ["PATH"], "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"})


def two_branches(source, home, count):
    """A repository whose branches `old` and `new` differ in every file; `new` is checked out."""
    git(source, home, "init", "-q")
    for text in ("old", "new"):
        for i in range(count):
            path = source / str(i // 100) / f"f{i}"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        git(source, home, "checkout", "-q", "-b", text)
        git(source, home, "add", "-A")
        git(source, home, "commit", "-q", "-m", text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--json", default="build/bench-watch.json")
    options = parser.parse_args()
    os.environ["GANTRY_BIN"] = options.bin
    import harness

    with harness.Gantry() as gantry:
        gantry.busybox()
        directory = gantry.project("watched", YAML, src__one="0")
        source = directory / "src"
        two_branches(source, gantry.root, options.files)
        process = gantry.start(directory, "watch", "--quiet")
        while "Watch enabled" not in process.stdout.readline():
            pass
        layer = gantry.data / "containers" / gantry.inspect("watched-a-1")["Id"] / "upper/app"
        latencies = []
        for i in range(options.rounds):
            (source / "one").write_text(f"round {i}")
            latencies.append(wait_for(layer / "one", f"round {i}"))
            process.stdout.readline()
        begin = time.perf_counter()
        git(source, gantry.root, "checkout", "-q", "old")
        checkout = (time.perf_counter() - begin) * 1000
        last = options.files - 1
        until_last = wait_for(layer / str(last // 100) / f"f{last}", "old")
        batch = process.stdout.readline().strip()
        process.terminate()
        process.communicate()
    print(f"a saved file is in the container after {spread(latencies)} ({options.rounds} rounds)")
    print(f"a checkout of {options.files} files: {checkout:.0f} ms, the last one there {until_last:.0f} ms later; {batch!r}")
    pathlib.Path(options.json).write_text(
        json.dumps({"latencies_ms": latencies, "checkout_ms": checkout, "until_last_ms": until_last, "batch": batch}, indent=1))


if __name__ == "__main__":
    main()
