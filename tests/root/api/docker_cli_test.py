"""The real docker CLI against Gantry: the same words and exit codes as from dockerd (docker_cli.transcript)."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import transcript  # noqa: E402

FILE = pathlib.Path(__file__).with_name("docker_cli.transcript")


def environment(host, home):
    return {"PATH": os.environ["PATH"], "HOME": str(home), "DOCKER_HOST": host, "LC_ALL": "C", "TZ": "UTC",
            "DOCKER_CLI_HINTS": "false"}


def cli_version():
    return subprocess.run(["docker", "version", "--format", "{{.Client.Version}}"], capture_output=True, text=True,
                          env=os.environ | {"DOCKER_HOST": "unix:///nowhere"}).stdout.strip()


class Scenes(unittest.TestCase):
    """One daemon for all scenes of the transcript, one test each."""
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.gantry = harness.Gantry()
        cls.prepare()
        cls.gantry.__enter__()
        cls.addClassCleanup(cls.gantry.__exit__, None, None, None)
        cls.gantry.busybox()

    @classmethod
    def prepare(cls):
        """Before the daemon starts."""

    @classmethod
    def environment(cls):
        return environment(cls.gantry.host, cls.gantry.root)

    def difference(self, step, got):
        return transcript.difference(step, got)

    def scene(self, scene):
        directory = self.gantry.root / "scene"
        directory.mkdir(exist_ok=True)
        env = self.environment()
        problems = [self.difference(step, transcript.run(step.command, env, directory)) for step in scene.steps]
        shutil.rmtree(directory)
        problems = [problem for problem in problems if problem]
        if problems:
            self.fail(f"{len(problems)} of {len(scene.steps)} commands of \"{scene.name}\"\n" + "\n".join(problems))

    def tearDown(self):
        self.gantry.remove_everything()


def with_scenes(case):
    for number, found in enumerate(transcript.parse(FILE.read_text())):
        name = f"test_{number:02}_" + found.name.replace(" ", "_")
        setattr(case, name, lambda self, scene=found: self.scene(scene))
    return case


@with_scenes
class DockerCli(Scenes):
    pass


def record(host):
    """Writes dockerd's answers into the transcript. The daemon should be a fresh one."""
    scenes = transcript.parse(FILE.read_text())
    with tempfile.TemporaryDirectory() as home:
        env = environment(host, home)
        subprocess.run(["docker", "import", "-", "busybox:test"], input=harness.busybox_tar(), env=env, check=True,
                       stdout=subprocess.DEVNULL)
        for scene in scenes:
            directory = pathlib.Path(home) / "scene"
            directory.mkdir()
            for step in scene.steps:
                step.expected = transcript.run(step.command, env, directory)
            shutil.rmtree(directory)
    head = FILE.read_text().split("@ ", 1)[0]
    FILE.write_text(head + transcript.render(scenes))


def main():
    if not shutil.which("docker") or not cli_version().startswith("28."):
        print("skipped: needs version 28 of the docker CLI, whose words these are")
        sys.exit(harness.SKIPPED)
    harness.main()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--record"]:
        record(sys.argv[2])
    else:
        main()
