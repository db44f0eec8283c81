#!/usr/bin/env python3
"""What networks cost: throughput to and from the server and connections a second through a published port, on one bridge
and from container to container through the host's port, each as a ratio to the same two processes on the two ends of a
plain veth pair; and beside dockerd's, where it is installed. How soon a container has an answer for another's name, beside a
datagram there and back over that pair. Then the price of joining a network and publishing ports.

  bench/net/net.py [--bin build/release/bin] [--seconds 0.5] [--rounds 15] [--json FILE]

Everything runs in network and mount namespaces of its own. The rounds of all candidates alternate, so that what else
the machine does hits all alike; the figure is the median of the rounds' ratios, each to the veth pair in the same round.
Client and server have a processor each: where the scheduler happens to leave them is worth more than any rule costs. No
figure is compared with a limit here: the ratios are for people, and machines differ.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPO / "tests/root/e2e"), str(REPO / "bench")]
PORT = 5201
KINDS = ("stream", "fetch", "connect")  # of bench/net/traffic.cc
CLIENT, SERVER = (min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0)))  # processors


def in_own_namespaces():
    if os.environ.get("GANTRY_BENCH_INSIDE"):
        return
    os.environ["GANTRY_BENCH_INSIDE"] = "1"
    os.execvp("unshare", ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c",
                          'ip link set lo up; exec "$@"', "sh", sys.executable, *sys.argv])


def run(*words):
    return subprocess.run(list(map(str, words)), check=True, capture_output=True, text=True).stdout


class Place:
    """A network namespace, by the pid of a process in it."""

    def __init__(self, pid):
        self.pid = pid

    def command(self, words):
        return ["nsenter", "-t", str(self.pid), "-n", *words]

    def on_processor(self, number, words):
        return self.command(["taskset", "-c", str(number), *words])


class Candidate:
    """Lines of the table: name → (client's place, address, port). The server runs in `server`. `asker`: who asks 127.0.0.11."""

    def __init__(self, name, server, lines, asker=None):
        self.name, self.server, self.lines, self.asker = name, server, lines, asker

    def measure(self, traffic, line, seconds):
        place, address, port = self.lines[line]
        server = subprocess.Popen(self.server.on_processor(SERVER, [str(traffic), "serve", str(PORT)]), stdout=subprocess.PIPE,
                                  text=True)
        try:
            server.stdout.readline()
            return {kind: float(run(*place.on_processor(CLIENT, [str(traffic), kind, address, str(port), str(seconds)])))
                    for kind in KINDS}
        finally:
            server.kill()
            server.wait()
            server.stdout.close()


def bare_namespace(stack):
    process = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up; echo ready; exec sleep 100000"],
                               stdout=subprocess.PIPE, text=True)
    stack.callback(process.stdout.close)
    stack.callback(process.wait)
    stack.callback(process.kill)
    process.stdout.readline()
    return Place(process.pid)


HOST_ADDRESS = "10.90.1.1"  # that no network of containers has


def host_namespace(stack):
    """A machine for one candidate: another's rules are not in its way."""
    place = bare_namespace(stack)
    run(*place.command(["ip", "address", "add", f"{HOST_ADDRESS}/32", "dev", "lo"]))
    return place


def plain_veth(stack):
    """Two namespaces with nothing in them but the pair: no rule, no tracking of connections."""
    near, far = bare_namespace(stack), bare_namespace(stack)
    run(*near.command(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", str(far.pid)]))
    for place, address in ((near, "10.90.0.1/24"), (far, "10.90.0.2/24")):
        run(*place.command(["ip", "address", "add", address, "dev", "eth0"]))
        run(*place.command(["ip", "link", "set", "eth0", "up"]))
    time.sleep(0.2)
    return Candidate("plain veth", far, {"veth": (near, "10.90.0.2", PORT)})


def ask(lookup, place, address, port):
    """(Median, the 99th of a hundred) in microseconds."""
    words = [str(lookup), "ask", address, str(port), "server", "1000"]
    return tuple(map(float, run(*place.on_processor(CLIENT, words)).split()))


def measure_lookups(lookup, plain, candidates, rounds, table):
    near, address, _ = plain.lines["veth"]
    echo = subprocess.Popen(plain.server.on_processor(SERVER, [str(lookup), "echo", str(PORT)]), stdout=subprocess.PIPE,
                            text=True)
    samples = {candidate.name: [] for candidate in candidates}
    try:
        echo.stdout.readline()
        for _ in range(rounds):
            floor = ask(lookup, near, address, PORT)
            for candidate in candidates:
                samples[candidate.name].append((*ask(lookup, candidate.asker, "127.0.0.11", 53), floor[0]))
    finally:
        echo.kill()
        echo.wait()
        echo.stdout.close()
    for name, answers in samples.items():
        half, late, floor = (statistics.median(column) for column in zip(*answers))
        times = statistics.median(answer[0] / answer[2] for answer in answers)
        table[f"{name}: name of a neighbour, us"] = [half, late, floor]
        print(f"{'name of a neighbour':<50} {name:<8} {half:.0f} us (99 of 100 within {late:.0f}), {times:.1f} times a datagram there "
              f"and back over the veth pair")


LINES = ("host to published port", "container to container, one bridge", "container to the host's port",
         "container of another network to the host's port")


def gantry(stack, binaries):
    os.environ["GANTRY_BIN"] = str(binaries)
    from harness import Gantry
    host = host_namespace(stack)
    instance = Gantry()
    instance.daemon_command = host.command(instance.daemon_command)
    stack.enter_context(instance)
    instance.busybox()
    for network in ("one", "two"):
        instance.command("network", "create", network)
    for name, network, flags in (("server", "one", ["-p", f"{PORT}:{PORT}"]), ("client", "one", []),
                                 ("stranger", "two", [])):
        instance.command("run", "-d", "--name", name, "--network", network, *flags, "busybox:test", "sleep", "100000")
    pid = lambda name: instance.inspect(name)["State"]["Pid"]
    network = instance.inspect("server")["NetworkSettings"]["Networks"]["one"]
    return Candidate("gantry", Place(pid("server")), dict(zip(LINES, [
        (host, "127.0.0.1", PORT), (Place(pid("client")), network["IPAddress"], PORT),
        (Place(pid("client")), network["Gateway"], PORT),
        (Place(pid("stranger")), HOST_ADDRESS, PORT)])), Place(pid("client")))


def docker(stack):
    if not shutil.which("dockerd") or not shutil.which("docker"):
        return None
    root = pathlib.Path(tempfile.mkdtemp(prefix="gantry-bench-docker-"))
    stack.callback(shutil.rmtree, root, ignore_errors=True)
    for directory in ("/run/docker", "/var/lib/docker"):
        os.makedirs(directory, exist_ok=True)
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    run("mount", "-t", "tmpfs", "tmpfs", "/var/lib/docker")
    host = f"unix://{root}/docker.sock"
    place = host_namespace(stack)
    daemon = subprocess.Popen(place.command(["dockerd", "-H", host, "--data-root", "/var/lib/docker/data", "--exec-root",
                               f"{root}/exec", "--pidfile", f"{root}/pid", "--storage-driver", "vfs",
                               "--bip", "10.91.0.1/24", "--default-address-pool", "base=10.92.0.0/16,size=24"]),
                              stdout=open(root / "log", "wb"), stderr=subprocess.STDOUT)

    def stop():
        daemon.terminate()
        daemon.wait()

    stack.callback(stop)
    call = lambda *words: run("docker", "-H", host, *words).strip()
    for _ in range(200):
        with contextlib.suppress(subprocess.CalledProcessError):
            call("version")
            break
        if daemon.poll() is not None:
            print("dockerd does not run here:\n" + (root / "log").read_text()[-600:], file=sys.stderr)
            return None
        time.sleep(0.1)
    from harness import busybox_tar
    (root / "busybox.tar").write_bytes(busybox_tar())
    call("import", root / "busybox.tar", "busybox:test")
    for network in ("one", "two"):
        call("network", "create", network)
    port = PORT + 1
    for name, network, flags in (("server", "one", ["-p", f"{port}:{PORT}"]), ("client", "one", []),
                                 ("stranger", "two", [])):
        call("run", "-d", "--name", name, "--network", network, *flags, "busybox:test", "sleep", "100000")
    stack.callback(lambda: subprocess.run(["docker", "-H", host, "rm", "-f", "server", "client", "stranger"],
                                          capture_output=True))
    pid = lambda name: int(call("inspect", "-f", "{{.State.Pid}}", name))
    network = json.loads(call("inspect", "server"))[0]["NetworkSettings"]["Networks"]["one"]
    return Candidate("dockerd", Place(pid("server")), dict(zip(LINES, [
        (place, "127.0.0.1", port), (Place(pid("client")), network["IPAddress"], PORT),
        (Place(pid("client")), network["Gateway"], port), (Place(pid("stranger")), HOST_ADDRESS, port)])), Place(pid("client")))


def median(results):
    return {kind: statistics.median(result[kind] for result in results) for kind in KINDS}


def ratios(results, floor):
    """Round by round."""
    return median([{kind: one[kind] / plain[kind] for kind in one} for one, plain in zip(results, floor)])


def publish_cost(binaries):
    """Published before → milliseconds of joining a network and those that ten ports add, passed and of the processor."""
    lines = run("unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$0"', binaries / "bench_publish")
    return {int(before): list(map(float, costs)) for before, *costs in map(str.split, lines.splitlines())}


class Starts:
    """What a place in a network adds to the start of a container: the request to start it, milliseconds."""
    WITHOUT, JOINED, PUBLISHING = "without a network", "in a network", "in a network, with 10 ports"

    def __init__(self, stack, binaries):
        os.environ["GANTRY_BIN"] = str(binaries)
        from commands import Api
        from harness import Gantry
        self.gantry = stack.enter_context(Gantry(subnets=20))
        self.gantry.busybox()
        self.gantry.command("network", "create", "one")
        self.api = Api(self.gantry.run / "gantry.sock")

    def start(self, network, ports=()):
        made = self.api.call("POST", "/containers/create", {
            "Image": "busybox:test", "Cmd": ["sleep", "100000"],
            "HostConfig": {"NetworkMode": network,
                           "PortBindings": {f"{port}/tcp": [{"HostPort": str(port)}] for port in ports}}})
        begin = time.perf_counter()
        self.api.call("POST", f"/containers/{made['Id']}/start")
        return made["Id"], (time.perf_counter() - begin) * 1000

    def remove(self, container):
        self.api.call("DELETE", f"/containers/{container}?force=1")

    def measure(self, published, rounds):
        """Medians of each kind, and of each round's differences to the start without a network."""
        others = [self.start("one", range(first, min(first + 100, 20000 + published)))[0]
                  for first in range(20000, 20000 + published, 100)]
        samples = {self.WITHOUT: [], self.JOINED: [], self.PUBLISHING: []}
        for _ in range(rounds):
            for kind, network, ports in ((self.WITHOUT, "none", ()), (self.JOINED, "one", ()),
                                         (self.PUBLISHING, "one", range(10001, 10011))):
                container, spent = self.start(network, ports)
                samples[kind].append(spent)
                self.remove(container)
        for container in others:
            self.remove(container)
        added = {kind: statistics.median(mine - bare for mine, bare in zip(samples[kind], samples[self.WITHOUT]))
                 for kind in samples}
        return {kind: statistics.median(list_) for kind, list_ in samples.items()}, added


def measure_starts(binaries, table):
    with contextlib.ExitStack() as stack:
        starts = Starts(stack, binaries)
        for published in (1, 100, 1000):
            medians, added = starts.measure(published, 40)
            table[f"start ms, {published} published"] = [medians, added]
            print(f"{published:>4} ports published before: a container's start takes {medians[Starts.WITHOUT]:.2f} ms without a "
                  f"network, {added[Starts.JOINED]:+.2f} in one, {added[Starts.PUBLISHING]:+.2f} with 10 ports")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=REPO / "build/release/bin", type=pathlib.Path)
    parser.add_argument("--seconds", default=0.5, type=float)
    parser.add_argument("--rounds", default=15, type=int)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--no-docker", action="store_true")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("needs root: namespaces and nftables")
    in_own_namespaces()
    traffic = arguments.bin / "bench_traffic"
    table = {}
    measure_starts(arguments.bin, table)
    with contextlib.ExitStack() as stack:
        plain = plain_veth(stack)
        ours = gantry(stack, arguments.bin)
        candidates = [ours]
        if not arguments.no_docker:
            candidates += [c for c in [docker(stack)] if c]
        results = {(plain.name, "veth"): []}
        for _ in range(arguments.rounds):
            results[plain.name, "veth"].append(plain.measure(traffic, "veth", arguments.seconds))
            for candidate in candidates:
                for line in LINES:
                    results.setdefault((candidate.name, line), []).append(
                        candidate.measure(traffic, line, arguments.seconds))
        floor = results.pop((plain.name, "veth"))
        table["plain veth"] = median(floor)
        print("plain veth: {:.2f} GB/s to the server, {:.2f} from it, {connect:.0f} connections/s".format(
            table["plain veth"]["stream"] / 1e9, table["plain veth"]["fetch"] / 1e9, **table["plain veth"]))
        for line in LINES:
            for candidate in candidates:
                to_plain = ratios(results[candidate.name, line], floor)
                table[f"{candidate.name}: {line}"] = median(results[candidate.name, line])
                table[f"{candidate.name}: {line}, ratio"] = to_plain
                print(f"{line:<50} {candidate.name:<8} {to_plain['stream']:6.1%} of veth's throughput, "
                      f"{to_plain['fetch']:6.1%} back, {to_plain['connect']:6.1%} of its connections")
        measure_lookups(arguments.bin / "bench_lookup", plain, candidates, arguments.rounds, table)
        costs = publish_cost(arguments.bin)
        for count, (join, ports, join_cpu, ports_cpu) in costs.items():
            print(f"{count:>4} ports published before: joining a network {join:.2f} ms ({join_cpu:.2f} of the processor), "
                  f"publishing 10 ports {ports:.2f} ms ({ports_cpu:.2f})")
        table["publish ms"] = costs
        if arguments.json:
            arguments.json.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
