"""Attached up: which logs are shown, how long it stays, what it returns, what Ctrl-C stops."""
import signal

from harness import GantryTest, main, wait_until


class Attached(GantryTest):
    def up(self, yaml, *words, code=0, before=()):
        self.directory = self.gantry.project("at", yaml)
        return self.gantry.compose(self.directory, *before, "up", *words, code=code)

    def states(self):
        return {name: c["State"] for name, c in self.gantry.containers().items()}

    TWO_ENDS = """
        services:
          a: {image: busybox:test, command: sh -c "echo from a; echo err a >&2; exit 3"}
          longer: {image: busybox:test, command: sh -c "echo from longer"}
        """

    def test_everything_ended_by_itself_is_code_0(self):
        result = self.up(self.TWO_ENDS)
        self.assertIn("Attaching to a-1, longer-1\n", result.out)
        self.assertIn("a-1       | from a\n", result.out)
        self.assertIn("longer-1  | from longer\n", result.out)
        self.assertIn("a-1       | err a\n", result.err)
        self.assertIn("a-1 exited with code 3\n", result.out)

    def test_no_prefix_and_no_colour(self):
        result = self.up(self.TWO_ENDS, "--no-log-prefix", "--no-color", before=("--ansi", "always"))
        self.assertIn("from a\n", result.out.splitlines(keepends=True))
        coloured = self.gantry.compose(self.directory, "--ansi", "always", "up")
        self.assertIn("\x1b[", coloured.out)

    def test_timestamps(self):
        self.assertRegex(self.up(self.TWO_ENDS, "--timestamps").out, r"a-1 +\| \d{4}-\d\d-\d\dT\S+ from a\n")

    SERVER_AND_TEST = """
        services:
          server: {image: busybox:test, init: true, command: sleep 1000}
          check: {image: busybox:test, command: sh -c "exit 5", depends_on: [server]}
        """

    def test_abort_on_exit_returns_the_code_and_stops_all(self):
        result = self.up(self.SERVER_AND_TEST, "--abort-on-container-exit", code=5)
        self.assertIn("Aborting on container exit...", result.err + result.out)
        self.assertEqual(set(self.states().values()), {"exited"})

    def test_exit_code_from(self):
        self.up(self.SERVER_AND_TEST, "--exit-code-from", "check", code=5)
        self.assertIn("no such service: x", self.up(self.SERVER_AND_TEST, "--exit-code-from", "x", code=1).err)

    def test_exit_code_from_a_service_that_had_to_be_stopped(self):
        self.up(self.SERVER_AND_TEST, "--exit-code-from", "server", code=143)

    def test_abort_on_failure_ignores_success(self):
        yaml = """
            services:
              good: {image: busybox:test, command: 'true'}
              bad: {image: busybox:test, command: sh -c "exit 6", depends_on: {good: {condition: service_completed_successfully}}}
              server: {image: busybox:test, init: true, command: sleep 1000}
            """
        self.up(yaml, "--abort-on-container-failure", code=6)

    def test_unattached_services_do_not_keep_up_alive(self):
        yaml = """
            services:
              a: {image: busybox:test, command: echo over}
              quiet: {image: busybox:test, init: true, attach: false, command: sh -c "echo never shown; exec sleep 1000"}
            """
        result = self.up(yaml)
        self.assertIn("over", result.out)
        self.assertNotIn("never shown", result.out)
        self.assertEqual(self.states()["at-quiet-1"], "running")

    def test_no_attach(self):
        yaml = """
            services:
              a: {image: busybox:test, command: echo over}
              b: {image: busybox:test, init: true, command: sh -c "echo never shown; exec sleep 1000"}
            """
        result = self.up(yaml, "--no-attach", "b")
        self.assertNotIn("never shown", result.out)
        self.assertIn("cannot attach to services not included in up: x", self.up(yaml, "--attach", "x", code=1).err)

    DEPENDENT = """
        services:
          db: {image: busybox:test, init: true, command: sh -c "echo from db; exec sleep 1000"}
          web: {image: busybox:test, init: true, command: sh -c "echo from web; exec sleep 1000", depends_on: [db]}
        """

    def test_ctrl_c_stops_named_services_only(self):
        self.directory = self.gantry.project("at", self.DEPENDENT)
        process = self.gantry.start(self.directory, "up", "web")
        seen = ""
        while "from web" not in seen:
            line = process.stdout.readline()
            self.assertNotEqual(line, "", seen)
            seen += line
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertIn("Gracefully Stopping... press Ctrl+C again to force", err)
        self.assertNotIn("from db", seen + out)
        self.assertEqual(self.states(), {"at-db-1": "running", "at-web-1": "exited"})

    def test_attach_dependencies(self):
        yaml = """
            services:
              db: {image: busybox:test, init: true, command: sh -c "echo from db; exec sleep 1000"}
              web: {image: busybox:test, command: sh -c "sleep 0.5; echo from web", depends_on: [db]}
            """
        result = self.up(yaml, "--attach-dependencies", "web")
        self.assertIn("from db", result.out)
        self.assertIn("from web", result.out)
        self.assertEqual(self.states()["at-db-1"], "running")

    def test_a_restarting_container_is_followed(self):
        yaml = """
            services:
              a:
                image: busybox:test
                restart: on-failure:1
                command: sh -c "echo try; exit 1"
            """
        result = self.up(yaml)
        self.assertEqual(result.out.count("| try\n"), 2)
        self.assertIn("a-1 exited with code 1 (restarting)\n", result.out)

    def test_restarts_are_followed_by_a_client_that_hears_of_them_late(self):
        replicas = 10
        project = self.gantry.project("at", f"""
            services:
              a:
                image: busybox:test
                scale: {replicas}
                restart: on-failure:1
                command: sh -c "echo try; sleep 0.3; exit 1"
            """)
        client = self.gantry.start(project, "up")
        self.addCleanup(client.kill)
        shown = ""
        while "| try" not in shown:
            shown += client.stdout.readline()
        client.send_signal(signal.SIGSTOP)

        def have_ended_twice():
            states = [self.gantry.inspect(f"at-a-{i + 1}") for i in range(replicas)]
            return all(a["RestartCount"] == 1 and a["State"]["Status"] == "exited" for a in states)
        wait_until(have_ended_twice, "they have ended twice")
        client.send_signal(signal.SIGCONT)
        shown += client.stdout.read()  # not communicate(), which passes over what readline() has read ahead
        client.wait()
        for replica in (f"a-{i + 1}" for i in range(replicas)):
            told = [" ".join(line.split()[1:]) for line in shown.splitlines() if line.split()[0] == replica]
            self.assertEqual(sorted(told), ["exited with code 1", "exited with code 1 (restarting)", "| try", "| try"], shown)
            self.assertEqual(told[-1], "exited with code 1", shown)

    def test_flags_that_contradict(self):
        for words, said in ((["--build", "--no-build"], "incompatible"),
                            (["--force-recreate", "--no-recreate"], "--force-recreate and --no-recreate are incompatible"),
                            (["-V", "--no-recreate"], "incompatible"),
                            (["-d", "--abort-on-container-exit"], "--detach cannot be combined with"),
                            (["--wait", "--attach", "a"], "--wait cannot be combined with"),
                            (["-d", "--watch"], "--detach cannot be combined with"),
                            (["--attach", "a", "--attach-dependencies"], "cannot combine --attach and --attach-dependencies"),
                            (["--abort-on-container-exit", "--abort-on-container-failure"], "incompatible"),
                            (["--wait", "--wait-timeout", "-1"], "--wait-timeout must be a non-negative integer"),
                            (["--scale", "a"], "Should be SERVICE=NUM"), (["--pull", "policy"], "invalid --pull option"),
                            (["--timings"], "--timings needs --detach or --wait"),
                            (["--watch"], "none of the selected services is configured for watch")):
            self.assertIn(said, self.up(self.TWO_ENDS, *words, code=1).err)

    def test_stop_timeout_zero_kills_at_once(self):
        self.up("services: {a: {image: busybox:test, command: sh -c \"trap '' TERM; while :; do sleep 1; done\"}}\n", "-d")
        self.gantry.compose(self.directory, "stop", "-t", "0", timeout=8)
        self.assertEqual(self.gantry.inspect("at-a-1")["State"]["ExitCode"], 137)

    def test_grace_period_of_the_file(self):
        self.up("""
            services:
              a:
                image: busybox:test
                stop_grace_period: 1s
                command: sh -c "trap '' TERM; while :; do sleep 1; done"
            """, "-d")
        self.gantry.compose(self.directory, "stop", timeout=9)
        self.assertEqual(self.gantry.inspect("at-a-1")["State"]["ExitCode"], 137)

    def test_stop_signal_of_the_file(self):
        self.up("""
            services:
              a:
                image: busybox:test
                stop_signal: SIGUSR1
                command: sh -c "trap 'exit 9' USR1; while :; do sleep 0.1; done"
            """, "-d")
        self.gantry.compose(self.directory, "stop")
        self.assertEqual(self.gantry.inspect("at-a-1")["State"]["ExitCode"], 9)

    def test_logs_merged_in_time_and_filtered(self):
        self.up("""
            services:
              a: {image: busybox:test, command: sh -c "echo 1; sleep 0.6; echo 3 level=warn; sleep 0.6; echo 5"}
              b: {image: busybox:test, command: sh -c "sleep 0.3; echo 2; sleep 0.6; echo 4 ERROR x"}
            """)
        merged = self.gantry.compose(self.directory, "logs", "--merge", "--no-log-prefix").out
        self.assertEqual([line[0] for line in merged.splitlines()], ["1", "2", "3", "4", "5"])
        self.assertEqual(self.gantry.compose(self.directory, "logs", "--merge", "--no-log-prefix", "--level", "warn").out,
                         "3 level=warn\n4 ERROR x\n")
        self.assertEqual(self.gantry.compose(self.directory, "logs", "--no-log-prefix", "--grep", "^[15]$").out, "1\n5\n")

    def logs(self, *words, **options):
        return self.gantry.compose(self.directory, "logs", *words, **options)

    def say(self, text, *words, replicas=1):
        self.up(f"""
            services:
              a:
                image: busybox:test
                init: true
                command: sh -c "echo {text}; exec sleep 1000"
                deploy: {{replicas: {replicas}}}
            """, "-d", *words)
        wait_until(lambda: self.logs("--no-log-prefix").out.count(text) == replicas, "the replicas speak")

    def test_logs_outlive_the_containers_that_wrote_them(self):
        for text in ("one", "two", "three"):
            self.say(text, "-t", "0")
        self.assertEqual(self.logs().out, "a-1  | three\n")
        self.assertEqual(self.logs("--run", "1").out, "a-1#1  | one\n")
        self.assertEqual(self.logs("--run", "-1", "a").out, "a-1#2  | two\n")
        self.assertEqual(self.logs("--run", "0").out, "a-1  | three\n")
        self.assertEqual(self.logs("--run", "3").out, "a-1  | three\n")
        self.assertEqual(self.logs("--run", "all", "--merge", "--no-log-prefix").out, "one\ntwo\nthree\n")
        self.assertEqual(self.logs("--run", "all", "--no-log-prefix", "--grep", "^t[hw]", "--merge").out, "two\nthree\n")
        missing = self.logs("--run", "9", code=1).err
        self.assertIn("no such run; there are those of a-1: 1 to 3", missing)
        self.assertIn("--follow", self.logs("--run", "1", "-f", code=1).err)
        self.assertIn("invalid --run value", self.logs("--run", "x", code=1).err)

    def test_past_logs_survive_the_daemon_and_go_with_down(self):
        self.say("one", "-t", "0", replicas=2)
        self.say("two", "-t", "0")
        kept = self.gantry.data / "logs/at"
        self.assertEqual(sorted(path.name for path in kept.iterdir()), ["a-1", "a-2"])
        self.gantry.kill_daemon()
        self.gantry.start_daemon()
        self.assertEqual(sorted(self.logs("--run", "1").out.splitlines()), ["a-1#1  | one", "a-2#1  | one"])
        self.gantry.compose(self.directory, "rm", "-sf")
        self.assertEqual(self.logs("--run", "2").out, "a-1#2  | two\n")
        self.gantry.compose(self.directory, "down", "-t", "0")
        self.assertFalse(kept.exists())
        self.say("three")
        self.assertIn("a-1: 1", self.logs("--run", "2", code=1).err)
        self.assertEqual(self.logs("--run", "1").out, "a-1  | three\n")

    def test_standard_output_is_for_data(self):
        result = self.up(self.DEPENDENT, "-d")
        self.assertEqual(result.out, "")
        self.assertEqual(self.gantry.compose(self.directory, "down", "-t", "0").out, "")

    def test_dry_run_of_attached_up(self):
        result = self.up(self.TWO_ENDS, before=("--dry-run",))
        self.assertIn("interactive run is not supported in dry-run mode", result.err)
        self.assertEqual(self.states(), {})


if __name__ == "__main__":
    main()
