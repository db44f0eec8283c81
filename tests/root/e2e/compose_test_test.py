"""compose test, timings and why, on real containers."""
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import time
import xml.dom.minidom

from harness import BIN, GantryTest, free_port, main, wait_until

WEB = """
    services:
      web:
        image: busybox:test
        command: sh -c "echo page > /var/www/index.html; echo serving; exec httpd -f -p 80 -h /var/www"
        ports: ["8080:80"]
        healthcheck: {test: "wget -q -O /dev/null http://127.0.0.1/", interval: 100ms, retries: 50}
        volumes: ["data:/data"]
    volumes: {data: {}}
    """


class CopiesOfProjects(GantryTest):
    def left(self):
        names = list(self.gantry.containers())
        names += [n["Name"] for n in self.gantry.get("/networks") if "-test-" in n["Name"]]
        names += [v["Name"] for v in self.gantry.get("/volumes")["Volumes"] or [] if "-test-" in v["Name"]]
        return names

    def test_the_command_finds_the_copy_and_its_code_is_returned(self):
        project = self.gantry.project("shop", WEB)
        result = self.gantry.compose(project, "test", "-q", "--junit", "result.xml", "sh", "-c",
                                     'echo $COMPOSE_PROJECT_NAME $WEB_80_URL; curl -s $WEB_80_URL/; exit 7', code=7)
        name, url = result.out.splitlines()[0].split()
        self.assertRegex(name, "^shop-test-[0-9a-f]{8}$")
        self.assertRegex(url, r"^http://127\.0\.0\.1:\d+$")
        self.assertEqual(result.out.splitlines()[1:], ["page"])
        self.assertEqual(self.left(), [])
        folder = next(project.glob("compose-test-shop-test-*"))
        self.assertIn("serving", (folder / "logs.txt").read_text())
        self.assertIn('"Action":"start"', (folder / "events.jsonl").read_text().replace(" ", ""))
        suite = xml.dom.minidom.parse(str(project / "result.xml")).getElementsByTagName("testsuite")[0]
        self.assertEqual((suite.getAttribute("tests"), suite.getAttribute("failures")), ("1", "1"))
        self.gantry.compose(project, "test", "-q", "--junit", "result.xml", "true")
        self.assertIn('failures="0"', (project / "result.xml").read_text())
        self.assertEqual(self.left(), [])

    def test_copies_run_side_by_side_and_beside_the_original(self):
        project = self.gantry.project("shop", WEB.replace("8080:80", f"{free_port()}:80"))
        self.gantry.compose(project, "up", "-d", "--wait")
        before = self.gantry.containers()["shop-web-1"]["Id"]
        runs = [self.gantry.start(project, "test", "-q", "sh", "-c", "curl -s $WEB_80_URL/") for _ in range(3)]
        for run in runs:
            out, err = run.communicate(timeout=120)
            self.assertEqual((run.returncode, out), (0, "page\n"), err)
        self.assertEqual(self.gantry.containers()["shop-web-1"]["Id"], before)
        self.assertEqual(self.left(), ["shop-web-1"])

    def test_a_killed_runner_leaves_nothing(self):
        project = self.gantry.project("shop", WEB)
        rounds = int(os.environ.get("GANTRY_TEST_KILLS", "8"))
        pick = random.Random(1)
        longest = 0
        for _ in range(rounds):
            runner = self.gantry.start(project, "test", "-q", "sleep", "1000", start_new_session=True)
            time.sleep(pick.uniform(0, 0.8))  # a random moment is what is tested
            os.killpg(runner.pid, signal.SIGKILL)
            runner.communicate()
            killed = time.monotonic()
            wait_until(lambda: self.left() == [], "nothing is left", 20)
            longest = max(longest, time.monotonic() - killed)
        print(f"kills: {rounds}, the longest time until nothing was left {longest:.2f} s")

    def test_a_copy_that_does_not_come_up_fails(self):
        project = self.gantry.project("bad", """
            services:
              a: {image: busybox:test, command: sh -c 'echo no; exit 3', healthcheck: {test: "false", interval: 1h}}
            """)
        result = self.gantry.compose(project, "test", "-q", "true", code=1)
        self.assertIn("exited (3)", result.err)
        self.assertEqual(self.left(), [])
        self.assertIn("command not found", self.gantry.compose(
            self.gantry.project("ok", "services: {a: {image: busybox:test, init: true, command: sleep 1000}}\n"), "test", "-q", "no-such-command",
            code=1).err)


class Timings(GantryTest):
    def test_the_path_adds_up_to_the_whole(self):
        project = self.gantry.project("t", """
            services:
              a: {image: busybox:test, init: true, command: sleep 1000,
                  healthcheck: {test: "true", interval: 300ms}}
              b: {image: busybox:test, init: true, command: sleep 1000, depends_on: {a: {condition: service_healthy}}}
            """)
        begun = time.monotonic()
        shown = self.gantry.compose(project, "up", "-d", "--timings")
        wall = (time.monotonic() - begun) * 1e9
        self.assertIn("Critical path:", shown.out)
        self.assertIn("wait for t-a-1", shown.out)
        report = json.loads(self.gantry.compose(project, "timings", "--format", "json").out)
        path = sum(piece["end_ns"] - piece["begin_ns"] for piece in report["critical_path"])
        self.assertEqual(path, report["total_ns"])
        self.assertLess(path, wall)
        print(f"timings: path {path / 1e6:.0f} ms, whole command {wall / 1e6:.0f} ms")
        self.assertTrue(self.gantry.compose(project, "timings", "--format", "svg").out.startswith("<svg"))
        trace = json.loads(self.gantry.compose(project, "timings", "--format", "trace").out)
        self.assertTrue(all(event["ph"] == "X" for event in trace["traceEvents"]))

    def test_nothing_done_is_said(self):
        project = self.gantry.project("n", "services: {a: {image: busybox:test}}\n")
        self.assertIn("nothing was done", self.gantry.compose(project, "timings", code=1).err)


class Why(GantryTest):
    """Faults seeded into real containers; the first lines of `why` must name them."""

    def why(self, yaml, *said, up=("up", "-d"), until="exited", code=None):
        project = self.gantry.project("y", yaml)
        self.gantry.compose(project, *up, code=code)
        if until:
            wait_until(lambda: self.gantry.containers()["y-a-1"]["State"] == until, f"a is {until}")
        out = self.gantry.compose(project, "why", "a").out
        first = "\n".join(out.splitlines()[:4])
        for text in said:
            self.assertIn(text, first, out)
        return out

    def test_exit_code_and_last_words(self):
        out = self.why("services: {a: {image: busybox:test, command: sh -c 'echo no config; exit 3'}}\n",
                       "a is not running: exited with code 3", "its last words: no config")
        self.assertIn("Timeline", out)

    def test_missing_program(self):
        self.why("services:\n  a:\n    image: busybox:test\n    command: [nosuchprogram]\n",
                 "could not be started", "nosuchprogram", "compose.yaml:4", until=None)

    def test_missing_program_in_a_shell(self):
        self.why("services: {a: {image: busybox:test, command: sh -c nosuchprogram}}\n", "code 127", "not found")

    def test_signals(self):
        self.why("services: {a: {image: busybox:test, command: sh -c 'kill -SEGV $$$$'}}\n", "a ")
        self.why("services: {a: {image: busybox:test, init: true, command: sh -c 'sleep 1000 & kill -ABRT $$!; wait $$!'}}\n",
                 "SIGABRT")

    def test_port_taken_by_a_process(self):
        with socket.socket() as taken:
            taken.bind(("0.0.0.0", 0))
            taken.listen()
            port = taken.getsockname()[1]
            self.why(f"services: {{a: {{image: busybox:test, init: true, command: sleep 1000, ports: ['{port}:80']}}}}\n",
                     f"port {port} of the host is taken", f"process {os.getpid()}", until=None)

    def test_port_taken_by_a_container(self):
        port = free_port()
        other = self.gantry.project("z", f"services: {{b: {{image: busybox:test, init: true, command: sleep 1000, ports: ['{port}:80']}}}}\n")
        self.gantry.compose(other, "up", "-d")
        self.why(f"services: {{a: {{image: busybox:test, init: true, command: sleep 1000, ports: ['{port}:80']}}}}\n",
                 f"port {port} of the host is taken", "container z-b-1 of project z", until=None)

    def test_unhealthy(self):
        project = self.gantry.project("y", """
            services:
              a:
                image: busybox:test
                init: true
                command: sleep 1000
                healthcheck: {test: "echo not yet; exit 1", interval: 50ms, retries: 1}
            """)
        self.gantry.compose(project, "up", "-d")
        wait_until(lambda: self.gantry.inspect("y-a-1")["State"]["Health"]["Status"] == "unhealthy", "unhealthy")
        out = self.gantry.compose(project, "why", "a").out
        self.assertIn("a is running, but unhealthy\n  its last probe exited with code 1: not yet\n", out)

    def test_restarting(self):
        project = self.gantry.project(
            "y", "services: {a: {image: busybox:test, restart: always, command: sh -c 'echo boom; exit 1'}}\n")
        self.gantry.compose(project, "up", "-d")
        # Between two runs; the fifth one is 1.6 s after the fourth.
        wait_until(lambda: self.gantry.inspect("y-a-1")["RestartCount"] >= 4 and
                   self.gantry.containers()["y-a-1"]["State"] == "restarting", "a waits for its next run")
        out = self.gantry.compose(project, "why", "a").out
        self.assertIn("boom", "\n".join(out.splitlines()[:4]), out)

    def test_well(self):
        self.why("services: {a: {image: busybox:test, init: true, command: sleep 1000}}\n", "a is running; it has no health check",
                 until="running")
        project = self.gantry.projects / "y"
        self.assertIn("a is running", self.gantry.compose(project, "why").out)
        self.assertIn("no such service: x", self.gantry.compose(project, "why", "x", code=1).err)

    def test_made_anew(self):
        yaml = "services: {a: {image: busybox:test, init: true, command: sleep 1000, environment: {V: '1'}}}\n"
        self.why(yaml, "running", until="running")
        self.assertIn("made anew because environment.V changed",
                      self.why(yaml.replace("'1'", "'2'"), "running", until="running"))

    def test_stopped(self):
        self.why("services: {a: {image: busybox:test, init: true, command: sleep 1000}}\n", "running", until="running")
        project = self.gantry.projects / "y"
        self.gantry.compose(project, "stop", "-t", "5")
        self.assertIn("on request", self.gantry.compose(project, "why", "a").out)


if __name__ == "__main__":
    main()
