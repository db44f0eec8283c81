"""Gantry's own client in the docker CLI's place: the same transcript, but for what is said about errors before the
daemon's own words, and for what Gantry does not have."""
import copy
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import docker_cli_test  # noqa: E402  (finds the harness)
import harness  # noqa: E402
import transcript  # noqa: E402

# What a step's command holds, and why it is left out.
LEFT_OUT = {
    "docker plugin": "no plug-ins", "docker node": "no swarm", "docker service": "no swarm", "docker swarm": "no swarm",
    "docker checkpoint": "no checkpoints",
    'printf "%T"': "Go's types",
    "docker cp d box:/etc/hostname": "names both",
    "docker network ls --format": "not built", "docker network inspect net --format": "not built",
    "docker images --format": "not built", "docker system df -v --format": "not built",
    "docker image inspect nosuch": "inspect tells of objects", "docker volume inspect nosuch": "other words",
    "--sysctl kernel.hostname": "the last line is another",
}
# Lines of the docker CLI's own about an error that the daemon has explained.
ABOUT_ERRORS = re.compile(r"(2> )?(Run '.*--help'|exit status \d+$|(Error: )?failed to (start containers: |rename ))")


def without_prefix(line):
    return re.sub(r"^(2> )?(docker: )?(Error response from daemon: |Error: )?", r"\1", line)


@docker_cli_test.with_scenes
class GantryCli(docker_cli_test.Scenes):
    @classmethod
    def prepare(cls):
        cls.programs = cls.gantry.root / "programs"
        cls.programs.mkdir()
        (cls.programs / "docker").symlink_to(harness.BIN / "gantry")

    @classmethod
    def environment(cls):
        found = docker_cli_test.environment(cls.gantry.host, cls.gantry.root)
        return found | {"PATH": f"{cls.programs}:{found['PATH']}"}

    def difference(self, step, got):
        if any(part in step.command for part in LEFT_OUT):
            return ""
        step = copy.copy(step)
        step.expected, got = ([without_prefix(line) for line in lines if not ABOUT_ERRORS.match(line)]
                              for lines in (step.expected, got))
        return transcript.difference(step, got)


if __name__ == "__main__":
    harness.main()
