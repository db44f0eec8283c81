"""The whole transcript once more, with a daemon that is reached over TCP with certificates of both sides."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import docker_cli_test  # noqa: E402  (finds the harness)
import harness  # noqa: E402


@docker_cli_test.with_scenes
class DockerCliOverTls(docker_cli_test.Scenes):
    @classmethod
    def prepare(cls):
        cls.certificates = cls.gantry.root / "certs"
        cls.gantry.command("certs", "init", "--dir", cls.certificates)
        cls.address = f"tcp://127.0.0.1:{harness.free_port()}"
        cls.gantry.daemon_command += ["--host", cls.address, "--tlsverify", "--tlscacert", cls.certificates / "ca.pem",
                                      "--tlscert", cls.certificates / "server-cert.pem",
                                      "--tlskey", cls.certificates / "server-key.pem"]

    @classmethod
    def environment(cls):
        return docker_cli_test.environment(cls.address, cls.gantry.root) | {
            "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(cls.certificates)}


if __name__ == "__main__":
    docker_cli_test.main()
