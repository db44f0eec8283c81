#!/usr/bin/env python3
"""Builds and pulls, beside what else is installed (dockerd's classic builder, podman), in one run.

usage: bench/images.py --bin DIR [--files 10000] [--stages 20] [--pull-mb 500] [--rounds 5] [--only build|pull]

Every engine works on a file system of its own (ext4 on a loop device: where one engine has deleted thousands of files,
ext4 makes new ones slowly for minutes, whoever asks), on contexts of its own with the same content, and takes turns with the
others in every round. Before each command what others have written goes to the disk. Figures are seconds of the whole command: the median of the rounds, the lowest and the highest,
and how many times as long as Gantry's that is.
"""
import argparse
import contextlib
import hashlib
import multiprocessing
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import zlib


def run(command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def timed(action):
    os.sync()  # nobody pays for what another one has written
    begun = time.monotonic()
    action()
    return time.monotonic() - begun


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def many_files(directory, count, seed):
    directory.mkdir()
    for i in range(count):
        path = directory / f"d{i // 100}" / f"f{i}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"file {i} of {seed}\n" * 20)
    (directory / "Dockerfile").write_text("FROM scratch\nCOPY . /all\n")
    return directory


def many_stages(directory, count, seed):
    directory.mkdir()
    lines = []
    for i in range(count):
        (directory / f"f{i}").write_text(f"{i} {seed}\n")
        lines += [f"FROM scratch AS s{i}", f"COPY f{i} /f{i}", f"ENV A={i}"]
    lines += ["FROM scratch"] + [f"COPY --from=s{i} /f{i} /f{i}" for i in range(count)]
    (directory / "Dockerfile").write_text("\n".join(lines) + "\n")
    return directory


def own_filesystem(root, name):
    """A directory that is an empty ext4; who made `root` unmounts it."""
    place, image = root / name, root / f"{name}.ext4"
    place.mkdir()
    with open(image, "wb") as file:
        file.truncate(40 << 30)  # holes: it takes what is written
    run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=1,nodiscard", image])
    run(["mount", "-o", "loop,noinit_itable", image, place])
    return place


class Gantry:
    name = "gantry"

    def __init__(self, root, binaries):
        self.place = root = own_filesystem(root, self.name)
        self.environment = os.environ | {"GANTRY_DATA_ROOT": str(root / "gantry"), "GANTRY_RUN_ROOT": str(root / "run"),
                                         "HOME": str(root)}
        self.gantry = binaries / "gantry"
        run([self.gantry, "images"], env=self.environment)  # starts the daemon

    def build(self, directory, name="bench"):
        run([self.gantry, "build", "-q", "-t", name, directory], env=self.environment)

    def pull(self, image):
        run([self.gantry, "pull", "-q", image], env=self.environment)

    def push(self, image):
        run([self.gantry, "push", "-q", image], env=self.environment)

    def forget(self):
        run([self.gantry, "system", "prune", "-a", "-f"], env=self.environment)

    def close(self):
        subprocess.run([self.gantry, "daemon", "stop"], env=self.environment, capture_output=True)


class Dockerd:
    """Debian's dockerd without a network of its own; its classic builder, as its CLI has no other here."""
    name = "dockerd"

    def __init__(self, root):
        self.place = place = own_filesystem(root, self.name)
        self.host = f"unix://{place}/docker.sock"
        self.log = open(place / "log", "w")
        self.process = subprocess.Popen(
            ["dockerd", "--data-root", place / "data", "--exec-root", place / "exec", "--pidfile", place / "pid",
             "--host", self.host, "--bridge=none", "--iptables=false", "--ip6tables=false",
             "--exec-opt", "native.cgroupdriver=cgroupfs"], stdout=self.log, stderr=self.log)
        self.environment = os.environ | {"DOCKER_HOST": self.host, "DOCKER_BUILDKIT": "0", "HOME": str(root)}
        for _ in range(300):  # it tells nobody when it is ready
            if subprocess.run(["docker", "version"], env=self.environment, capture_output=True).returncode == 0:
                return
            time.sleep(0.1)
        raise SystemExit("dockerd does not answer: " + (place / "log").read_text()[-2000:])

    def build(self, directory, name="bench"):
        run(["docker", "build", "-q", "-t", name, directory], env=self.environment)

    def pull(self, image):
        run(["docker", "pull", "-q", image], env=self.environment)

    def forget(self):
        run(["docker", "system", "prune", "-a", "-f"], env=self.environment)

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


class Podman:
    name = "podman"

    def __init__(self, root):
        self.place = place = own_filesystem(root, self.name)
        self.options = ["--root", place / "root", "--runroot", place / "run", "--tmpdir", place / "tmp",
                        "--storage-driver", "overlay", "--events-backend", "none"]

    def build(self, directory, name="bench"):
        run(["podman", *self.options, "build", "--layers", "-q", "-t", name, directory])

    def pull(self, image):
        run(["podman", *self.options, "pull", "--tls-verify=false", "-q", image])

    def forget(self):
        run(["podman", *self.options, "rmi", "-f", "-a"])

    def close(self):
        with contextlib.suppress(SystemExit):
            self.forget()


class Table:
    """What each engine took at each thing, in the order in which it was done."""

    def __init__(self):
        self.rows = {}

    def add(self, what, engine, seconds):
        self.rows.setdefault(what, {}).setdefault(engine, []).append(seconds)

    def show(self):
        for what, engines in self.rows.items():
            own = statistics.median(engines["gantry"])
            for engine, times in engines.items():
                middle = statistics.median(times)
                print(f"{what:32} {engine:24} {middle:8.3f}  ({min(times):.3f} to {max(times):.3f})"
                      f"  x {middle / own:.2f}", flush=True)


def measure_builds(table, engines, arguments):
    for kind, make, count in (("files", many_files, arguments.files), ("stages", many_stages, arguments.stages)):
        places = {}
        for round in range(arguments.rounds):
            for engine in engines:
                place = make(engine.place / f"{kind}-{round}", count, f"{round}")
                table.add(f"cold build, {count} {kind}", engine.name, timed(lambda: engine.build(place)))
                places[engine.name] = place
        time.sleep(2.1)  # files that were written just now are not trusted to be unchanged
        for engine in engines:
            engine.build(places[engine.name])
        for round in range(arguments.rounds):
            for engine in engines:
                table.add(f"no change, {count} {kind}", engine.name, timed(lambda: engine.build(places[engine.name])))
        for round in range(arguments.rounds):
            for engine in engines:
                changed = places[engine.name] / ("d0/f0" if kind == "files" else "f0")
                changed.write_text(f"changed {round} {os.urandom(8).hex()}\n")
                table.add(f"one file changed, {count} {kind}", engine.name,
                          timed(lambda: engine.build(places[engine.name])))


def unpack_blob(job):
    blob, target = job
    inflate, digest = zlib.decompressobj(31), hashlib.sha256()
    with open(blob, "rb") as source, open(target, "wb") as sink:
        while piece := source.read(1 << 20):
            plain = inflate.decompress(piece)
            digest.update(plain)
            sink.write(plain)


def measure_pulls(table, engines, root, arguments):
    """An image of ten layers, half of whose bytes compress, from a registry on loopback."""
    port = free_port()
    config = root / "registry.yml"
    config.write_text(f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {root}/registry}}}}\n"
                      f"http: {{addr: '127.0.0.1:{port}'}}\n")
    server = subprocess.Popen(["docker-registry", "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        directory = engines[0].place / "big"
        directory.mkdir()
        size = arguments.pull_mb * 1_000_000 // 10
        for i in range(10):
            (directory / f"f{i}").write_bytes(os.urandom(size // 2) + b"text that repeats\n" * (size // 2 // 18))
        (directory / "Dockerfile").write_text("FROM scratch\n" + "".join(f"COPY f{i} /\n" for i in range(10)))
        image = f"127.0.0.1:{port}/bench/big:1"
        gantry = engines[0]
        gantry.build(directory, image)
        gantry.push(image)
        shutil.rmtree(directory)
        blobs = [path for path in (root / "registry").rglob("data") if path.stat().st_size > 1_000_000]
        jobs = [(blob, root / f"floor{i}") for i, blob in enumerate(blobs)]
        what = f"pull of {arguments.pull_mb} MB"
        with multiprocessing.Pool() as pool:
            for _ in range(arguments.rounds):
                for engine in engines:
                    engine.forget()
                    table.add(what, engine.name, timed(lambda: engine.pull(image)))
                table.add(what, "inflate, hash, write", timed(lambda: pool.map(unpack_blob, jobs, chunksize=1)))
                for _, target in jobs:
                    target.unlink()
    finally:
        server.kill()
        server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--files", type=int, default=10000)
    parser.add_argument("--stages", type=int, default=20)
    parser.add_argument("--pull-mb", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["build", "pull"])
    parser.add_argument("--without", action="append", default=[], help="leave an engine out, such as podman")
    arguments = parser.parse_args()
    root = pathlib.Path(tempfile.mkdtemp(prefix="gantry-bench-", dir="/var/tmp"))
    engines, table = [], Table()
    try:
        engines.append(Gantry(root, arguments.bin.resolve()))
        for engine, tools in ((Dockerd, ("dockerd", "docker")), (Podman, ("podman",))):
            if engine.name not in arguments.without and all(shutil.which(tool) for tool in tools):
                engines.append(engine(root))
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {arguments.rounds} rounds")
        if arguments.only != "pull":
            measure_builds(table, engines, arguments)
        if arguments.only != "build" and shutil.which("docker-registry"):
            measure_pulls(table, engines, root, arguments)
    finally:
        table.show()
        for engine in engines:
            engine.close()
            run(["umount", "--lazy", engine.place])
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
