"""POST /gantry/v1/containers/{id}/exec: an attached command in one request, whose last frame is the exit code."""
import http.client
import json
import pathlib
import socket
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402

OUT, ERR, EXIT_CODE = 1, 2, 4


class Connection(http.client.HTTPConnection):
    def __init__(self, gantry):
        super().__init__("gantry")
        self.path = str(gantry.run / "gantry.sock")

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Exec:
    """One request on a connection of its own."""

    def __init__(self, gantry, container, body, upgrade=True):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(gantry.run / "gantry.sock"))
        text = json.dumps(body).encode()
        head = (f"POST /gantry/v1/containers/{container}/exec HTTP/1.1\r\nHost: gantry\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n")
        if upgrade:
            head += "Connection: Upgrade\r\nUpgrade: tcp\r\n"
        self.socket.sendall(head.encode() + b"\r\n" + text)
        self.stream = self.socket.makefile("rb")
        self.status = int(self.stream.readline().split()[1])
        self.headers = {}
        while line := self.stream.readline().strip().decode():
            name, value = line.split(": ", 1)
            self.headers[name.lower()] = value

    def frame(self):
        """(stream, payload); None at the end of the connection."""
        if not (head := self.stream.read(8)):
            return None
        stream, size = struct.unpack(">BxxxI", head)
        return stream, self.stream.read(size)

    def frames(self):
        return list(iter(self.frame, None))

    def close(self):
        self.stream.close()
        self.socket.close()


class GantryExec(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gantry = harness.Gantry()
        cls.gantry.__enter__()
        cls.addClassCleanup(cls.gantry.__exit__, None, None, None)
        cls.gantry.busybox()
        cls.gantry.command("run", "-d", "--name", "host", "busybox:test", "sleep", "100000")

    def run_exec(self, *words, container="host", upgrade=True, **options):
        body = {"AttachStdout": True, "AttachStderr": True, "Cmd": words} | options
        made = Exec(self.gantry, container, body, upgrade)
        self.addCleanup(made.close)
        return made

    def inspect(self, made):
        connection = Connection(self.gantry)
        self.addCleanup(connection.close)
        connection.request("GET", f"/exec/{made.headers['gantry-exec']}/json")
        return json.loads(connection.getresponse().read())

    def test_the_last_frame_is_the_exit_code(self):
        made = self.run_exec("sh", "-c", "echo out; echo err >&2; exit 7")
        self.assertEqual(made.status, 101)
        frames = made.frames()
        self.assertEqual(frames[-1], (EXIT_CODE, b"7"))
        self.assertEqual(sorted(frames[:-1]), [(OUT, b"out\n"), (ERR, b"err\n")])
        self.assertEqual(self.inspect(made)["ExitCode"], 7)

    def test_without_an_upgrade_too(self):
        made = self.run_exec("echo", "plain", upgrade=False)
        self.assertEqual(made.status, 200)
        self.assertEqual(made.frames(), [(OUT, b"plain\n"), (EXIT_CODE, b"0")])

    def test_a_terminals_output_is_framed_too(self):
        made = self.run_exec("sh", "-c", "stty size; read word; echo got $word; exit 3", Tty=True, AttachStdin=True,
                             ConsoleSize=[33, 101])
        made.socket.sendall(b"word\n")
        frames = made.frames()
        self.assertEqual(frames[-1], (EXIT_CODE, b"3"))
        text = b"".join(payload for _, payload in frames[:-1]).decode()
        self.assertIn("33 101", text)
        self.assertIn("got word", text)

    def test_the_end_of_input_is_the_programs(self):
        made = self.run_exec("cat", AttachStdin=True)
        made.socket.sendall(b"to and fro")
        made.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(made.frames(), [(OUT, b"to and fro"), (EXIT_CODE, b"0")])

    def test_a_program_that_is_not_there_is_127(self):
        made = self.run_exec("/no/such/program")
        frames = made.frames()
        self.assertEqual(frames[-1], (EXIT_CODE, b"127"))
        self.assertIn(b"/no/such/program", frames[0][1])

    def test_who_detaches_gets_no_exit_code(self):
        made = self.run_exec("sh", "-c", "echo here; sleep 1000", Tty=True, AttachStdin=True)
        self.assertEqual(made.frame()[0], OUT)
        made.socket.sendall(b"\x10\x11")  # ctrl-p ctrl-q
        self.assertNotIn(EXIT_CODE, [stream for stream, _ in made.frames()])
        self.assertTrue(self.inspect(made)["Running"])

    def test_a_container_that_cannot_is_an_error_of_the_request(self):
        self.gantry.command("create", "--name", "still", "busybox:test", "true")
        self.assertEqual(self.run_exec("true", container="still").status, 409)
        self.assertEqual(self.run_exec("true", container="nobody").status, 404)
        self.assertEqual(self.run_exec().status, 400)

    def test_the_command_passes_it_on(self):
        for code in (0, 1, 126, 255):
            self.gantry.command("exec", "host", "sh", "-c", f"exit {code}", code=code)


if __name__ == "__main__":
    harness.main()
