"""What a container sees and may use, looked at from inside: mounts, devices, namespaces, limits that bite."""
import json
import os
import pathlib
import re

from harness import BIN, GantryTest, main, parent_of, wait_until


class Isolation(GantryTest):
    def sh(self, script, *options, code=0, **more):
        return self.gantry.command("run", "--rm", *options, "busybox:test", "sh", "-c", script, code=code, **more).out

    def fails(self, *words):
        result = self.gantry.command(*words, code=None)
        self.assertNotEqual(result.code, 0, result)
        return result.err

    def test_mounts_are_dockers(self):
        table = {}
        for line in self.sh("cat /proc/self/mounts").splitlines():
            kind, target, fs, options, *_ = line.split()
            table[target] = (fs, set(options.split(",")))
        for target, fs, options in (("/", "overlay", {"rw"}), ("/proc", "proc", {"nosuid", "nodev", "noexec"}),
                                    ("/dev", "tmpfs", {"nosuid"}), ("/dev/pts", "devpts", {"nosuid", "noexec"}),
                                    ("/sys", "sysfs", {"ro", "nosuid", "nodev", "noexec"}),
                                    ("/dev/mqueue", "mqueue", {"nosuid", "nodev", "noexec"}),
                                    ("/dev/shm", "tmpfs", {"nosuid", "nodev", "noexec", "size=65536k"})):
            self.assertEqual(table[target][0], fs, target)
            self.assertLessEqual(options, table[target][1], target)
        self.assertIn("ro", table["/proc/sys"][1])
        if os.path.exists("/proc/sysrq-trigger"):
            self.assertIn("ro", table["/proc/sysrq-trigger"][1])

    def test_devices_are_the_six(self):
        out = self.sh("ls /dev; stat -c '%n %a %t:%T' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty")
        for node in ("/dev/null 666 1:3", "/dev/zero 666 1:5", "/dev/full 666 1:7", "/dev/random 666 1:8",
                     "/dev/urandom 666 1:9", "/dev/tty 666 5:0"):
            self.assertIn(node, out)
        self.assertNotIn("sda", out)

    def test_given_devices_are_there_with_their_permissions(self):
        self.assertIn("1:7", self.sh("stat -c %t:%T /dev/mine", "--device", "/dev/full:/dev/mine"))
        self.assertIn("no such file", self.fails("run", "--rm", "--device", "/dev/nothing", "busybox:test", "true").lower())

    def test_namespaces_are_its_own(self):
        own = dict(line.rsplit(" ", 1) for line in self.sh("for n in ipc mnt net pid uts; do echo $n $(readlink /proc/self/ns/$n); done").splitlines())
        for name, inode in own.items():
            self.assertNotEqual(inode, os.readlink(f"/proc/self/ns/{name}"), name)
        self.assertEqual(self.sh("readlink /proc/self/ns/pid", "--pid", "host").strip(), os.readlink("/proc/self/ns/pid"))
        self.assertEqual(self.sh("readlink /proc/self/ns/uts", "--uts", "host").strip(), os.readlink("/proc/self/ns/uts"))
        self.assertEqual(self.sh("readlink /proc/self/ns/ipc", "--ipc", "host").strip(), os.readlink("/proc/self/ns/ipc"))

    def test_namespaces_of_another_container(self):
        self.gantry.command("run", "-d", "--name", "donor", "--ipc", "shareable", "busybox:test", "sh", "-c",
                            "echo shared > /dev/shm/x; exec sleep 1000")
        script = "readlink /proc/self/ns/{0}"
        inside = lambda kind: self.gantry.command("exec", "donor", "readlink", f"/proc/self/ns/{kind}").out
        for kind, option in (("pid", "--pid"), ("ipc", "--ipc"), ("net", "--network")):
            self.assertEqual(self.sh(script.format(kind), option, "container:donor"), inside(kind), kind)
        self.assertEqual(self.sh("cat /dev/shm/x", "--ipc", "container:donor"), "shared\n")
        self.gantry.command("run", "-d", "--name", "closed", "--ipc", "private", "busybox:test", "sleep", "1000")
        self.assertIn("non-shareable IPC", self.fails("run", "--rm", "--ipc", "container:closed", "busybox:test", "true"))

    def test_ipc_none_has_no_shared_memory(self):
        self.assertEqual(self.sh("ls -d /dev/shm 2>/dev/null || echo none", "--ipc", "none"), "none\n")

    def test_shared_memory_and_tmpfs_have_their_size(self):
        self.assertIn(" 32768 ", self.sh("df -k /dev/shm", "--shm-size", "32m"))
        out = self.sh("grep ' /t ' /proc/self/mounts; stat -c %a /t", "--tmpfs", "/t:size=1m,mode=1750")
        self.assertIn("size=1024k", out)
        self.assertIn("noexec", out)
        self.assertIn("1750", out)
        self.assertNotIn("noexec", self.sh("grep ' /t ' /proc/self/mounts", "--mount", "type=tmpfs,dst=/t,tmpfs-size=1m", "--tmpfs", "/u:exec").split("\n")[0].replace("noexec", "", 1))

    def test_read_only_root_and_binds(self):
        out = self.sh("touch /x 2>&1; touch /dev/shm/ok && echo shm; touch /v/x 2>&1; true", "--read-only", "-v", f"{self.gantry.root}:/v:ro")
        self.assertEqual(out.count("Read-only file system"), 2, out)
        self.assertIn("shm", out)

    def test_submounts_of_a_read_only_bind(self):
        base = self.gantry.root / "deep"
        (base / "inner").mkdir(parents=True, exist_ok=True)
        os.system(f"mount -t tmpfs inner {base}/inner")
        self.addCleanup(os.system, f"umount {base}/inner")
        touch = "touch /v/inner/x && echo written; true"
        self.assertNotIn("written", self.sh(touch, "--mount", f"type=bind,src={base},dst=/v,ro"))
        self.assertNotIn("written", self.sh(touch, "--mount", f"type=bind,src={base},dst=/v,ro,bind-recursive=readonly"))
        self.assertIn("written", self.sh(touch, "--mount", f"type=bind,src={base},dst=/v,ro,bind-recursive=writable"))

    def test_memory_limit_kills(self):
        self.gantry.command("run", "--name", "hog", "-m", "16m", "--memory-swap", "16m", "busybox:test", "sh", "-c",
                            "x=$(head -c 64000000 /dev/zero | tr '\\0' x); echo ${#x}", code=137)
        self.assertTrue(self.gantry.inspect("hog")["State"]["OOMKilled"])

    def test_pids_limit_stops_a_fork_bomb(self):
        out = self.gantry.command("run", "--rm", "--pids-limit", "20", "busybox:test", "sh", "-c",
                                  "for i in $(seq 100); do sleep 5 & done; echo never", code=None)
        self.assertIn("can't fork", out.err + out.out)

    def test_cpu_share_is_written_where_the_kernel_looks(self):
        self.gantry.command("run", "-d", "--name", "half", "--cpus", "0.5", "--cpuset-cpus", "0", "--cpu-shares", "512",
                            "busybox:test", "sleep", "1000")
        pid = self.gantry.inspect("half")["State"]["Pid"]
        paths = dict(line.split(":", 2)[1:] for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines())
        cpu = next((f"/sys/fs/cgroup/{name}{path}" for name, path in paths.items() if "cpu" in name.split(",")), None)
        if cpu and os.path.exists(f"{cpu}/cpu.cfs_quota_us"):
            self.assertEqual(pathlib.Path(f"{cpu}/cpu.cfs_quota_us").read_text(), "50000\n")
            self.assertEqual(pathlib.Path(f"{cpu}/cpu.shares").read_text(), "512\n")
        self.assertIn("Cpus_allowed_list:\t0\n", self.gantry.command("exec", "half", "cat", "/proc/self/status").out)
        self.assertIn("Requested CPUs are not available", self.fails("create", "--cpuset-cpus", "999", "busybox:test"))

    # By the processor time that the kernel has counted, so that nothing else on the machine matters.
    def test_cpu_shares_divide_a_processor(self):
        weights = {"three": 768, "one": 256}
        for name, weight in weights.items():
            self.gantry.command("run", "-d", "--name", name, "--cpuset-cpus", "0", "--cpu-shares", str(weight), "busybox:test",
                                "sh", "-c", "while :; do :; done")

        def used():
            return {name: self.gantry.get(f"/containers/{name}/stats?stream=0&one-shot=1")["cpu_stats"]["cpu_usage"]["total_usage"]
                    for name in weights}

        before = used()
        spent = {}

        def enough():
            spent.update({name: value - before[name] for name, value in used().items()})
            return sum(spent.values()) > 1_000_000_000

        wait_until(enough, "a second of processor time is spent", seconds=100)
        self.assertTrue(2.2 < spent["three"] / spent["one"] < 4.2, spent)

    def test_ulimits_and_oom_score(self):
        self.assertEqual(self.sh("ulimit -n; cat /proc/self/oom_score_adj", "--ulimit", "nofile=100:200", "--oom-score-adj", "300"), "100\n300\n")
        self.assertIn("invalid ulimit type", self.fails("run", "--rm", "--ulimit", "foo=1", "busybox:test", "true"))

    def test_sysctls_of_its_own_namespaces(self):
        self.assertEqual(self.sh("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax", "--sysctl", "net.ipv4.ip_forward=1",
                                 "--sysctl", "kernel.msgmax=1234"), "1\n1234\n")
        self.assertIn("not in a separate kernel namespace", self.fails("run", "--rm", "--sysctl", "kernel.panic=1", "busybox:test", "true"))

    def test_capabilities_are_what_was_asked_for(self):
        effective = lambda *options: int(re.search("CapEff:\t(.*)", self.sh("cat /proc/self/status", *options)).group(1), 16)
        self.assertEqual(effective(), 0xa80425fb)
        self.assertEqual(effective("--cap-drop", "ALL", "--cap-add", "net_admin"), 1 << 12)
        self.assertEqual(effective("--cap-drop", "CHOWN"), 0xa80425fb & ~1)
        self.assertEqual(effective("-u", "1000"), 0)
        self.assertIn("unknown capability", self.fails("run", "--rm", "--cap-add", "FOO", "busybox:test", "true"))

    def test_a_seccomp_profile_of_ones_own(self):
        profile = self.gantry.root / "profile.json"
        profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5}]}))
        out = self.gantry.command("run", "--rm", "--security-opt", f"seccomp={profile}", "busybox:test", "mkdir", "/x", code=1)
        self.assertIn("nput/output error", out.err)
        profile.write_text("{")
        self.assertIn("seccomp profile", self.fails("run", "--rm", "--security-opt", f"seccomp={profile}", "busybox:test", "true"))

    def test_names_groups_hosts_and_resolver(self):
        out = self.sh("hostname; cat /proc/sys/kernel/domainname; id -G; grep -w db /etc/hosts; cat /etc/resolv.conf", "-h", "box",
                      "--domainname", "example.org", "--group-add", "extra", "--add-host", "db:10.1.2.3", "--dns", "9.9.9.9",
                      "--dns-search", "corp.example", "--dns-option", "ndots:3")
        for text in ("box\n", "example.org\n", "2000", "10.1.2.3\tdb", "corp.example", "ndots:3"):
            self.assertIn(text, out)

    def test_init_reaps_and_forwards(self):
        self.gantry.command("run", "-d", "--name", "init", "--init", "busybox:test", "sh", "-c", "sh -c 'sleep 0.1 &'; exec sleep 1000")
        wait_until(lambda: "sleep 0.1" not in self.gantry.command("exec", "init", "ps").out, "the orphan is reaped")
        self.assertNotIn("Z", self.gantry.command("exec", "init", "sh", "-c", "grep State /proc/[0-9]*/status").out)
        self.gantry.command("stop", "-t", "20", "init")
        self.assertEqual(self.gantry.inspect("init")["State"]["ExitCode"], 143)

    def test_cgroup_parent_is_used_and_left_clean(self):
        self.gantry.command("run", "-d", "--name", "child", "--cgroup-parent", f"/gantry-{self.gantry.tag}-own", "busybox:test", "sleep", "1000")
        pid = self.gantry.inspect("child")["State"]["Pid"]
        self.assertIn(f"/gantry-{self.gantry.tag}-own/", pathlib.Path(f"/proc/{pid}/cgroup").read_text())
        self.gantry.command("rm", "-f", "child")
        for path in pathlib.Path("/sys/fs/cgroup").glob(f"*/gantry-{self.gantry.tag}-own"):
            self.assertEqual([p for p in path.iterdir() if p.is_dir()], [])
            path.rmdir()

    def test_a_private_cgroup_namespace(self):
        paths = self.sh("cut -d: -f3 /proc/self/cgroup | sort -u", "--cgroupns", "private", "-m", "64m").split()
        self.assertEqual(paths, ["/"])


class Logs(GantryTest):
    def run_logged(self, name, count, *options):
        self.gantry.command("run", "--name", name, *options, "busybox:test", "sh", "-c", f"i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo line $i; done")
        return self.gantry.command("logs", name).out.splitlines()

    def test_drivers_keep_every_line(self):
        wanted = [f"line {i}" for i in range(1, 3001)]
        for name, options in (("json", ["--log-driver", "json-file"]), ("local", ["--log-driver", "local"]),
                              ("buffered", ["--log-opt", "mode=non-blocking", "--log-opt", "max-buffer-size=4m"])):
            self.assertEqual(self.run_logged(name, 3000, *options), wanted, name)
        self.assertEqual(self.gantry.command("logs", "--tail", "2", "local").out, "line 2999\nline 3000\n")

    def test_rotated_and_compressed_logs_read_back(self):
        for name, driver in (("packed", "json-file"), ("small", "local")):
            lines = self.run_logged(name, 5000, "--log-driver", driver, "--log-opt", "max-size=60k", "--log-opt", "max-file=50", "--log-opt", "compress=true")
            self.assertEqual(lines, [f"line {i}" for i in range(1, 5001)])
            directory = self.gantry.data / "containers" / self.gantry.inspect(name)["Id"]
            self.assertTrue(list(directory.glob("*.log.1*")), list(directory.iterdir()))

    def test_old_files_go(self):
        lines = self.run_logged("bounded", 5000, "--log-opt", "max-size=20k", "--log-opt", "max-file=2")
        self.assertEqual(lines[-1], "line 5000")
        self.assertLess(len(lines), 1000)

    def test_a_flood_is_kept_whole(self):
        wanted = [f"line {i} of a program that writes as fast as it can, {'x' * (i % 90)}" for i in range(250_000)]
        lines = self.gantry.root / "lines"
        lines.write_text("\n".join(wanted) + "\n")
        self.gantry.command("run", "-d", "--name", "flood", "-v", f"{lines}:/lines:ro", "busybox:test", "sh", "-c",
                            "until [ -e /go ]; do sleep 0.05; done; cat /lines; echo end; exec sleep 1000")
        seen = self.gantry.inspect("flood")
        log, shim = pathlib.Path(seen["LogPath"]), parent_of(seen["State"]["Pid"])
        self.gantry.command("exec", "flood", "touch", "/go")  # from now on the shim's children are the container's
        wait_until(lambda: log.read_bytes()[-200:].find(b'"log":"end') >= 0, "the end of the flood in the log")
        self.assertEqual([json.loads(line)["log"] for line in log.read_text().splitlines()],
                         [line + "\n" for line in wanted] + ["end\n"])
        self.assertEqual(len(os.listdir(f"/proc/{shim}/task")), 2)
        self.assertEqual(self.gantry.command("exec", "flood", "sh", "-c", "ps -o comm | grep -c ^gantry", code=1).out, "0\n")
        # What was set aside for more of it is given back.
        wait_until(lambda: log.stat().st_blocks * 512 < log.stat().st_size + (1 << 20), "the reserve's return")

    def test_floods_of_both_streams_while_programs_are_started(self):
        wanted = [f"line {i}, {'x' * (40_000 if i % 5000 == 77 else i % 90)}" for i in range(60_000)]
        lines = self.gantry.root / "both"
        lines.write_text("\n".join(wanted) + "\n")
        self.gantry.command("run", "-d", "--name", "both", "-v", f"{lines}:/lines:ro", "busybox:test", "sh", "-c",
                            "for turn in 1 2; do until [ -e /go$turn ]; do sleep 0.05; done; cat /lines >&2 & cat /lines; wait; "
                            "echo end $turn; echo end $turn >&2; done; exec sleep 1000")
        log = pathlib.Path(self.gantry.inspect("both")["LogPath"])
        for turn in (1, 2):  # the second one after the first one's thread has given the log back
            self.gantry.command("exec", "both", "touch", f"/go{turn}")
            for _ in range(10):
                self.assertEqual(self.gantry.command("exec", "both", "echo", "started").out, "started\n")
            # Which stream's end is read first is not said.
            wait_until(lambda: log.read_bytes().count(f'"log":"end {turn}'.encode()) == 2, "the ends of both floods in the log")
            wait_until(lambda: log.stat().st_blocks * 512 < log.stat().st_size + (1 << 20), "the reserve's return")
        texts = {"stdout": [], "stderr": []}
        for record in map(json.loads, log.read_text().splitlines()):
            texts[record["stream"]].append(record["log"])
        once = lines.read_text()
        for stream, text in texts.items():
            self.assertEqual("".join(text), f"{once}end 1\n{once}end 2\n", stream)

    def test_a_flood_into_files_that_rotate(self):
        wanted = [f"line {i} of a flood" for i in range(200_000)]
        lines = self.gantry.root / "rotating"
        lines.write_text("\n".join(wanted) + "\n")
        self.gantry.command("run", "-d", "--name", "rotating", "-v", f"{lines}:/lines:ro", "--log-opt", "max-size=1m",
                            "--log-opt", "max-file=100", "--log-opt", "compress=true", "busybox:test", "sh", "-c",
                            "cat /lines; echo end; exec sleep 1000")
        wait_until(lambda: self.gantry.command("logs", "--tail", "1", "rotating").out == "end\n", "the end of the flood in the log")
        directory = pathlib.Path(self.gantry.inspect("rotating")["LogPath"]).parent
        wait_until(lambda: not [path for path in directory.glob("*.log.*") if path.suffix != ".gz"], "all old files are compressed")
        self.assertEqual(self.gantry.command("logs", "rotating").out.splitlines(), wanted + ["end"])
        # No room is set aside in files that are left before they could use it.
        self.gantry.command("run", "--name", "left", "-v", f"{lines}:/lines:ro", "--log-opt", "max-size=1m", "--log-opt", "max-file=100",
                            "busybox:test", "cat", "/lines")
        old = list(pathlib.Path(self.gantry.inspect("left")["LogPath"]).parent.glob("*.log.*"))
        self.assertGreater(len(old), 5)
        self.assertEqual([path for path in old if path.stat().st_blocks * 512 > path.stat().st_size + (64 << 10)], [])

    def test_attributes_are_shown_on_demand(self):
        self.gantry.command("run", "--name", "tagged", "-l", "team=x", "-e", "MODE=1", "--log-opt", "labels=team", "--log-opt", "env=MODE",
                            "--log-opt", "tag={{.Name}}", "busybox:test", "echo", "hello")
        self.assertEqual(self.gantry.command("logs", "--details", "tagged").out, "MODE=1,tag=tagged,team=x hello\n")

    def test_none_keeps_nothing(self):
        self.gantry.command("run", "--name", "mute", "--log-driver", "none", "busybox:test", "echo", "x")
        self.assertIn("does not support reading", self.gantry.command("logs", "mute", code=1).err)

    def test_readiness_is_seen_when_it_comes(self):
        self.gantry.command("run", "-d", "--name", "web", "--health-cmd", "test -e /ready", "--health-interval", "1h", "busybox:test",
                            "sh", "-c", "sleep 0.5; touch /ready; exec sleep 1000")
        wait_until(lambda: self.gantry.inspect("web")["State"]["Health"]["Status"] == "healthy", "healthy long before the interval")


if __name__ == "__main__":
    main()
