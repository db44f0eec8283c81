"""Programs that die, daemons that die, containers that vanish: what must come back does, and is the same."""
import contextlib
import os
import pathlib
import signal
import time
import unittest

from harness import GantryTest, free_port, http_get, main, parent_of, wait_until


def children_of(pid):
    """Those that have ended and are not waited for among them."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if entry.name.isdigit() and parent_of(entry.name) == pid:
                found.append(int(entry.name))
    return found


class Supervisors(GantryTest):
    def test_they_are_nobodys_children_and_block_no_signal_but_what_they_read(self):
        project = self.gantry.project("own", "services:\n  a:\n    image: busybox:test\n    command: [sleep, '1000']\n    scale: 5\n")
        self.gantry.compose(project, "up", "-d")
        daemon = self.gantry.daemon_pid()
        self.assertEqual(children_of(daemon), [])
        for name in self.gantry.containers():
            program = self.gantry.inspect(name)["State"]["Pid"]
            supervisor = parent_of(program)
            self.assertEqual(os.getsid(supervisor), supervisor)
            self.assertNotEqual(parent_of(supervisor), daemon)
            self.assertIn("gantry-shim", pathlib.Path(f"/proc/{supervisor}/comm").read_text())
            for process, blocked in ((program, 0), (supervisor, 1 << (signal.SIGCHLD - 1))):  # which it reads
                self.assertIn(f"SigBlk:\t{blocked:016x}\n", pathlib.Path(f"/proc/{process}/status").read_text())


class ExitCodes(GantryTest):
    def run_service(self, command, **extra):
        lines = "".join(f"    {key}: {value}\n" for key, value in extra.items())
        project = self.gantry.project("codes", f"services:\n  a:\n    image: busybox:test\n    command: {command}\n{lines}")
        self.gantry.compose(project, "up", "-d", code=None)
        state = wait_until(lambda: (s := self.gantry.inspect("codes-a-1")["State"])["Status"] != "running" and s,
                           "the program ended")
        return state

    def test_code_of_the_program_is_kept(self):
        self.assertEqual(self.run_service('["sh", "-c", "exit 3"]')["ExitCode"], 3)

    def test_death_by_signal_is_128_and_its_number(self):
        self.assertEqual(self.run_service('["sh", "-c", "sleep 60 & kill -9 $$$$; exec sleep 60"]', init="true")["ExitCode"], 137)

    def test_missing_program_is_127_and_said(self):
        project = self.gantry.project("codes", "services:\n  a:\n    image: busybox:test\n    command: [nosuch]\n")
        result = self.gantry.compose(project, "up", "-d", code=None)
        self.assertNotEqual(result.code, 0)
        self.assertIn('exec: "nosuch": executable file not found in $PATH', result.err)
        self.assertEqual(self.gantry.inspect("codes-a-1")["State"]["ExitCode"], 127)

    def test_program_that_may_not_be_executed_is_126(self):
        project = self.gantry.project("codes", "services:\n  a:\n    image: busybox:test\n    command: [/etc/passwd]\n")
        result = self.gantry.compose(project, "up", "-d", code=None)
        self.assertNotEqual(result.code, 0)
        self.assertIn("permission denied", result.err)
        self.assertEqual(self.gantry.inspect("codes-a-1")["State"]["ExitCode"], 126)


class Restarts(GantryTest):
    def test_killed_program_comes_back_and_waits_longer_each_time(self):
        project = self.gantry.project("again", """
            services:
              a:
                image: busybox:test
                command: sleep 1000
                restart: always
            """)
        self.gantry.compose(project, "up", "-d")
        pids, waits = [], []
        for _ in range(4):
            pid = wait_until(lambda: (p := self.gantry.inspect("again-a-1")["State"]["Pid"]) not in (0, *pids) and p,
                             "a new program runs")
            state = self.gantry.inspect("again-a-1")
            if pids:
                waits.append(timestamp(state["State"]["StartedAt"]) - timestamp(state["State"]["FinishedAt"]))
            pids.append(pid)
            os.kill(pid, signal.SIGKILL)
        self.assertEqual(len(set(pids)), 4)
        self.assertGreater(waits[1], waits[0])
        self.assertGreater(waits[2], waits[1])
        self.assertGreaterEqual(self.gantry.inspect("again-a-1")["RestartCount"], 3)

    def test_on_failure_gives_up_after_the_given_number(self):
        project = self.gantry.project("again", """
            services:
              a:
                image: busybox:test
                command: sh -c "echo ran; exit 4"
                restart: on-failure:2
            """)
        self.gantry.compose(project, "up", "-d")
        wait_until(lambda: self.gantry.inspect("again-a-1")["RestartCount"] == 2 and
                   self.gantry.inspect("again-a-1")["State"]["Status"] == "exited", "it gave up")
        logs = self.gantry.compose(project, "logs", "--no-log-prefix").out
        self.assertEqual(logs.count("ran"), 3)
        self.assertEqual(self.gantry.inspect("again-a-1")["State"]["ExitCode"], 4)

    def test_stopped_by_the_user_stays_stopped(self):
        project = self.gantry.project("again", """
            services:
              a: {image: busybox:test, command: sleep 1000, restart: unless-stopped, init: true}
            """)
        self.gantry.compose(project, "up", "-d")
        self.gantry.compose(project, "stop")
        self.gantry.stop_daemon()
        self.gantry.start_daemon()
        self.assertEqual(self.gantry.inspect("again-a-1")["State"]["Status"], "exited")


class Stopping(GantryTest):
    # Its init waits in sigwaitinfo(): /proc/PID/status shows such signals as neither blocked nor handled.
    def test_an_init_gets_the_signal_and_hands_it_on_however_long_it_has_run(self):
        project = self.gantry.project("polite", """
            services:
              a:
                image: busybox:test
                init: true
                command: ["sh", "-c", "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done"]
            """)
        for since in (0, 0.7, 1.5):
            self.gantry.compose(project, "up", "-d")
            wait_until(lambda: "ready" in self.gantry.compose(project, "logs", "--no-log-prefix", "a").out, "its handler is there")
            time.sleep(since)  # what counts is its age
            self.gantry.compose(project, "stop")
            self.assertEqual(self.gantry.inspect("polite-a-1")["State"]["ExitCode"], 3, f"after {since} s")
            self.gantry.compose(project, "down")


class DaemonDies(GantryTest):
    def test_containers_live_on_and_the_next_command_knows_all(self):
        port = free_port()
        project = self.gantry.project("alive", f"""
            services:
              web:
                image: busybox:test
                command: sh -c "echo served > /var/www/index.html; exec httpd -f -p 80 -h /var/www"
                ports: ["{port}:80"]
              client:
                image: busybox:test
                command: sleep 1000
              short:
                image: busybox:test
                command: sh -c "while [ ! -e /tmp/end ]; do sleep 0.1; done; exit 7"
            """)
        self.gantry.compose(project, "up", "-d")
        url = f"http://127.0.0.1:{port}/"
        self.assertEqual(wait_until(lambda: attempt(url), "the page is served").strip(), "served")
        pids = {name: self.gantry.inspect(f"alive-{name}-1")["State"]["Pid"] for name in ("web", "client", "short")}
        self.gantry.kill_daemon()

        self.assertEqual(http_get(url).strip(), "served")
        inside = ["nsenter", "-t", str(pids["client"]), "-n", "-m", "wget", "-q", "-O", "-", "http://web/"]
        self.assertEqual(output(inside).strip(), "served", "names resolve while the daemon is away")
        open(f"/proc/{pids['short']}/root/tmp/end", "w").close()
        wait_until(lambda: not os.path.exists(f"/proc/{pids['short']}"), "short has ended without a daemon")

        listing = self.gantry.compose(project, "ps", "-a", "--format", "json").out
        self.assertIn('"alive-web-1"', listing)
        state = self.gantry.inspect("alive-short-1")["State"]
        self.assertEqual((state["Status"], state["ExitCode"]), ("exited", 7))
        web = self.gantry.inspect("alive-web-1")["State"]
        self.assertEqual((web["Status"], web["Pid"]), ("running", pids["web"]))
        self.assertEqual(http_get(url).strip(), "served")
        self.gantry.compose(project, "exec", "-T", "client", "wget", "-q", "-O", "-", "http://web/")

    def test_two_commands_at_once_start_one_daemon(self):
        self.gantry.stop_daemon()
        project = self.gantry.project("race", "services:\n  a: {image: busybox:test}\n")
        commands = [self.gantry.start(project, "ps", "-a") for _ in range(6)]
        for command in commands:
            self.assertEqual(command.wait(30), 0, command.stderr.read())
            command.stdout.close()
            command.stderr.close()
        daemons = [pid for pid in self.gantry.processes()
                   if b"\0daemon\0" in open(f"/proc/{pid}/cmdline", "rb").read()]
        self.assertEqual(len(daemons), 1)


class Ends(GantryTest):
    def test_the_shim_lets_the_root_filesystem_go_last(self):
        """Or the dying program would, and wait until all that anybody has written there is on the disk."""
        project = self.gantry.project("ends", "services: {a: {image: busybox:test, command: sleep 1000}}\n")
        self.gantry.compose(project, "up", "-d")
        pid = self.gantry.inspect("ends-a-1")["State"]["Pid"]
        root = os.stat(f"/proc/{pid}/root")
        held = pathlib.Path(f"/proc/{parent_of(pid)}/fd")
        self.assertIn((root.st_dev, root.st_ino), [(s.st_dev, s.st_ino) for s in (fd.stat() for fd in held.iterdir() if fd.exists())])


class BehindTheControllersBack(GantryTest):
    YAML = """
        services:
          a:
            image: busybox:test
            command: sleep 1000
            volumes: ["data:/data"]
            networks: [n]
        networks: {n: {}}
        volumes: {data: {}}
        """

    def come_back(self, harm):
        project = self.gantry.project("back", self.YAML)
        self.gantry.compose(project, "up", "-d")
        self.gantry.compose(project, "exec", "-T", "a", "sh", "-c", "echo kept > /data/file")
        before = self.gantry.inspect("back-a-1")
        harm(before)

        def again():
            found = self.gantry.containers().get("back-a-1")
            return found and found["State"] == "running" and found["Id"] != before["Id"] and found
        wait_until(again, "a new container runs", seconds=5)
        after = self.gantry.inspect("back-a-1")
        self.assertEqual(list(after["NetworkSettings"]["Networks"]), list(before["NetworkSettings"]["Networks"]))
        self.assertEqual(self.gantry.compose(project, "exec", "-T", "a", "cat", "/data/file").out.strip(), "kept")

    def test_removed_container_is_made_anew(self):
        self.come_back(lambda before: self.gantry.command("rm", "-f", before["Id"]))

    def test_container_whose_shim_was_killed_is_made_anew(self):
        def kill_shim(before):
            shim = parent_of(before["State"]["Pid"])
            self.assertIn(b"gantry-shim", open(f"/proc/{shim}/cmdline", "rb").read())
            os.kill(shim, signal.SIGKILL)
        self.come_back(kill_shim)


def attempt(url):
    try:
        return http_get(url)
    except OSError:
        return None


def output(words):
    import subprocess
    return subprocess.run(words, capture_output=True, text=True, timeout=20, check=True).stdout


def timestamp(text):
    import datetime
    return datetime.datetime.fromisoformat(text[:26].rstrip("Z")).timestamp()


if __name__ == "__main__":
    main()
