#!/usr/bin/env python3
"""Builds and pulls, beside what else is installed (dockerd's classic builder, podman), in one run.

usage: bench/images.py --bin DIR [--files 10000] [--stages 20] [--pull-mb 500] [--repeat 5]

Every engine works on a data root of its own. Numbers are seconds, the median of the repetitions.
"""
import argparse
import hashlib
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/root/e2e"))


def run(command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def timed(action):
    begun = time.monotonic()
    action()
    return time.monotonic() - begun


def many_files(directory, count):
    directory.mkdir()
    for i in range(count):
        path = directory / f"d{i // 100}" / f"f{i}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"file {i}\n" * 20)
    (directory / "Dockerfile").write_text("FROM scratch\nCOPY . /all\n")
    return directory


def many_stages(directory, count):
    directory.mkdir()
    lines = []
    for i in range(count):
        (directory / f"f{i}").write_text(f"{i}\n")
        lines += [f"FROM scratch AS s{i}", f"COPY f{i} /f{i}", f"ENV A={i}"]
    lines += ["FROM scratch"] + [f"COPY --from=s{i} /f{i} /f{i}" for i in range(count)]
    (directory / "Dockerfile").write_text("\n".join(lines) + "\n")
    return directory


class Gantry:
    name = "gantry"

    def __init__(self, root, binaries):
        self.environment = os.environ | {"GANTRY_DATA_ROOT": str(root / "gantry"), "GANTRY_RUN_ROOT": str(root / "run"),
                                         "HOME": str(root)}
        self.gantry = binaries / "gantry"
        run([self.gantry, "images"], env=self.environment)  # starts the daemon

    def build(self, directory):
        run([self.gantry, "build", "-q", "-t", "bench", directory], env=self.environment)

    def pull(self, image):
        run([self.gantry, "pull", "-q", image], env=self.environment)

    def remove(self, image):
        run([self.gantry, "rmi", image], env=self.environment)

    def close(self):
        subprocess.run([self.gantry, "daemon", "stop"], env=self.environment, capture_output=True)


class Podman:
    name = "podman"

    def __init__(self, root):
        self.options = ["--root", root / "podman", "--runroot", root / "podman-run", "--storage-driver", "overlay"]

    def build(self, directory):
        run(["podman", *self.options, "build", "--layers", "-q", "-t", "bench", directory])

    def pull(self, image):
        run(["podman", *self.options, "pull", "--tls-verify=false", "-q", image])

    def remove(self, image):
        run(["podman", *self.options, "rmi", "-f", image])

    def close(self):
        pass


def measure_builds(engine, root, arguments):
    rows = []
    for kind, make, count in (("files", many_files, arguments.files), ("stages", many_stages, arguments.stages)):
        directory = make(root / f"{engine.name}-{kind}", count)
        changed = directory / ("d0/f0" if kind == "files" else "f0")
        rows.append((f"cold build, {count} {kind}", timed(lambda: engine.build(directory))))
        time.sleep(2.1)  # files that were written just now are not trusted to be unchanged
        engine.build(directory)
        rows.append((f"no change, {count} {kind}",
                     statistics.median(timed(lambda: engine.build(directory)) for _ in range(arguments.repeat))))
        times = []
        for i in range(arguments.repeat):
            changed.write_text(f"changed {i} {os.urandom(8).hex()}\n")
            times.append(timed(lambda: engine.build(directory)))
        rows.append((f"one file changed, {count} {kind}", statistics.median(times)))
    return rows


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def with_registry(root, gantry, megabytes, action):
    """A registry on loopback that holds an image of ten layers, half of whose bytes compress."""
    port = free_port()
    config = root / "registry.yml"
    config.write_text(f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {root}/registry}}}}\n"
                      f"http: {{addr: '127.0.0.1:{port}'}}\n")
    server = subprocess.Popen(["docker-registry", "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        directory = root / "big"
        directory.mkdir()
        size = megabytes * 1_000_000 // 10
        for i in range(10):
            (directory / f"f{i}").write_bytes(os.urandom(size // 2) + b"text that repeats\n" * (size // 2 // 18))
        (directory / "Dockerfile").write_text("FROM scratch\n" + "".join(f"COPY f{i} /\n" for i in range(10)))
        image = f"127.0.0.1:{port}/bench/big:1"
        run([gantry.gantry, "build", "-q", "-t", image, directory], env=gantry.environment)
        run([gantry.gantry, "push", "-q", image], env=gantry.environment)
        gantry.remove(image)
        run([gantry.gantry, "rmi", "-f", "bench"], env=gantry.environment)
        subprocess.run(["curl", "-s", "-X", "POST", "--unix-socket", root / "run/gantry.sock", "http://x/build/prune"],
                       capture_output=True)
        blobs = [p for p in (root / "registry").rglob("data") if p.stat().st_size > 1_000_000]
        action(image, blobs)
    finally:
        server.kill()
        server.wait()


def floor(blobs, root):
    """What the same bytes cost one process: inflate, hash, write."""
    def work():
        for i, blob in enumerate(blobs):
            inflate, digest = zlib.decompressobj(31), hashlib.sha256()
            with open(blob, "rb") as source, open(root / f"floor{i}", "wb") as sink:
                while piece := source.read(1 << 20):
                    plain = inflate.decompress(piece)
                    digest.update(plain)
                    sink.write(plain)
    return timed(work)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--files", type=int, default=10000)
    parser.add_argument("--stages", type=int, default=20)
    parser.add_argument("--pull-mb", type=int, default=500)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    root = pathlib.Path(tempfile.mkdtemp(prefix="gantry-bench-", dir="/var/tmp"))
    gantry = Gantry(root, arguments.bin.resolve())
    engines = [gantry] + ([Podman(root)] if shutil.which("podman") else [])
    try:
        table = {}
        for engine in engines:
            for what, seconds in measure_builds(engine, root, arguments):
                table.setdefault(what, {})[engine.name] = seconds

        def pulls(image, blobs):
            for engine in engines:
                table.setdefault(f"pull {arguments.pull_mb} MB", {})[engine.name] = timed(lambda: engine.pull(image))
            table[f"pull {arguments.pull_mb} MB"]["inflate, hash, write (1 core)"] = floor(blobs, root)

        if shutil.which("docker-registry"):
            with_registry(root, gantry, arguments.pull_mb, pulls)
        for what, row in table.items():
            print(f"{what:32}" + "  ".join(f"{name} {seconds:8.3f}" for name, seconds in row.items()))
    finally:
        for engine in engines:
            engine.close()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
