"""Builds on the real kernel: what RUN sees, what stays in layers, and the real docker CLI as client."""
import http.server
import shutil
import socket
import subprocess
import threading
import unittest

from harness import GantryTest, main


class Dockerfiles(GantryTest):
    def context(self, name, dockerfile, **files):
        directory = self.gantry.root / name
        directory.mkdir(exist_ok=True)
        (directory / "Dockerfile").write_text(dockerfile)
        for file, text in files.items():
            path = directory / file.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return directory

    def build(self, name, dockerfile, *flags, code=0, files=None, **options):
        directory = self.context(name, dockerfile, **(files or {}))
        return self.gantry.command("build", "-t", name, *flags, directory, code=code, **options)

    def cat(self, image, *command):
        return self.gantry.command("run", "--rm", image, *command).out

    def test_mounts_of_every_kind(self):
        built = self.build("mounts", "FROM busybox:test AS tools\nRUN echo tool > /tool\nFROM busybox:test\n"
                           "RUN --mount=target=/ctx cat /ctx/data > /from-context && ! touch /ctx/x 2>/dev/null\n"
                           "RUN --mount=target=/ctx,rw echo new > /ctx/new && cat /ctx/new > /written\n"
                           "RUN --mount=from=tools,source=/tool,target=/t cat /t > /from-stage\n"
                           "RUN --mount=type=tmpfs,target=/tmp/t,size=1m df /tmp/t | tail -1 > /tmpfs; echo x > /tmp/t/x\n"
                           "RUN --mount=type=secret,id=key,mode=0440 cat /run/secrets/key | wc -c > /secret; "
                           "ls -l /run/secrets/key >> /secret\n"
                           "RUN --mount=type=secret,id=key,env=KEY echo ${#KEY} > /secret-env\n"
                           "RUN --mount=type=cache,id=c,target=/cache echo once >> /cache/log; cat /cache/log > /cached\n",
                           "--secret", "id=key,env=THE_KEY", env={"THE_KEY": "hunter2"}, files={"data": "from context\n"})
        self.assertNotIn("hunter2", built.out + built.err)
        self.assertEqual(self.cat("mounts", "cat", "/from-context", "/written", "/from-stage"),
                         "from context\nnew\ntool\n")
        self.assertIn("tmpfs", self.cat("mounts", "cat", "/tmpfs"))
        self.assertRegex(self.cat("mounts", "cat", "/secret"), r"^7\n-r--r-----")
        self.assertEqual(self.cat("mounts", "cat", "/secret-env", "/cached"), "7\nonce\n")
        left = self.cat("mounts", "sh", "-c", "ls -d /ctx /t /tmp/t /run/secrets /cache 2>/dev/null; true")
        self.assertEqual(left, "", "mount points are no part of the image")
        self.assertFalse((self.gantry.root / "mounts/new").exists(), "a writable mount is thrown away")
        self.assertNotIn("hunter2", self.gantry.command("history", "--no-trunc", "mounts").out)
        # The cache outlives the build.
        self.build("again", "FROM busybox:test\nRUN --mount=type=cache,id=c,target=/cache echo twice >> /cache/log; "
                   "cat /cache/log > /cached\n")
        self.assertEqual(self.cat("again", "cat", "/cached"), "once\ntwice\n")

    def test_network_and_here_documents(self):
        self.build("here", "FROM busybox:test\nRUN --network=none ls /sys/class/net > /interfaces\n"
                   "RUN <<EOF\necho one > /one\necho two > /two\nEOF\n"
                   "RUN <<EOF\n#!/bin/cat\nscript\nEOF\n")
        self.assertEqual(self.cat("here", "cat", "/interfaces", "/one", "/two"), "lo\none\ntwo\n")

    def test_an_agent_is_handed_in(self):
        path = self.gantry.root / "agent.sock"
        agent = socket.socket(socket.AF_UNIX)
        agent.bind(str(path))
        agent.listen()
        self.addCleanup(agent.close)
        self.build("agent", "FROM busybox:test\nRUN --mount=type=ssh test -S $SSH_AUTH_SOCK && echo $SSH_AUTH_SOCK > /s\n",
                   "--ssh", f"default={path}")
        self.assertEqual(self.cat("agent", "cat", "/s"), "/run/buildkit/ssh_agent.0\n")

    def test_a_url_is_fetched_once(self):
        asked = []

        class Server(http.server.BaseHTTPRequestHandler):
            def answer(self, body):
                asked.append(self.command)
                self.send_response(200)
                self.send_header("ETag", '"1"')
                self.send_header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")
                self.send_header("Content-Length", "7")
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self.answer(b"fetched")

            def do_HEAD(self):
                self.answer(b"")

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        text = f"FROM busybox:test\nADD http://127.0.0.1:{server.server_port}/file.txt /got/\n"
        self.build("url", text)
        self.assertEqual(self.cat("url", "sh", "-c", "cat /got/file.txt; stat -c ' %a %Y' /got/file.txt"),
                         "fetched 600 1445412480\n")
        self.build("url", text)
        self.assertEqual(asked.count("GET"), 1, "what is known is not fetched again")
        refused = self.build("bad", f"FROM busybox:test\nADD --checksum=sha256:{'0' * 64} "
                             f"http://127.0.0.1:{server.server_port}/file.txt /x\n", code=1)
        self.assertIn("digest mismatch", refused.err)

    def test_a_failure_shows_where_and_the_last_output(self):
        failed = self.build("broken", "FROM busybox:test\n\nRUN echo before; exit 3\n", code=3)
        self.assertIn("returned a non-zero code: 3", failed.err)
        self.assertIn("   3 | >>> RUN echo before; exit 3", failed.err)
        self.assertIn("before", failed.err)

    @unittest.skipUnless(shutil.which("docker"), "needs the docker CLI")
    def test_the_docker_cli_builds_the_classic_way(self):
        directory = self.context("cli", "FROM busybox:test\nCOPY data /data\nRUN cat /data\n", data="from the cli\n")
        environment = self.gantry.environment | {"DOCKER_HOST": self.gantry.host, "DOCKER_BUILDKIT": "0"}
        done = subprocess.run(["docker", "build", "-t", "bycli", directory], env=environment, capture_output=True,
                              text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("Successfully tagged bycli:latest", done.stdout)
        self.assertEqual(self.cat("bycli", "cat", "/data"), "from the cli\n")

    def test_compose_builds_from_each_others_images_with_secrets(self):
        project = self.gantry.project(
            "built", "services:\n  base:\n    build: {context: ., dockerfile: base.Dockerfile}\n  app:\n    build:\n"
            "      context: .\n      additional_contexts: {mybase: 'service:base'}\n      secrets: [token]\n"
            "    command: cat /made /base\nsecrets:\n  token: {file: ./token}\n",
            **{"base.Dockerfile": "FROM busybox:test\nRUN echo base > /base\n", "token": "t0ken",
               "Dockerfile": "FROM mybase\nRUN --mount=type=secret,id=token wc -c < /run/secrets/token > /made\n"})
        self.gantry.compose(project, "build")
        self.assertEqual(self.gantry.compose(project, "run", "--rm", "-T", "app").out, "5\nbase\n")


if __name__ == "__main__":
    main()
