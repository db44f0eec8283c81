"""Gantry's own client on a terminal (tmux): sizes, detach keys, Ctrl-C, and figures that are drawn again in place."""
import pathlib
import shlex
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402
from compose_terminal_test import Terminal  # noqa: E402  (skips without tmux)


class GantryTerminal(harness.GantryTest):
    def setUp(self):
        self.terminals = []

    def tearDown(self):
        for terminal in self.terminals:  # before the containers, of whose end they would tell
            terminal.close()
        super().tearDown()

    def terminal(self, *words, **size):
        terminal = Terminal(self.gantry, self.gantry.root, **size)
        self.terminals.append(terminal)
        self.run_in(terminal, *words)
        return terminal

    def run_in(self, terminal, *words):
        terminal.type(shlex.join([str(harness.BIN / "gantry"), *words]) + "; echo code=$?")
        terminal.key("Enter")

    def say(self, terminal, text):
        terminal.type(text)
        terminal.key("Enter")

    def is_running(self, name):
        return self.gantry.inspect(name)["State"]["Running"]

    def test_run_has_the_terminals_size_and_follows_it(self):
        shell = self.terminal("run", "-it", "--rm", "busybox:test", "sh", columns=100, rows=30)
        shell.wait("/ #")
        self.say(shell, "stty size; tty")
        shell.wait("30 100\n/dev/pts/0")
        shell.tmux("resize-window", "-t", "t", "-x", "91", "-y", "27")
        self.say(shell, "until [ \"$(stty size)\" = '27 91' ]; do sleep 0.05; done; echo resized")
        shell.wait("\nresized")
        self.say(shell, "exit 5")
        shell.wait("code=5")
        shell.is_sane()

    def test_exec_follows_the_terminals_size(self):
        self.gantry.command("run", "-d", "--name", "host", "busybox:test", "sleep", "1000")
        shell = self.terminal("exec", "-it", "host", "sh", columns=90, rows=20)
        shell.wait("/ #")
        self.say(shell, "stty size")
        shell.wait("20 90")
        shell.tmux("resize-window", "-t", "t", "-x", "77", "-y", "22")
        self.say(shell, "until [ \"$(stty size)\" = '22 77' ]; do sleep 0.05; done; echo resized")
        shell.wait("\nresized")
        self.say(shell, "exit 4")
        shell.wait("code=4")

    def test_detach_keys_give_the_terminal_back(self):
        shell = self.terminal("run", "-it", "--name", "kept", "busybox:test", "sh")
        shell.wait("/ #")
        shell.key("C-p")
        shell.key("C-q")
        shell.wait("code=0")
        shell.is_sane()
        self.assertTrue(self.is_running("kept"))
        again = self.terminal("attach", "--detach-keys", "ctrl-x,y", "kept")
        self.say(again, "echo still $((1 + 1))")
        again.wait("still 2")
        again.key("C-x")
        again.type("y")
        again.wait("code=")
        self.assertTrue(self.is_running("kept"))
        last = self.terminal("attach", "kept")
        self.say(last, "exit 6")
        last.wait("code=6")
        self.assertFalse(self.is_running("kept"))

    def test_ctrl_c_is_the_programs(self):
        shell = self.terminal("run", "-it", "--rm", "busybox:test", "sh", "-c",
                              "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 1 & wait; done")
        shell.wait("ready\n")
        shell.key("C-c")
        shell.wait("caught")
        shell.wait("code=3")

    def test_stats_are_drawn_again_in_place(self):
        for name in ("idle", "busy"):
            self.gantry.command("run", "-d", "--init", "--name", name, "busybox:test", "sh", "-c",
                                "until [ -e /go ]; do sleep 0.1; done; for i in 1 2 3 4 5 6; do sleep 1000 & done; wait")
        shell = self.terminal("stats", columns=140)
        shell.wait(r"busy .* [23]\n")
        self.gantry.command("exec", "busy", "touch", "/go")
        shell.wait(r"busy .* 8\n")
        screen = shell.screen()
        self.assertEqual(screen.count("CONTAINER ID"), 1, screen)
        self.assertEqual(screen.count(" idle "), 1, screen)
        self.gantry.command("run", "-d", "--name", "late", "busybox:test", "sleep", "1000")
        shell.wait(r" late .* 1\n")
        self.gantry.command("rm", "-f", "idle")
        harness.wait_until(lambda: " idle " not in shell.screen(), "what has ended is drawn no more")
        shell.key("C-c")
        shell.wait(r"\^C\s+READY>")
        shell.is_sane()


if __name__ == "__main__":
    harness.main()
