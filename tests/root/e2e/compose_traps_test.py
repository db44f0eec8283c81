"""The traps of Docker Compose: what is easiest to get wrong (docs/reference/compose-cli.md, section 6; the numbers are its)."""
import json
import pathlib
import re
import signal

from harness import GantryTest, ProjectTest, main, sockets_of, wait_until

SLEEP = "image: busybox:test, init: true, command: sleep 1000"


class Traps(ProjectTest):
    name = "trap"

    def volumes(self):
        return sorted(v["Name"] for v in self.gantry.get("/volumes")["Volumes"] or [])

    def label(self, container, name):
        return self.gantry.containers()[container]["Labels"].get("com.docker.compose." + name)

    def test_01_a_name_without_a_file_does_not_read_the_file(self):
        self.up(f"services: {{a: {{{SLEEP}}}, b: {{{SLEEP}}}}}\n")
        self.write("services: [this is no compose file\n")
        self.assertEqual(self.compose("-p", "trap", "ps", "--services").out, "a\nb\n")
        self.compose("ps", code=1)
        self.compose("-p", "trap", "down", "-t", "0")
        self.assertEqual(self.states(), {})

    def test_02_all_are_created_before_any_is_started(self):
        self.write(f"""
            services:
              a: {{image: busybox:test, command: sh -c "exit 9"}}
              b: {{{SLEEP}, depends_on: {{a: {{condition: service_completed_successfully}}}}}}
              c: {{{SLEEP}, depends_on: [b]}}
            """)
        self.compose("up", "-d", code=1)
        self.assertEqual(self.states(), {"trap-a-1": "exited", "trap-b-1": "created", "trap-c-1": "created"})
        created = [self.gantry.inspect(f"trap-{name}-1")["Created"] for name in "abc"]
        self.assertLess(max(created), self.gantry.inspect("trap-a-1")["State"]["StartedAt"])

    def test_03_the_hash_leaves_out_what_does_not_change_a_container(self):
        yaml = f"services: {{a: {{{SLEEP}, deploy: {{replicas: 1}}}}}}\n"
        self.up(yaml)
        before = self.ids()
        hash_before = self.compose("config", "--hash", "a").out
        self.assertEqual(hash_before, f"a {self.label('trap-a-1', 'config-hash')}\n")
        self.up(yaml.replace("init", "pull_policy: missing, profiles: [], depends_on: [], init").replace("replicas: 1", "replicas: 2"))
        self.assertEqual(self.ids()["trap-a-1"], before["trap-a-1"])
        self.assertEqual(self.compose("config", "--hash", "a").out, hash_before)
        self.up(yaml.replace("init", "labels: {x: y}, init"))
        self.assertNotEqual(self.ids()["trap-a-1"], before["trap-a-1"])
        self.assertEqual(self.compose("config", "--hash", "*").out, f"a {self.label('trap-a-1', 'config-hash')}\n")

    def test_03_values_of_env_files_count(self):
        yaml = f"services: {{a: {{{SLEEP}, env_file: [vars]}}}}\n"
        self.write(yaml, vars="X=1\n")
        self.compose("up", "-d")
        before = self.ids()
        self.write(yaml, vars="# a remark\nX=1\n")
        self.compose("up", "-d", "-t", "0")
        self.assertEqual(self.ids(), before)
        self.write(yaml, vars="X=2\n")
        self.compose("up", "-d", "-t", "0")
        self.assertNotEqual(self.ids(), before)

    def test_04_recreation_keeps_number_name_and_anonymous_volumes(self):
        yaml = f"services: {{a: {{{SLEEP}, volumes: [/data], environment: {{X: one}}}}}}\n"
        self.up(yaml, "--scale", "a=2")
        self.compose("exec", "-T", "--index", "2", "a", "sh", "-c", "echo kept > /data/x")
        before = self.ids()
        self.up(yaml.replace("one", "two"), "--scale", "a=2")
        after = self.ids()
        self.assertEqual(sorted(after), ["trap-a-1", "trap-a-2"])
        self.assertEqual(set(after.values()) & set(before.values()), set())
        self.assertEqual(self.label("trap-a-2", "container-number"), "2")
        self.assertEqual(self.compose("exec", "-T", "--index", "2", "a", "cat", "/data/x").out, "kept\n")
        self.up(yaml.replace("one", "two"), "--scale", "a=2", "-V")
        self.compose("exec", "-T", "--index", "2", "a", "cat", "/data/x", code=1)

    def test_05_force_is_for_named_services(self):
        self.up(f"services: {{a: {{{SLEEP}}}, b: {{{SLEEP}, depends_on: [a]}}}}\n")
        before = self.ids()
        self.compose("up", "-d", "-t", "0", "--force-recreate", "b")
        self.assertEqual(self.ids()["trap-a-1"], before["trap-a-1"])
        self.assertNotEqual(self.ids()["trap-b-1"], before["trap-b-1"])
        self.compose("up", "-d", "-t", "0", "--always-recreate-deps", "b")
        self.assertNotEqual(self.ids()["trap-a-1"], before["trap-a-1"])

    def test_06_who_shares_with_a_recreated_service_is_recreated(self):
        yaml = f"""
            services:
              a: {{{SLEEP}, volumes: [/data], environment: {{X: one}}}}
              net: {{{SLEEP}, network_mode: "service:a"}}
              pid: {{{SLEEP}, pid: "service:a"}}
              vol: {{{SLEEP}, volumes_from: [a]}}
              none: {{{SLEEP}}}
            """
        self.up(yaml)
        before = self.ids()
        self.up(yaml.replace("one", "two"))
        after = self.ids()
        kept = sorted(name for name in before if before[name] == after[name])
        self.assertEqual(kept, ["trap-none-1"])

    def test_07_disabled_services_are_no_orphans_but_ended_one_offs_are(self):
        yaml = f"services: {{a: {{{SLEEP}}}, x: {{{SLEEP}, profiles: [x]}}}}\n"
        self.write(yaml)
        self.compose("--profile", "x", "up", "-d")
        self.compose("run", "-T", "--name", "ended", "a", "true")
        shown = self.compose("up", "-d").err
        self.assertIn("Found orphan containers (ended)", shown)
        self.compose("up", "-d", "--remove-orphans")
        self.assertEqual(sorted(self.states()), ["trap-a-1", "trap-x-1"])

    def test_08_scale_down_drops_outdated_replicas_and_numbers_go_on_from_the_highest(self):
        # Created only: what runs is looked after, and a removed container would come back.
        self.write(f"services: {{a: {{{SLEEP}, environment: {{X: one}}}}}}\n")
        self.compose("create", "--scale", "a=3")
        self.gantry.command("rm", "-f", "trap-a-2")
        self.compose("create", "--scale", "a=4")
        self.assertEqual(sorted(self.states()), ["trap-a-1", "trap-a-3", "trap-a-4", "trap-a-5"])
        self.compose("scale", "a=2")
        self.assertEqual(sorted(self.states()), ["trap-a-1", "trap-a-3"])

    def test_09_a_one_shot_that_exits_0_is_ready_and_one_that_fails_is_not(self):
        # Docker Compose fails here even with code 0, unless somebody depends on the completion.
        self.up(f"services: {{a: {{image: busybox:test, command: 'true'}}, b: {{{SLEEP}}}}}\n", "--wait")
        shown = self.up(f"services: {{a: {{image: busybox:test, command: 'false'}}, b: {{{SLEEP}}}}}\n", "--wait", code=1)
        self.assertIn("container trap-a-1 exited (1)", shown.err)

    def test_10_exit_codes_of_attached_up(self):
        ends = "services: {a: {image: busybox:test, command: sh -c 'exit 3'}, b: {image: busybox:test, command: 'true'}}\n"
        self.write(ends)
        self.compose("up")
        self.compose("up", "--abort-on-container-failure", code=3)
        self.write(f"services: {{a: {{{SLEEP}}}}}\n")
        self.compose("down", "--remove-orphans")
        process = self.gantry.start(self.directory, "up", "-t", "0")
        wait_until(lambda: self.states().get("trap-a-1") == "running", "a runs")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(self.states(), {"trap-a-1": "exited"})

    def test_11_what_is_not_attached_does_not_keep_up_alive(self):
        yaml = f"services: {{a: {{image: busybox:test, command: echo over}}, b: {{{SLEEP}, attach: false}}}}\n"
        self.write(yaml)
        shown = self.compose("up")
        self.assertIn("over", shown.out)
        self.assertEqual(self.states()["trap-b-1"], "running")
        self.write(yaml.replace(", attach: false", ""))
        self.compose("up", "--no-attach", "b", "-t", "0")
        self.assertEqual(self.states()["trap-b-1"], "running")

    def test_12_ctrl_c_leaves_dependencies_running(self):
        self.write(f"services: {{a: {{{SLEEP}}}, b: {{{SLEEP}, depends_on: [a]}}}}\n")
        process = self.gantry.start(self.directory, "up", "b")
        wait_until(lambda: self.states().get("trap-b-1") == "running", "b runs")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(self.states(), {"trap-a-1": "running", "trap-b-1": "exited"})

    def test_13_logs_go_to_stdout_and_attached_up_keeps_both_apart(self):
        self.write("services: {a: {image: busybox:test, command: sh -c 'echo good; echo bad >&2'}}\n")
        shown = self.compose("up")
        self.assertIn("good", shown.out)
        self.assertNotIn("bad", shown.out)
        self.assertIn("bad", shown.err)
        shown = self.compose("logs")
        self.assertEqual(sorted(shown.out.split("\n")), ["", "a-1  | bad", "a-1  | good"])
        self.assertEqual(shown.err, "")

    def test_14_prefixes_are_as_wide_as_the_longest_and_one(self):
        self.write("services: {a: {image: busybox:test, command: echo x}, longer: {image: busybox:test, command: echo y}}\n")
        self.compose("up")
        self.assertEqual(sorted(self.compose("logs").out.splitlines()), ["a-1       | x", "longer-1  | y"])
        self.assertEqual(self.compose("logs", "a").out, "a-1  | x\n")

    def test_15_down_v_spares_unused_volumes_and_one_offs_keep_the_network(self):
        yaml = f"services: {{a: {{{SLEEP}, volumes: ['used:/data']}}}}\nvolumes: {{used: {{}}, spare: {{}}}}\n"
        self.up(yaml)
        self.gantry.command("volume", "create", "--label", "com.docker.compose.project=trap", "trap_spare")
        self.compose("run", "-d", "--name", "once", "a")
        shown = self.compose("down", "-v", "-t", "0")
        self.assertIn("Resource is still in use", shown.err)
        self.assertIn("trap_spare", self.volumes())
        self.assertEqual(self.states(), {"once": "running"})
        self.assertIn("trap_default", [n["Name"] for n in self.gantry.get("/networks")])
        self.compose("down", "-v", "-t", "0", "--remove-orphans")
        self.assertEqual(self.states(), {})
        self.assertNotIn("trap_used", self.volumes())
        self.compose("--all-resources", "down", "-v")
        self.assertNotIn("trap_spare", self.volumes())

    def test_16_cp_into_every_replica_and_out_of_the_first(self):
        self.up(f"services: {{a: {{{SLEEP}, scale: 3}}}}\n")
        self.write(f"services: {{a: {{{SLEEP}, scale: 3}}}}\n", file="text\n")
        self.compose("cp", "file", "a:/copied")
        for index in "123":
            self.assertEqual(self.compose("exec", "-T", "--index", index, "a", "cat", "/copied").out, "text\n")
        self.compose("exec", "-T", "--index", "1", "a", "sh", "-c", "echo first > /copied")
        self.compose("cp", "a:/copied", "back")
        self.assertEqual((self.directory / "back").read_text(), "first\n")

    def test_17_exec_prefers_replicas_and_an_index_is_never_a_one_off(self):
        self.up(f"services: {{a: {{{SLEEP}}}}}\n")
        self.compose("run", "-d", "--name", "once", "-e", "WHO=oneoff", "a")
        self.assertEqual(self.compose("exec", "-T", "a", "sh", "-c", "echo $WHO").out, "\n")
        self.compose("stop", "-t", "0", "a")
        self.assertEqual(self.compose("exec", "-T", "a", "sh", "-c", "echo $WHO").out, "oneoff\n")
        self.compose("exec", "-T", "--index", "1", "a", "true", code=1)

    def test_18_wait_is_for_all_and_an_ended_service_is_an_error(self):
        self.up(f"services: {{a: {{{SLEEP}}}, b: {{{SLEEP}}}, c: {{image: busybox:test, command: 'true'}}}}\n")
        wait_until(lambda: self.states()["trap-c-1"] == "exited", "c ends")
        self.assertIn('no containers for project "trap"', self.compose("wait", "c", code=1).err)
        waiter = self.gantry.start(self.directory, "wait", "a", "b")
        wait_until(lambda: sockets_of(waiter.pid) >= 2, "it waits for both")
        self.gantry.command("kill", "-s", "KILL", "trap-a-1")
        self.assertRegex(waiter.stdout.readline(), "exited with status code 137")
        self.assertIsNone(waiter.poll())
        self.gantry.command("kill", "-s", "TERM", "trap-b-1")
        out, _ = waiter.communicate(timeout=60)
        self.assertRegex(out, "exited with status code 143")
        self.assertEqual(waiter.returncode, 143)

    def test_19_json_shapes_differ(self):
        self.up(f"services: {{a: {{{SLEEP}, scale: 2, volumes: ['data:/data']}}}}\nvolumes: {{data: {{}}}}\n")
        lines = self.compose("ps", "--format", "json").out.splitlines()
        self.assertEqual([json.loads(line)["Name"] for line in lines], ["trap-a-1", "trap-a-2"])
        self.assertEqual(list(json.loads(lines[0])), sorted(json.loads(lines[0])))
        self.assertEqual(json.loads(self.compose("volumes", "--format", "json").out)["Name"], "trap_data")
        for line in self.compose("stats", "--no-stream", "--format", "json").out.splitlines():
            self.assertIn("CPUPerc", json.loads(line))
        self.assertIsInstance(json.loads(self.compose("ls", "--format", "json").out), list)
        self.assertIsInstance(json.loads(self.compose("images", "--format", "json").out), list)
        self.assertIsInstance(json.loads(self.compose("config", "--variables", "--format", "json").out), dict)

    def test_20_dollars_are_doubled_and_unused_resources_dropped(self):
        self.write(f"""
            services: {{a: {{{SLEEP}, environment: {{X: "$$HOME"}}, networks: [used]}}}}
            networks: {{used: {{}}, unused: {{}}, gone: {{external: true}}}}
            volumes: {{unused: {{}}, gone: {{external: true}}}}
            """)
        shown = self.compose("config").out
        self.assertIn("X: $$HOME", shown)
        self.assertNotIn("unused", shown)
        self.assertIn("unused", self.compose("--all-resources", "config").out)
        self.compose("up", "-d")
        self.assertEqual(self.compose("exec", "-T", "a", "sh", "-c", "echo $X").out, "$HOME\n")
        self.assertEqual([n["Name"] for n in self.gantry.get("/networks") if n["Name"].startswith("trap")], ["trap_used"])

    def test_21_a_typed_zero_is_not_the_default(self):
        stubborn = "trap 'exit 7' TERM; while :; do sleep 0.1; done"
        self.up(f"""services: {{a: {{image: busybox:test, command: [sh, -c, "{stubborn}"]}}}}\n""")
        self.compose("stop")
        self.assertEqual(self.gantry.inspect("trap-a-1")["State"]["ExitCode"], 7)
        self.compose("start")
        self.compose("stop", "-t", "0")
        self.assertEqual(self.gantry.inspect("trap-a-1")["State"]["ExitCode"], 137)

    HOOKED = """
        services:
          a:
            image: busybox:test
            init: true
            command: sleep 1000
            scale: 2
            environment: {X: one}
            volumes: ["log:/log"]
            pre_stop: [{command: [sh, -c, 'echo stopped >> /log/x']}]
        volumes: {log: {}}
        """

    def test_22_pre_stop_does_not_run_on_replacement_or_scale_down(self):
        self.up(self.HOOKED)
        self.up(self.HOOKED.replace("one", "two"))
        self.compose("scale", "a=1")
        self.compose("exec", "-T", "a", "test", "-e", "/log/x", code=1)
        self.compose("stop", "-t", "0")
        self.assertEqual(self.compose("run", "--rm", "-T", "a", "cat", "/log/x").out, "stopped\n")

    def test_23_progress_goes_to_stderr(self):
        shown = self.up(f"services: {{a: {{{SLEEP}}}}}\n")
        self.assertEqual(shown.out, "")
        self.assertIn("trap-a-1", shown.err)
        for words in (["restart", "-t", "0"], ["stop", "-t", "0"], ["start"], ["pause"], ["unpause"], ["kill"], ["down"]):
            shown = self.compose(*words)
            self.assertEqual(shown.out, "", words)
            self.assertNotEqual(shown.err, "", words)

    def test_24_env_files_of_two_directories(self):
        inner = self.gantry.projects / "trap" / "inner"
        self.write(f"services: {{a: {{{SLEEP}, environment: {{ONE: $ONE, TWO: $TWO}}}}}}\n",
                   **{".env": "ONE=outer\nTWO=outer\n"})
        inner.mkdir(exist_ok=True)
        (inner / ".env").write_text("ONE=inner\nCOMPOSE_PROGRESS=json\nCOMPOSE_PROJECT_NAME=fromenv\n")
        shown = self.gantry.compose(inner, "up", "-d")
        self.assertNotIn("{", shown.err)  # COMPOSE_PROGRESS comes too late
        out = self.gantry.compose(inner, "exec", "-T", "a", "sh", "-c", "echo $ONE $TWO").out
        self.assertEqual(out, "inner outer\n")
        self.assertEqual(list(self.states()), ["fromenv-a-1"])


class TheListIsWhole(GantryTest):
    @classmethod
    def setUpClass(cls):
        """Needs no instance."""

    def tearDown(self):
        """Nothing was made."""

    def test_every_trap_of_the_list_has_a_scenario(self):
        spec = pathlib.Path(__file__).resolve().parents[3] / "docs/reference/compose-cli.md"
        listed = {int(n) for n in re.findall(r"^(\d+)\. ", spec.read_text().split("## 6.", 1)[1], re.M)}
        tested = {int(name[5:7]) for name in dir(Traps) if re.match(r"test_\d\d_", name)}
        self.assertEqual(tested, listed)


if __name__ == "__main__":
    main()
