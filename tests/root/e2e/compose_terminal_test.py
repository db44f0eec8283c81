"""What people see: compose in a terminal (tmux), with keys typed, windows resized and Ctrl-C at every phase."""
import itertools
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys

from harness import BIN, SKIPPED, GantryTest, main, wait_until

if not shutil.which("tmux"):
    print("skipped: needs tmux")
    sys.exit(SKIPPED)


class Terminal:
    """A tmux server of its own (one that is about to end takes no new session); its shell outlives the command."""

    made = itertools.count()

    def __init__(self, gantry, directory, columns=100, rows=24):
        self.gantry, self.socket = gantry, str(gantry.root / f"tmux{next(Terminal.made)}")
        self.tmux("-f", "/dev/null", "new-session", "-d", "-s", "t", "-x", str(columns), "-y", str(rows), "-c",
                  str(directory), "env", "-i", *[f"{k}={v}" for k, v in gantry.environment.items()], "TERM=screen",
                  "PS1=READY> ", "/bin/sh", "-c", "stty noflsh; exec /bin/sh")  # a Ctrl-C must not take back what is not shown yet
        self.wait("READY>")

    def tmux(self, *words):
        return subprocess.run(["tmux", "-S", self.socket, *words], capture_output=True, text=True, timeout=60,
                              check=True, env=self.gantry.environment | {"TERM": "screen"}).stdout

    def screen(self):
        return self.tmux("capture-pane", "-p", "-t", "t")

    def type(self, text):
        self.tmux("send-keys", "-t", "t", "-l", text)

    def key(self, name):
        self.tmux("send-keys", "-t", "t", name)

    def run(self, *words):
        # A shell that lives through a Ctrl-C that comes after the command's end, and tells the code all the same.
        command = shlex.join([str(BIN / "gantry"), "compose", *words])
        self.type(shlex.join(["sh", "-c", f"trap : INT; {command}; echo code=$?"]))
        self.key("Enter")

    def wait(self, pattern, seconds=30):
        found = []

        def look():
            found[:] = [self.screen()]
            return re.search(pattern, found[0])
        try:
            return wait_until(look, f"{pattern!r} on the screen", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{found[0] if found else ''}") from None

    def is_sane(self):
        """The terminal echoes and has its cursor again."""
        self.type("stty -a")
        self.key("Enter")
        self.wait(r" icanon(.|\n)* echo ")
        assert self.tmux("display-message", "-p", "-t", "t", "#{cursor_flag}").strip() == "1"

    def close(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True, timeout=60)


SLEEPER = """
    services:
      a: {image: busybox:test, init: true, command: sh -c "echo hello from a; exec sleep 1000"}
      b: {image: busybox:test, init: true, command: sh -c "echo hello from b; exec sleep 1000"}
    """
STUBBORN = "services: {a: {image: busybox:test, command: sh -c \"trap '' TERM; echo ready; while :; do sleep 1; done\"}}\n"


class InATerminal(GantryTest):
    def open(self, yaml, columns=100, rows=24, **files):
        directory = self.gantry.project("ui", yaml, **files)
        self.terminal = Terminal(self.gantry, directory, columns, rows)
        return self.terminal

    def tearDown(self):
        # Before the containers go: a command that is still attached would have its say.
        if terminal := self.__dict__.pop("terminal", None):
            terminal.close()
        super().tearDown()

    def states(self):
        return {name: c["State"] for name, c in self.gantry.containers().items()}

    def test_progress_rows_with_header_and_timers(self):
        terminal = self.open(SLEEPER)
        terminal.run("up", "-d")
        terminal.wait(r"code=0")
        screen = terminal.screen()
        self.assertRegex(screen, r"\[\+\] up 3/3")
        self.assertRegex(screen, r" ✔ Network ui_default +Created +\d+\.\ds")
        self.assertRegex(screen, r" ✔ Container ui-a-1 +Started +\d+\.\ds")
        terminal.is_sane()

    def test_many_services_on_a_small_screen(self):
        services = "".join(f"  s{i:02}: {{image: busybox:test, init: true, command: sleep 1000}}\n" for i in range(40))
        terminal = self.open("services:\n" + services, columns=60, rows=12)
        terminal.run("create")
        terminal.wait(r"code=0", 90)
        screen = terminal.tmux("capture-pane", "-p", "-t", "t", "-S", "-")
        self.assertRegex(screen, r"\[\+\] create 41/41")
        self.assertRegex(screen, r" \.\.\. \d+ more")

    def test_a_resize_while_attached_breaks_nothing(self):
        terminal = self.open(SLEEPER)
        terminal.run("up")
        terminal.wait(r"hello from b")
        terminal.tmux("resize-window", "-t", "t", "-x", "40", "-y", "10")
        terminal.tmux("resize-window", "-t", "t", "-x", "120", "-y", "30")
        terminal.key("d")
        terminal.wait(r"code=0")
        self.assertEqual(set(self.states().values()), {"running"})
        terminal.is_sane()

    def test_attached_up_prefixes_and_menu(self):
        terminal = self.open(SLEEPER)
        terminal.run("up")
        terminal.wait(r"a-1 +\| hello from a")
        terminal.wait(r"w Enable Watch +d Detach")
        terminal.key("w")
        terminal.wait(r"none of the selected services is configured for watch")
        terminal.key("d")
        terminal.wait(r"code=0")
        self.assertEqual(set(self.states().values()), {"running"})

    def test_no_menu_when_not_wanted(self):
        terminal = self.open(SLEEPER)
        terminal.run("up", "--menu=false")
        terminal.wait(r"hello from b")
        self.assertNotIn("Detach", terminal.screen())
        terminal.key("C-c")
        terminal.wait(r"code=130")

    def test_one_ctrl_c_stops_gracefully(self):
        terminal = self.open(SLEEPER)
        terminal.run("up")
        terminal.wait(r"hello from b")
        terminal.key("C-c")
        terminal.wait(r"Gracefully Stopping\.\.\. press Ctrl\+C again to force")
        terminal.wait(r"code=130")
        self.assertEqual(set(self.states().values()), {"exited"})
        terminal.is_sane()

    def test_a_second_ctrl_c_kills(self):
        terminal = self.open(STUBBORN)
        terminal.run("up")
        terminal.wait(r"ready")
        terminal.key("C-c")
        terminal.wait(r"Gracefully Stopping")
        terminal.key("C-c")
        terminal.wait(r"code=130", 8)
        self.assertEqual(self.states(), {"ui-a-1": "exited"})
        self.assertEqual(self.gantry.inspect("ui-a-1")["State"]["ExitCode"], 137)
        terminal.is_sane()

    def test_ctrl_c_while_waiting_for_a_condition(self):
        terminal = self.open("""
            services:
              a: {image: busybox:test, init: true, command: sleep 1000, healthcheck: {test: "false", interval: 1h}}
              b: {image: busybox:test, init: true, command: sleep 1000, depends_on: {a: {condition: service_healthy}}}
            """)
        terminal.run("up", "-d")
        terminal.wait(r"ui-a-1 +Waiting")
        terminal.key("C-c")
        terminal.wait(r"code=130")
        self.assertEqual(self.states()["ui-b-1"], "created")
        terminal.is_sane()

    def test_ctrl_c_while_building(self):
        terminal = self.open("services: {a: {build: .}}\n", Dockerfile="FROM busybox:test\nRUN echo begun; sleep 1000\n")
        terminal.run("up", "-d")
        terminal.wait(r"Building")
        terminal.key("C-c")
        terminal.wait(r"code=130")
        self.assertEqual(self.states(), {})
        terminal.is_sane()

    def interrupt(self, twice):
        """Ctrl-C, and another one before the first has had its effect."""
        self.terminal.key("C-c")
        if twice:
            self.terminal.key("C-c")

    def test_ctrl_c_once_and_twice_while_pulling(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
            # A project and an image for each: the daemon's own pull goes on until its registry has answered or given up.
            image = f"127.0.0.1:{silent.getsockname()[1]}/x:$COMPOSE_PROJECT_NAME"
            terminal = self.open(f"services: {{a: {{image: '{image}'}}}}\n")
            for twice in (False, True):
                for words in (("up", "-d"), ("up",), ("pull",)):
                    with self.subTest(words=words, twice=twice):
                        terminal.run("-p", f"{words[0]}{len(words)}{int(twice)}", *words)
                        terminal.wait(r"Pulling")
                        self.interrupt(twice)
                        terminal.wait(r"code=(130|1)\b")
                        self.assertEqual(self.states(), {})
                        terminal.is_sane()
                        terminal.type("clear")
                        terminal.key("Enter")

    def test_ctrl_c_once_and_twice_while_creating_and_starting(self):
        services = "".join(f"  s{i:03}: {{image: busybox:test, init: true, command: sleep 1000}}\n" for i in range(60))
        terminal = self.open("services:\n" + services)
        for twice in (False, True):
            for phase in (r"Creating|Created", r"Starting|Started"):
                with self.subTest(phase=phase, twice=twice):
                    terminal.run("up", "-d")
                    terminal.wait(phase)
                    self.interrupt(twice)
                    terminal.wait(r"code=(130|0)\b", 60)
                    terminal.is_sane()
                    self.gantry.remove_everything()
                    terminal.type("clear")
                    terminal.key("Enter")

    def test_a_second_ctrl_c_while_building(self):
        terminal = self.open("services: {a: {build: .}}\n", Dockerfile="FROM busybox:test\nRUN echo begun; sleep 1000\n")
        terminal.run("up")
        terminal.wait(r"Building")
        self.interrupt(twice=True)
        terminal.wait(r"code=130")
        self.assertEqual(self.states(), {})
        terminal.is_sane()

    def test_five_hundred_services_on_24_lines(self):
        services = "".join(f"  s{i:03}: {{image: busybox:test, command: 'true'}}\n" for i in range(500))
        terminal = self.open("services:\n" + services, columns=80, rows=24)
        terminal.run("create")
        terminal.wait(r"code=0", 240)
        screen = terminal.tmux("capture-pane", "-p", "-t", "t", "-S", "-")
        self.assertRegex(screen, r"\[\+\] create 501/501")
        self.assertRegex(screen, r" \.\.\. \d+ more")
        terminal.is_sane()

    def test_ctrl_c_while_following_logs(self):
        terminal = self.open(SLEEPER)
        terminal.run("up", "-d")
        terminal.wait(r"code=0")
        terminal.type("clear")
        terminal.key("Enter")
        terminal.run("logs", "-f")
        terminal.wait(r"hello from b")
        terminal.key("C-c")
        terminal.wait(r"code=130")
        self.assertEqual(set(self.states().values()), {"running"})

    def test_no_colour_when_asked(self):
        terminal = self.open(SLEEPER)
        terminal.type("NO_COLOR=1 " + shlex.join([str(BIN / "gantry"), "compose", "up", "-d"]) + " 2>&1 | cat -v; echo over")
        terminal.key("Enter")
        terminal.wait(r"over\n")
        self.assertNotIn("^[[3", terminal.screen())

    def test_exec_and_attach_with_a_terminal(self):
        terminal = self.open("services: {a: {image: busybox:test, tty: true, stdin_open: true, command: sh}}\n")
        terminal.run("up", "-d")
        terminal.wait(r"code=0")
        terminal.run("exec", "a", "sh", "-c", "until stty size 2>/dev/null; do :; done; tty")
        terminal.wait(r"24 100\s+/dev/pts/\d")
        terminal.type("clear")
        terminal.key("Enter")
        terminal.run("attach", "a")
        terminal.type("echo in-the-$((40+2))")
        terminal.key("Enter")
        terminal.wait(r"in-the-42")
        terminal.key("C-p")
        terminal.key("C-q")
        terminal.wait(r"code=0")
        self.assertEqual(self.states(), {"ui-a-1": "running"})
        terminal.is_sane()

    def test_attach_with_other_detach_keys_and_end(self):
        terminal = self.open("services: {a: {image: busybox:test, tty: true, stdin_open: true, command: sh}}\n")
        terminal.run("up", "-d")
        terminal.wait(r"code=0")
        terminal.type("clear")
        terminal.key("Enter")
        terminal.run("attach", "--detach-keys", "ctrl-x,x", "a")
        terminal.key("C-x")
        terminal.type("x")
        terminal.wait(r"code=0")
        terminal.type("clear")
        terminal.key("Enter")
        terminal.run("attach", "a")
        terminal.type("exit 9")
        terminal.key("Enter")
        terminal.wait(r"code=9")

    def test_run_in_a_terminal(self):
        terminal = self.open("services: {a: {image: busybox:test}}\n")
        terminal.run("run", "--rm", "a", "sh", "-c", "tty && exit 3")
        terminal.wait(r"/dev/pts/\d(.|\n)*code=3")
        terminal.is_sane()


if __name__ == "__main__":
    main()
