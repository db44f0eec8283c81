"""Abuse that is not an escape: secrets that would show, names that are paths, links that lead out, output that talks to
terminals, copies that race. Where a defence can be switched off, the same attack is shown to get through without it.
"""
import io
import json
import os
import pathlib
import socket
import sys
import tarfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from harness import GantryTest, main, wait_until  # noqa: E402

SECRET = "correct-horse-battery-staple"


class Secrets(GantryTest):
    """A secret is a file in its service's containers, and nowhere else."""
    PROJECT = """
services:
  trusted:
    image: busybox:test
    command: sh -c "test -s /run/secrets/token && sleep 1000"
    init: true
    secrets: [token]
  other: {image: "busybox:test", command: sleep 1000, init: true}
secrets:
  token: {file: token.txt}
"""

    def setUp(self):
        self.project = self.gantry.project("secrets", self.PROJECT, token__txt="")
        (self.project / "token.txt").write_text(SECRET)
        self.gantry.compose(self.project, "up", "-d")

    def everything_told(self):
        """What commands and the API tell about the project."""
        told = {}
        for name in self.gantry.containers():
            told["inspect " + name] = json.dumps(self.gantry.inspect(name))
            told["logs " + name] = str(self.gantry.command("logs", name))
            told["top " + name] = json.dumps(self.gantry.get(f"/containers/{name}/top"))
        told["list"] = json.dumps(self.gantry.get("/containers/json?all=1"))
        told["events"] = str(self.gantry.command("events", "--since", "0", "--until", "1s", code=None))
        told["config"] = self.gantry.compose(self.project, "config").out
        told["ps"] = str(self.gantry.compose(self.project, "ps", "-a", "--format", "json"))
        told["projects"] = json.dumps(self.gantry.get("/gantry/v1/projects"))
        told["log of the daemon"] = (self.gantry.root / "daemon.log").read_text()
        return told

    def test_a_secret_shows_nowhere_but_in_its_container(self):
        self.assertEqual(self.gantry.compose(self.project, "exec", "-T", "trusted", "cat", "/run/secrets/token").out, SECRET)
        self.assertNotEqual(self.gantry.compose(self.project, "exec", "-T", "other", "cat", "/run/secrets/token", code=None).code, 0)
        shows = [where for where, text in self.everything_told().items() if SECRET in text]
        self.assertEqual(shows, [])

    def test_the_same_as_a_variable_would_show(self):
        # So the test above can fail.
        (self.project / "compose.yaml").write_text(self.PROJECT.replace("    secrets: [token]\n", f"    environment: {{T: {SECRET}}}\n")
                                                   .replace("test -s /run/secrets/token && ", ""))
        self.gantry.compose(self.project, "up", "-d")
        shows = [where for where, text in self.everything_told().items() if SECRET in text]
        self.assertIn("inspect secrets-trusted-1", shows)

    def test_a_secret_of_a_build_is_not_in_the_image(self):
        context = self.project / "context"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text("FROM busybox:test\nRUN --mount=type=secret,id=t cp /run/secrets/t /tmp/x && wc -c < /tmp/x "
                                            "> /length && rm /tmp/x\n")
        token = self.project / "token.txt"
        self.gantry.command("build", "-q", "-t", "built:1", "--secret", f"id=t,src={token}", context)
        self.assertEqual(self.gantry.command("run", "--rm", "built:1", "cat", "/length").out.strip(), str(len(SECRET)))
        self.assertNotIn(SECRET, json.dumps(self.gantry.get("/images/built:1/history")))
        self.assertNotIn(SECRET, json.dumps(self.gantry.get("/images/built:1/json")))
        archive = self.gantry.root / "built.tar"
        self.gantry.command("save", "-o", archive, "built:1")
        self.assertNotIn(SECRET.encode(), archive.read_bytes())


class Paths(GantryTest):
    def test_names_of_projects_and_volumes_are_no_paths(self):
        for name in ("../x", "a/b", "..", "A", "", ".hidden", "x" * 300):
            directory = self.gantry.project("plain", "services: {a: {image: 'busybox:test'}}\n")
            result = self.gantry.command("compose", "-p", name, "up", "-d", cwd=directory, code=None, env={"COMPOSE_PROJECT_NAME": "../y"})
            self.assertNotEqual((result.code, name and self.gantry.get("/gantry/v1/projects")), (0, []), name)
            self.assertFalse(any("/" in project["name"] or ".." in project["name"] for project in self.gantry.get("/gantry/v1/projects")))
        for name in ("../../evil", "/evil", "a/b"):
            directory = self.gantry.project("vol", f"services: {{a: {{image: 'busybox:test', volumes: ['v:/v']}}}}\nvolumes: {{v: {{name: '{name}'}}}}\n")
            self.assertNotEqual(self.gantry.compose(directory, "up", "-d", code=None).code, 0, name)
        self.assertFalse((self.gantry.root / "evil").exists())

    def test_a_linked_bind_source_stays_what_it_is(self):
        # The user's own link is followed once, when the container is made; the container cannot lead it elsewhere later.
        inside, outside = self.gantry.root / "inside", self.gantry.root / "outside"
        inside.mkdir(), outside.mkdir()
        (inside / "file").write_text("inside")
        (outside / "file").write_text("outside")
        link = self.gantry.root / "link"
        link.symlink_to(inside)
        self.gantry.command("run", "-d", "--name", "bound", "--init", "-v", f"{link}:/b", "busybox:test", "sleep", "1000")
        link.unlink()
        link.symlink_to(outside)
        self.assertEqual(self.gantry.command("exec", "bound", "cat", "/b/file").out, "inside")
        self.gantry.command("exec", "bound", "ln", "-sfn", str(outside), "/b/out")
        self.assertNotEqual(self.gantry.command("exec", "bound", "cat", "/b/out/file", code=None).code, 0)

    def test_a_subpath_cannot_leave_its_volume(self):
        self.gantry.command("run", "--rm", "-v", "tricky:/v", "busybox:test", "ln", "-sfn", "/etc", "/v/out")
        for subpath in ("out", "../..", "out/../../.."):
            result = self.gantry.command("run", "--rm", "--mount", f"type=volume,source=tricky,target=/m,volume-subpath={subpath}",
                                         "busybox:test", "ls", "/m", code=None)
            self.assertNotIn("shadow", result.out, subpath)


class Copies(GantryTest):
    """`cp` walks paths that a hostile program changes under it (CVE-2018-15664)."""

    def archive(self, method, name, path, body=b""):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.gantry.run / "gantry.sock"))
            s.sendall(f"{method} /containers/{name}/archive?path={path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                      f"Content-Type: application/x-tar\r\nContent-Length: {len(body)}\r\n\r\n".encode())
            try:
                s.sendall(body)
            except OSError:
                pass
            data = b""
            try:
                while piece := s.recv(65536):
                    data += piece
            except OSError:
                pass
        return data

    def test_a_path_that_turns_into_a_link_never_reaches_the_host(self):
        marker = self.gantry.root / "host"
        marker.mkdir()
        (marker / "file").write_text("of-the-host")
        # Exchanges a directory and a link to the host's directory as fast as it can.
        script = (f"mkdir -p /d/real; echo of-the-container > /d/real/file; ln -sfn {marker} /d/link; cd /d; touch /ready; "
                  "while true; do mv real x; mv link real; mv real link; mv x real; done")
        self.gantry.command("run", "-d", "--name", "racer", "busybox:test", "sh", "-c", script)
        wait_until(lambda: self.gantry.command("exec", "racer", "test", "-e", "/ready", code=None).code == 0, "the race has begun")
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as archive:
            entry = tarfile.TarInfo("planted")
            entry.size = 1
            archive.addfile(entry, io.BytesIO(b"x"))
        for _ in range(60):
            self.assertNotIn(b"of-the-host", self.archive("GET", "racer", "/d/real/file"))
            self.archive("PUT", "racer", "/d/real", tar.getvalue())
        self.assertEqual(sorted(path.name for path in marker.iterdir()), ["file"])

    def test_an_archive_cannot_leave_its_target(self):
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as archive:
            for name in ("../../../../../../tmp/planted-by-cp", "/tmp/planted-by-cp", "up/../../../../tmp/planted-by-cp"):
                entry = tarfile.TarInfo(name)
                entry.size = 1
                archive.addfile(entry, io.BytesIO(b"x"))
        self.gantry.command("create", "--name", "target", "busybox:test", "true")
        self.archive("PUT", "target", "/", tar.getvalue())
        self.assertFalse(os.path.exists("/tmp/planted-by-cp"))


class Output(GantryTest):
    def test_names_and_labels_cannot_speak_to_a_terminal(self):
        for words in (["--name", "a\x1b[2J"], ["--hostname", "a\x1b[2J"]):
            self.gantry.command("create", *words, "busybox:test", "true", code=None)
            self.assertNotIn("\x1b", self.gantry.command("ps", "-a").out)
        result = self.gantry.command("create", "--label", "x=\x1b[2J", "--name", "labelled", "busybox:test", "true")
        self.assertNotIn("\x1b", self.gantry.command("inspect", "labelled").out)

    def test_a_prefix_stands_before_every_line_of_logs(self):
        project = self.gantry.project("forge", "services:\n  evil: {image: 'busybox:test', command: ['printf', 'one\\nbank-1  | forged\\n']}\n")
        self.gantry.compose(project, "up", "-d")
        wait_until(lambda: self.gantry.inspect("forge-evil-1")["State"]["Status"] == "exited", "it ended")
        lines = self.gantry.compose(project, "logs", "--no-color").out.splitlines()
        self.assertEqual(len(lines), 2)
        self.assertTrue(all(line.startswith("evil-1") for line in lines), lines)


if __name__ == "__main__":
    main()
