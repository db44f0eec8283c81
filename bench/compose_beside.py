"""Commands on Gantry, on docker-compose (1.29, Debian's) over a dockerd, and on podman-compose, as whole processes: `ps` of 100
services, `up -d` of 60 without a change, and up, exec, a run and down of 20. Every round measures each of them once, and `true`
beside; prints a table (Markdown) of medians, and how many times as long as Gantry's the others' are. Of what is not installed or
left out there are no rows.

    compose_beside.py [--bin DIR] [--rounds 10] [--without podman]
"""
import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1] / "tests/root/e2e")]

# Of projects that run, and stay as they are.
STANDING = {"ps of 100 services": (100, ["ps"]), "up -d of 60, no change": (60, ["up", "-d"])}
# In this order, of a project that begins and ends with nothing.
CYCLE_SIZE = 20
CYCLE = {"up -d of 20": ["up", "-d"], "exec true": ["exec", "-T", "s0", "true"], "run --rm true": ["run", "--rm", "-T", "s0", "true"],
         "down of 20": ["down", "-t", "0"]}


def project_file(count, image, network):
    service = f"{{image: '{image}', {network}command: [sleep, '100000'], stop_signal: SIGKILL}}"
    return "services:\n" + "".join(f"  s{i}: {service}\n" for i in range(count))


class Tool:
    # Without networks: the dockerd here has none. podman-compose always makes one, and refuses this.
    def __init__(self, engine, words, environment, root, image="busybox:test", network="network_mode: none, "):
        self.name, self.words, self.environment = engine.name, words, environment
        self.image, self.network = image, network
        self.root = root
        self.cycle = self.project(CYCLE_SIZE)
        self.standing = {what: self.project(count) for what, (count, _) in STANDING.items()}
        for place in self.standing.values():
            self.run(place, ["up", "-d"])

    def project(self, count):
        place = self.root / f"{self.name.lower()}{count}"
        place.mkdir()
        (place / "docker-compose.yml").write_text(project_file(count, self.image, self.network))
        return place

    def run(self, place, words):
        done = subprocess.run([*self.words, *words], env=self.environment, cwd=place, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{self.name} {words}: {done.stdout[-2000:]}{done.stderr[-2000:]}")

    def down(self):
        for place in [self.cycle, *self.standing.values()]:
            self.run(place, ["down", "-t", "0"])

    def commands(self):
        """What is measured: its name, its words, its directory."""
        return [(what, words, self.standing[what]) for what, (_, words) in STANDING.items()] + [
            (what, words, self.cycle) for what, words in CYCLE.items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--without", action="append", default=[], help="leave a tool out: dockerd, podman")
    options = parser.parse_args()
    os.environ["GANTRY_BIN"] = options.bin
    import load_beside
    import podman_compose
    from figures import process
    root = pathlib.Path(tempfile.mkdtemp(prefix="gantry-bench-", dir="/var/tmp"))
    engines, tools, times = [], [], {}
    try:
        gantry = load_beside.Gantry(root)
        engines.append(gantry)
        tools.append(Tool(gantry, [str(pathlib.Path(options.bin) / "compose")], gantry.instance.environment, root))
        if "dockerd" not in options.without and shutil.which("dockerd") and shutil.which("docker-compose"):
            docker = load_beside.Docker(root)
            engines.append(docker)
            tools.append(Tool(docker, [shutil.which("docker-compose")], docker.engine.environment, root))
        if "podman" not in options.without and shutil.which("podman-compose") and shutil.which("runc"):
            podman = podman_compose.Podman(root)
            engines.append(podman)
            tools.append(Tool(podman, [*podman.inside, shutil.which("podman-compose")], podman.environment, root, "localhost/busybox:test", ""))
        for _ in range(options.rounds):
            times.setdefault(("true", ""), []).append(process(["/bin/true"], os.environ))
            for of_each in zip(*(tool.commands() for tool in tools)):
                for tool, (what, words, place) in zip(tools, of_each):
                    times.setdefault((what, tool.name), []).append(process([*tool.words, *words], tool.environment, place))
        print(f"{os.cpu_count()} cores, {options.rounds} rounds\n\n| what | tool | ms (lowest to highest) | times Gantry's |\n"
              "| --- | --- | --- | --- |")
        for (what, tool), values in times.items():
            own = times.get((what, "Gantry"), values)
            print(f"| {what} | {tool} | {statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f}) | "
                  f"{statistics.median(values) / statistics.median(own):.1f} |")
    finally:
        for tool in tools:
            tool.down()
        for engine in engines:
            engine.close()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
