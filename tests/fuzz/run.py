#!/usr/bin/env python3
"""Runs fuzz targets side by side, for a number of seconds each, and tells how long each ran and how many inputs it took.

    run.py --bin DIR [--seconds N] [--jobs N] [NAME…]      names without _fuzz; none: all targets

New inputs stay in build/fuzz-corpus/NAME. A crash, a leak, an input that takes more than thirty seconds or more than 1 GB is
a failure: the input is kept as build/fuzz-crashes/NAME-… and named.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(name, options):
    seeds = ROOT / "tests/fuzz/corpus" / name
    grown = ROOT / "build/fuzz-corpus" / name
    crashes = ROOT / "build/fuzz-crashes"
    for folder in (grown, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    words = [str(pathlib.Path(options.bin) / f"{name}_fuzz"), str(grown)]
    words += [str(seeds)] if seeds.is_dir() else []
    dictionary = ROOT / "tests/fuzz/corpus" / f"{name}.dict"
    words += [f"-dict={dictionary}"] if dictionary.is_file() else []
    words += [f"-max_total_time={options.seconds}", "-timeout=30", "-rss_limit_mb=1024", "-print_final_stats=1", f"-seed={options.seed}",
              "-max_len=16384", f"-artifact_prefix={crashes}/{name}-"]
    start = time.monotonic()
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          env={**os.environ, "ASAN_OPTIONS": "detect_leaks=1:allocator_may_return_null=1"})
    took = time.monotonic() - start
    executed = re.search(r"number_of_executed_units: (\d+)", done.stdout)
    count = executed.group(1) if executed else "?"
    verdict = "clean" if done.returncode == 0 else f"FAILED ({done.returncode})"
    print(f"{name}: {verdict}, {took:.0f} s, {count} inputs", flush=True)
    if done.returncode:
        print(done.stdout[-6000:], flush=True)
    return done.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=0, help="the same inputs in the same order; 0: others each time")
    parser.add_argument("--skip-unbuilt", action="store_true", help="exit with 77 when a named target is not built")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    known = sorted(p.name[:-len("_fuzz")] for p in pathlib.Path(options.bin).glob("*_fuzz"))
    names = options.names or known
    unknown = [n for n in names if n not in known]
    if unknown and options.skip_unbuilt:
        print(f"skipped: {', '.join(unknown)} is not built (./dev test does)")
        sys.exit(77)
    if unknown or not names:
        sys.exit(f"no such fuzz target: {', '.join(unknown) or 'none is built'}; known are {', '.join(known)}")
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        good = list(pool.map(lambda name: run(name, options), names))
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
