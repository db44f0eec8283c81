"""What goes through a container's streams: terminals, keys, signals, ends of input, binary data. The docker CLI on a
pseudo-terminal is the client."""
import fcntl
import hashlib
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402

MEGABYTES = int(os.environ.get("GANTRY_STREAM_MB", "64"))  # through exec; 1024 for a gigabyte


class Terminal:
    """The docker CLI on a terminal of its own."""

    def __init__(self, gantry, *arguments, rows=24, columns=80):
        self.master, slave = pty.openpty()
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(["docker", *arguments], stdin=slave, stdout=slave, stderr=slave,
                                        env=gantry.environment | {"DOCKER_HOST": gantry.host, "TERM": "xterm"},
                                        start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.seen = ""

    def expect(self, pattern, seconds=60):
        """Waits for the pattern in what has come since the last match; the match."""
        end = time.monotonic() + seconds
        while not (match := re.search(pattern, self.seen)):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                raise AssertionError(f"no {pattern!r} in {self.seen!r}")
            try:
                piece = os.read(self.master, 65536)
            except OSError:
                piece = b""
            if not piece:
                raise AssertionError(f"ended without {pattern!r}: {self.seen!r}")
            self.seen += piece.decode(errors="replace")
        self.seen = self.seen[match.end():]
        return match

    def type(self, text):
        os.write(self.master, text.encode())

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def end(self):
        """The exit status; what comes meanwhile is read, or the CLI would not get rid of it."""
        def drain():
            try:
                while os.read(self.master, 65536):
                    pass
            except OSError:
                pass

        reader = threading.Thread(target=drain)
        reader.start()
        code = self.process.wait(60)
        reader.join(10)
        os.close(self.master)
        return code


class Streams(harness.GantryTest):
    def docker(self, *arguments, code=0, **options):
        done = subprocess.run(["docker", *arguments], env=self.gantry.environment | {"DOCKER_HOST": self.gantry.host},
                              capture_output=True, timeout=300, **options)
        if code is not None:
            self.assertEqual(done.returncode, code, done)
        return done

    def test_interactive_shell_and_its_exit_code(self):
        shell = Terminal(self.gantry, "run", "-it", "--rm", "--name", "shell", "busybox:test", "sh")
        shell.expect("# ")
        shell.type("echo $((40 + 2)) on $(tty)\n")
        shell.expect("42 on /dev/pts/0")
        shell.type("exit 9\n")
        self.assertEqual(shell.end(), 9)

    def test_terminal_has_the_clients_size_and_follows_it(self):
        shell = Terminal(self.gantry, "run", "-it", "--rm", "busybox:test", "sh", rows=33, columns=101)
        shell.expect("# ")
        shell.type("stty size\n")
        shell.expect("33 101")
        shell.resize(44, 122)
        harness.wait_until(lambda: self.size_in(shell) == "44 122", "the new size arrives")
        shell.type("exit\n")
        self.assertEqual(shell.end(), 0)

    def size_in(self, shell):
        shell.type("stty size\n")
        return shell.expect(r"\n(\d+ \d+)\r").group(1)

    def test_exec_terminal_follows_the_clients_size(self):
        self.docker("run", "-d", "--name", "host", "busybox:test", "sleep", "1000")
        shell = Terminal(self.gantry, "exec", "-it", "host", "sh", rows=21, columns=91)
        shell.expect("# ")
        harness.wait_until(lambda: self.size_in(shell) == "21 91", "the size arrives")
        shell.resize(22, 92)
        harness.wait_until(lambda: self.size_in(shell) == "22 92", "the new size arrives")
        shell.type("exit 3\n")
        self.assertEqual(shell.end(), 3)

    def test_detach_keys_leave_the_container_running(self):
        shell = Terminal(self.gantry, "run", "-it", "--name", "kept", "busybox:test", "sh")
        shell.expect("# ")
        shell.type("\x10\x11")  # ctrl-p ctrl-q
        self.assertEqual(shell.end(), 0)
        self.assertTrue(self.gantry.inspect("kept")["State"]["Running"])
        again = Terminal(self.gantry, "attach", "--detach-keys", "ctrl-x,y", "kept")
        again.type("echo still $((1 + 1))\n")
        again.expect("still 2")
        again.type("\x10\x11\n")  # not the keys any more
        again.expect("# ")
        again.type("\x18y")
        self.assertEqual(again.end(), 1)  # the CLI's own: "read escape sequence"
        self.assertTrue(self.gantry.inspect("kept")["State"]["Running"])
        once_more = Terminal(self.gantry, "attach", "kept")
        once_more.type("exit 6\n")
        self.assertEqual(once_more.end(), 6)

    def test_bad_detach_keys_are_refused(self):
        self.docker("run", "-d", "--name", "host", "busybox:test", "sleep", "1000")
        done = self.docker("exec", "-i", "--detach-keys", "ctrl-ö", "host", "true", code=None)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"Invalid detach keys (ctrl-\xc3\xb6) provided", done.stderr)

    def test_detaching_from_an_exec(self):
        self.docker("run", "-d", "--name", "host", "busybox:test", "sleep", "1000")
        shell = Terminal(self.gantry, "exec", "-it", "host", "sh", "-c", "echo here; read x; echo $x > /tmp/said; sleep 1000")
        shell.expect("here")
        shell.type("\x10\x11")
        shell.end()
        self.assertIn("sleep", self.docker("top", "host").stdout.decode())

    def test_ctrl_c_reaches_the_program(self):
        shell = Terminal(self.gantry, "run", "-it", "--rm", "busybox:test", "sh", "-c",
                         "trap 'echo caught; exit 4' INT; echo ready; while :; do sleep 1 & wait; done")
        shell.expect("ready")
        shell.type("\x03")
        shell.expect("caught")
        self.assertEqual(shell.end(), 4)

    def test_signals_of_the_client_go_to_the_program(self):
        client = subprocess.Popen(["docker", "run", "--rm", "busybox:test", "sh", "-c",
                                   "trap 'echo told; exit 8' TERM; echo ready; while :; do sleep 1 & wait; done"],
                                  env=self.gantry.environment | {"DOCKER_HOST": self.gantry.host}, stdout=subprocess.PIPE)
        self.assertEqual(client.stdout.readline(), b"ready\n")
        client.send_signal(signal.SIGTERM)
        self.assertEqual(client.stdout.read(), b"told\n")
        self.assertEqual(client.wait(60), 8)

    def test_the_end_of_input_is_the_programs(self):
        done = self.docker("run", "--rm", "-i", "busybox:test", "sh", "-c", "cat; echo end; exit 2", code=2, input=b"a\nb\n")
        self.assertEqual(done.stdout, b"a\nb\nend\n")

    def test_a_client_without_input_ends_nothing(self):
        done = self.docker("run", "--rm", "busybox:test", "sh", "-c", "sleep 0.3; echo later", stdin=subprocess.DEVNULL)
        self.assertEqual(done.stdout, b"later\n")

    def test_binary_data_comes_back_identical_through_attach(self):
        data = os.urandom(8 << 20)
        done = self.docker("run", "--rm", "-i", "busybox:test", "cat", input=data)
        self.assertEqual(hashlib.sha256(done.stdout).hexdigest(), hashlib.sha256(data).hexdigest())

    def test_binary_data_comes_back_identical_through_exec(self):
        self.docker("run", "-d", "--name", "host", "busybox:test", "sleep", "1000")
        client = subprocess.Popen(["docker", "exec", "-i", "host", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  env=self.gantry.environment | {"DOCKER_HOST": self.gantry.host})
        block = os.urandom(1 << 20)
        sent, received = hashlib.sha256(), hashlib.sha256()

        def feed():
            for number in range(MEGABYTES):
                piece = number.to_bytes(8, "big") + block[8:]
                sent.update(piece)
                client.stdin.write(piece)
            client.stdin.close()

        writer = threading.Thread(target=feed)
        writer.start()
        size = 0
        while piece := client.stdout.read1(1 << 20):
            received.update(piece)
            size += len(piece)
        writer.join()
        self.assertEqual(client.wait(60), 0)
        self.assertEqual((size, received.hexdigest()), (MEGABYTES << 20, sent.hexdigest()))

    def test_a_slow_reader_loses_nothing_of_a_short_program(self):
        client = subprocess.Popen(["docker", "run", "--rm", "busybox:test", "seq", "1", "300000"], stdout=subprocess.PIPE,
                                  env=self.gantry.environment | {"DOCKER_HOST": self.gantry.host})
        time.sleep(1)  # nobody reads: every buffer on the way is full
        lines = client.stdout.read().splitlines()
        self.assertEqual((len(lines), lines[-1]), (300000, b"300000"))
        self.assertEqual(client.wait(60), 0)

    def request(self, text):
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.settimeout(60)
        client.connect(str(self.gantry.run / "gantry.sock"))
        client.sendall(text.encode())
        return client

    def test_output_waits_until_the_head_was_read(self):
        self.docker("create", "--name", "quick", "busybox:test", "sh", "-c", "echo said; echo more >&2")
        client = self.request("POST /containers/quick/attach?stream=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: x\r\n"
                              "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n")
        select.select([client], [], [], 60)
        self.docker("start", "quick")
        self.docker("wait", "quick")
        head = client.recv(65536)
        self.assertTrue(head.startswith(b"HTTP/1.1 101") and head.endswith(b"\r\n\r\n"), head)
        data = b""
        while piece := client.recv(65536):
            data += piece
        self.assertEqual(sorted(data.split(b"\n")), sorted([b"\x01\0\0\0\0\0\0\x05said", b"\x02\0\0\0\0\0\0\x05more", b""]))

    def test_attach_through_a_websocket(self):
        self.docker("create", "-i", "--name", "echo", "busybox:test", "sh", "-c", "read x; echo got $x; echo oops >&2")
        client = self.request("GET /v1.43/containers/echo/attach/ws?stream=1&stdin=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: x\r\n"
                              "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        stream = client.makefile("rb")
        head = b"".join(iter(stream.readline, b"\r\n"))
        self.assertTrue(head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n"), head)
        self.assertIn(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", head)
        self.docker("start", "echo")
        client.sendall(b"\x82\x86mask" + bytes(a ^ b for a, b in zip(b"hello\n", b"maskma")))
        messages, data = [], b""
        while frame := stream.read(2):
            payload = stream.read(frame[1])
            messages.append(frame[0])
            data += payload if frame[0] == 0x82 else b""
        self.assertEqual(sorted(data.splitlines()), [b"got hello", b"oops"])
        self.assertEqual(messages[-1], 0x88)

    def test_a_websocket_must_be_asked_for(self):
        self.docker("create", "--name", "plain", "busybox:test", "true")
        client = self.request("GET /containers/plain/attach/ws?stream=1 HTTP/1.0\r\nHost: x\r\n\r\n")
        answer = client.makefile("rb").read()
        self.assertTrue(answer.startswith(b"HTTP/1.1 400"), answer)
        self.assertIn(b"not websocket protocol", answer)

    def test_slow_and_vanished_readers_of_logs_hold_up_nobody(self):
        lines = 200_000
        self.docker("create", "-i", "--name", "loud", "busybox:test", "sh", "-c", f"read go; seq 1 {lines}")
        feeder = subprocess.Popen(["docker", "start", "-a", "-i", "loud"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                  env=self.gantry.environment | {"DOCKER_HOST": self.gantry.host})
        harness.wait_until(lambda: self.gantry.inspect("loud")["State"]["Running"], "it runs")
        follow = "GET /containers/loud/logs?stdout=1&follow=1 HTTP/1.0\r\nHost: x\r\n\r\n"
        slow, quick, gone = (self.request(follow) for _ in range(3))
        for client in (slow, quick, gone):
            self.assertTrue(client.recv(12).startswith(b"HTTP/1.1 200"))
        gone.close()
        feeder.communicate(b"go\n", timeout=60)
        self.assertEqual(self.docker("wait", "loud").stdout, b"0\n")
        for client in (quick, slow):  # the slow one has read nothing so far
            data = client.makefile("rb").read().partition(b"\r\n\r\n")[2]
            expected = b"".join(b"\x01\0\0\0\0\0\0" + bytes([len(line)]) + line
                                for line in (b"%d\n" % number for number in range(1, lines + 1)))
            self.assertTrue(data == expected, (len(data), len(expected)))

    def test_a_vanished_reader_holds_up_nobody(self):
        with socket.socket(socket.AF_UNIX) as client:
            self.docker("create", "--name", "loud", "busybox:test", "seq", "1", "2000000")
            client.connect(str(self.gantry.run / "gantry.sock"))
            client.sendall(b"POST /containers/loud/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
                           b"Upgrade: tcp\r\nContent-Length: 0\r\n\r\n")
            self.assertTrue(client.recv(12).startswith(b"HTTP/1.1 101"))
            self.docker("start", "loud")
        self.assertEqual(self.docker("wait", "loud").stdout, b"0\n")


if __name__ == "__main__":
    if not shutil.which("docker"):
        print("skipped: needs the docker CLI")
        sys.exit(harness.SKIPPED)
    harness.main()
