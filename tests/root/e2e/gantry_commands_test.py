"""gantry's own commands: docker's flags, output and exit codes."""
import json
import os
import re
import stat
import subprocess
import tarfile

from harness import GantryTest, main, wait_until


class GantryCommands(GantryTest):
    def g(self, *words, **more):
        return self.gantry.command(*words, **more)

    def sleeper(self, name, *options):
        self.g("run", "-d", "--name", name, *options, "busybox:test", "sleep", "1000")

    def test_run_passes_codes_streams_and_input(self):
        self.assertEqual(self.g("run", "--rm", "busybox:test", "sh", "-c", "echo out; echo err >&2; exit 3", code=3).out, "out\n")
        self.assertEqual(self.g("run", "--rm", "-i", "busybox:test", "cat", stdin="a\nb").out, "a\nb")
        self.assertEqual(self.g("run", "--rm", "busybox:test", "nosuch", code=127).out, "")
        self.assertEqual(self.g("run", "--rm", "busybox:test", "/etc", code=126).out, "")
        self.g("run", "--rm", "-m", "1m", "busybox:test", "true", code=125)
        self.assertEqual(self.g("ps", "-aq").out, "")

    def test_run_options_reach_the_container(self):
        out = self.g("run", "--rm", "-e", "A=1", "-e", "FROM", "-w", "/tmp", "-u", "1000:1000", "-h", "box", "-l", "x=y", "--entrypoint", "sh",
                     "busybox:test", "-c", "echo $A $FROM $(pwd) $(id -u) $(hostname)", env={"FROM": "host"}).out
        self.assertEqual(out, "1 host /tmp 1000 box\n")

    def test_cidfile_and_create_and_start(self):
        cid = self.gantry.root / "cid"
        self.g("create", "--name", "cc", "--cidfile", cid, "busybox:test", "echo", "hello")
        self.assertEqual(cid.read_text(), self.gantry.inspect("cc")["Id"])
        self.assertIn("container ID file found", self.g("create", "--cidfile", cid, "busybox:test", code=1).err)
        self.assertEqual(self.g("start", "-a", "cc").out, "hello\n")
        self.assertEqual(self.g("wait", "cc").out, "0\n")

    def test_ps_formats_and_filters(self):
        self.sleeper("one", "-l", "team=x")
        self.sleeper("two")
        self.assertRegex(self.g("ps").out.splitlines()[0], r"CONTAINER ID   IMAGE {10}COMMAND {8}CREATED +STATUS +PORTS +NAMES")
        self.assertEqual(sorted(self.g("ps", "--format", "{{.Names}}").out.split()), ["one", "two"])
        self.assertEqual(self.g("ps", "-f", "label=team=x", "--format", '{{.Names}} {{.Label "team"}} {{.State}}').out, "one x running\n")
        self.assertEqual(self.g("ps", "--format", "table {{.Names}}\\t{{.Image}}", "-f", "name=two").out, "NAMES     IMAGE\ntwo       busybox:test\n")
        row = json.loads(self.g("ps", "--format", "json", "-f", "name=one").out)
        self.assertEqual((row["Names"], row["Labels"], row["State"]), ("one", "team=x", "running"))
        self.assertEqual(self.g("ps", "-lq", "--no-trunc").out.strip(), self.gantry.inspect("two")["Id"])
        self.assertIn("no entry for key", self.g("ps", "--format", "{{.Nope}}", code=1).err)

    def test_inspect_templates(self):
        self.sleeper("box", "-p", "127.0.0.1::80", "-v", "data:/d")
        self.assertEqual(self.g("inspect", "-f", "{{.State.Status}} {{len .Mounts}} {{(index .Mounts 0).Name}}", "box").out, "running 1 data\n")
        self.assertEqual(self.g("inspect", "-f", '{{range $k, $v := .NetworkSettings.Networks}}{{$k}}{{end}}', "box").out, "bridge\n")
        self.assertEqual(self.g("inspect", "-f", '{{json .Config.Cmd}}', "box").out, '["sleep","1000"]\n')
        self.assertEqual(json.loads(self.g("inspect", "box").out)[0]["Name"], "/box")
        self.assertEqual(self.g("inspect", "--type", "volume", "-f", "{{.Name}}", "data").out, "data\n")
        result = self.g("inspect", "nosuch", code=1)
        self.assertEqual((result.out.strip(), result.err.strip()), ("[]", "No such object: nosuch"))
        self.assertRegex(self.g("port", "box").out, r"^80/tcp -> 127.0.0.1:\d+\n$")
        self.assertRegex(self.g("port", "box", "80").out, r"^127.0.0.1:\d+\n$")
        self.g("port", "box", "81", code=1)
        self.g("rm", "-f", "box")
        self.g("volume", "rm", "data")

    def test_states(self):
        self.sleeper("ss", "--init")
        state = lambda: self.gantry.inspect("ss")["State"]["Status"]
        self.assertEqual(self.g("pause", "ss").out, "ss\n")
        self.assertEqual(state(), "paused")
        self.g("unpause", "ss")
        self.g("restart", "-t", "5", "ss")
        self.assertEqual(state(), "running")
        self.g("rename", "ss", "tt")
        self.g("stop", "-t", "5", "tt")
        self.assertEqual(self.gantry.inspect("tt")["State"]["ExitCode"], 143)
        self.g("start", "tt")
        self.g("kill", "-s", "KILL", "tt")
        self.assertEqual(self.g("wait", "tt").out, "137\n")
        self.assertIn("No such container", self.g("stop", "nosuch", code=1).err)
        self.assertEqual(self.g("rm", "tt", "nosuch", code=1).out, "tt\n")

    def test_exec_and_logs(self):
        self.g("run", "-d", "--name", "xx", "busybox:test", "sh", "-c", "printf 'one\\ntwo'; exec sleep 1000")
        self.assertEqual(self.g("exec", "-e", "A=b", "-w", "/tmp", "xx", "sh", "-c", "echo $A $(pwd); exit 4", code=4).out, "b /tmp\n")
        self.assertEqual(self.g("exec", "-i", "xx", "cat", stdin="in").out, "in")
        self.g("kill", "xx")
        wait_until(lambda: self.gantry.inspect("xx")["State"]["Status"] == "exited", "killed")
        self.assertEqual(self.g("logs", "xx").out, "one\ntwo")
        self.assertEqual(self.g("logs", "-n", "1", "xx").out, "two")
        self.assertRegex(self.g("logs", "-t", "xx").out, r"^\d{4}-\d\d-\d\dT[\d:.]+Z one\n")

    def test_volumes(self):
        self.assertEqual(self.g("volume", "create", "--label", "a=b", "v1").out, "v1\n")
        self.assertIn("v1", self.g("volume", "ls", "--format", "{{.Name}}").out)
        self.assertEqual(self.g("volume", "ls", "-q", "-f", "label=a=b").out, "v1\n")
        self.assertEqual(self.g("volume", "inspect", "-f", "{{.Driver}}", "v1").out, "local\n")
        self.assertEqual(self.g("volume", "rm", "v1").out, "v1\n")
        self.g("volume", "rm", "v1", code=1)
        self.g("volume", "rm", "-f", "v1")

    def test_events(self):
        self.g("run", "--name", "ev", "--rm", "busybox:test", "true")
        out = self.g("events", "--since", "1m", "--until", "0s", "-f", "container=ev", "--format", "{{.Action}}").out.split()
        self.assertEqual([a for a in out if a in ("create", "start", "die", "destroy")], ["create", "start", "die", "destroy"])

    def test_help_and_mistakes(self):
        self.assertIn("Usage:  gantry volume COMMAND", self.g("volume").out)
        self.assertIn("Usage:  gantry volume ls", self.g("volume", "ls", "--help").out)
        self.assertIn("did you mean", self.g("volume", "lss", code=1).err)
        self.assertIn("ps", self.g("--help").out)
        self.assertEqual(self.g("container", "ls", "-aq").out, "")

    def test_completion(self):
        self.sleeper("tabbed")
        words = lambda *typed: self.g("completion", "words", *typed).out.split()
        self.assertIn("ps", words("p"))
        self.assertIn("ls", words("volume", ""))
        self.assertIn("--filter", words("ps", "--f"))
        self.assertEqual(words("stop", "tab"), ["tabbed"])
        script = self.g("completion", "bash").out
        self.assertEqual(subprocess.run(["bash", "-n"], input=script, text=True).returncode, 0)

    def test_downloads_replace_files_but_no_devices(self):
        self.sleeper("source")
        pipe, file = self.gantry.root / "pipe", self.gantry.root / "out.tar"
        os.mkfifo(pipe)
        for words in (("export", "source"), ("save", "busybox:test")):
            file.write_text("old")
            self.g(words[0], "-o", file, words[1])
            with tarfile.open(file) as tar:
                self.assertTrue(tar.getnames())
            # Whoever opens the pipe gets the archive, and the pipe is still one.
            copy = self.gantry.root / "copy"
            with open(copy, "wb") as into:
                reader = subprocess.Popen(["cat", pipe], stdout=into)
            self.g(words[0], "-o", pipe, words[1])
            self.assertEqual(reader.wait(60), 0)
            self.assertGreater(copy.stat().st_size, 100_000)
            self.assertTrue(stat.S_ISFIFO(os.stat(pipe).st_mode))
        self.g("export", "-o", file, "nosuch", code=1)
        self.assertFalse((self.gantry.root / "out.tar.partial").exists())

    def test_info_and_df(self):
        self.assertRegex(self.g("info", "-f", "{{.OSType}} {{.NCPU}}").out, r"^linux \d+\n$")
        self.assertIn("Server Version", self.g("info").out)


if __name__ == "__main__":
    main()
