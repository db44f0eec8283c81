"""Images from a real registry and from archives, and that what came is what runs."""
import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import unittest
import urllib.request

from harness import GantryTest, busybox_tar, free_port, main, wait_until


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def image_parts(marker):
    """Config and two layers: busybox, and a file with a whiteout."""
    extra = io.BytesIO()
    with tarfile.open(fileobj=extra, mode="w") as tar:
        entry = tarfile.TarInfo("marker")
        entry.size = len(marker)
        tar.addfile(entry, io.BytesIO(marker))
        tar.addfile(tarfile.TarInfo("home/.wh.app"))
    layers = [busybox_tar(), extra.getvalue()]
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["cat", "/marker"], "Env": ["A=b"]},
                         "rootfs": {"type": "layers", "diff_ids": [sha256(layer) for layer in layers]},
                         "history": []}).encode()
    return config, layers


class Registry:
    """Debian's docker-registry on loopback, filled through its HTTP API."""

    def __init__(self, root):
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        config = root / "registry.yml"
        config.write_text(f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {root}/registry}}}}\n"
                          f"http: {{addr: '{self.host}'}}\n")
        self.process = subprocess.Popen(["docker-registry", "serve", config], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_until(self.answers, "the registry answers")

    def answers(self):
        try:
            return urllib.request.urlopen(f"http://{self.host}/v2/", timeout=1).status == 200
        except OSError:
            return False

    def call(self, method, url, data=None, kind="application/octet-stream"):
        request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": kind})
        return urllib.request.urlopen(request, timeout=20)

    def put_blob(self, name, data):
        place = self.call("POST", f"http://{self.host}/v2/{name}/blobs/uploads/", b"").headers["Location"]
        self.call("PUT", place + ("&" if "?" in place else "?") + "digest=" + sha256(data), data)
        return {"digest": sha256(data), "size": len(data)}

    def put_image(self, name, tag, marker):
        config, layers = image_parts(marker)
        kind = "application/vnd.oci.image."
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": kind + "manifest.v1+json",
            "config": {"mediaType": kind + "config.v1+json", **self.put_blob(name, config)},
            "layers": [{"mediaType": kind + "layer.v1.tar+gzip", **self.put_blob(name, gzip.compress(layer, 1))}
                       for layer in layers]}).encode()
        digest = sha256(manifest)
        self.call("PUT", f"http://{self.host}/v2/{name}/manifests/{digest}", manifest, kind + "manifest.v1+json")
        other = {"mediaType": kind + "manifest.v1+json", "digest": digest, "size": len(manifest)}
        index = json.dumps({"schemaVersion": 2, "mediaType": kind + "index.v1+json", "manifests": [
            other | {"platform": {"architecture": "amd64", "os": "linux"}}]}).encode()
        self.call("PUT", f"http://{self.host}/v2/{name}/manifests/{tag}", index, kind + "index.v1+json")

    def close(self):
        self.process.kill()
        self.process.wait()


class Images(GantryTest):
    @unittest.skipUnless(shutil.which("docker-registry"), "needs docker-registry")
    def test_up_pulls_what_is_missing_and_pull_what_is_new(self):
        registry = Registry(self.gantry.root)
        self.addCleanup(registry.close)
        registry.put_image("team/app", "1", b"first\n")
        project = self.gantry.project("pull", f"services:\n  a:\n    image: {registry.host}/team/app:1\n")
        self.gantry.compose(project, "up", "-d")
        wait_until(lambda: "first" in self.gantry.compose(project, "logs").out, "it printed its marker")
        registry.put_image("team/app", "1", b"second\n")
        self.gantry.compose(project, "up", "-d")
        self.assertNotIn("second", self.gantry.compose(project, "logs").out)
        self.gantry.compose(project, "pull")
        self.gantry.compose(project, "up", "-d")
        wait_until(lambda: "second" in self.gantry.compose(project, "logs").out, "the new image runs")
        out = self.gantry.compose(project, "run", "--rm", "-T", "a", "sh", "-c", "ls /home; echo $A").out
        self.assertEqual(out, "b\n", "the whiteout hides, the environment is the image's")
        missing = self.gantry.command("pull", f"{registry.host}/team/app:nosuch", code=1)
        self.assertIn("nosuch", missing.err)

    def test_load_of_a_docker_archive(self):
        config, layers = image_parts(b"loaded\n")
        archive = self.gantry.root / "image.tar"
        with tarfile.open(archive, "w") as tar:
            def add(name, data):
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
            for i, layer in enumerate(layers):
                add(f"{i}/layer.tar", layer)
            add("config.json", config)
            add("manifest.json", json.dumps([{"Config": "config.json", "RepoTags": ["loaded:1"],
                                              "Layers": ["0/layer.tar", "1/layer.tar"]}]).encode())
        self.assertIn("loaded:1", self.gantry.command("load", "-i", archive).out)
        self.assertIn("loaded", self.gantry.command("images").out)
        self.assertEqual(self.gantry.command("run", "--rm", "loaded:1").out, "loaded\n")
        in_use = self.gantry.command("run", "-d", "--name", "holder", "loaded:1", "sleep", "1000")
        refused = self.gantry.command("rmi", "loaded:1", code=1)
        self.assertIn("holder", refused.err)
        self.gantry.command("rm", "-f", in_use.out.strip())
        self.gantry.command("rmi", "loaded:1")
        self.assertNotIn("loaded", self.gantry.command("images").out)


if __name__ == "__main__":
    main()
