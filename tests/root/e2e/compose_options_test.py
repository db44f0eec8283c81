"""Options of compose's commands, each by what it does to containers (which scenario covers which: ./dev flags)."""
import json
import os
import tarfile

from harness import ProjectTest, main, sockets_of, wait_until

SLEEP = "image: busybox:test, init: true, command: sleep 1000"
ONE = f"services: {{a: {{{SLEEP}, environment: {{X: one}}}}}}\n"
TWO = f"services: {{a: {{{SLEEP}}}, b: {{{SLEEP}, depends_on: [a]}}}}\n"


class Scenarios(ProjectTest):
    name = "opt"

    def image_exists(self, name):
        return "Id" in self.gantry.get(f"/images/{name}/json")


class Globals(Scenarios):
    def test_project_directory_is_where_paths_begin_and_names_come_from(self):
        self.write(f"services: {{a: {{{SLEEP}, volumes: ['./data:/data']}}}}\n", inner__data__x="inner\n")
        self.compose("--project-directory", "inner", "-f", "compose.yaml", "up", "-d")
        self.assertEqual(list(self.states()), ["inner-a-1"])
        out = self.compose("--project-directory", "inner", "-f", "compose.yaml", "exec", "-T", "a", "cat", "/data/x").out
        self.assertEqual(out, "inner\n")

    def test_parallel_is_a_number(self):
        self.write(ONE)
        self.compose("--parallel", "1", "up", "-d")
        self.assertIn("COMPOSE_PARALLEL_LIMIT must be an integer",
                      self.compose("up", "-d", env={"COMPOSE_PARALLEL_LIMIT": "x"}, code=1).err)

    def test_all_resources_makes_what_nobody_uses(self):
        self.write(ONE + "volumes: {spare: {}}\n")
        self.compose("--all-resources", "up", "-d")
        self.assertIn("spare", self.compose("--all-resources", "config", "--volumes").out)
        self.assertEqual(self.compose("config", "--volumes").out, "")
        self.compose("--all-resources", "down", "-t", "0", "-v")
        self.assertNotIn("opt_spare", [v["Name"] for v in self.gantry.get("/volumes")["Volumes"] or []])

    def test_several_files_are_merged_in_order(self):
        self.write(ONE, **{"two.yaml": "services: {a: {environment: {X: two, Y: more}}}\n"})
        self.compose("-f", "compose.yaml", "-f", "two.yaml", "up", "-d")
        self.assertEqual(self.compose("exec", "-T", "a", "sh", "-c", "echo $X $Y").out, "two more\n")
        self.compose("up", "-d", env={"COMPOSE_FILE": "two.yaml:compose.yaml"})
        self.assertEqual(self.compose("exec", "-T", "a", "sh", "-c", "echo $X $Y").out, "one more\n")

    def test_a_file_from_standard_input(self):
        self.write("services: {}\n")
        self.compose("-f", "-", "up", "-d", stdin=ONE)
        self.assertEqual(list(self.states()), ["opt-a-1"])

    def test_the_override_file_is_taken_by_itself_and_not_with_f(self):
        self.write(ONE, **{"compose.override.yaml": "services: {a: {environment: {X: over}}}\n"})
        self.compose("up", "-d")
        self.assertEqual(self.compose("exec", "-T", "a", "sh", "-c", "echo $X").out, "over\n")
        self.compose("-f", "compose.yaml", "up", "-d", "-t", "0")
        self.assertEqual(self.compose("exec", "-T", "a", "sh", "-c", "echo $X").out, "one\n")
        (self.directory / "compose.override.yaml").unlink()

    def test_files_are_looked_for_upwards(self):
        self.write(ONE, deep__er__x="")
        self.gantry.compose(self.directory / "deep/er", "up", "-d")
        self.assertEqual(list(self.states()), ["opt-a-1"])

    def test_project_names(self):
        self.write("name: fromfile\n" + ONE)
        self.compose("up", "-d")
        self.compose("up", "-d", env={"COMPOSE_PROJECT_NAME": "fromenv"})
        self.compose("-p", "fromflag", "up", "-d", env={"COMPOSE_PROJECT_NAME": "fromenv"})
        self.assertEqual(sorted(self.states()), ["fromenv-a-1", "fromfile-a-1", "fromflag-a-1"])
        self.assertIn("must consist only of lowercase", self.compose("-p", "Not Good", "up", "-d", code=1).err)

    def test_profiles_of_flag_and_environment(self):
        self.write(f"services: {{a: {{{SLEEP}}}, b: {{{SLEEP}, profiles: [p]}}, c: {{{SLEEP}, profiles: [q]}}}}\n")
        self.assertEqual(self.compose("--profile", "p", "config", "--services").out, "a\nb\n")
        self.assertEqual(self.compose("config", "--services", env={"COMPOSE_PROFILES": "p, q"}).out, "a\nb\nc\n")
        self.assertEqual(self.compose("--profile", "*", "config", "--services").out, "a\nb\nc\n")
        self.compose("up", "-d", "b")  # naming it is enough
        self.assertEqual(list(self.states()), ["opt-b-1"])

    def test_env_files(self):
        self.write(ONE.replace("one", "$X"), **{".env": "X=dot\n", "other": "X=other\n", "last": "X=last\n"})
        self.compose("--env-file", "other", "--env-file", "last", "up", "-d")
        self.assertEqual(self.compose("exec", "-T", "a", "sh", "-c", "echo $X").out, "last\n")
        self.assertIn("couldn't find env file", self.compose("--env-file", "nosuch", "up", "-d", code=1).err)
        self.assertIn("X: dot", self.compose("config").out)
        self.assertIn("X: ''" if "X: ''" in self.compose("config", env={"COMPOSE_DISABLE_ENV_FILE": "1"}).out else 'X: ""',
                      self.compose("config", env={"COMPOSE_DISABLE_ENV_FILE": "1"}).out)


class Up(Scenarios):
    BUILT = 'services: {a: {build: ., init: true, command: sleep 1000}}\n'

    def write_build(self, text="one"):
        self.write(self.BUILT, Dockerfile=f"FROM busybox:test\nRUN echo {text} > /built\n")

    def drop_image(self, name="opt-a"):
        self.gantry.command("rmi", "-f", name, code=None)

    def test_build_and_no_build(self):
        self.drop_image()
        self.write_build()
        shown = self.compose("up", "-d", "--no-build", code=1)
        self.assertIn("--no-build", shown.err)
        self.compose("up", "-d", "--quiet-build")
        self.write_build("two")
        self.compose("up", "-d", "-t", "0")
        self.assertEqual(self.compose("exec", "-T", "a", "cat", "/built").out, "one\n")
        self.compose("up", "-d", "-t", "0", "--build")
        self.assertEqual(self.compose("exec", "-T", "a", "cat", "/built").out, "two\n")

    def test_create_builds_as_up_does(self):
        self.drop_image()
        self.write_build("three")
        self.compose("create", "--no-build", code=1)
        self.compose("create", "--build", "--quiet-pull", "--yes")
        self.assertEqual(self.states(), {"opt-a-1": "created"})
        self.assertEqual(self.compose("run", "--rm", "-T", "a", "cat", "/built").out, "three\n")

    def test_pull_never_and_bad_policies(self):
        self.write("services: {a: {image: 'localhost:1/nosuch:1'}}\n")
        self.compose("up", "-d", "--pull", "never", code=1)
        self.compose("create", "--pull", "never", code=1)
        self.assertIn("invalid --pull option", self.compose("up", "-d", "--pull", "policy", code=1).err)
        self.assertEqual(self.states(), {})

    def test_quiet_pull_and_old_spelling_of_yes(self):
        self.write(ONE)
        self.compose("up", "-d", "--quiet-pull", "--y")
        self.assertEqual(self.states(), {"opt-a-1": "running"})

    def test_create_scale_orphans_and_keeping(self):
        self.up(TWO)
        before = self.ids()
        self.write(ONE)
        self.compose("create", "--scale", "a=2", "--no-recreate", "--remove-orphans")
        self.assertEqual(self.states(), {"opt-a-1": "running", "opt-a-2": "created"})
        self.assertEqual(self.ids()["opt-a-1"], before["opt-a-1"])

    def test_scale_without_dependencies(self):
        self.up(TWO)
        self.compose("stop", "-t", "0", "a")
        self.compose("scale", "--no-deps", "b=2")
        self.assertEqual(self.states(), {"opt-a-1": "exited", "opt-b-1": "running", "opt-b-2": "running"})
        self.compose("scale", "b=1")
        self.assertEqual(self.states(), {"opt-a-1": "running", "opt-b-1": "running"})

    def test_watch_after_up(self):
        self.write(f"services: {{a: {{{SLEEP}, develop: {{watch: [{{path: src, action: sync, target: /src}}]}}}}}}\n",
                   src__x="1\n")
        process = self.gantry.start(self.directory, "up", "--watch")
        try:
            wait_until(lambda: "Watch enabled" in process.stdout.readline(), "watching")
            (self.directory / "src/x").write_text("2\n")
            wait_until(lambda: self.compose("exec", "-T", "a", "cat", "/src/x", code=None).out == "2\n", "the change")
        finally:
            process.terminate()
            process.communicate(timeout=60)
        self.write(ONE)
        self.assertIn("configured for watch", self.compose("up", "--watch", code=1).err)

    def test_unknown_flags_and_services(self):
        self.write(ONE)
        self.assertIn("unknown flag: --nosuch", self.compose("up", "--nosuch", code=1).err)
        self.assertIn("no such service: nosuch", self.compose("up", "-d", "nosuch", code=1).err)
        self.assertIn("invalid --scale option", self.compose("up", "-d", "--scale", "a", code=1).err)
        self.assertIn("unknown command", self.compose("upp", code=1).err)


class Down(Scenarios):
    def test_rmi_local_and_all(self):
        self.gantry.command("tag", "busybox:test", "named:1")
        self.write("services: {a: {build: ., command: sleep 1000, init: true}, b: {image: 'named:1', command: 'true'}}\n",
                   Dockerfile="FROM busybox:test\n")
        self.compose("up", "-d")
        self.assertIn('invalid value for --rmi: "x"', self.compose("down", "--rmi", "x", code=1).err)
        self.compose("down", "-t", "0", "--rmi", "local")
        self.assertFalse(self.image_exists("opt-a"))
        self.assertTrue(self.image_exists("named:1"))
        self.compose("up", "-d")
        self.compose("down", "-t", "0", "--rmi", "all")
        self.assertFalse(self.image_exists("named:1"))
        self.assertTrue(self.image_exists("busybox:test"))

    def test_old_spelling_of_volumes(self):
        self.up(f"services: {{a: {{{SLEEP}, volumes: ['data:/data', /anonymous]}}}}\nvolumes: {{data: {{}}}}\n")
        before = len(self.gantry.get("/volumes")["Volumes"])
        self.compose("down", "-t", "0", "--volume")
        self.assertEqual(len(self.gantry.get("/volumes")["Volumes"] or []), before - 2)

    def test_external_networks_and_volumes_stay(self):
        self.gantry.command("network", "create", "outside")
        self.gantry.command("volume", "create", "kept")
        self.up(f"""
            services: {{a: {{{SLEEP}, networks: [n], volumes: ["v-:/data"]}}}}
            networks: {{n: {{external: true, name: outside}}}}
            volumes: {{v-: {{external: true, name: kept}}}}
            """)
        self.compose("down", "-t", "0", "-v")
        self.assertIn("outside", [n["Name"] for n in self.gantry.get("/networks")])
        self.assertIn("kept", [v["Name"] for v in self.gantry.get("/volumes")["Volumes"]])
        self.gantry.command("network", "rm", "outside")
        self.gantry.command("volume", "rm", "kept")

    def test_missing_external_resources_are_named(self):
        self.write(ONE.replace("init", "networks: [n], init") + "networks: {n: {external: true}}\n")
        self.assertIn("network n declared as external, but could not be found", self.compose("up", "-d", code=1).err)
        self.write(ONE.replace("init", "volumes: ['vol:/d'], init") + "volumes: {vol: {external: true}}\n")
        self.assertIn('external volume "vol" not found', self.compose("up", "-d", code=1).err)
        self.assertEqual(self.states(), {})

    def test_kill_and_orphans(self):
        self.up(TWO)
        self.write(ONE)
        self.compose("kill")
        self.assertEqual(self.states(), {"opt-a-1": "exited", "opt-b-1": "running"})
        self.compose("start")
        self.compose("kill", "--remove-orphans", "-s", "KILL")
        self.assertEqual(self.states(), {"opt-a-1": "exited", "opt-b-1": "exited"})

    def test_rm_removes_anonymous_volumes_when_asked(self):
        self.up(f"services: {{a: {{{SLEEP}, volumes: [/anonymous]}}}}\n")
        before = len(self.gantry.get("/volumes")["Volumes"])
        self.compose("rm", "--stop", "--force", "--volumes")
        self.assertEqual(self.states(), {})
        self.assertEqual(len(self.gantry.get("/volumes")["Volumes"] or []), before - 1)

    def test_start_waits(self):
        yaml = f"services: {{a: {{{SLEEP}, healthcheck: {{test: test -e /ready, interval: 1h, start_period: 1h}}}}}}\n"
        self.write(yaml)
        self.compose("create")
        shown = self.compose("start", "--wait", "--wait-timeout", "1", code=1)
        self.assertIn("not healthy after 1s", shown.err)
        self.compose("exec", "-T", "a", "touch", "/ready")
        self.compose("start", "--wait")
        self.assertEqual(self.gantry.inspect("opt-a-1")["State"]["Health"]["Status"], "healthy")

    def test_wait_and_down(self):
        self.up(f"services: {{a: {{image: busybox:test, command: sh -c 'read x; exit 3', stdin_open: true}}, b: {{{SLEEP}}}}}\n")
        waiter = self.gantry.start(self.directory, "wait", "--down-project", "a")
        wait_until(lambda: sockets_of(waiter.pid) >= 2, "it waits")
        self.gantry.command("kill", "opt-a-1")
        waiter.communicate(timeout=60)
        self.assertEqual(waiter.returncode, 137)
        self.assertEqual(self.states(), {})


class Look(Scenarios):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.directory = cls.gantry.project(cls.name, f"""
            services:
              a: {{{SLEEP}, scale: 2, expose: ["7000"], ports: ["127.0.0.1::80"]}}
              talk: {{image: busybox:test, command: sh -c "echo one; echo two"}}
            """)
        cls.gantry.compose(cls.directory, "up", "-d")

    def tearDown(self):
        """One project for all."""

    def test_ps_without_orphans(self):
        self.gantry.compose(self.directory, "-f", "-", "up", "-d", "--remove-orphans=false",
                            stdin=f"services: {{gone: {{{SLEEP}}}}}\n", code=0)
        self.assertIn("opt-gone-1", self.compose("ps", "--orphans").out)
        self.assertNotIn("opt-gone-1", self.compose("ps", "--orphans=false").out)
        self.gantry.command("rm", "-f", "opt-gone-1")

    def test_logs_without_colour_and_since(self):
        wait_until(lambda: "two" in self.compose("logs", "talk").out, "the log")
        coloured = self.compose("--ansi", "always", "logs", "talk").out
        self.assertIn("\x1b[", coloured)
        self.assertNotIn("\x1b[", self.compose("--ansi", "always", "logs", "--no-color", "talk").out)
        self.assertIn("one", self.compose("logs", "--since", "1h", "talk").out)
        self.assertEqual(self.compose("logs", "--since", "2099-01-01", "talk").out, "")

    def test_port_of_a_replica(self):
        first, second = (self.compose("port", "--index", index, "a", "80").out for index in "12")
        self.assertNotEqual(first, second)
        self.assertRegex(second, r"^127\.0\.0\.1:\d+\n$")

    def test_stats_with_whole_ids(self):
        row = json.loads(self.compose("stats", "--no-stream", "--no-trunc", "--format", "json", "a").out.splitlines()[0])
        self.assertEqual(len(row["ID"]), 64)

    def test_export_and_commit_of_a_replica(self):
        self.compose("exec", "-T", "--index", "2", "a", "sh", "-c", "echo second > /which")
        self.compose("export", "--index", "2", "-o", "second.tar", "a")
        with tarfile.open(self.directory / "second.tar") as tar:
            self.assertEqual(tar.extractfile("which").read(), b"second\n")
        self.compose("commit", "--index", "2", "--pause=false", "a", "second:1")
        self.assertEqual(self.gantry.command("run", "--rm", "second:1", "cat", "/which").out, "second\n")

    def test_exec_privileged(self):
        read = "grep CapEff /proc/self/status"
        plain = self.compose("exec", "-T", "a", "sh", "-c", read).out.split()[1]
        privileged = self.compose("exec", "-T", "--privileged", "a", "sh", "-c", read).out.split()[1]
        self.assertGreater(int(privileged, 16), int(plain, 16))

    def test_exec_user_and_directory(self):
        out = self.compose("exec", "-T", "-u", "app", "-w", "/tmp", "a", "sh", "-c", "id -u; pwd").out
        self.assertEqual(out, "1000\n/tmp\n")

    def test_cp_into_one_offs_and_with_owners_and_links(self):
        self.compose("run", "-d", "--name", "opt-once", "a")
        (self.directory / "file").write_text("text\n")
        self.compose("cp", "--all", "file", "a:/all")
        out = self.gantry.command("exec", "opt-once", "cat", "/all").out
        self.assertEqual(out, "text\n")
        self.gantry.command("rm", "-f", "opt-once")
        os.chown(self.directory / "file", 1234, 1234)
        self.compose("cp", "--archive", "file", "a:/owned")
        self.assertEqual(self.compose("exec", "-T", "a", "stat", "-c", "%u", "/owned").out, "1234\n")
        (self.directory / "link").symlink_to("file")
        self.compose("cp", "--follow-link", "link", "a:/followed")
        self.assertEqual(self.compose("exec", "-T", "a", "cat", "/followed").out, "text\n")
        self.compose("exec", "-T", "a", "test", "-L", "/followed", code=1)
        (self.directory / "link").unlink()

    def test_attach_to_a_replica_without_input_and_signals(self):
        directory = self.gantry.project("att", """
            services:
              a: {image: busybox:test, scale: 2, stdin_open: true,
                  command: [sh, -c, "trap 'echo got it; exit 5' TERM; echo ready; while read x; do echo $$x; done; exit 4"]}
            """)
        self.gantry.compose(directory, "up", "-d")
        follower = self.gantry.start(directory, "attach", "--index", "2", "--no-stdin", "--sig-proxy=false", "a")
        wait_until(lambda: sockets_of(follower.pid) >= 1, "it is attached")
        self.gantry.command("stop", "-t", "0", "att-a-2")
        follower.communicate(timeout=60)
        self.assertEqual(follower.returncode, 137)
        self.assertEqual(self.states()["att-a-1"], "running")
        self.gantry.compose(directory, "down", "-t", "0")

    def test_version(self):
        self.assertRegex(self.compose("version", "--short").out, r"^\d+\.\d+\.\d+\n$")
        self.assertEqual(json.loads(self.compose("version", "--format", "json").out)["version"][0], "v")
        self.assertIn("version v", self.compose("version").out)


class Run(Scenarios):
    def test_ports_and_aliases(self):
        self.write(f"services: {{a: {{{SLEEP}, ports: ['127.0.0.1::80']}}}}\n")
        self.compose("run", "-d", "--name", "with", "--service-ports", "--use-aliases", "a")
        self.compose("run", "-d", "--name", "own", "--publish", "127.0.0.1::81", "a")
        self.assertIn("80/tcp", self.gantry.inspect("with")["NetworkSettings"]["Ports"])
        self.assertEqual(list(self.gantry.inspect("own")["HostConfig"]["PortBindings"]), ["81/tcp"])
        self.gantry.command("exec", "own", "nslookup", "a")  # by its alias
        self.assertIn("incompatible", self.compose("run", "-P", "-p", "80", "a", code=1).err)

    def test_build_and_quiet(self):
        self.write("services: {a: {build: .}}\n", Dockerfile="FROM busybox:test\nRUN echo one > /built\n")
        self.gantry.command("rmi", "-f", "opt-a", code=None)
        self.assertEqual(self.compose("run", "--rm", "-T", "--quiet-build", "--quiet-pull", "a", "cat", "/built").out, "one\n")
        self.write("services: {a: {build: .}}\n", Dockerfile="FROM busybox:test\nRUN echo two > /built\n")
        shown = self.compose("run", "--rm", "-T", "--build", "--quiet", "a", "cat", "/built")
        self.assertEqual((shown.out, shown.err), ("two\n", ""))

    def test_no_pull(self):
        self.write("services: {a: {image: 'localhost:1/nosuch:1'}}\n")
        self.compose("run", "--pull", "never", "a", code=1)
        self.assertEqual(self.states(), {})

    def test_orphans(self):
        self.up(TWO)
        self.write(ONE)
        self.assertIn("orphan", self.compose("run", "--rm", "-T", "a", "true").err)
        self.compose("run", "--rm", "-T", "--remove-orphans", "a", "true")
        self.assertEqual(list(self.states()), ["opt-a-1"])

    def test_terminal_flags_contradict(self):
        self.write(ONE)
        self.assertIn("can't be used together", self.compose("run", "--tty", "--no-TTY", "a", code=1).err)
        self.assertEqual(self.compose("run", "--rm", "--no-TTY", "a", "echo", "x").out, "x\n")

    def test_standard_input_is_passed_on(self):
        self.write(ONE)
        self.assertEqual(self.compose("run", "--rm", "-T", "a", "cat", stdin="typed\n").out, "typed\n")
        self.assertEqual(self.compose("run", "--rm", "-T", "-i=false", "a", "cat", stdin="typed\n").out, "")

    def test_capabilities_move(self):
        self.write(ONE.replace("init", "cap_add: [NET_ADMIN], init"))
        self.compose("run", "-d", "--name", "caps", "--cap-drop", "NET_ADMIN", "--cap-add", "SYS_TIME", "a")
        host = self.gantry.inspect("caps")["HostConfig"]
        self.assertEqual([c.removeprefix("CAP_") for c in host["CapAdd"]], ["SYS_TIME"])
        self.assertEqual([c.removeprefix("CAP_") for c in host["CapDrop"]], ["NET_ADMIN"])


class Config(Scenarios):
    YAML = """
        services:
          a: {image: "${IMAGE:-busybox:test}", command: sleep 1000, volumes: ["./data:/data", "named:/named"],
              environment: {HERE: "$HERE"}, env_file: [vars]}
          b: {image: other:1, profiles: [p]}
        volumes: {named: {}, spare: {}}
        networks: {spare: {}}
        """

    def setUp(self):
        self.write(self.YAML, vars="FROM_FILE=yes\n")

    def test_lists(self):
        self.assertEqual(self.compose("config", "--services").out, "a\n")
        self.assertEqual(self.compose("config", "--volumes").out, "named\n")
        self.assertEqual(self.compose("config", "--networks").out, "default\n")
        self.assertEqual(self.compose("config", "--profiles").out, "p\n")
        self.assertEqual(self.compose("config", "--images").out, "busybox:test\n")
        self.assertEqual(self.compose("config", "--models").out, "")
        self.assertIn("HERE=mine\n", self.compose("config", "--environment", env={"HERE": "mine"}).out)

    def test_output_and_quiet(self):
        self.compose("config", "--output", "out.yaml")
        self.assertEqual((self.directory / "out.yaml").read_text(), self.compose("config").out)
        self.assertEqual(self.compose("config", "--quiet").out, "")
        (self.directory / "out.yaml").unlink()

    def test_stages_left_out(self):
        raw = self.compose("config", "--no-interpolate").out
        self.assertIn("${IMAGE:-busybox:test}", raw)
        self.assertIn("source: ./data", self.compose("config", "--no-path-resolution").out)
        self.assertIn("env_file", self.compose("config", "--no-env-resolution").out)
        self.assertNotIn("FROM_FILE", self.compose("config", "--no-env-resolution").out)
        self.assertIn("FROM_FILE", self.compose("config").out)
        self.assertNotIn("opt_default", self.compose("config", "--no-normalize").out)
        self.write("services: {a: {image: x, depends_on: [nosuch]}}\n")
        self.compose("config", "-q", code=1)
        self.compose("config", "-q", "--no-consistency")

    def test_what_config_prints_is_the_same_project(self):
        (self.directory / "again.yaml").write_text(self.compose("config").out)
        self.assertEqual(self.compose("-f", "again.yaml", "config", "--hash", "*").out,
                         self.compose("config", "--hash", "*").out)
        (self.directory / "again.yaml").unlink()


class Watch(Scenarios):
    def test_watch_quiet_and_prune(self):
        self.write("services: {a: {build: ., init: true, command: sleep 1000, "
                   "develop: {watch: [{path: x, action: rebuild}]}}}\n",
                   Dockerfile="FROM busybox:test\nCOPY x /x\n", x="1\n")
        process = self.gantry.start(self.directory, "watch", "--quiet", "--prune")
        try:
            wait_until(lambda: self.states().get("opt-a-1") == "running", "a runs")
            old = self.gantry.get("/images/opt-a/json")["Id"]
            wait_until(lambda: "Watch enabled" in process.stdout.readline(), "watching")
            (self.directory / "x").write_text("2\n")
            wait_until(lambda: self.compose("exec", "-T", "a", "cat", "/x", code=None).out == "2\n", "rebuilt")
            wait_until(lambda: "Id" not in self.gantry.get(f"/images/{old}/json"), "the old image is pruned")
        finally:
            process.terminate()
            process.communicate(timeout=60)


if __name__ == "__main__":
    main()
