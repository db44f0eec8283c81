"""Services that a program provides, the engine's socket in a container, and a registry that does not answer."""
import json
import os
import signal
import socket

from harness import ProjectTest, main

# Says what it was asked for; `up` gives variables unless it is told to fail.
PROVIDER = """#!/bin/sh
[ "$2" = metadata ] && { cat "$(dirname "$0")/metadata.json" 2>/dev/null; exit; }
echo "$@" >> "$(dirname "$0")/calls"
case "$3" in
  up)
    [ -e "$(dirname "$0")/broken" ] && { echo '{"type":"error","message":"no quota left"}'; exit 1; }
    echo '{"type":"debug","message":"thinking"}'
    echo '{"type":"info","message":"renting a database"}'
    echo "{\\"type\\":\\"setenv\\",\\"message\\":\\"URL=$(cat "$(dirname "$0")/url")\\"}"
    echo '{"type":"rawsetenv","message":"REGION=north"}' ;;
esac
"""


class Providers(ProjectTest):
    name = "pr"
    YAML = """
        services:
          my-db:
            provider: {type: rent, options: {size: small, zone: [a, b]}}
          web:
            image: busybox:test
            init: true
            command: sleep 1000
            depends_on: [my-db]
          other: {image: busybox:test, init: true, command: sleep 1000}
        """

    def setUp(self):
        self.programs = self.gantry.root / f"bin-{self.id().rsplit('.', 1)[1]}"
        self.programs.mkdir()
        program = self.programs / "rent"
        program.write_text(PROVIDER)
        program.chmod(0o755)
        (self.programs / "url").write_text("one")
        self.env = {"PATH": f"{self.programs}:{os.environ['PATH']}"}

    def calls(self):
        path = self.programs / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def variable(self, service, name):
        environment = self.gantry.inspect(f"pr-{service}-1")["Config"]["Env"]
        return dict(entry.split("=", 1) for entry in environment).get(name)

    def test_variables_reach_those_who_depend_on_it(self):
        result = self.up(self.YAML, env=self.env)
        self.assertEqual(self.calls(), ["compose --project-name=pr up --size=small --zone=a --zone=b my-db"])
        self.assertEqual(sorted(self.states()), ["pr-other-1", "pr-web-1"])
        self.assertEqual(self.variable("web", "MY_DB_URL"), "one")
        self.assertEqual(self.variable("web", "REGION"), "north")
        self.assertIsNone(self.variable("other", "MY_DB_URL"))
        for text in ("my-db Creating", "my-db renting a database", "my-db Created"):
            self.assertIn(text, result.err)
        self.assertNotIn("thinking", result.err)

    def test_other_variables_recreate_and_the_same_do_not(self):
        self.up(self.YAML, env=self.env)
        before = self.ids()
        self.up(self.YAML, env=self.env)
        self.assertEqual(self.ids(), before)
        (self.programs / "url").write_text("two")
        self.up(self.YAML, env=self.env)
        self.assertEqual(self.ids()["pr-other-1"], before["pr-other-1"])
        self.assertNotEqual(self.ids()["pr-web-1"], before["pr-web-1"])
        self.assertEqual(self.variable("web", "MY_DB_URL"), "two")

    def test_down_tells_it_last_and_stop_only_if_it_says_so(self):
        self.up(self.YAML, env=self.env)
        self.compose("stop", "-t", "0", env=self.env)
        self.assertEqual(len(self.calls()), 1)
        (self.programs / "metadata.json").write_text(json.dumps(
            {"up": {"parameters": [{"name": "size", "required": True}]}, "down": {"parameters": []}, "stop": {"parameters": []}}))
        self.compose("stop", "-t", "0", env=self.env)
        self.compose("down", "-t", "0", env=self.env)
        self.assertEqual(self.calls()[1:], ["compose --project-name=pr stop my-db", "compose --project-name=pr down my-db"])
        self.assertEqual(self.states(), {})

    def test_its_failure_is_that_of_up(self):
        (self.programs / "broken").touch()
        result = self.up(self.YAML, env=self.env, code=1)
        self.assertIn("failed to create service provider: no quota left", result.err)
        self.assertEqual(self.states(), {})

    def test_a_missing_program_is_named(self):
        result = self.up("services: {a: {provider: {type: nosuch}}}", code=1)
        self.assertIn('service "a": no program for provider type "nosuch"', result.err)

    def test_a_required_option_that_is_missing(self):
        (self.programs / "metadata.json").write_text(json.dumps({"up": {"parameters": [{"name": "owner", "required": True}]}}))
        result = self.up(self.YAML, env=self.env, code=1)
        self.assertIn('required parameter "owner" is missing from provider "rent" definition', result.err)
        self.assertEqual(self.calls(), [])

    def test_a_provider_alone_and_a_one_off_that_needs_it(self):
        self.write(self.YAML)
        self.compose("up", "-d", "my-db", env=self.env)
        self.assertEqual(self.states(), {})
        out = self.compose("run", "--rm", "-T", "web", "sh", "-c", "echo $MY_DB_URL $REGION", env=self.env).out
        self.assertEqual(out, "one north\n")
        self.assertEqual(len(self.calls()), 2)

    def test_a_provider_that_needs_a_container_comes_after_it(self):
        self.up("""
            services:
              base: {image: busybox:test, init: true, command: sleep 1000}
              my-db: {provider: {type: rent}, depends_on: [base]}
              web: {image: busybox:test, init: true, command: sleep 1000, depends_on: [my-db]}
            """, env=self.env)
        self.assertEqual(self.variable("web", "MY_DB_URL"), "one")
        self.assertEqual(sorted(self.states()), ["pr-base-1", "pr-web-1"])

    def test_dry_run_runs_nothing(self):
        self.write(self.YAML)
        self.compose("--dry-run", "up", "-d", env=self.env)
        self.assertEqual(self.calls(), [])


class ApiSocket(ProjectTest):
    name = "sock"

    def test_the_socket_and_the_credentials_are_in_the_container(self):
        config = self.gantry.root / ".docker/config.json"
        config.parent.mkdir(exist_ok=True)
        config.write_text(json.dumps({"auths": {"registry.test": {"auth": "dTpw"}}}))
        self.addCleanup(config.unlink)
        self.up("""
            services:
              a: {image: busybox:test, init: true, command: sleep 1000, use_api_socket: true}
              b: {image: busybox:test, init: true, command: sleep 1000}
            """)
        self.compose("exec", "-T", "a", "sh", "-c", "test -S /var/run/docker.sock")
        self.compose("exec", "-T", "b", "sh", "-c", "test ! -e /var/run/docker.sock")
        text = self.compose("exec", "-T", "a", "sh", "-c", "cat $DOCKER_CONFIG/config.json").out
        self.assertEqual(json.loads(text), {"auths": {"registry.test": {"auth": "dTpw"}}})

    def test_an_up_again_changes_nothing(self):
        yaml = "services: {a: {image: busybox:test, init: true, command: sleep 1000, use_api_socket: true}}"
        self.up(yaml)
        before = self.ids()
        self.up(yaml)
        self.assertEqual(self.ids(), before)


class SilentRegistry(ProjectTest):
    name = "silent"

    def test_ctrl_c_while_it_says_nothing_leaves_the_project_free(self):
        registry = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(registry.close)
        self.write(f"services: {{a: {{image: 'localhost:{registry.getsockname()[1]}/x'}}}}")
        process = self.gantry.start(self.directory, "up", "-d")
        connection, _ = registry.accept()
        self.addCleanup(connection.close)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130)
        self.up("services: {a: {image: busybox:test, init: true, command: sleep 1000}}")
        self.assertEqual(self.states(), {"silent-a-1": "running"})


if __name__ == "__main__":
    main()
