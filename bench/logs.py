"""What container logs cost: a program that writes as fast as it can beside the same program through a pipe into a file, reading
everything back, and the delay of a follower; on Gantry and, where it is installed, on a dockerd. Interleaved rounds; prints
medians and ratios, writes the raw numbers as JSON. No number here is a pass or a failure.

    logs.py --bin DIR [--rounds 10] [--megabytes 256] [--read-megabytes 1024]
"""
import argparse
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from commands import Api, when
from figures import spread

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/root/e2e"))

LINE = b"2026-01-01 12:00:00 INFO request handled in 12 ms, status 200, bytes 48213, path /api/v1/things/%08d\n"


def write_lines(path, megabytes):
    block = b"".join(LINE % i for i in range(10_000))
    with open(path, "wb") as file:
        while file.tell() < megabytes << 20:
            file.write(block)


# cat hands the file's own pages to its pipe; dd copies them there, as programs do that make what they write.
PROGRAMS = {"cat": "cat {0}", "dd": "dd bs=64k if={0}"}


def warm_memory(root, megabytes):
    """The host of a virtual machine takes free memory back, and whoever needs it next waits while it is given again, three times as
    long as a log takes: before each measurement there is enough for the file, whoever writes it."""
    block = bytes(256 << 10)
    with open(root / "warm", "wb", buffering=0) as file:
        for _ in range(megabytes * 4):
            file.write(block)
    (root / "warm").unlink()


def through_a_pipe(program, lines, out):
    """Milliseconds."""
    begin = time.perf_counter()
    subprocess.run(["busybox", "sh", "-c", f"busybox {program.format(lines)} 2>/dev/null | busybox cat > {out}"], check=True)
    spent = (time.perf_counter() - begin) * 1000
    os.unlink(out)
    return spent


def run_writer(api, place, file, program="cat {0}"):
    """A container that writes `file` of `place`; its id, and how long its program ran."""
    made = api.call("POST", "/containers/create", {
        "Image": "busybox:test", "Cmd": program.format(f"/data/{file}").split(),
        "HostConfig": {"NetworkMode": "none", "Binds": [f"{place}:/data"]}})
    path = f"/containers/{made['Id']}"
    api.call("POST", path + "/start")
    api.call("POST", path + "/wait")
    state = api.call("GET", path + "/json")["State"]
    if state["ExitCode"]:
        sys.exit(f"the writer ended with {state['ExitCode']}")
    return path, (when(state["FinishedAt"]) - when(state["StartedAt"])) * 1000


def read_all(socket_path, path, least):
    """Milliseconds until everything is read; what reads does nothing with it."""
    begin, got = time.perf_counter(), 0
    stream = raw_request(socket_path, "GET", path + "/logs?stdout=1", "Connection: close\r\n")
    buffer = bytearray(1 << 20)
    while count := stream.recv_into(buffer):
        got += count
    stream.close()
    if got < least:
        sys.exit(f"read {got} of {least} bytes back")
    return (time.perf_counter() - begin) * 1000


def follow_delays(api, socket_path, count=50):
    """Milliseconds from a line's way to the program until a follower has what the program said."""
    made = api.call("POST", "/containers/create", {
        "Image": "busybox:test", "Cmd": ["cat"], "OpenStdin": True,
        "HostConfig": {"NetworkMode": "none"}})
    path = f"/containers/{made['Id']}"
    attached = raw_request(socket_path, "POST", path + "/attach?stream=1&stdin=1", "Connection: Upgrade\r\nUpgrade: tcp\r\n")
    api.call("POST", path + "/start")
    follower = raw_request(socket_path, "GET", path + "/logs?follow=1&stdout=1")
    delays = []
    for number in range(count):
        text = b"line %d\n" % number
        begin = time.perf_counter()
        attached.sendall(text)
        got = b""
        while text not in got:
            got += follower.recv(65536)
        delays.append((time.perf_counter() - begin) * 1000)
    attached.close()
    follower.close()
    api.call("DELETE", path + "?force=1")
    return delays


def raw_request(socket_path, method, path, headers=""):
    """The connection, after the head of the answer."""
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(str(socket_path))
    stream.sendall(f"{method} {path} HTTP/1.1\r\nHost: d\r\n{headers}Content-Length: 0\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += stream.recv(1)
    return stream


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--megabytes", type=int, default=256, help="of the writer")
    parser.add_argument("--read-megabytes", type=int, default=1024)
    parser.add_argument("--json", default="build/bench-logs.json")
    options = parser.parse_args()
    os.environ["GANTRY_BIN"] = options.bin
    import load_beside

    root = pathlib.Path(tempfile.mkdtemp(prefix="gantry-bench-", dir="/var/tmp"))
    engines, samples = [], {}

    def note(what, value):
        samples.setdefault(what, []).append(value)
    try:
        write_lines(root / "lines", options.megabytes)
        write_lines(root / "more", options.read_megabytes)
        engines.append(load_beside.Gantry(root))
        if shutil.which("dockerd") and shutil.which("docker"):
            engines.append(load_beside.Docker(root))
        apis = {engine.name: Api(engine.socket) for engine in engines}
        for _ in range(options.rounds):
            for name, program in PROGRAMS.items():
                warm_memory(root, 3 * options.megabytes)
                note(f"write by {name}, floor", through_a_pipe(program, root / "lines", root / "out"))
                for engine in engines:
                    warm_memory(root, 3 * options.megabytes)
                    path, spent = run_writer(apis[engine.name], root, "lines", program)
                    note(f"write by {name}, {engine.name}", spent)
                    apis[engine.name].call("DELETE", path)
        for engine in engines:
            path, _ = run_writer(apis[engine.name], root, "more")
            for _ in range(min(3, options.rounds)):
                note(f"read, {engine.name}", read_all(engine.socket, path, options.read_megabytes << 20))
            apis[engine.name].call("DELETE", path)
        for _ in range(options.rounds):
            for engine in engines:
                for delay in follow_delays(apis[engine.name], engine.socket):
                    note(f"follow, {engine.name}", delay)
    finally:
        for engine in engines:
            engine.close()
        shutil.rmtree(root, ignore_errors=True)

    print(f"{options.rounds} interleaved rounds of {options.megabytes} MB, {options.read_megabytes} MB read back three times, "
          "50 lines followed a round; medians and half of the whole spread")
    for what, values in samples.items():
        action = what.split(",")[0]
        base = samples[f"{action}, floor"] if f"{action}, floor" in samples else samples[f"{action}, Gantry"]
        print(f"  {what:22} {spread(values, 2)}   × {statistics.median(values) / statistics.median(base):.2f}")
    pathlib.Path(options.json).write_text(json.dumps(samples, indent=1))


if __name__ == "__main__":
    main()
