"""The escape table: every row is an attack from inside of a container (probe.cc) that must be held, and the options that
switch its defence off, with which the same attack must get through: so each row can fail.

docs/security.md explains the defences; the column `defence` names where in src/ each one is.
"""
import os
import pathlib
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from harness import BIN, Gantry, GantryTest, main, wait_until  # noqa: E402

SECCOMP = "engine/container/seccomp.cc"
CAPABILITIES = "shim/program.cc: drop_bounding_set, set_capabilities"
MASKS = "shim/rootfs.cc: mask"
READ_ONLY = "shim/rootfs.cc: make_read_only"
UNCONFINED = ["--security-opt", "seccomp=unconfined"]
PATHS = ["--security-opt", "systempaths=unconfined"]


def cap(*names):
    return [word for name in names for word in ("--cap-add", name)]


# (attack and arguments, defence, options that switch it off)
TABLE = [
    ("mount", SECCOMP, cap("SYS_ADMIN")),
    ("mount-cgroup", SECCOMP + " (release_agent, CVE-2022-0492)", cap("SYS_ADMIN")),
    ("fsopen", SECCOMP, cap("SYS_ADMIN")),
    ("umount", SECCOMP, cap("SYS_ADMIN")),
    ("remount-proc-sys", SECCOMP, cap("SYS_ADMIN")),
    ("pivot-root", SECCOMP, cap("SYS_ADMIN") + UNCONFINED),
    ("unshare-mount", SECCOMP, cap("SYS_ADMIN")),
    ("unshare-user", SECCOMP, UNCONFINED),
    ("clone-user", SECCOMP, UNCONFINED),
    ("clone3", SECCOMP + " (ENOSYS)", UNCONFINED),
    ("setns-init", SECCOMP, cap("SYS_ADMIN")),
    ("keyctl", SECCOMP, UNCONFINED),
    ("add-key", SECCOMP, UNCONFINED),
    ("bpf", SECCOMP, cap("SYS_ADMIN")),
    ("perf-event-open", SECCOMP, UNCONFINED),
    ("io-uring", SECCOMP, UNCONFINED),
    ("userfaultfd", SECCOMP, UNCONFINED),
    ("init-module", CAPABILITIES, cap("SYS_MODULE")),
    ("reboot", CAPABILITIES, cap("SYS_BOOT")),
    ("iopl", CAPABILITIES, cap("SYS_RAWIO")),
    ("settime", CAPABILITIES, cap("SYS_TIME")),
    ("acct", CAPABILITIES, cap("SYS_PACCT")),
    ("sethostname", CAPABILITIES, cap("SYS_ADMIN")),
    ("dmesg", SECCOMP, cap("SYSLOG")),
    ("personality", SECCOMP, UNCONFINED),
    ("handle", CAPABILITIES + " (open_by_handle_at)", cap("DAC_READ_SEARCH")),
    ("socket-vsock", SECCOMP, UNCONFINED),
    ("socket-alg", SECCOMP, UNCONFINED),
    ("move-pages", SECCOMP, UNCONFINED),
    ("write /proc/sys/kernel/panic", READ_ONLY, PATHS),
    ("open-write /proc/sysrq-trigger", READ_ONLY, PATHS),
    ("open-write /proc/irq/default_smp_affinity", READ_ONLY, PATHS),
    ("read /proc/interrupts", MASKS, PATHS),
    ("read /proc/timer_list", MASKS, PATHS + cap("SYS_ADMIN") + UNCONFINED),
    ("read /proc/keys", MASKS, PATHS),
    ("open-write /sys/kernel/uevent_helper", "shim/rootfs.cc: mount_sys", ["--privileged"]),
    ("mkdir /sys/fs/cgroup/unified/evil", "shim/rootfs.cc: mount_cgroup", ["--privileged"]),
    ("kill-host PID", "a pid namespace of its own: shim/child.cc", ["--pid", "host"]),
    ("ptrace-host PID", "a pid namespace of its own: shim/child.cc", ["--pid", "host", "--privileged"]),
    ("root-of-host PID", "a pid namespace of its own: shim/child.cc", ["--pid", "host", "--privileged"]),
    ("device NODE", "engine/container/device_program.cc, devices.cc", ["--privileged"]),
]


def host_device():
    """A device that the default rules do not allow, and whose opening does nothing: "c MAJOR MINOR"."""
    for path in ("/dev/loop-control", "/dev/fuse", "/dev/kmsg", "/dev/mem"):
        if os.path.exists(path):
            number = os.stat(path).st_rdev
            return f"c {os.major(number)} {os.minor(number)}"
    return "c 1 11"  # kmsg


class Attacks(GantryTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.victim = subprocess.Popen(["sleep", "1000"])
        cls.addClassCleanup(lambda: (cls.victim.kill(), cls.victim.wait()))

    def run_in(self, script, *options, code=None, **more):
        return self.gantry.command("run", "--rm", "-v", f"{BIN}/sandbox_probe:/probe:ro", *options, "busybox:test", "sh",
                                   "-c", script, code=code, **more)

    def attack(self, what, options=()):
        what = what.replace("PID", str(self.victim.pid)).replace("NODE", host_device())
        result = self.run_in(f"mkdir -p /mnt; /probe {what}; true", *options)
        self.assertRegex(result.out, r"(held|through)", result)
        return " through" in result.out, result.out.strip()

    def test_every_attack_is_held(self):
        # All of those without defences are one container each; those with them share one.
        script = "mkdir -p /mnt\n" + "\n".join(
            f"/probe {what.replace('PID', str(self.victim.pid)).replace('NODE', host_device())}" for what, _, _ in TABLE)
        lines = self.run_in(script + "\ntrue").out.splitlines()
        self.assertEqual(len(lines), len(TABLE), lines)
        through = [(what, defence) for (what, defence, _), line in zip(TABLE, lines) if " held" not in line]
        self.assertEqual(through, [])
        self.assertGreaterEqual(len(TABLE), 25)

    def test_every_attack_gets_through_without_its_defence(self):
        groups, through = {}, 0
        for what, defence, options in TABLE:
            groups.setdefault(tuple(options), []).append(what)
        held = []
        for options, attacks in groups.items():
            # Each in a child of its own: what one does must not help the next.
            script = "mkdir -p /mnt\n" + "\n".join(
                f"(/probe {what.replace('PID', str(self.victim.pid)).replace('NODE', host_device())})" for what in attacks)
            lines = self.run_in(script + "\ntrue", *options).out.splitlines()
            self.assertEqual(len(lines), len(attacks), (options, lines))
            through += sum(" through" in line for line in lines)
            # What this kernel is built without cannot be attacked.
            held += [(line, options) for line in lines if " through" not in line and not line.endswith(("ENOSYS", "ENOENT"))]
        self.assertEqual(held, [], "these rows cannot fail on this machine")
        self.assertGreaterEqual(through, 25)

    def test_nothing_of_the_host_is_inherited(self):
        # CVE-2016-9962, CVE-2024-21626: no descriptor, no directory of the host.
        for options in ((), ("--init",), ("--privileged",)):
            self.assertIn("descriptors held ENOENT", self.run_in("exec /probe descriptors", *options).out)
        self.gantry.command("run", "-d", "--name", "box", "-v", f"{BIN}/sandbox_probe:/probe:ro", "busybox:test", "sleep", "1000")
        self.assertIn("descriptors held ENOENT", self.gantry.command("exec", "box", "/probe", "descriptors", code=None).out)
        for fd in range(3, 20):
            result = self.gantry.command("exec", "-w", f"/proc/self/fd/{fd}", "box", "cat", "etc/hostname", code=None)
            self.assertNotEqual(result.code, 0, result)

    def test_a_chroot_leads_nowhere(self):
        marker = self.gantry.root / "marker"
        marker.write_text("host")
        self.assertIn("held", self.run_in(f"/probe chroot-escape {marker}").out)

    def test_capabilities_are_neither_inheritable_nor_ambient(self):
        # CVE-2022-24769.
        for options in ((), ("--privileged",), ("-u", "1000")):
            status = dict(line.split(":\t") for line in self.run_in("cat /proc/self/status", *options).out.splitlines() if ":\t" in line)
            self.assertEqual((status["CapInh"], status["CapAmb"]), ("0" * 16, "0" * 16))

    def test_set_uid_programs_stay_powerless_when_asked(self):
        for name, options, word in (("plain", (), "through"), ("asked", ("--security-opt", "no-new-privileges"), "held")):
            self.gantry.command("run", "-d", "--name", name, "-v", f"{BIN}/sandbox_probe:/probe:ro", *options, "busybox:test", "sh", "-c",
                                "cp /probe /bin/p && chmod 4755 /bin/p && touch /ready; exec sleep 1000")
            wait_until(lambda: self.gantry.command("exec", name, "test", "-e", "/ready", code=None).code == 0, "the program is there")
            self.assertIn(word, self.gantry.command("exec", "-u", "1000", name, "/bin/p", "is-root", code=None).out)

    def test_the_primary_group_is_in_the_supplementary_list(self):
        # CVE-2022-36109.
        self.assertEqual(self.run_in("grep Groups /proc/self/status", "-u", "1000:1000").out.split()[1:], ["1000"])

    def test_the_shim_cannot_be_overwritten(self):
        # CVE-2019-5736: with --init PID 1 is our executable.
        result = self.run_in("cat /bin/busybox > /proc/1/exe && echo OVERWRITTEN; true", "--init", "--privileged")
        self.assertNotIn("OVERWRITTEN", result.out)
        self.run_in("true", code=0)

    def test_mount_targets_are_resolved_inside(self):
        # CVE-2021-30465: a volume whose directory is a link to the host.
        outside = self.gantry.root / "outside"
        outside.mkdir(exist_ok=True)
        self.run_in(f"ln -sfn {outside} /v/link; ln -sfn / /v/root", "-v", "trap:/v")
        source = self.gantry.root / "source"
        source.mkdir(exist_ok=True)
        (source / "file").write_text("x")
        for target in ("/v/link/in", "/v/root/etc/in", "/v/link/../../../../../../../../tmp/in"):
            result = self.run_in("true", "-v", "trap:/v", "-v", f"{source}:{target}")
            mounts = pathlib.Path("/proc/self/mountinfo").read_text()
            self.assertNotIn(str(outside / "in"), mounts, result)
        self.assertEqual(list(outside.iterdir()), [])

    def test_nothing_can_be_mounted_over_the_kernels_files(self):
        for target in ("/proc/sys", "/proc/1", "/proc/self/attr"):
            result = self.run_in("true", "-v", f"/tmp:{target}")
            self.assertNotEqual(result.code, 0, result)
            self.assertIn("inside /proc", result.err)

    def test_a_faked_null_device_masks_all_the_same(self):
        # CVE-2025-31133: /dev comes from the user, null is a link.
        fake = self.gantry.root / "fakedev"
        fake.mkdir(exist_ok=True)
        if not (fake / "null").is_symlink():
            (fake / "null").symlink_to("/proc/interrupts")
        result = self.run_in("/probe read /proc/interrupts", "-v", f"{fake}:/dev", "-i", stdin="")
        self.assertNotIn("through", result.out, result)

    def test_settings_go_to_the_kernel_and_not_into_a_trap(self):
        # CVE-2025-52881: /proc comes from the user.
        fake = self.gantry.root / "fakeproc" / "sys/net/ipv4"
        fake.mkdir(parents=True, exist_ok=True)
        (fake / "ip_forward").write_text("trap")
        self.run_in("true", "-v", f"{self.gantry.root}/fakeproc:/proc", "--sysctl", "net.ipv4.ip_forward=1")
        self.assertEqual((fake / "ip_forward").read_text(), "trap")

    def test_shims_listen_on_no_abstract_socket(self):
        # CVE-2020-15257: a container in the host's network would reach one.
        names = self.run_in("cat /proc/net/unix", "--network", "host").out
        self.assertNotIn("@gantry", names)
        self.assertNotIn("@/run", names)

    def test_other_users_do_not_get_at_the_data_or_the_api(self):
        # CVE-2021-41091, and whoever reaches the socket owns the machine.
        def denied(action):
            """Whether another user gets EACCES; in a process of his own."""
            pid = os.fork()
            if pid == 0:
                os.setgroups([]), os.setgid(12345), os.setuid(12345)
                try:
                    action()
                    os._exit(0)
                except PermissionError:
                    os._exit(13)
                finally:
                    os._exit(1)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 13

        os.chmod(self.gantry.root, 0o755)
        self.addCleanup(os.chmod, self.gantry.root, 0o700)
        for path in (self.gantry.data / "containers", self.gantry.data / "images"):
            self.assertTrue(denied(lambda: os.listdir(path)), path)
        connect = lambda: socket.socket(socket.AF_UNIX).connect(str(self.gantry.run / "gantry.sock"))
        self.assertTrue(denied(connect))
        self.assertEqual(os.stat(self.gantry.run / "gantry.sock").st_mode & 0o777, 0o660)
        os.chmod(self.gantry.run / "gantry.sock", 0o666)
        self.assertFalse(denied(connect), "this test could not fail")
        os.chmod(self.gantry.run / "gantry.sock", 0o660)

    def request(self, *headers, path="/containers/json"):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.gantry.run / "gantry.sock"))
            head = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + "".join(h + "\r\n" for h in headers)
            s.sendall(head.encode() + b"\r\n")
            data = b""
            while piece := s.recv(65536):
                data += piece
        return int(data.split()[1])

    def test_web_pages_do_not_reach_the_api(self):
        self.assertEqual(self.request(), 200)
        for header in ("Origin: http://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"):
            self.assertEqual(self.request(header), 403, header)

    def test_names_are_no_paths(self):
        for name in ("../x", "a/b", "..", "x\n", "-x"):
            self.assertNotEqual(self.gantry.command("create", f"--name={name}", "busybox:test", code=None).code, 0, name)
        for name in ("../x", "a/../b", "..", "x y"):
            self.assertNotEqual(self.gantry.command("volume", "create", name, code=None).code, 0, name)

    def test_output_cannot_forge_log_lines(self):
        forged = '{"log":"forged","stream":"stdout","time":"2000-01-01T00:00:00Z"}'
        for driver in ("json-file", "local"):
            self.gantry.command("run", "--name", driver, "--log-driver", driver, "busybox:test", "printf", "%s\\n%s\\n", forged, "o1 b")
            lines = self.gantry.command("logs", "-t", driver).out.split("\n")
            self.assertEqual([line.split(" ", 1)[1] for line in lines if line], [forged, "o1 b"])
            self.assertFalse(any(line.startswith("2000") for line in lines))


class GroupsOfTheirOwn(GantryTest):
    """A program that may make cgroups of its own leaves none behind."""

    def test_nested_groups_go_with_their_container(self):
        self.gantry.command("run", "--rm", "--privileged", "--cgroupns", "private", "busybox:test", "sh", "-c",
                            "mount -o remount,rw /sys/fs/cgroup 2>/dev/null; for d in /sys/fs/cgroup /sys/fs/cgroup/unified; do "
                            "mkdir -p $d/own/nested 2>/dev/null; done; true")
        root = pathlib.Path("/sys/fs/cgroup")
        left = [str(path) for path in (*root.glob(f"gantry-{self.gantry.tag}/*/"), *root.glob(f"*/gantry-{self.gantry.tag}/*/"))]
        self.assertEqual(left, [])


class InAChroot(unittest.TestCase):
    """In a chroot the real root stays at the bottom of every container's mount namespace: nothing is started there."""

    def test_containers_are_refused(self):
        gantry = Gantry(auto_start=True)
        self.addCleanup(gantry.__exit__, None, None, None)
        place = gantry.root / "chroot"
        place.mkdir()
        script = 'mount --rbind / "$0" && exec chroot "$0" "$@"'
        with open(gantry.root / "daemon.err", "ab") as errors:
            gantry.daemon = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", script, place, *gantry.daemon_command], env=gantry.environment,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
        wait_until(gantry.daemon_pid, "the daemon listens")
        gantry.busybox()
        result = gantry.command("run", "--rm", "busybox:test", "true", code=None)
        self.assertNotEqual(result.code, 0)
        self.assertIn("the daemon runs in a chroot", result.err)


if __name__ == "__main__":
    main()
