"""Copying in and out by the API: what is seen, what is refused, and that no symlink leads out of the container."""
import base64
import http.client
import io
import json
import os
import pathlib
import sys
import tarfile
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import load  # noqa: E402  (finds the harness)
import harness  # noqa: E402


def tar_of(files, mode="w"):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            if content is None:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
            else:
                entry.size, entry.uid, entry.gid = len(content), 12, 34
                tar.addfile(entry, io.BytesIO(content))
    return data.getvalue()


class Archive(harness.GantryTest):
    def setUp(self):
        self.connection = load.Connection(load.socket_of(self.gantry))

    def create(self, command, **more):
        return self.connection.call("POST", "/containers/create", {"Image": "busybox:test", "Cmd": command, **more})["Id"]

    def start(self, *arguments, **more):
        identity = self.create(*arguments, **more)
        self.connection.call("POST", f"/containers/{identity}/start")
        return identity

    def archive(self, method, identity, path, body=None, **query):
        """Status, headers, body."""
        target = f"/containers/{identity}/archive?" + urllib.parse.urlencode({"path": path, **query})
        self.connection.request(method, target, body)
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def stat(self, identity, path):
        status, headers, _ = self.archive("HEAD", identity, path)
        self.assertEqual(status, 200, path)
        return json.loads(base64.b64decode(headers["X-Docker-Container-Path-Stat"], validate=True))

    def message(self, answer, status):
        self.assertEqual(answer[0], status, answer)
        return json.loads(answer[2])["message"]

    def names(self, identity, path):
        status, _, body = self.archive("GET", identity, path)
        self.assertEqual(status, 200, body)
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            return tar.getnames()

    def test_the_stat_header_has_gos_modes(self):
        for identity in (self.create(["sh"]), self.start(["sleep", "1000"])):
            self.assertEqual(self.stat(identity, "/etc")["mode"], 1 << 31 | 0o755)
            self.assertEqual(self.stat(identity, "/tmp")["mode"], 1 << 31 | 1 << 20 | 0o777)
            link = self.stat(identity, "/bin/sh")
            self.assertEqual((link["mode"] >> 27 & 1, link["name"], link["linkTarget"]), (1, "sh", "/bin/busybox"))
            self.assertEqual(self.stat(identity, "/")["name"], "/")
            self.assertEqual(self.stat(identity, "/etc/passwd")["size"],
                             len("root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n"))

    def test_what_is_missing_or_no_directory(self):
        identity = self.create(["sh"], Labels={})
        name = self.gantry.inspect(identity)["Name"].lstrip("/")
        self.assertEqual(self.message(self.archive("GET", name, "/no/such"), 404),
                         f"Could not find the file /no/such in container {name}")
        self.assertEqual(self.message(self.archive("PUT", name, "/etc/passwd", tar_of({"x": b""})), 400),
                         "extraction point is not a directory")
        self.assertEqual(self.archive("PUT", name, "/no/such", tar_of({"x": b""}))[0], 404)
        self.assertEqual(self.archive("GET", name, "")[0], 400)
        self.assertEqual(self.archive("HEAD", "nosuch", "/")[0], 404)

    def test_all_compressions_and_owners(self):
        identity = self.create(["stat", "-c", "%u:%g %n", "/tmp/plain", "/tmp/gz", "/tmp/bz2", "/tmp/xz", "/tmp/owned"],
                               User="app")
        for name, mode in (("plain", "w"), ("gz", "w:gz"), ("bz2", "w:bz2"), ("xz", "w:xz")):
            self.assertEqual(self.archive("PUT", identity, "/tmp", tar_of({name: b"x"}, mode))[0], 200)
        self.assertEqual(self.archive("PUT", identity, "/tmp", tar_of({"owned": b"x"}), copyUIDGID="true")[0], 200)
        self.connection.call("POST", f"/containers/{identity}/start")
        self.connection.call("POST", f"/containers/{identity}/wait")
        output = self.connection.call("GET", f"/containers/{identity}/logs?stdout=1&stderr=1").decode(errors="replace")
        for line in ("12:34 /tmp/plain", "12:34 /tmp/gz", "12:34 /tmp/bz2", "12:34 /tmp/xz", "1000:1000 /tmp/owned"):
            self.assertIn(line, output)

    def test_volumes_are_seen_in_every_state(self):
        host = {"Binds": ["data:/data", "data:/read-only:ro"]}
        identity = self.create(["sleep", "1000"], HostConfig=host)
        self.assertEqual(self.archive("PUT", identity, "/data", tar_of({"file": b"in the volume"}))[0], 200)
        self.assertEqual(self.names(identity, "/read-only"), ["read-only", "read-only/file"])
        self.assertEqual(self.message(self.archive("PUT", identity, "/read-only", tar_of({"x": b""})), 400),
                         "mounted volume is marked read-only")
        self.connection.call("POST", f"/containers/{identity}/start")
        self.assertEqual(self.names(identity, "/read-only/."), [".", "./file"])
        self.assertEqual(self.message(self.archive("PUT", identity, "/read-only", tar_of({"x": b""})), 400),
                         "mounted volume is marked read-only")
        self.connection.call("DELETE", f"/containers/{identity}?force=1&v=1")
        self.connection.call("DELETE", "/volumes/data")

    def test_a_read_only_root_is_not_written_to(self):
        identity = self.create(["sleep", "1000"], HostConfig={"ReadonlyRootfs": True, "Binds": ["/writable"]})
        for _ in range(2):
            self.assertEqual(self.message(self.archive("PUT", identity, "/tmp", tar_of({"x": b""})), 400),
                             "container rootfs is marked read-only")
            self.assertEqual(self.archive("PUT", identity, "/writable", tar_of({"x": b""}))[0], 200)
            self.connection.call("POST", f"/containers/{identity}/start", expect=(204, 304))

    def test_kinds_are_kept_if_asked_for(self):
        identity = self.create(["sh"])
        answer = self.archive("PUT", identity, "/", tar_of({"etc": b"a file"}), noOverwriteDirNonDir="true")
        self.assertIn("cannot overwrite directory", self.message(answer, 400))
        answer = self.archive("PUT", identity, "/", tar_of({"etc/passwd": None}), noOverwriteDirNonDir="true")
        self.assertIn("cannot overwrite non-directory", self.message(answer, 400))

    def test_an_archive_that_leads_out_is_refused(self):
        identity = self.create(["sh"])
        answer = self.archive("PUT", identity, "/tmp", tar_of({"../../../../planted": b"x"}))
        self.assertIn("leads out", self.message(answer, 400))

    def test_links_lead_nowhere_outside_whatever_the_state(self):
        victim = self.gantry.root / "victim"
        victim.mkdir(exist_ok=True)
        (victim / "secret").write_text("of the host")
        identity = self.start(["sh", "-c", f"ln -s {victim} /away; ln -s ../../../../../../..{victim} /up; sleep 1000"])
        harness.wait_until(lambda: self.archive("HEAD", identity, "/up")[0] == 200, "the links are there")
        for _ in range(2):
            for link in ("/away", "/up"):
                self.assertEqual(self.archive("GET", identity, link + "/secret")[0], 404)
                self.assertEqual(self.archive("PUT", identity, link, tar_of({"planted": b"x"}))[0], 404)
            self.connection.call("POST", f"/containers/{identity}/kill", expect=(204, 409))
        self.assertEqual([entry.name for entry in victim.iterdir()], ["secret"])

    def test_a_link_that_is_swapped_all_the_time_leads_nowhere_outside(self):
        victim = self.gantry.root / "target"
        victim.mkdir(exist_ok=True)
        (victim / "file").write_text("of the host")
        script = (f"while :; do mkdir -p /swap; echo own > /swap/file; rm -rf /swap; ln -s {victim} /swap; rm /swap; "
                  f"ln -s / /swap; rm /swap; done")
        identity = self.start(["sh", "-c", script])
        statuses = set()
        for _ in range(150):
            statuses.add(self.archive("PUT", identity, "/swap", tar_of({"sub": None, "sub/planted": b"x"}))[0])
            try:
                status, _, body = self.archive("GET", identity, "/swap/file")
            except http.client.IncompleteRead as broken_off:  # the file went away when its head had been sent
                status, body = 200, broken_off.partial
                self.connection.close()
            statuses.add(status)
            self.assertNotIn(b"of the host", body)
        self.assertEqual([entry.name for entry in victim.iterdir()], ["file"])
        self.assertFalse(os.path.exists("/sub"))
        self.assertTrue(statuses <= {200, 400, 404, 500}, statuses)

    def test_devices_and_pipes_hold_up_nobody(self):
        identity = self.start(["sh", "-c", "mkfifo /tmp/pipe; mkdir /tmp/ready; sleep 1000"])
        harness.wait_until(lambda: self.archive("HEAD", identity, "/tmp/ready")[0] == 200, "the pipe is there")
        self.assertEqual(self.names(identity, "/tmp"), ["tmp", "tmp/pipe", "tmp/ready"])
        self.assertEqual(self.names(identity, "/dev/null"), ["null"])

    def test_export_leaves_mounts_out_and_shows_what_they_hide(self):
        for state in ("running", "stopped"):
            identity = self.start(["sleep", "1000"], HostConfig={"Binds": ["/etc"]})
            if state == "stopped":
                self.connection.call("POST", f"/containers/{identity}/kill")
            body = self.connection.call("GET", f"/containers/{identity}/export")
            with tarfile.open(fileobj=io.BytesIO(body)) as tar:
                names = tar.getnames()
                self.assertIn("etc/passwd", names)
                self.assertEqual([name for name in names if name.startswith(("proc/", "sys/", "dev/"))], [])


if __name__ == "__main__":
    harness.main()
