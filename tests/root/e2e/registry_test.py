"""Pull and push against Debian's docker-registry on loopback: plain, with a CA of its own, with Basic and token
authentication, over connections that break, and beside skopeo."""
import base64
import contextlib
import http.client
import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import unittest
import urllib.parse
import urllib.request

from harness import Gantry, GantryTest, busybox_tar, free_port, main, wait_until

NEEDED = ("docker-registry", "openssl")


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


class Registry:
    """One docker-registry; `extra` is YAML of its auth or http sections."""

    def __init__(self, root, name, http="", extra="", scheme="http"):
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.scheme = scheme
        config = root / f"{name}.yml"
        config.write_text(f"version: 0.1\nlog: {{level: error}}\n"
                          f"storage: {{filesystem: {{rootdirectory: {root}/{name}}}, delete: {{enabled: true}}}}\n"
                          f"http:\n  addr: '{self.host}'\n{http}\n{extra}\n")
        self.log = open(root / f"{name}.log", "w")
        self.process = subprocess.Popen(["docker-registry", "serve", config], stdout=self.log, stderr=self.log)
        wait_until(self.answers, "the registry answers")

    def answers(self):
        with contextlib.suppress(OSError):
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        return False

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


class CuttingProxy:
    """Passes bytes on to a port, and breaks the connection after a number of bytes of the answer, as often as told."""

    def __init__(self, target):
        self.target, self.cut_after, self.cuts = target, None, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = True
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while self.open:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            upstream = socket.create_connection(("127.0.0.1", self.target))
            threading.Thread(target=self.copy, args=(client, upstream, False), daemon=True).start()
            threading.Thread(target=self.copy, args=(upstream, client, True), daemon=True).start()

    def copy(self, source, sink, counts):
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if counts and self.cut_after is not None and passed + len(data) > self.cut_after:
                    sink.sendall(data[:max(self.cut_after - passed, 0)])
                    self.cut_after, self.cuts = None, self.cuts + 1
                    for end in (source, sink):
                        end.shutdown(socket.SHUT_RDWR)
                    break
                sink.sendall(data)
                passed += len(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.open = False
        self.listener.close()


class TokenServer(http.server.BaseHTTPRequestHandler):
    """The token service of a registry; signs with the key that the registry trusts."""
    key = certificate = None
    asked = []

    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        expected = "Basic " + base64.b64encode(b"alice:secret").decode()
        TokenServer.asked.append(query.get("scope", []))
        if self.headers.get("Authorization") not in (None, expected):
            return self.answer(401, {"details": "wrong"})
        allowed = self.headers.get("Authorization") == expected
        access = []
        for scope in query.get("scope", []):
            kind, name, actions = scope.split(":")
            wanted = actions.split(",")
            access.append({"type": kind, "name": name, "actions": wanted if allowed else []})
        self.answer(200, {"access_token": self.token(access)})  # no expires_in, and the other name

    def token(self, access):
        def part(value):
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            return base64.urlsafe_b64encode(data).rstrip(b"=")
        der = base64.b64encode(ssl.PEM_cert_to_DER_cert(TokenServer.certificate.read_text())).decode()
        head = part({"typ": "JWT", "alg": "RS256", "x5c": [der]})
        body = part({"iss": "gantry-test", "sub": "alice", "aud": "registry", "exp": 4102444800, "nbf": 0, "iat": 0,
                     "jti": os.urandom(8).hex(), "access": access})
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", TokenServer.key], input=head + b"." + body,
                                   capture_output=True, check=True).stdout
        return (head + b"." + body + b"." + part(signature)).decode()

    def answer(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


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

    def import_image(self, name):
        archive = self.gantry.root / "rootfs.tar"
        archive.write_bytes(busybox_tar())
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

    def test_a_layer_survives_cuts_at_every_tenth(self):
        registry = self.registry("cut")
        self.import_image(f"{registry.host}/app:1")
        self.gantry.command("push", f"{registry.host}/app:1")
        size = max(layer["size"] for layer in self.manifest(registry, "app", "1")["layers"])
        proxy = CuttingProxy(registry.port)
        self.addCleanup(proxy.close)
        name = f"127.0.0.1:{proxy.port}/app:1"
        self.gantry.command("rmi", f"{registry.host}/app:1")
        for tenth in range(1, 10):
            proxy.cut_after = size * tenth // 10
            self.gantry.command("pull", name)
            self.assertEqual(self.gantry.command("run", "--rm", name).out, "it runs\n")
            self.gantry.command("rmi", name)
        self.assertEqual(proxy.cuts, 9)

    def manifest(self, registry, name, tag):
        kinds = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
        request = urllib.request.Request(f"http://{registry.host}/v2/{name}/manifests/{tag}", headers={"Accept": kinds})
        return json.loads(urllib.request.urlopen(request, timeout=20).read())

    def test_parallel_pulls_of_one_image_share_the_download(self):
        registry = self.registry("shared")
        name = f"{registry.host}/app:1"
        self.import_image(name)
        self.gantry.command("push", name)
        self.gantry.command("rmi", name)
        pulls = [threading.Thread(target=self.gantry.command, args=("pull", name)) for _ in range(6)]
        for pull in pulls:
            pull.start()
        for pull in pulls:
            pull.join()
        self.assertEqual(self.gantry.command("run", "--rm", name).out, "it runs\n")

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
        inspected = json.loads(run("skopeo", "inspect", "--config", f"docker-archive:{archive}"))
        self.assertEqual(inspected["config"]["Cmd"], ["echo", "it runs"])
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
