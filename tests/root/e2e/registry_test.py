"""Pull and push against Debian's docker-registry on loopback: plain, with a CA of its own, with Basic and token
authentication, over connections that break, and beside skopeo."""
import base64
import http.client
import http.server
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import threading
import unittest
import urllib.request

from harness import Gantry, GantryTest, busybox_tar, main
from registries import CuttingProxy, Registry, TokenServer, run

NEEDED = ("docker-registry", "openssl")


@unittest.skipUnless(all(shutil.which(tool) for tool in NEEDED), f"needs {', '.join(NEEDED)}")
class RegistryTest(GantryTest):
    @classmethod
    def setUpClass(cls):
        cls.gantry = Gantry()
        cls.certificate_directory = cls.gantry.root / "certs.d"
        cls.gantry.daemon_command += ["--registry-certs", cls.certificate_directory]
        cls.gantry.__enter__()
        cls.addClassCleanup(cls.gantry.__exit__, None, None, None)

    def call(self, method, path, headers=None):
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.gantry.run / "gantry.sock"))
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return text

    def registry(self, name, **options):
        registry = Registry(self.gantry.root, name, **options)
        self.addCleanup(registry.close)
        return registry

    def import_image(self, name, salt=b""):
        archive = self.gantry.root / "rootfs.tar"
        archive.write_bytes(busybox_tar())
        if salt:
            with tarfile.open(archive, "a") as tar:
                entry = tarfile.TarInfo("salt")
                entry.size = len(salt)
                tar.addfile(entry, io.BytesIO(salt))
        self.gantry.command("import", "-c", 'CMD ["echo", "it runs"]', archive, name)

    def image_id(self, name):
        return self.gantry.command("images", "-q", name).out.split()[0]

    def check_round_trip(self, name):
        """Push, remove, pull, run; the same image comes back."""
        self.import_image(name)
        before = self.image_id(name)
        pushed = self.gantry.command("push", name).out
        self.assertIn("@sha256:", pushed)
        self.gantry.command("rmi", name)
        self.gantry.command("pull", name)
        self.assertEqual(self.image_id(name), before)
        self.assertEqual(self.gantry.command("run", "--rm", name).out, "it runs\n")

    def certificates(self, directory):
        directory.mkdir()
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=gantry test",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", directory / "key.pem", "-out", directory / "cert.pem")
        return directory / "key.pem", directory / "cert.pem"

    def test_plain_push_pull_and_mount(self):
        host = self.registry("plain").host
        self.check_round_trip(f"{host}/team/app:1")
        again = self.gantry.command("push", f"{host}/team/app:1")
        self.assertIn("Layer already exists", again.err)
        self.assertNotRegex(again.err, r"(?m)^ *[0-9a-f]{12} Pushing")
        self.gantry.command("tag", f"{host}/team/app:1", f"{host}/other/app:2")
        mounted = self.call("POST", f"/images/{host}/other/app/push?tag=2", headers={"X-Registry-Auth": "e30="})
        self.assertIn("Mounted from team/app", mounted)
        found = json.loads(self.call("GET", f"/distribution/{host}/other/app:2/json"))
        self.assertEqual(found["Platforms"][0]["os"], "linux")
        missing = self.gantry.command("pull", f"{host}/team/app:nosuch", code=1).err
        self.assertIn(f"manifest for {host}/team/app:nosuch not found", missing)

    def test_a_certificate_authority_of_its_own(self):
        key, certificate = self.certificates(self.gantry.root / "tls")
        host = self.registry("tls", scheme="https",
                             http=f"  tls: {{certificate: {certificate}, key: {key}}}").host
        trusted = self.certificate_directory / host
        trusted.mkdir(parents=True)
        shutil.copy(certificate, trusted / "ca.crt")
        self.check_round_trip(f"{host}/secure:1")
        # Somebody else's authority: the connection is refused, with the place where the right one belongs.
        other = self.certificates(self.gantry.root / "other")[1]
        shutil.copy(other, trusted / "ca.crt")
        self.assertIn("certs.d", self.gantry.command("pull", f"{host}/secure:1", code=1).err)

    @unittest.skipUnless(shutil.which("htpasswd"), "needs htpasswd (apache2-utils)")
    def test_basic_authentication_login_and_logout(self):
        passwords = self.gantry.root / "htpasswd"
        passwords.write_text(run("htpasswd", "-Bbn", "alice", "secret"))
        host = self.registry("basic", extra=f"auth: {{htpasswd: {{realm: test, path: {passwords}}}}}").host
        self.import_image(f"{host}/app:1")
        self.assertIn("unauthorized", self.gantry.command("push", f"{host}/app:1", code=1).err)
        wrong = self.gantry.command("login", "-u", "alice", "--password-stdin", host, code=1, stdin="wrong")
        self.assertIn("unauthorized: incorrect username or password", wrong.err)
        self.gantry.command("login", "-u", "alice", "--password-stdin", host, stdin="secret")
        self.check_round_trip(f"{host}/app:1")
        config = json.loads((self.gantry.root / ".docker/config.json").read_text())
        self.assertEqual(base64.b64decode(config["auths"][host]["auth"]), b"alice:secret")
        self.gantry.command("logout", host)
        self.assertIn("pull access denied", self.gantry.command("pull", f"{host}/app:1", code=1).err)

    def test_a_credential_helper_is_asked(self):
        helper = self.gantry.root / "bin/docker-credential-test"
        helper.parent.mkdir()
        log = self.gantry.root / "helper.log"
        helper.write_text(f"#!/bin/sh\nread server\necho \"$1 $server\" >> {log}\n"
                          "echo '{\"ServerURL\":\"x\",\"Username\":\"alice\",\"Secret\":\"secret\"}'\n")
        helper.chmod(0o755)
        (self.gantry.root / ".docker").mkdir()
        (self.gantry.root / ".docker/config.json").write_text(json.dumps({"credHelpers": {"reg.test:5000": "test"}}))
        self.gantry.environment["PATH"] = f"{helper.parent}:{self.gantry.environment['PATH']}"
        self.gantry.command("pull", "reg.test:5000/x", code=1)  # there is no such host
        self.assertEqual(log.read_text(), "get reg.test:5000\n")

    def test_tokens(self):
        key, certificate = self.certificates(self.gantry.root / "token")
        TokenServer.key, TokenServer.certificate = key, certificate
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), TokenServer)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        realm = f"http://127.0.0.1:{server.server_port}/token"
        host = self.registry("token", extra="auth:\n  token: {realm: '%s', service: registry, issuer: gantry-test, "
                             "rootcertbundle: %s}" % (realm, certificate)).host
        self.import_image(f"{host}/team/app:1")
        self.gantry.command("push", f"{host}/team/app:1", code=1)
        self.gantry.command("login", "-u", "alice", "--password-stdin", host, stdin="secret")
        self.check_round_trip(f"{host}/team/app:1")
        self.assertIn(["repository:team/app:pull,push"], TokenServer.asked)
        self.gantry.command("tag", f"{host}/team/app:1", f"{host}/team/two:1")
        self.gantry.command("push", f"{host}/team/two:1")
        self.assertIn(["repository:team/two:pull,push", "repository:team/app:pull"], TokenServer.asked)

    def test_a_pull_goes_on_after_cuts_at_every_tenth_of_a_layer(self):
        registry = self.registry("cut")
        self.import_image(f"{registry.host}/app:1")
        self.gantry.command("push", f"{registry.host}/app:1")
        size = max(layer["size"] for layer in self.manifest(registry, "app", "1")["layers"])
        proxy = CuttingProxy(registry.port)
        self.addCleanup(proxy.close)
        name = f"127.0.0.1:{proxy.port}/app:1"
        self.gantry.command("rmi", f"{registry.host}/app:1")
        for tenth in range(1, 10):
            proxy.cut_after, proxy.passed = size * tenth // 10, 0
            self.gantry.command("pull", name)
            self.assertLess(proxy.passed, size * 1.1, "what had come is not fetched again")
            self.assertEqual(self.gantry.command("run", "--rm", name).out, "it runs\n")
            self.gantry.command("rmi", name)
        self.assertEqual(proxy.cuts, 9)

    def test_a_push_goes_on_after_cuts_at_every_tenth_of_a_layer(self):
        registry = self.registry("cut-push")
        proxy = CuttingProxy(registry.port, cuts_requests=True)
        self.addCleanup(proxy.close)
        for tenth in range(1, 10):
            name = f"127.0.0.1:{proxy.port}/app{tenth}:1"
            # A layer of its own each time: one that the registry has is not sent.
            self.import_image(name, salt=os.urandom(2_000_000))
            proxy.cut_after, proxy.passed = 2_000_000 * tenth // 10, 0
            self.gantry.command("push", name)
            self.assertEqual(proxy.cuts, tenth)
            size = max(layer["size"] for layer in self.manifest(registry, f"app{tenth}", "1")["layers"])
            # docker-registry forgets what had arrived of a layer that broke off, at times only once it has taken the rest:
            # that layer is sent again, and not for ever.
            self.assertLess(proxy.passed, size * 4 + 200_000)
            self.gantry.command("rmi", name)
            self.gantry.command("pull", f"{registry.host}/app{tenth}:1")
            self.assertEqual(self.gantry.command("run", "--rm", f"{registry.host}/app{tenth}:1").out, "it runs\n")

    def manifest(self, registry, name, tag):
        kinds = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
        request = urllib.request.Request(f"http://{registry.host}/v2/{name}/manifests/{tag}", headers={"Accept": kinds})
        return json.loads(urllib.request.urlopen(request, timeout=20).read())

    def test_parallel_pulls_of_one_image_share_the_download(self):
        registry = self.registry("shared")
        self.import_image(f"{registry.host}/app:1", salt=os.urandom(20_000_000))
        self.gantry.command("push", f"{registry.host}/app:1")
        self.gantry.command("rmi", f"{registry.host}/app:1")
        size = max(layer["size"] for layer in self.manifest(registry, "app", "1")["layers"])
        proxy = CuttingProxy(registry.port)
        self.addCleanup(proxy.close)
        name = f"127.0.0.1:{proxy.port}/app:1"
        pulls = [threading.Thread(target=self.gantry.command, args=("pull", name)) for _ in range(6)]
        for pull in pulls:
            pull.start()
        for pull in pulls:
            pull.join()
        self.assertEqual(self.gantry.command("run", "--rm", name).out, "it runs\n")
        self.assertLess(proxy.passed, size * 1.1)

    @unittest.skipUnless(shutil.which("skopeo"), "needs skopeo")
    def test_skopeo_reads_what_gantry_writes_and_the_other_way_round(self):
        registry = self.registry("skopeo")
        name = f"{registry.host}/app"
        self.import_image(f"{name}:1")
        self.gantry.command("push", f"{name}:1")
        archive = self.gantry.root / "saved.tar"
        self.gantry.command("save", "-o", archive, f"{name}:1")
        insecure = ("--src-tls-verify=false", "--dest-tls-verify=false")
        policy = ("skopeo", "--insecure-policy", "copy")
        pushed = run("skopeo", "inspect", "--tls-verify=false", "--config", f"docker://{name}:1")
        # The archive is both: Docker's, and an OCI layout, whose manifests are of OCI's types whatever was pushed.
        for found in (pushed, run("skopeo", "inspect", "--config", f"docker-archive:{archive}"),
                      run("skopeo", "inspect", "--config", f"oci-archive:{archive}:1")):
            self.assertEqual(json.loads(found)["config"]["Cmd"], ["echo", "it runs"])
        for form in ("oci", "v2s2"):
            for method in ("gzip", "zstd"):
                if form == "v2s2" and method == "zstd":
                    continue  # Docker's form has no zstd
                tag = f"{form}-{method}"
                run(*policy, *insecure, "--format", form, "--dest-compress-format", method, f"docker://{name}:1",
                    f"docker://{name}:{tag}")
                self.gantry.command("pull", f"{name}:{tag}")
                self.assertEqual(self.gantry.command("run", "--rm", f"{name}:{tag}").out, "it runs\n")
        # An OCI layout made by skopeo loads.
        made = self.gantry.root / "made.tar"
        run(*policy, "--src-tls-verify=false", f"docker://{name}:1", f"oci-archive:{made}:loaded")
        self.assertIn("loaded", self.gantry.command("load", "-i", made).out)

    @unittest.skipUnless(shutil.which("umoci"), "needs umoci")
    def test_umoci_unpacks_what_gantry_saves(self):
        self.import_image("saved:1")
        archive = self.gantry.root / "saved.tar"
        self.gantry.command("save", "-o", archive, "saved:1")
        layout = self.gantry.root / "layout"
        with tarfile.open(archive) as tar:
            tar.extractall(layout)
        history = json.loads(run("umoci", "stat", "--json", "--image", f"{layout}:1"))["history"]
        self.assertEqual(len([item for item in history if not item.get("empty_layer")]), 1)
        run("umoci", "unpack", "--image", f"{layout}:1", self.gantry.root / "bundle")
        self.assertEqual((self.gantry.root / "bundle/rootfs/bin/busybox").read_bytes(),
                         open("/bin/busybox", "rb").read())
        config = json.loads((self.gantry.root / "bundle/config.json").read_text())
        self.assertEqual(config["process"]["args"], ["echo", "it runs"])

    @unittest.skipUnless(shutil.which("podman") and shutil.which("runc"), "needs podman and runc")
    def test_podman_runs_what_gantry_pushes(self):
        registry = self.registry("podman")
        name = f"{registry.host}/app:1"
        context = self.gantry.root / "podman-context"
        context.mkdir()
        (context / "said").write_text("built here\n")
        self.import_image("base:1")
        (context / "Dockerfile").write_text("FROM base:1\nCOPY said /\nRUN echo more >> /said && rm /etc/group\n"
                                            'CMD ["sh", "-c", "cat /said; ls /etc"]\n')
        self.gantry.command("build", "-q", "-t", name, context)
        self.gantry.command("push", name)
        place = self.gantry.root / "podman"
        podman = ("podman", "--root", place / "root", "--runroot", place / "run", "--tmpdir", place / "tmp",
                  "--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--events-backend", "none", "--runtime",
                  "runc")
        self.addCleanup(subprocess.run, [*podman, "rmi", "-f", "-a"], capture_output=True)
        run(*podman, "pull", "-q", "--tls-verify=false", name)
        out = run(*podman, "run", "--rm", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit",
                  "nproc=1024:1024", name)
        self.assertIn("built here\nmore\n", out)
        self.assertIn("passwd", out)
        self.assertNotIn("group", out)

    def test_saved_images_come_back(self):
        self.import_image("one:1")
        self.gantry.command("tag", "one:1", "two:2")
        before = self.image_id("one:1")
        archive = self.gantry.root / "saved.tar"
        self.gantry.command("save", "-o", archive, "one:1", "two:2")
        self.gantry.command("rmi", "one:1", "two:2")
        self.gantry.command("load", "-i", archive)
        self.assertEqual((self.image_id("one:1"), self.image_id("two:2")), (before, before))
        history = self.gantry.command("history", "one:1").out
        self.assertRegex(history, r"[1-9][0-9.]* ?[kM]B")
        self.assertIn("No such image", self.gantry.command("save", "-o", archive, "nosuch", code=1).err)


if __name__ == "__main__":
    main()
