"""The commands of docker compose that look at or act on what runs: output columns, JSON shapes, exit codes."""
import io
import json
import os
import re
import tarfile

from harness import GantryTest, main, sockets_of, wait_until

YAML = """
    services:
      a:
        image: busybox:test
        init: true
        command: sh -c "echo hello; exec sleep 1000"
        volumes: ["data:/data"]
        ports: ["127.0.0.1::80"]
        expose: ["81"]
      b: {image: busybox:test, init: true, command: sleep 1000, depends_on: [a], scale: 2}
    volumes: {data: {}}
    """


def needs(route):
    """Skips where the engine has no such route (yet)."""
    def decorate(test):
        def wrapped(self):
            answer = self.gantry.get(route)
            if isinstance(answer, dict) and answer.get("message") == "page not found":
                self.skipTest(f"the engine has no {route}")
            return test(self)
        wrapped.__name__ = test.__name__
        return wrapped
    return decorate


class Commands(GantryTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.directory = cls.gantry.project("cc", YAML)
        cls.gantry.compose(cls.directory, "up", "-d")

    def tearDown(self):
        """One project for all: what a test changes it puts back."""

    def compose(self, *words, **options):
        return self.gantry.compose(self.directory, *words, **options)

    def test_ps_formats(self):
        self.assertEqual(self.compose("ps", "--format", "{{.Name}} {{.Service}}").out, "cc-a-1 a\ncc-b-1 b\ncc-b-2 b\n")
        table = self.compose("ps", "--format", "table {{.Name}}\\t{{.State}}").out.splitlines()
        self.assertEqual(table[0].split(), ["NAME", "STATE"])
        self.assertEqual(table[1].split(), ["cc-a-1", "running"])
        row = json.loads(self.compose("ps", "--format", "json", "a").out)
        for key in ("Command CreatedAt ExitCode Health ID Image Labels LocalVolumes Mounts Name Names Networks Ports "
                    "Project Publishers RunningFor Service Size State Status").split():
            self.assertIn(key, row)
        self.assertEqual(len(row["ID"]), 12)
        self.assertEqual(len(json.loads(self.compose("ps", "--no-trunc", "--format", "json", "a").out)["ID"]), 64)
        self.assertIn("could not be parsed", self.compose("ps", "--format", "nonsense", code=1).err)

    def test_ps_filters(self):
        self.assertEqual(self.compose("ps", "-q", "--status", "exited").out, "")
        self.assertEqual(len(self.compose("ps", "-q", "--filter", "status=running").out.split()), 3)
        self.assertIn("unknown filter x", self.compose("ps", "--filter", "x=y", code=1).err)
        self.assertIn("form KEY=VAL", self.compose("ps", "--filter", "x", code=1).err)
        self.assertIn("no such service: x", self.compose("ps", "x", code=1).err)
        self.assertEqual(self.compose("ps", "--services").out, "a\nb\n")

    @needs("/containers/cc-a-1/top")
    def test_top(self):
        lines = self.compose("top", "a").out.splitlines()
        self.assertEqual(lines[0].split()[:3], ["SERVICE", "#", "UID"])
        self.assertTrue(lines[0].endswith("CMD"), lines[0])
        self.assertTrue(any("sleep 1000" in line for line in lines[1:]), lines)
        self.assertEqual(self.compose("top", "nosuch").out, "")

    @needs("/containers/nosuch/stats?stream=0")
    def test_stats(self):
        rows = [json.loads(line) for line in self.compose("stats", "--no-stream", "--format", "json").out.splitlines()]
        self.assertEqual([row["Name"] for row in rows], ["cc-a-1", "cc-b-1", "cc-b-2"])
        self.assertEqual(sorted(rows[0]), ["BlockIO", "CPUPerc", "Container", "ID", "MemPerc", "MemUsage", "Name", "NetIO",
                                           "PIDs"])
        self.assertRegex(rows[0]["CPUPerc"], r"^\d+\.\d\d%$")
        table = self.compose("stats", "--no-stream", "a").out.splitlines()
        self.assertTrue(table[0].startswith("CONTAINER ID"), table)
        self.assertEqual(len(table), 2)

    def test_volumes(self):
        self.assertEqual(self.compose("volumes").out.split(), ["DRIVER", "VOLUME", "NAME", "local", "cc_data"])
        row = json.loads(self.compose("volumes", "--format", "json").out)
        self.assertEqual((row["Name"], row["Driver"], row["Scope"]), ("cc_data", "local", "local"))
        self.assertEqual(self.compose("volumes", "-q", "b").out, "")

    def test_images(self):
        rows = json.loads(self.compose("images", "--format", "json").out)
        self.assertEqual([row["ContainerName"] for row in rows], ["cc-a-1", "cc-b-1", "cc-b-2"])
        self.assertEqual((rows[0]["Repository"], rows[0]["Tag"]), ("busybox", "test"))
        self.assertEqual(len(self.compose("images", "-q").out.split()), 1)

    def test_port(self):
        address = self.compose("port", "a", "80").out.strip()
        self.assertRegex(address, r"^127\.0\.0\.1:\d+$")
        self.assertIn("no port 82/tcp for container cc-a-1", self.compose("port", "a", "82", code=1).err)
        self.compose("port", "--protocol", "udp", "a", "80", code=1)

    def test_pause_and_unpause(self):
        self.assertIn("Paused", self.compose("pause", "a").err)
        self.assertEqual(self.gantry.containers()["cc-a-1"]["State"], "paused")
        self.assertIn("is paused", self.compose("why", "a").out)
        self.compose("pause", "a", code=1)
        self.assertIn("Unpaused", self.compose("unpause", "a").err)
        self.assertEqual(self.gantry.containers()["cc-a-1"]["State"], "running")

    @needs("/containers/nosuch/archive?path=/")
    def test_cp_goes_to_every_replica_and_comes_from_the_first(self):
        source = self.directory / "file"
        source.write_text("content\n")
        self.compose("cp", "file", "b:/tmp/copy")
        for index in ("1", "2"):
            self.assertEqual(self.compose("exec", "-T", "--index", index, "b", "cat", "/tmp/copy").out, "content\n")
        self.compose("cp", "--index", "2", "file", "b:/tmp/only")
        self.compose("exec", "-T", "--index", "1", "b", "cat", "/tmp/only", code=1)
        self.compose("cp", "b:/tmp/copy", "back")
        self.assertEqual((self.directory / "back").read_text(), "content\n")

    @needs("/containers/nosuch/archive?path=/")
    def test_cp_follows_dockers_rules_about_directories(self):
        tree = self.directory / "tree" / "sub"
        tree.mkdir(parents=True, exist_ok=True)
        (tree / "x").write_text("x\n")
        os.chmod(tree / "x", 0o640)
        self.compose("exec", "-T", "a", "sh", "-c", "rm -rf /tmp/*; mkdir /tmp/there")
        self.compose("cp", "tree", "a:/tmp/there")
        self.compose("cp", "tree", "a:/tmp/new")
        self.compose("cp", "tree/.", "a:/tmp/there")
        found = self.compose("exec", "-T", "a", "sh", "-c", "cd /tmp; find . -type f | sort").out
        self.assertEqual(found, "./new/sub/x\n./there/sub/x\n./there/tree/sub/x\n")
        self.assertEqual(self.compose("exec", "-T", "a", "stat", "-c", "%a %u", "/tmp/new/sub/x").out, "640 0\n")
        self.compose("cp", "a:/tmp/there/.", "out", code=None)
        self.compose("cp", "a:/tmp/new", "fetched")
        self.assertEqual((self.directory / "fetched" / "sub" / "x").read_text(), "x\n")
        self.assertIn("Could not find the file", self.compose("cp", "a:/nope", "x", code=1).err)
        self.assertIn("no container found", self.compose("cp", "nosuch:/x", "x", code=1).err)

    @needs("/containers/nosuch/archive?path=/")
    def test_cp_streams_tar(self):
        process = self.gantry.start(self.directory, "cp", "a:/etc/passwd", "-")
        data, _ = process.communicate(timeout=60)
        with tarfile.open(fileobj=io.BytesIO(data.encode())) as tar:
            self.assertEqual(tar.getnames(), ["passwd"])
        pack = io.BytesIO()
        with tarfile.open(fileobj=pack, mode="w") as tar:
            entry = tarfile.TarInfo("from-stream")
            entry.size = 3
            tar.addfile(entry, io.BytesIO(b"hey"))
        self.compose("cp", "-", "a:/tmp", stdin=pack.getvalue().decode("latin-1"))
        self.assertEqual(self.compose("exec", "-T", "a", "cat", "/tmp/from-stream").out, "hey")

    @needs("/containers/nosuch/export")
    def test_export_and_commit(self):
        self.compose("export", "-o", "a.tar", "a")
        with tarfile.open(self.directory / "a.tar") as tar:
            self.assertIn("bin/busybox", [name.lstrip("./") for name in tar.getnames()])
        self.compose("exec", "-T", "a", "sh", "-c", "echo changed > /changed")
        result = self.compose("commit", "-m", "message", "-a", "me", "-c", "ENV X=1", "a", "snap:1")
        self.assertIn("Committed as sha256:", result.err)
        image = self.gantry.get("/images/snap:1/json")
        self.assertIn("X=1", image["Config"]["Env"])
        self.assertEqual(image["Author"], "me")
        out = self.gantry.command("run", "--rm", "snap:1", "cat", "/changed").out
        self.assertEqual(out, "changed\n")

    def test_events(self):
        follower = self.gantry.start(self.directory, "events", "--json", "a")
        wait_until(lambda: sockets_of(follower.pid), "the follower asks the daemon")
        try:
            self.compose("restart", "-t", "0", "a")
            seen = []
            while "start" not in seen:
                event = json.loads(follower.stdout.readline())
                seen.append(event["action"])
                self.assertEqual((event["service"], event["type"]), ("a", "container"))
                self.assertEqual([key for key in event["attributes"] if key.startswith("com.docker.compose")], [])
            self.assertIn("die", seen)
        finally:
            follower.terminate()
            follower.wait()
            follower.stdout.close(), follower.stderr.close()
        text = self.compose("events", "--since", "10m", "--until", "0s", "a").out
        self.assertRegex(text, r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} container start [0-9a-f]{64} \(")

    def test_logs_options(self):
        wait_until(lambda: "hello" in self.compose("logs", "a").out, "the log")
        self.assertEqual(self.compose("logs", "--no-log-prefix", "--tail", "1", "a").out, "hello\n")
        self.assertRegex(self.compose("logs", "-t", "--tail", "1", "a").out, r"a-1  \| \d{4}-\d\d-\d\dT\S+Z hello\n")
        self.assertEqual(self.compose("logs", "--until", "2001-01-01", "a").out, "")
        self.assertEqual(self.compose("logs", "--tail", "0", "a").out, "")
        self.assertIn("--index requires one service", self.compose("logs", "--index", "1", code=1).err)

    def test_wait_prints_and_returns_the_code(self):
        directory = self.gantry.project("waits", """
            services:
              a: {image: busybox:test, command: sh -c "read x; exit 7", stdin_open: true}
              b: {image: busybox:test, command: 'true'}
            """)
        self.gantry.compose(directory, "up", "-d")
        waiter = self.gantry.start(directory, "wait", "a")
        wait_until(lambda: sockets_of(waiter.pid) == 2, "it has found the container and makes a connection for it")
        self.gantry.compose(directory, "kill", "-s", "KILL", "a")
        out, _ = waiter.communicate(timeout=60)
        self.assertRegex(out, r'^container "[0-9a-f]{64}" exited with status code 137\n$')
        self.assertEqual(waiter.returncode, 137)
        wait_until(lambda: self.gantry.containers()["waits-b-1"]["State"] == "exited", "b ends")
        self.assertIn('no containers for project "waits"', self.gantry.compose(directory, "wait", "b", code=1).err)
        self.gantry.compose(directory, "down", "-t", "0")

    def test_kill_and_rm(self):
        directory = self.gantry.project("kills", "services: {a: {image: busybox:test, init: true, command: sleep 1000}}\n")
        self.gantry.compose(directory, "up", "-d")
        self.assertIn("No stopped containers", self.gantry.compose(directory, "rm", "-f").err)
        self.gantry.compose(directory, "kill", "-s", "TERM")
        wait_until(lambda: self.gantry.containers()["kills-a-1"]["State"] == "exited", "a ends")
        quiet = self.gantry.compose(directory, "kill")
        self.assertIn("No container to kill", quiet.err)
        self.assertIn("No container to kill", self.gantry.compose(directory, "kill", env={"COMPOSE_STATUS_STDOUT": "1"}).out)
        self.gantry.compose(directory, "rm", stdin="n\n")
        self.assertIn("kills-a-1", self.gantry.containers())
        result = self.gantry.compose(directory, "rm", stdin="y\n")
        self.assertIn("Going to remove kills-a-1", result.out)
        self.assertNotIn("kills-a-1", self.gantry.containers())
        self.gantry.compose(directory, "down")

    def test_ls(self):
        rows = json.loads(self.compose("ls", "--format", "json", "--filter", "name=^cc$").out)
        self.assertEqual([(r["Name"], r["Status"]) for r in rows], [("cc", "running(3)")])
        self.assertTrue(rows[0]["ConfigFiles"].endswith("/compose.yaml"))
        self.assertEqual(self.compose("ls", "-q", "--filter", "name=nosuch").out, "")

    def test_viz_and_generate(self):
        graph = self.compose("viz", "--image", "--ports", "--networks", "--spaces", "--indentation-size", "2")
        self.assertIn("EXPERIMENTAL", graph.err)
        self.assertIn('digraph "cc" {\n  layout=dot;\n', graph.out)
        self.assertIn('  "b" -> "a";\n', graph.out)
        made = json.loads(self.compose("alpha", "generate", "--format", "json", "--name", "again", "cc-a-1").out)
        self.assertEqual(made["name"], "again")
        self.assertEqual(made["services"]["a"]["image"], "busybox:test")
        directory = self.gantry.projects / "generated"
        directory.mkdir(exist_ok=True)
        self.compose("generate", "--project-dir", str(directory), "cc-a-1")
        self.assertEqual(self.gantry.compose(directory, "config", "--services").out, "a\n")

    def test_exec_details(self):
        self.assertIn('service "nosuch" is not running', self.compose("exec", "nosuch", "true", code=1).err)
        self.assertIn("is not running container #9", self.compose("exec", "--index", "9", "a", "true", code=1).err)
        self.assertEqual(self.compose("exec", "-T", "-e", "V", "a", "sh", "-c", "echo $V", env={"V": "mine"}).out, "mine\n")
        self.compose("exec", "-d", "a", "sh", "-c", "echo x > /tmp/detached")
        wait_until(lambda: self.compose("exec", "-T", "a", "cat", "/tmp/detached", code=None).out == "x\n", "it ran")

    def test_run_details(self):
        (self.directory / "vars").write_text("FROM_FILE=file\n")
        out = self.compose("run", "--rm", "-T", "--no-deps", "-e", "V=1", "--env-from-file", "vars", "-w", "/tmp", "-u", "app",
                           "-l", "x=y", "-v", str(self.directory) + ":/host:ro", "--cap-drop", "CHOWN", "a", "sh", "-c",
                           "echo $V $FROM_FILE $PWD $(id -u) $(ls /host/vars)").out
        self.assertEqual(out, "1 file /tmp 1000 /host/vars\n")
        self.assertEqual(self.compose("run", "--rm", "-T", "--entrypoint", "echo entry", "a").out, "entry\n")
        name = self.compose("run", "-d", "--name", "one-off", "a", "sleep", "1000").out.strip()
        self.assertRegex(name, "^[0-9a-f]{64}$")
        details = self.gantry.inspect("one-off")
        self.assertEqual(details["Config"]["Labels"]["com.docker.compose.oneoff"], "True")
        self.assertEqual(details["HostConfig"]["PortBindings"] or {}, {})
        self.assertNotIn("one-off", self.compose("ps").out)
        self.assertIn("one-off", self.compose("ps", "-a").out)
        self.gantry.command("rm", "-f", "one-off")
        self.assertIn("label must be set as KEY=VALUE", self.compose("run", "-l", "x", "a", code=1).err)

    def test_dry_run_touches_nothing(self):
        before = {n: (c["Id"], c["State"]) for n, c in self.gantry.containers().items()}
        volumes = self.gantry.get("/volumes")
        for words in (["stop"], ["kill"], ["restart"], ["down", "-v"], ["pause"], ["rm", "-sf"], ["scale", "b=5"],
                      ["up", "-d", "--force-recreate"], ["create", "--force-recreate"], ["run", "a", "true"], ["pull"],
                      ["push"], ["commit", "a", "x:y"], ["export", "-o", "never.tar", "a"], ["cp", "compose.yaml", "a:/x"],
                      ["exec", "a", "touch", "/x"], ["build"], ["start"], ["unpause"], ["wait", "a"], ["up"]):
            self.compose("--dry-run", *words, code=0)
        self.assertEqual({n: (c["Id"], c["State"]) for n, c in self.gantry.containers().items()}, before)
        self.assertEqual(self.gantry.get("/volumes"), volumes)
        self.assertFalse((self.directory / "never.tar").exists())
        self.compose("exec", "-T", "a", "test", "-e", "/x", code=1)

    def test_restart_keeps_identity(self):
        before = self.gantry.inspect("cc-a-1")
        self.compose("restart", "-t", "0", "--no-deps", "a")
        after = self.gantry.inspect("cc-a-1")
        self.assertEqual(before["Id"], after["Id"])
        self.assertNotEqual(before["State"]["Pid"], after["State"]["Pid"])

    def test_plugin_mode(self):
        plugin = self.gantry.root / "docker-compose"
        if not plugin.exists():
            plugin.symlink_to(self.gantry.daemon_command[0])
        import subprocess
        run = lambda *words: subprocess.run([plugin, *words], cwd=self.directory, env=self.gantry.environment,
                                            capture_output=True, text=True, timeout=60)
        metadata = json.loads(run("docker-cli-plugin-metadata").stdout)
        self.assertEqual(metadata["SchemaVersion"], "0.1.0")
        self.assertEqual(run("compose", "ps", "--services").stdout, "a\nb\n")
        self.assertEqual(run("ps", "--services").stdout, "a\nb\n")

    def test_progress_modes(self):
        self.assertIn(" Container cc-a-1 Running ", self.compose("--progress", "plain", "up", "-d").err)
        rows = [json.loads(line) for line in self.compose("--progress", "json", "up", "-d").err.splitlines()]
        self.assertTrue(any(row.get("id") == "Container cc-a-1" for row in rows), rows)
        self.assertEqual(self.compose("--progress", "quiet", "up", "-d").err, "")
        self.assertIn("unsupported --progress value", self.compose("--progress", "x", "up", "-d", code=1).err)
        self.assertIn("can't use --progress tty while ANSI support is disabled",
                      self.compose("--progress", "tty", "--ansi", "never", "up", "-d", code=1).err)
        error = self.compose("--progress", "json", "up", "-d", "nosuch", code=1).err
        self.assertTrue(json.loads(error.splitlines()[-1])["error"])


if __name__ == "__main__":
    main()
