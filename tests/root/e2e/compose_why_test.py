"""`compose why` of faults seeded into real containers: its first three lines must say what is wrong, why, and where."""
import socket

from harness import GantryTest, main, wait_until

BUSY = "image: busybox:test"

# name, the service "a" (and what stands beside it), the state to wait for ("": none), words of the first three lines.
# {port} is a port of the host that somebody has.
FAULTS = [
    ("exit code with last words", f"{BUSY}, command: sh -c 'echo no config given; exit 3'", "exited",
     ["exited with code 3", "no config given"]),
    ("exit code without a word", f"{BUSY}, command: sh -c 'exit 4'", "exited", ["exited with code 4", "it wrote nothing"]),
    ("wrong arguments", f"{BUSY}, command: sh -c 'echo usage >&2; exit 2'", "exited", ["often wrong arguments", "usage"]),
    ("missing program", f"{BUSY}, command: [nosuchprogram]", "created",
     ["could not be started", "no such program in the image", "nosuchprogram"]),
    ("missing entrypoint", f"{BUSY}, entrypoint: [/nosuch/entry]", "created", ["could not be started", "/nosuch/entry"]),
    ("missing program in a shell", f"{BUSY}, command: sh -c nosuchprogram", "exited", ["code 127", "not found"]),
    ("no right to execute", f"{BUSY}, command: [/etc/passwd]", "created", ["could not be started", "not executable"]),
    ("missing interpreter", f"{BUSY}, command: [/script], configs: [{{source: script, target: /script, mode: 0755}}]",
     "created", ["could not be started", "interpreter"]),
    ("script without an interpreter line", f"{BUSY}, command: [/bare], configs: [{{source: bare, target: /bare, mode: 0755}}]",
     "created", ["could not be started", "#!"]),
    ("missing library", f"{BUSY}, command: [sh, -c, 'echo error while loading shared libraries libx.so.1 >&2; exit 127']",
     "exited", ["code 127", "library", "libx.so.1"]),
    ("no such user", f"{BUSY}, user: nobody-here, command: 'true'", "created", ["could not be started", "no such user"]),
    ("no such group", f"{BUSY}, user: 'app:nosuchgroup', command: 'true'", "created", ["could not be started", "group"]),
    ("segmentation fault", f"{BUSY}, init: true, command: sh -c 'sleep 1000 & kill -SEGV $$!; wait $$!'", "exited",
     ["code 139", "SIGSEGV"]),
    ("abort", f"{BUSY}, init: true, command: sh -c 'sleep 1000 & kill -ABRT $$!; wait $$!'", "exited", ["SIGABRT"]),
    ("division by zero", f"{BUSY}, init: true, command: sh -c 'sleep 1000 & kill -FPE $$!; wait $$!'", "exited",
     ["SIGFPE", "divided by zero"]),
    ("forbidden system call", f"{BUSY}, init: true, command: sh -c 'sleep 1000 & kill -SYS $$!; wait $$!'", "exited",
     ["SIGSYS", "system call"]),
    ("broken pipe", f"{BUSY}, init: true, command: sh -c 'sleep 1000 & kill -PIPE $$!; wait $$!'", "exited", ["SIGPIPE"]),
    ("out of memory", f"{BUSY}, mem_limit: 16m, command: sh -c 'tail -c 200m /dev/zero'", "exited",
     ["too much memory", "16", "compose.yaml"]),
    ("port of the host taken", f"{BUSY}, command: sleep 1000, ports: ['{{port}}:80']", "",
     ["port {port} of the host is taken", "by "]),
    ("port in the container taken", f"{BUSY}, command: sh -c 'nc -l -p 80 & sleep 0.2; nc -l -p 80 || exit 5'", "exited",
     ["code 5", "has the port already"]),
    ("disk full", f"{BUSY}, tmpfs: ['/small:size=16k'], command: sh -c 'dd if=/dev/zero of=/small/x bs=1k count=64 || exit 6'",
     "exited", ["code 6", "filesystem is full"]),
    ("read-only filesystem", f"{BUSY}, read_only: true, command: sh -c 'touch /x || exit 7'", "exited",
     ["code 7", "read-only"]),
    ("unknown host", f"{BUSY}, command: sh -c 'wget -q http://nosuchhost.invalid/ || exit 8'", "exited",
     ["code 8", "no such name"]),
    ("connection refused", f"{BUSY}, command: sh -c 'wget -q http://127.0.0.1:81/ || exit 9'", "exited",
     ["code 9", "does not listen"]),
    ("missing capability", f"{BUSY}, user: app, command: sh -c 'mount -t tmpfs x /mnt || exit 10'", "exited",
     ["code 10", "p"]),
    ("no right to a file", f"{BUSY}, user: app, command: sh -c 'echo x > /etc/passwd || exit 11'", "exited",
     ["permission denied"]),
    ("missing file", f"{BUSY}, command: sh -c 'cat /etc/app.conf || exit 12'", "exited", ["code 12", "is missing", "app.conf"]),
    ("wrong password", f"{BUSY}, command: sh -c 'echo FATAL password authentication failed for user x; exit 13'", "exited",
     ["code 13", "credentials are refused"]),
    ("bad configuration", f"{BUSY}, command: sh -c 'echo syntax error in line 3; exit 14'", "exited",
     ["code 14", "configuration is wrong"]),
    ("failing probe", f"{BUSY}, init: true, command: sleep 1000, healthcheck: {{test: 'echo not yet; exit 1', interval: 50ms, retries: 1}}",
     "unhealthy", ["unhealthy", "code 1: not yet"]),
    ("probe without its program", f"{BUSY}, init: true, command: sleep 1000, healthcheck: {{test: [CMD, curl, x], interval: 50ms, retries: 1}}",
     "unhealthy", ["unhealthy", "probe's program is not in the image"]),
    ("probe that takes too long", f"{BUSY}, init: true, command: sleep 1000, healthcheck: {{test: sleep 9, interval: 50ms, timeout: 50ms, retries: 1}}",
     "unhealthy", ["unhealthy", "takes longer than its timeout"]),
    ("restarts again and again", f"{BUSY}, restart: always, command: sh -c 'echo boom; exit 1'", "restarting",
     ["restarting again and again", "restart policy always"]),
    ("waits for a dependency that failed",
     f"{BUSY}, depends_on: {{b: {{condition: service_completed_successfully}}}}, command: sleep 1000}}, "
     f"b: {{{BUSY}, command: sh -c 'exit 3'", "created",
     ["never started", "it waits for b", "exited with code 3"]),
    ("killed from outside", f"{BUSY}, init: true, command: sleep 1000", "killed", ["code 137", "SIGKILL"]),
    ("frozen", f"{BUSY}, init: true, command: sleep 1000", "paused", ["is paused", "compose unpause"]),
    ("profile not enabled", f"{BUSY}, profiles: [extra]", "", ["is not active", "--profile"]),
    ("scaled to nothing", f"{BUSY}, scale: 0", "", ["scaled to 0"]),
]

FILES = """
configs:
  script: {content: "#!/nosuch/interpreter\\n"}
  bare: {content: "\\u0001\\u0002 no script\\n"}
"""


class WhyTable(GantryTest):
    def reach(self, state):
        if state == "paused":
            self.gantry.compose(self.directory, "pause", "a")
        elif state == "killed":
            self.gantry.compose(self.directory, "kill", "a")
            state = "exited"
        if state == "unhealthy":
            wait_until(lambda: self.gantry.inspect("y-a-1")["State"]["Health"]["Status"] == state, "a is unhealthy")
        elif state == "restarting":
            wait_until(lambda: self.gantry.inspect("y-a-1")["RestartCount"] >= 4 and
                       self.gantry.containers()["y-a-1"]["State"] == state, "a waits for its next run")
        elif state:
            wait_until(lambda: self.gantry.containers()["y-a-1"]["State"] == state, f"a is {state}")

    def examine(self, service, state, words):
        with socket.socket() as taken:
            taken.bind(("0.0.0.0", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            body = service.replace("{port}", port)
            self.directory = self.gantry.project("y", "services: {a: {" + body + "}}\n" + FILES)
            self.gantry.compose(self.directory, "up", "-d", code=None)
            self.reach(state)
            said = self.gantry.compose(self.directory, "why", "a", code=None).out
        first = "\n".join(said.splitlines()[:3]).lower()
        for word in words:
            self.assertIn(word.replace("{port}", port).lower(), first, said)


def add_tests():
    assert len(FAULTS) >= 30
    for name, service, state, words in FAULTS:
        def test(self, service=service, state=state, words=words):
            self.examine(service, state, words)
        setattr(WhyTable, "test_" + name.replace(" ", "_").replace("-", "_"), test)


add_tests()

if __name__ == "__main__":
    main()
