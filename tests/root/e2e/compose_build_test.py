"""Options of build, pull and push, against a registry on loopback where images travel."""
import json
import os
import shutil
import socket
import urllib.request

from harness import GantryTest, main
from registry_test import Registry

DOCKERFILE = "FROM busybox:test\nARG WHAT=nothing\nRUN echo $WHAT > /what\n"


class Build(GantryTest):
    def write(self, yaml, **files):
        self.directory = self.gantry.project("bld", yaml, **({"Dockerfile": DOCKERFILE} | files))

    def compose(self, *words, **options):
        return self.gantry.compose(self.directory, *words, **options)

    def tearDown(self):
        super().tearDown()
        for image in ("bld-a", "bld-b"):
            self.gantry.command("rmi", "-f", image, code=None)

    def image(self, name):
        return self.gantry.get(f"/images/{name}/json").get("Id")

    def what(self, image="bld-a"):
        return self.gantry.command("run", "--rm", image, "cat", "/what").out

    ONE = "services: {a: {build: .}}\n"

    def test_arguments(self):
        self.write(self.ONE)
        self.compose("build", "--build-arg", "WHAT=flag")
        self.assertEqual(self.what(), "flag\n")
        self.compose("build", "--build-arg", "WHAT", env={"WHAT": "environment"})
        self.assertEqual(self.what(), "environment\n")
        self.assertIn("invalid --build-arg", self.compose("build", "--build-arg", "=x", code=1).err)

    def test_without_cache(self):
        self.write(self.ONE, Dockerfile="FROM busybox:test\nRUN head -c 16 /dev/urandom | od -x > /what\n")
        self.compose("build")
        first = self.image("bld-a")
        self.compose("build")
        self.assertEqual(self.image("bld-a"), first)
        self.compose("build", "--no-cache")
        self.assertNotEqual(self.image("bld-a"), first)

    def test_dependencies(self):
        self.write("services: {a: {build: .}, b: {build: ., depends_on: [a]}}\n")
        self.compose("build", "b")
        self.assertIsNone(self.image("bld-a"))
        self.compose("build", "--with-dependencies", "b")
        self.assertIsNotNone(self.image("bld-a"))

    def test_print_builds_nothing(self):
        self.write(self.ONE)
        plan = json.loads(self.compose("build", "--print").out)
        self.assertEqual(plan["target"]["a"]["context"], str(self.directory))
        self.assertIsNone(self.image("bld-a"))

    def test_quiet_and_progress(self):
        self.write(self.ONE)
        shown = self.compose("build", "--quiet")
        self.assertEqual((shown.out, shown.err), ("", ""))
        shown = self.compose("build", "--progress", "plain", "--no-cache")
        self.assertIn("RUN echo", shown.err + shown.out)

    def test_the_builder_is_the_daemons(self):
        self.write(self.ONE)
        self.compose("build", "--builder", "default")
        self.assertIsNotNone(self.image("bld-a"))
        self.assertIn('no builder "other" found', self.compose("build", "--builder", "other", code=1).err)

    def test_memory_is_for_the_classic_builder(self):
        self.write(self.ONE)
        self.compose("build", "--memory", "0")
        self.assertIn("classic builder", self.compose("build", "-m", "64m", code=1).err)
        self.assertIn("--memory", self.compose("build", "-m", "lots", code=1).err)

    def test_ssh_agents_are_passed_on(self):
        path = str(self.gantry.root / "agent.sock")
        with socket.socket(socket.AF_UNIX) as agent:
            agent.bind(path)
            agent.listen(5)
            self.write(self.ONE, Dockerfile="FROM busybox:test\nRUN --mount=type=ssh echo $SSH_AUTH_SOCK > /what && "
                                            "test -S $SSH_AUTH_SOCK\n")
            self.compose("build", "--ssh", f"default={path}")
        self.assertIn("/", self.what())
        self.assertIn("ssh", self.compose("build", "--ssh", "default", code=1).err)
        os.unlink(path)

    def test_check_finds_faults_and_builds_nothing(self):
        self.write(self.ONE, Dockerfile="FROM busybox:test\nRUNN x\n")
        self.assertIn("RUNN", self.compose("build", "--check", code=1).err)
        self.write(self.ONE)
        self.assertIn("no warnings found", self.compose("build", "--check").out)
        self.assertIsNone(self.image("bld-a"))

    def test_attestations(self):
        self.write(self.ONE)
        self.compose("build", "--provenance", "false", "--sbom", "false")
        self.assertIsNotNone(self.image("bld-a"))
        for flag in ("--provenance", "--sbom"):
            self.assertIn("Attestation", self.compose("build", flag, "true", code=1).err)

    def test_nothing_to_build_is_said(self):
        self.write("services: {a: {image: 'busybox:test'}}\n")
        self.assertIn("No services to build", self.compose("build").err)


class Transport(GantryTest):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("docker-registry"):
            cls.skipTest(cls, "needs docker-registry")
        super().setUpClass()
        cls.registry = Registry(cls.gantry.root, "reg")
        cls.addClassCleanup(cls.registry.close)

    def write(self, yaml, **files):
        self.directory = self.gantry.project("trn", yaml.replace("REG", self.registry.host), **files)

    def compose(self, *words, **options):
        return self.gantry.compose(self.directory, *words, **options)

    def image(self, name):
        return self.gantry.get(f"/images/{self.registry.host}/{name}/json").get("Id")

    def drop(self, name):
        self.gantry.command("rmi", "-f", f"{self.registry.host}/{name}", code=None)

    def publish_image(self, name):
        self.gantry.command("tag", "busybox:test", f"{self.registry.host}/{name}")
        self.gantry.command("push", f"{self.registry.host}/{name}")
        self.drop(name)

    def test_build_and_push_then_pull_of_newer_bases(self):
        self.publish_image("base:1")
        self.write("services: {a: {build: ., image: 'REG/made:1'}, b: {build: .}}\n",
                   Dockerfile=f"FROM {self.registry.host}/base:1\nRUN echo made > /what\n")
        self.compose("build", "--push", "--pull")
        self.drop("made:1")
        self.compose("pull", "--include-deps", "a")
        self.assertIsNotNone(self.image("made:1"))

    def test_push_with_dependencies_and_failures(self):
        self.write("services: {a: {build: ., image: 'REG/dep:1'}, b: {build: ., image: 'REG/top:1', depends_on: [a]}}\n",
                   Dockerfile="FROM busybox:test\n")
        self.compose("build")
        self.compose("push", "--include-deps", "--quiet", "b")
        self.drop("dep:1"), self.drop("top:1")
        self.compose("pull", "--quiet")
        self.assertIsNotNone(self.image("dep:1"))
        self.write("services: {a: {build: ., image: 'localhost:1/nowhere:1'}}\n", Dockerfile="FROM busybox:test\n")
        self.compose("build")
        self.compose("push", code=1)
        self.compose("push", "--ignore-push-failures")

    def test_pull_policies_and_failures(self):
        self.publish_image("here:1")
        self.write("services: {a: {image: 'REG/here:1'}, b: {image: 'REG/missing:1', build: .}}\n",
                   Dockerfile="FROM busybox:test\n")
        shown = self.compose("pull", code=1)
        self.assertIn("must be built from source", shown.err)
        self.compose("pull", "--ignore-pull-failures")
        self.compose("pull", "--ignore-buildable")
        self.assertIsNotNone(self.image("here:1"))
        self.assertIn("already present", self.compose("pull", "--policy", "missing", "a").err)
        self.assertIn("invalid --policy", self.compose("pull", "--policy", "x", code=1).err)

    def test_up_pulls_what_is_missing_and_always_when_asked(self):
        self.publish_image("up:1")
        self.write("services: {a: {image: 'REG/up:1', init: true, command: sleep 1000}}\n")
        self.compose("up", "-d", "--pull", "missing", "--quiet-pull")
        shown = self.compose("up", "-d", "--pull", "always")
        self.assertIn("Pulled", shown.err)
        self.compose("down", "-t", "0")
        self.compose("run", "--rm", "-T", "--pull", "always", "a", "true")

    def test_digests_of_images(self):
        self.publish_image("dig:1")
        self.write("services: {a: {image: 'REG/dig:1', environment: {X: y}}}\n")
        resolved = self.compose("config", "--resolve-image-digests").out
        self.assertRegex(resolved, r"image: \S+/dig:1@sha256:[0-9a-f]{64}\n")
        self.assertIn("environment", resolved)
        locked = self.compose("config", "--lock-image-digests").out
        self.assertRegex(locked, r"image: \S+/dig:1@sha256:[0-9a-f]{64}\n")
        self.assertNotIn("environment", locked)
        (self.directory / "lock.yaml").write_text(locked)
        self.compose("-f", "compose.yaml", "-f", "lock.yaml", "pull")
        self.write("services: {a: {image: 'REG/nosuch:1'}}\n")
        self.assertIn("nosuch", self.compose("config", "--resolve-image-digests", code=1).err)

    def manifest(self, name, tag):
        request = urllib.request.Request(f"http://{self.registry.host}/v2/{name}/manifests/{tag}",
                                         headers={"Accept": "application/vnd.oci.image.manifest.v1+json"})
        return json.loads(urllib.request.urlopen(request, timeout=10).read())

    def blob(self, name, digest):
        return urllib.request.urlopen(f"http://{self.registry.host}/v2/{name}/blobs/{digest}", timeout=10).read().decode()

    def test_publish_puts_the_files_into_a_registry(self):
        self.write("services: {a: {image: 'busybox:test', command: echo $WHO}}\n")
        self.compose("publish", f"{self.registry.host}/app:1")
        manifest = self.manifest("app", "1")
        self.assertEqual(manifest["artifactType"], "application/vnd.docker.compose.project")
        layer = manifest["layers"][0]
        self.assertEqual(layer["annotations"]["com.docker.compose.file"], "compose.yaml")
        self.assertEqual(self.blob("app", layer["digest"]), (self.directory / "compose.yaml").read_text())
        self.compose("publish", "--oci-version", "1.0", f"{self.registry.host}/app:old")
        old = self.manifest("app", "old")
        self.assertNotIn("artifactType", old)
        self.assertEqual(old["config"]["mediaType"], "application/vnd.docker.compose.project")

    def test_publish_asks_before_it_tells_what_may_be_private(self):
        self.write("services: {a: {image: 'busybox:test', volumes: ['./x:/x'], environment: {PASSWORD: hidden}}}\n")
        target = f"{self.registry.host}/asked:1"
        self.assertIn("bind mounts", self.compose("publish", target, stdin="n\n", code=130).out)
        self.assertIn("sensitive", self.compose("publish", target, stdin="y\nn\n", code=130).out)
        self.compose("publish", "--yes", target)
        self.assertEqual(len(self.manifest("asked", "1")["layers"]), 1)

    def test_publish_with_env_files_and_digests(self):
        self.publish_image("pub:1")
        self.write("services: {a: {image: 'REG/pub:1', env_file: [vars]}}\n", vars="X=1\n")
        target = f"{self.registry.host}/envs:1"
        self.assertIn("--with-env", self.compose("publish", target, stdin="n\n", code=130).out)
        self.compose("publish", "--with-env", "--resolve-image-digests", target)
        layers = self.manifest("envs", "1")["layers"]
        self.assertEqual([layer["mediaType"].split(".")[-1] for layer in layers], ["file+yaml", "envfile", "file+yaml"])
        self.assertEqual(self.blob("envs", layers[1]["digest"]), "X=1\n")
        self.assertIn("@sha256:", self.blob("envs", layers[2]["digest"]))

    def test_publish_of_a_whole_application(self):
        self.write("services: {a: {image: 'busybox:test'}}\n")
        self.compose("publish", "--app", f"{self.registry.host}/whole:1")
        override = self.blob("whole", self.manifest("whole", "1")["layers"][1]["digest"])
        reference = override.split("image: ")[1].strip()
        self.gantry.command("pull", reference)

    def test_publish_refuses_what_would_not_be_whole(self):
        self.write("services: {a: {build: .}}\n", Dockerfile="FROM busybox:test\n")
        self.assertIn("only contains a build section", self.compose("publish", "x/y", code=1).err)
        self.write("include: [other.yaml]\nservices: {}\n", **{"other.yaml": "services: {a: {image: x}}\n"})
        self.assertIn("local includes", self.compose("publish", "x/y", code=1).err)


class Bridge(GantryTest):
    def test_transformations(self):
        directory = self.gantry.project("brg", "services: {a: {image: 'busybox:test'}}\n",
                                        t__Dockerfile="FROM busybox:test\nLABEL com.docker.compose.bridge=transformation\n"
                                                      "COPY greeting /templates/greeting\n"
                                                      "CMD [\"sh\", \"-c\", \"cat /templates/greeting /in/compose.yaml > /out/made\"]\n",
                                        t__greeting="hello\n", own__greeting="mine\n")
        compose = lambda *words, **options: self.gantry.compose(directory, *words, **options)
        self.gantry.command("build", "-t", "transform:1", str(directory / "t"))
        compose("bridge", "convert", "--transformation", "transform:1", "--output", "out")
        made = (directory / "out/made").read_text()
        self.assertTrue(made.startswith("hello\nname: brg\n"), made)
        compose("bridge", "convert", "-t", "transform:1", "-o", "out2", "--templates", str(directory / "own"))
        self.assertTrue((directory / "out2/made").read_text().startswith("mine\n"))
        self.assertIn("transform", compose("bridge", "transformations", "list").out)
        rows = json.loads(compose("bridge", "transformations", "list", "--format", "json").out)
        self.assertEqual(rows[0]["RepoTags"], ["transform:1"])
        self.assertEqual(compose("bridge", "transformations", "ls", "--quiet").out, rows[0]["Id"] + "\n")
        compose("bridge", "transformations", "create", "--from", "transform:1", "mytransform")
        self.assertEqual((directory / "mytransform/templates/greeting").read_text(), "hello\n")
        self.assertIn("FROM transform:1", (directory / "mytransform/Dockerfile").read_text())
        compose("bridge", "transformations", "create", "--from", "transform:1", "mytransform", code=1)


if __name__ == "__main__":
    main()
