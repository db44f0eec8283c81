"""docker-py (Debian's python3-docker) as it is, against Gantry."""
import concurrent.futures
import io
import socket
import sys
import pathlib
import tarfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402

try:
    import docker
    import docker.errors
    import docker.types
except ImportError:
    docker = None


class DockerPy(harness.GantryTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = docker.DockerClient(base_url=cls.gantry.host, version="auto", timeout=60)
        cls.addClassCleanup(cls.client.close)

    def test_ping_version_info(self):
        self.assertTrue(self.client.ping())
        self.assertEqual(self.client.version()["ApiVersion"], "1.50")
        info = self.client.info()
        self.assertEqual(info["OSType"], "linux")
        self.assertIsInstance(info["NCPU"], int)

    def test_run_returns_the_output_and_raises_the_exit_code(self):
        self.assertEqual(self.client.containers.run("busybox:test", ["echo", "hello"], remove=True), b"hello\n")
        with self.assertRaises(docker.errors.ContainerError) as caught:
            self.client.containers.run("busybox:test", ["sh", "-c", "echo why >&2; exit 3"], remove=True)
        self.assertEqual(caught.exception.exit_status, 3)
        self.assertIn(b"why", caught.exception.stderr)
        with self.assertRaises(docker.errors.ImageNotFound):
            self.client.api.create_container("nosuch:1", "true")

    def test_life_of_a_container(self):
        container = self.client.containers.run(
            "busybox:test", ["sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 1 & wait; done"], detach=True,
            name="life", labels={"a": "b"}, environment={"X": "1"}, ports={"80/tcp": ("127.0.0.1", None)})
        for line in container.logs(stream=True, follow=True):
            self.assertEqual(line, b"ready\n")
            break
        container.reload()
        self.assertEqual(container.status, "running")
        self.assertEqual(container.labels["a"], "b")
        self.assertIn("80/tcp", container.ports)
        self.assertEqual([c.name for c in self.client.containers.list(filters={"label": "a=b"})], ["life"])
        container.pause()
        container.reload()
        self.assertEqual(container.status, "paused")
        container.unpause()
        container.rename("other")
        container.update(mem_limit="64m", memswap_limit="128m")
        container.reload()
        self.assertEqual((container.name, container.attrs["HostConfig"]["Memory"]), ("other", 64 << 20))
        self.assertIn("PID", container.top()["Titles"])
        stats = container.stats(stream=False)
        self.assertEqual(stats["name"], "/other")
        self.assertGreater(stats["memory_stats"]["usage"], 0)
        self.assertGreater(stats["cpu_stats"]["system_cpu_usage"], stats["precpu_stats"]["system_cpu_usage"])
        container.stop()
        self.assertEqual(container.wait()["StatusCode"], 5)
        container.remove()
        with self.assertRaises(docker.errors.NotFound):
            self.client.containers.get("other")

    def test_exec_in_all_ways(self):
        container = self.client.containers.run("busybox:test", ["sleep", "1000"], detach=True)
        self.assertEqual(container.exec_run(["sh", "-c", "echo out; echo err >&2; exit 4"], demux=True),
                         (4, (b"out\n", b"err\n")))
        code, output = container.exec_run("env", environment={"A": "5"}, workdir="/tmp", user="app")
        self.assertEqual(code, 0)
        self.assertIn(b"A=5", output)
        execution = self.client.api.exec_create(container.id, ["cat"], stdin=True)
        stream = self.client.api.exec_start(execution["Id"], socket=True)
        raw = stream._sock
        raw.sendall(b"through and back")
        raw.shutdown(socket.SHUT_WR)
        data = b""
        while piece := raw.recv(4096):
            data += piece
        stream.close()
        self.assertEqual(data, b"\x01\0\0\0\0\0\0\x10through and back")
        state = self.client.api.exec_inspect(execution["Id"])
        self.assertEqual((state["Running"], state["ExitCode"]), (False, 0))
        container.exec_run(["sh", "-c", "sleep 0.1; echo late; echo done > /tmp/done"], detach=True)
        harness.wait_until(lambda: container.exec_run("cat /tmp/done")[0] == 0, "the detached exec has finished")

    # docker-py throws away what its call for the head of the answer returns beyond it.
    def test_exec_loses_no_output_to_the_head(self):
        container = self.client.containers.run("busybox:test", ["sleep", "1000"], detach=True)

        def many():
            client = docker.DockerClient(base_url=self.gantry.host, version="auto", timeout=60)
            mine = client.containers.get(container.id)
            answers = [mine.exec_run(["echo", "hello"]) for _ in range(25)]
            client.close()
            return answers

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = [answer for done in [pool.submit(many) for _ in range(8)] for answer in done.result()]
        self.assertEqual([answer for answer in answers if answer != (0, b"hello\n")], [])

    def test_attach_before_start_gets_everything(self):
        container = self.client.containers.create("busybox:test", ["cat"], stdin_open=True)
        stream = container.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        raw = stream._sock
        raw.sendall(b"early\n")
        container.start()
        self.assertEqual(raw.recv(8), b"\x01\0\0\0\0\0\0\x06")
        self.assertEqual(raw.recv(6), b"early\n")
        stream.close()
        container.remove(force=True)

    def test_archives(self):
        container = self.client.containers.create("busybox:test", ["cat", "/tmp/given"])
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz") as tar:
            entry = tarfile.TarInfo("given")
            entry.size = 5
            tar.addfile(entry, io.BytesIO(b"hello"))
        self.assertTrue(container.put_archive("/tmp", data.getvalue()))
        container.start()
        container.wait()
        self.assertEqual(container.logs(), b"hello")
        chunks, stat = container.get_archive("/etc/passwd")
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            self.assertEqual(tar.getnames(), ["passwd"])
        self.assertEqual((stat["name"], stat["linkTarget"]), ("passwd", ""))
        self.assertIn({"Path": "/tmp/given", "Kind": 1}, container.diff())
        with tarfile.open(fileobj=io.BytesIO(b"".join(container.export()))) as tar:
            self.assertIn("tmp/given", tar.getnames())
        image = container.commit("committed", "1", changes=["ENV K=v"])
        self.assertIn("K=v", image.attrs["Config"]["Env"])
        container.remove()
        self.assertEqual(self.client.containers.run("committed:1", ["cat", "/tmp/given"], remove=True), b"hello")
        self.client.images.remove("committed:1")

    def test_events(self):
        seen, events = [], self.client.events(decode=True, filters={"type": "container"})

        def collect():
            for event in events:
                seen.append(event["Action"])
                if event["Action"] == "destroy":
                    return

        thread = threading.Thread(target=collect)
        thread.start()
        self.client.containers.run("busybox:test", ["true"], remove=True)
        thread.join(60)
        self.assertEqual(seen, ["create", "start", "die", "destroy"])

    def test_build(self):
        dockerfile = io.BytesIO(b"FROM busybox:test\nRUN echo made > /made\nCMD [\"cat\", \"/made\"]\n")
        image, log = self.client.images.build(fileobj=dockerfile, tag="built:1", rm=True)
        self.assertIn("built:1", image.tags)
        self.assertTrue(any("Step 1/3" in line.get("stream", "") for line in log))
        self.assertEqual(self.client.containers.run("built:1", remove=True), b"made\n")
        self.client.images.remove("built:1")

    def test_networks_and_volumes(self):
        network = self.client.networks.create("net", labels={"a": "b"})
        volume = self.client.volumes.create("vol", labels={"c": "d"})
        container = self.client.containers.run("busybox:test", ["sh", "-c", "echo kept > /data/f; sleep 1000"],
                                               detach=True, network="net", volumes={"vol": {"bind": "/data"}})
        network.reload()
        self.assertEqual([c.id for c in network.containers], [container.id])
        with self.assertRaises(docker.errors.APIError) as caught:
            volume.remove()
        self.assertEqual(caught.exception.status_code, 409)
        container.remove(force=True)
        network.remove()
        self.assertEqual([v.name for v in self.client.volumes.list(filters={"dangling": True})], ["vol"])
        volume.remove()
        usage = self.client.df()
        self.assertEqual(usage["Volumes"], [])
        self.assertIsInstance(usage["LayersSize"], int)


if __name__ == "__main__":
    if docker is None:
        print("skipped: needs python3-docker")
        sys.exit(harness.SKIPPED)
    harness.main()
