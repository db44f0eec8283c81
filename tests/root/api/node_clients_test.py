"""Node clients as npm has them: dockerode and testcontainers (programs in node/, ./dev setup installs the packages)."""
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402

PROGRAMS = pathlib.Path(__file__).resolve().parent / "node"


class NodeClients(harness.GantryTest):
    def run_program(self, name):
        environment = self.gantry.environment | {
            "DOCKER_HOST": self.gantry.host, "TESTCONTAINERS_RYUK_DISABLED": "true",
            "TESTCONTAINERS_DOCKER_SOCKET_OVERRIDE": str(self.gantry.run / "gantry.sock")}
        done = subprocess.run(["node", PROGRAMS / name], env=environment, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_dockerode(self):
        self.run_program("dockerode.mjs")

    def test_testcontainers(self):
        self.run_program("testcontainers.mjs")


if __name__ == "__main__":
    if not shutil.which("node") or not (PROGRAMS / "node_modules").is_dir():
        print("skipped: needs node and the packages of tests/root/api/node (./dev setup)")
        sys.exit(harness.SKIPPED)
    harness.main()
