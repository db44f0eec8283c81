"""What the image tests stand on: Debian's docker-registry on loopback, a proxy that breaks connections, a token service."""
import base64
import contextlib
import http.server
import json
import os
import socket
import ssl
import subprocess
import threading
import urllib.parse

from harness import free_port, wait_until


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
    """Passes bytes on to a port, counts them, and breaks the connection after a number of bytes, as often as told: of the
    answers, or (cuts_requests) of what is sent."""

    def __init__(self, target, cuts_requests=False):
        self.target, self.cuts_requests = target, cuts_requests
        self.cut_after, self.cuts, self.passed = None, 0, 0
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
            try:
                upstream = socket.create_connection(("127.0.0.1", self.target))
            except OSError:  # or nobody would be answered any more
                client.close()
                continue
            threading.Thread(target=self.copy, args=(client, upstream, self.cuts_requests), daemon=True).start()
            threading.Thread(target=self.copy, args=(upstream, client, not self.cuts_requests), daemon=True).start()

    def copy(self, source, sink, counts):
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if counts and self.cut_after is not None and passed + len(data) > self.cut_after:
                    data = data[:max(self.cut_after - passed, 0)]
                    self.cut_after, self.cuts, self.passed = None, self.cuts + 1, self.passed + len(data)
                    sink.sendall(data)
                    for end in (source, sink):
                        end.shutdown(socket.SHUT_RDWR)
                    break
                sink.sendall(data)
                passed += len(data)
                self.passed += len(data) if counts else 0
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
