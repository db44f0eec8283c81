"""Options of build, pull and push, against a registry on loopback where images travel."""
import json
import shutil

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


if __name__ == "__main__":
    main()
