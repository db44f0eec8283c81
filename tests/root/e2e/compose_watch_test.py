"""develop.watch: changes of files become copies, restarts, commands and builds."""
import os
import shutil
import signal
import subprocess
import time

from harness import GantryTest, main, wait_until

DOCKERFILE = "FROM busybox:test\nCOPY version /version\nCMD [\"sleep\", \"1000\"]\n"


class Watch(GantryTest):
    def setUp(self):
        if self.gantry.get("/containers/nosuch/archive?path=/").get("message") == "page not found":
            self.skipTest("the engine cannot copy files into containers")

    def watch(self, yaml, *words, **files):
        self.directory = self.gantry.project("w", yaml, **files)
        self.process = self.gantry.start(self.directory, "watch", "--quiet", *words)
        self.lines = []
        self.addCleanup(self.end)
        self.until("Watch enabled")

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
        self.process.stdout.close(), self.process.stderr.close()

    def until(self, text):
        while True:
            line = self.process.stdout.readline()
            if line == "":
                raise AssertionError(f"ended before {text!r}: {self.lines} {self.process.stderr.read()}")
            self.lines.append(line.rstrip("\n"))
            if text in line:
                return line

    def inside(self, *words, code=0):
        return self.gantry.compose(self.directory, "exec", "-T", "a", *words, code=code).out

    SYNC = """
        services:
          a:
            image: busybox:test
            init: true
            command: sleep 1000
            develop:
              watch:
                - {action: sync, path: src, target: /app, ignore: ["*.tmp", "node_modules/"]}
        """

    def git(self, *words):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "gc.auto=0", *words],
                       cwd=self.directory / "src", check=True, capture_output=True,
                       env={"PATH": os.environ["PATH"], "HOME": str(self.gantry.root), "GIT_CONFIG_NOSYSTEM": "1"})

    def syncs(self):
        return [line for line in self.lines if line.startswith("Syncing")]

    def test_a_checkout_is_one_batch(self):
        count = 2_000  # ./dev bench watch does it with 10,000
        self.directory = self.gantry.project("w", self.SYNC)
        source = self.directory / "src"
        source.mkdir(exist_ok=True)
        self.addCleanup(shutil.rmtree, source)
        self.git("init", "-q")
        for text in ("old", "new"):
            for i in range(count):
                path = source / str(i // 100) / str(i)
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
            self.git("checkout", "-q", "-b", text)
            self.git("add", "-A")
            self.git("commit", "-q", "-m", text)
        self.watch(self.SYNC)
        self.git("checkout", "-q", "old")
        self.until(f"after {count} changes were detected")
        (source / "last").write_text("x")
        self.until("after 1 change was detected")  # batches come one after the other: the first one is done
        self.assertEqual(len(self.syncs()), 2, self.lines)
        self.assertEqual(self.inside("sh", "-c", "cat /app/*/* | sort | uniq -c | wc -l").strip(), "1")
        self.assertEqual(self.inside("sh", "-c", "ls /app/*/* | wc -l").strip(), str(count))

    def test_a_batch_ends_when_git_lets_its_index_go(self):
        self.directory = self.gantry.project("w", self.SYNC, src__one="1")
        self.addCleanup(shutil.rmtree, self.directory / "src")
        self.git("init", "-q")
        self.watch(self.SYNC)
        source = self.directory / "src"
        (source / ".git/index.lock").write_text("")
        (source / "one").write_text("changed")
        time.sleep(1)  # longer than a batch without git stays open; a slower machine sees the same
        (source / "two").write_text("new")
        (source / ".git/index.lock").rename(source / ".git/index")
        self.until('Syncing service "a" after 2 changes were detected')
        self.assertEqual(len(self.syncs()), 1, self.lines)

    def test_sync_of_new_changed_deleted_and_renamed_files(self):
        self.watch(self.SYNC, src__one="1\n")
        source = self.directory / "src"
        (source / "one").write_text("changed\n")
        self.until('Syncing service "a" after 1 change was detected')
        wait_until(lambda: self.inside("cat", "/app/one", code=None) == "changed\n", "the change arrives")
        (source / "deep" / "er").mkdir(parents=True)
        (source / "deep" / "er" / "file").write_text("deep\n")
        wait_until(lambda: self.inside("cat", "/app/deep/er/file", code=None) == "deep\n", "a new directory arrives")
        (source / "one").rename(source / "two")
        wait_until(lambda: self.inside("ls", "/app") == "deep\ntwo\n", "the rename arrives")
        shutil.rmtree(source / "deep")
        wait_until(lambda: self.inside("ls", "/app") == "two\n", "the deletion arrives")

    def test_ignored_files_stay_away(self):
        self.watch(self.SYNC, src__one="1\n")
        source = self.directory / "src"
        (source / "node_modules").mkdir()
        (source / "node_modules" / "x").write_text("x")
        (source / "x.tmp").write_text("x")
        (source / ".file.swp").write_text("x")
        (source / "last").write_text("x")
        wait_until(lambda: "last" in (self.inside("ls", "-A", "/app", code=None) or ""), "the last one arrives")
        self.assertEqual(self.inside("ls", "-A", "/app"), "last\n")

    def test_initial_sync_and_include(self):
        self.watch(self.SYNC.replace("target: /app", 'initial_sync: true, include: ["*.py"], target: /app'),
                   src__a_py="", src__b_txt="", **{"src__main.py": "print()\n"})
        wait_until(lambda: self.inside("ls", "/app", code=None) == "main.py\n", "what was there arrives")

    def test_thousands_of_files_are_one_batch(self):
        self.watch(self.SYNC, src__one="1\n")
        source = self.directory / "src" / "many"
        source.mkdir()
        for i in range(2000):
            (source / f"f{i}").write_text(str(i))
        wait_until(lambda: self.inside("sh", "-c", "ls /app/many 2>/dev/null | wc -l") == "2000\n", "all arrive", 60)
        self.process.send_signal(signal.SIGINT)
        rest = self.process.stdout.read().splitlines()
        self.assertLessEqual(len([l for l in self.lines + rest if l.startswith("Syncing")]), 4)

    def test_sync_restart_and_sync_exec(self):
        self.watch("""
            services:
              a:
                image: busybox:test
                init: true
                command: sleep 1000
                develop:
                  watch:
                    - {action: sync+restart, path: conf, target: /conf}
                    - {action: sync+exec, path: src, target: /app, exec: {command: [sh, -c, "cp /app/x /ran"]}}
            """, conf__c="1\n", src__x="1\n")
        pid = self.gantry.inspect("w-a-1")["State"]["Pid"]
        (self.directory / "src" / "x").write_text("2\n")
        wait_until(lambda: self.inside("cat", "/ran", code=None) == "2\n", "the command ran")
        self.assertEqual(self.gantry.inspect("w-a-1")["State"]["Pid"], pid)
        (self.directory / "conf" / "c").write_text("2\n")
        self.until('service(s) ["a"] restarted')
        self.assertNotEqual(self.gantry.inspect("w-a-1")["State"]["Pid"], pid)
        self.assertEqual(self.inside("cat", "/conf/c"), "2\n")

    def test_rebuild(self):
        self.watch("""
            services:
              a:
                build: .
                init: true
                develop: {watch: [{action: rebuild, path: version}]}
            """, Dockerfile=DOCKERFILE, version="1\n")
        self.assertEqual(self.inside("cat", "/version"), "1\n")
        (self.directory / "version").write_text("2\n")
        self.until('service(s) ["a"] successfully built')
        wait_until(lambda: self.inside("cat", "/version", code=None) == "2\n", "the new container")

    def test_two_watches_of_one_project_are_refused(self):
        self.watch(self.SYNC, src__one="1\n")
        other = self.gantry.compose(self.directory, "watch", "--no-up", code=1)
        self.assertIn('cannot take exclusive lock for project "w": process with PID', other.err)

    def test_nothing_to_watch_is_said(self):
        directory = self.gantry.project("n", "services: {a: {image: busybox:test}}\n")
        self.assertIn("none of the selected services is configured for watch",
                      self.gantry.compose(directory, "watch", code=1).err)

    def test_a_change_arrives_quickly(self):
        self.watch(self.SYNC, src__one="1\n")
        container = self.gantry.inspect("w-a-1")
        pid = container["State"]["Pid"]
        fast = []
        for i in range(5):
            begun = time.monotonic()
            (self.directory / "src" / "one").write_text(f"{i}\n")
            path = f"/proc/{pid}/root/app/one"
            wait_until(lambda: os.path.exists(path) and open(path).read() == f"{i}\n", "it arrives")
            fast.append(time.monotonic() - begun)
        print("watch latency in ms:", [round(t * 1000) for t in fast])


if __name__ == "__main__":
    main()
