"""What compose has beyond Docker Compose: probes that the engine makes, leases, quick and patient stops."""
import json
import subprocess
import time

from harness import GantryTest, main, wait_until

SLEEP = "image: busybox:test, init: true, command: sleep 1000"


class Features(GantryTest):
    name = "feat"

    def write(self, yaml, **files):
        self.directory = self.gantry.project(self.name, yaml, **files)

    def compose(self, *words, **options):
        return self.gantry.compose(self.directory, *words, **options)

    def states(self):
        return {name: c["State"] for name, c in self.gantry.containers().items()}

    def health(self, name="feat-a-1"):
        return self.gantry.inspect(name)["State"]["Health"]

    def ended(self, name):
        return self.gantry.inspect(name)["State"]["ExitCode"]


class Probes(Features):
    def server(self, command, probe):
        self.write(f"services: {{a: {{image: busybox:test, init: true, command: [sh, -c, '{command}'], x-healthcheck: {probe}}}}}\n")

    HTTPD = "mkdir -p /w; echo ok > /w/index.html; exec httpd -f -p 8080 -h /w"

    def test_http(self):
        self.server(self.HTTPD, "{http: 8080}")
        self.compose("up", "-d", "--wait")
        health = self.health()
        self.assertEqual(health["Status"], "healthy")
        self.assertIn("200 OK", health["Log"][-1]["Output"])

    def test_http_with_path_and_status(self):
        self.server(self.HTTPD, "{http: {port: 8080, path: /nosuch, status: 404}}")
        self.compose("up", "-d", "--wait")
        self.server(self.HTTPD, "{http: ':8080/nosuch', interval: 1s, retries: 1}")
        shown = self.compose("up", "-d", "-t", "0", "--wait", code=1)
        self.assertIn("feat-a-1 is unhealthy", shown.err)
        self.assertIn("404", self.health()["Log"][-1]["Output"])
        why = self.compose("why", "a").out
        self.assertIn("unhealthy", why.splitlines()[0])
        self.assertIn("404", why)

    def test_tcp(self):
        self.server("mkdir /w; exec httpd -f -p 7000 -h /w", "{tcp: 7000}")
        self.compose("up", "-d", "--wait")
        self.assertIn("connected to 127.0.0.1:7000", self.health()["Log"][-1]["Output"])

    def test_nobody_listens(self):
        self.server("exec sleep 1000", "{tcp: 7000, interval: 1s, retries: 1}")
        self.assertIn("unhealthy", self.compose("up", "-d", "--wait", code=1).err)
        self.assertIn("Connection refused", self.health()["Log"][-1]["Output"])

    def test_a_line_of_the_log(self):
        self.server("echo starting; sleep 0.3; echo ready to accept connections; exec sleep 1000", "{log: 'ready to [a-z]+'}")
        self.compose("up", "-d", "--wait")
        self.assertEqual(self.health()["Log"][-1]["Output"], "matched: ready to accept connections")
        self.gantry.kill_daemon()
        self.gantry.start_daemon()
        wait_until(lambda: self.health()["Status"] == "healthy", "the new daemon knows")

    def test_the_line_does_not_come(self):
        self.server("echo starting; exec sleep 1000", "{log: ready, interval: 1s, retries: 1}")
        self.assertIn("unhealthy", self.compose("up", "-d", "--wait", code=1).err)

    def test_dependants_wait_and_changes_count(self):
        self.write(f"""
            services:
              a: {{image: busybox:test, init: true, command: [sh, -c, '{self.HTTPD}'], x-healthcheck: {{http: 8080}}}}
              b: {{{SLEEP}, depends_on: {{a: {{condition: service_healthy}}}}}}
            """)
        self.compose("up", "-d")
        self.assertEqual(self.states(), {"feat-a-1": "running", "feat-b-1": "running"})
        self.assertEqual(self.compose("plan").out, "Nothing to do.\n")
        text = (self.directory / "compose.yaml").read_text()
        self.write(text.replace("http: 8080", "tcp: 8080"))
        self.assertIn("recreate feat-a-1", self.compose("plan").out)

    def test_mistakes_are_named(self):
        for probe, text in (("{htpp: 80}", "unknown attribute"), ("{tcp: 80, http: 80}", "more than one thing"),
                            ("{interval: 5s}", "nothing says what"), ("{tcp: 80, interval: soon}", "is no duration"),
                            ("{http: {port: 99999}}", "is no port")):
            self.server("true", probe)
            self.assertIn(text, self.compose("config", "-q", code=1).err)


class Stops(Features):
    DEAF = "services: {a: {image: busybox:test, command: [sleep, '1000']}}\n"

    def test_who_cannot_hear_the_signal_is_killed_at_once(self):
        self.write(self.DEAF)
        self.compose("up", "-d")
        begun = time.monotonic()
        self.compose("stop")  # with a grace of 10 s
        self.assertLess(time.monotonic() - begun, 9)
        self.assertEqual(self.ended("feat-a-1"), 137)

    def test_who_hears_it_has_the_grace(self):
        self.write("""services: {a: {image: busybox:test, command: [sh, -c, "trap 'sleep 0.3; exit 7' TERM; echo ready; while :; do sleep 0.1; done"],
                      x-healthcheck: {log: ready}}}\n""")
        self.compose("up", "-d", "--wait")
        self.compose("stop")
        self.assertEqual(self.ended("feat-a-1"), 7)

    def test_patient(self):
        self.write(self.DEAF.replace("command", "x-stop: patient, stop_grace_period: 1s, command"))
        self.compose("up", "-d")
        begun = time.monotonic()
        self.compose("stop")
        self.assertGreaterEqual(time.monotonic() - begun, 1)
        self.assertIn("is no manner of stopping", self.bad_manner())

    def bad_manner(self):
        self.write(self.DEAF.replace("command", "x-stop: slow, command"))
        return self.compose("config", "-q", code=1).err


class Leases(Features):
    def gone(self):
        wait_until(lambda: self.states() == {}, "the project is taken down")

    def test_of_a_process(self):
        self.write(f"services: {{a: {{{SLEEP}}}}}\n")
        holder = subprocess.Popen(["sleep", "1000"])
        self.compose("up", "-d", "--lease", str(holder.pid))
        self.assertEqual(self.states(), {"feat-a-1": "running"})
        holder.kill()
        holder.wait()
        self.gone()
        self.assertIn("no such process", self.compose("up", "-d", "--lease", str(holder.pid), code=1).err)

    def test_of_a_time(self):
        self.write(f"services: {{a: {{{SLEEP}}}}}\n")
        self.compose("up", "-d", "--lease", "1s")
        self.gone()
        self.assertIn("give the number of a process, a duration", self.compose("up", "-d", "--lease", "soon", code=1).err)

    def test_outlives_the_daemon(self):
        self.write(f"services: {{a: {{{SLEEP}}}}}\n")
        holder = subprocess.Popen(["sleep", "1000"])
        self.compose("up", "-d", "--lease", str(holder.pid))
        self.gantry.kill_daemon()
        self.gantry.start_daemon()
        self.assertEqual(self.states(), {"feat-a-1": "running"})
        self.gantry.kill_daemon()
        holder.kill()
        holder.wait()
        self.gantry.start_daemon()
        self.gone()

    def test_ends_with_down_and_with_none(self):
        self.write(f"services: {{a: {{{SLEEP}}}}}\n")
        holder = subprocess.Popen(["sleep", "1000"])
        self.compose("up", "-d", "--lease", str(holder.pid))
        self.compose("down", "-t", "0")
        self.compose("up", "-d")
        held = json.loads((self.gantry.data / "leases.json").read_text())
        self.assertEqual(held, {})
        self.compose("up", "-d", "--lease", str(holder.pid))
        self.compose("up", "-d", "--lease", "none")
        holder.kill()
        holder.wait()
        self.assertEqual(json.loads((self.gantry.data / "leases.json").read_text()), {})
        self.assertEqual(self.states(), {"feat-a-1": "running"})

    def test_outlives_a_down_that_was_broken_off(self):
        self.write("services: {a: {image: busybox:test, x-stop: patient, stop_grace_period: 3s, command: sleep 1000}}\n")
        holder = subprocess.Popen(["sleep", "1000"])
        self.compose("up", "-d", "--lease", str(holder.pid))
        down = self.gantry.start(self.directory, "down")
        wait_until(lambda: "Stopping" in down.stderr.readline(), "the stop has begun")
        down.kill()
        down.communicate()
        self.assertEqual(self.states(), {"feat-a-1": "running"})
        holder.kill()
        holder.wait()
        self.gone()

    def test_a_test_whose_daemon_and_runner_die(self):
        self.write(f"services: {{a: {{{SLEEP}}}}}\n")
        begun = self.gantry.root / "begun"
        runner = self.gantry.start(self.directory, "test", "--quiet", "sh", "-c", f"touch {begun}; exec tail --pid=$PPID -f /dev/null")
        wait_until(begun.exists, "the command runs")
        self.gantry.kill_daemon()
        self.gantry.start_daemon()
        self.assertEqual(list(self.states().values()), ["running"])
        runner.kill()
        runner.wait()
        runner.communicate()
        self.gone()


class Waiting(Features):
    def test_a_service_that_ends_right_away_was_never_ready(self):
        self.write("services: {a: {image: busybox:test, command: sh -c 'exit 3'}}\n")
        self.assertIn("container feat-a-1 exited (3)", self.compose("up", "-d", "--wait", code=1).err)

    def test_a_wait_that_cannot_succeed_names_the_service_and_the_reason(self):
        self.write(f"""
            services:
              a: {{image: busybox:test, command: sh -c 'exit 3'}}
              b: {{{SLEEP}, depends_on: {{a: {{condition: service_completed_successfully}}}}}}
            """)
        shown = self.compose("up", "-d", "--wait", code=1)
        self.assertIn('service "a" didn\'t complete successfully: exit 3', shown.err)

    def test_a_one_shot_among_servers(self):
        self.write(f"services: {{a: {{image: busybox:test, command: 'true'}}, b: {{{SLEEP}}}}}\n")
        self.compose("up", "-d", "--wait")
        self.assertEqual(self.states(), {"feat-a-1": "exited", "feat-b-1": "running"})


if __name__ == "__main__":
    main()
