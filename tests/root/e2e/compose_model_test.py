"""How compose brings a project to what its file says: recreation, order, orphans, scale, volumes, selection."""
import json

from harness import GantryTest, main, wait_until


class Convergence(GantryTest):
    def setUp(self):
        self.name = "conv"

    def project(self, yaml, **files):
        return self.gantry.project(self.name, yaml, **files)

    def compose(self, *words, **options):
        return self.gantry.compose(self.directory, *words, **options)

    def up(self, yaml, *words, **options):
        self.directory = self.project(yaml)
        return self.compose("up", "-d", "-t", "0", *words, **options)

    def ids(self):
        return {name: c["Id"] for name, c in self.gantry.containers().items()}

    def states(self):
        return {name: c["State"] for name, c in self.gantry.containers().items()}

    def plan(self, *words, code=0):
        return self.compose("plan", *words, code=code).out

    ONE = "services: {a: {image: busybox:test, init: true, command: sleep 1000, environment: {URL: one}}}\n"

    def test_plan_names_the_attribute_and_up_does_just_that(self):
        self.up(self.ONE)
        self.assertEqual(self.plan(), "Nothing to do.\n")
        self.compose("plan", "--exit-code")
        self.project(self.ONE.replace("one", "two"))
        text = self.plan("--exit-code", code=2)
        self.assertIn('~ recreate conv-a-1: environment.URL changed (compose.yaml:1, was "one", now "two")', text)
        report = json.loads(self.plan("--format", "json"))
        self.assertEqual([(c["action"], c["name"]) for c in report["changes"]], [("recreate", "conv-a-1")])
        shown = self.compose("up", "-d", "-t", "0")
        self.assertIn("environment.URL changed", shown.err)
        self.assertEqual(self.plan(), "Nothing to do.\n")

    def test_plan_of_nothing_yet_lists_every_resource(self):
        self.directory = self.project("""
            services:
              a: {image: busybox:test, init: true, command: sleep 1000, volumes: ["data:/data"]}
            volumes: {data: {}}
            """)
        self.assertEqual(self.plan(), "+ create network conv_default\n+ create volume conv_data\n+ create conv-a-1\n\n"
                                      "Plan: 3 to create.\n")
        self.assertEqual(self.states(), {})

    def test_what_does_not_count_recreates_nothing(self):
        self.up(self.ONE)
        before = self.ids()
        self.up(self.ONE.replace("environment", "scale: 1, depends_on: [], profiles: [], pull_policy: missing, environment"))
        self.assertEqual(self.ids(), before)

    def test_labels_count(self):
        self.up(self.ONE)
        before = self.ids()
        self.up(self.ONE.replace("environment", "labels: {x: y}, environment"))
        self.assertNotEqual(self.ids(), before)

    TWO = """
        services:
          a: {image: busybox:test, init: true, command: sleep 1000}
          b: {image: busybox:test, init: true, command: sleep 1000, depends_on: [a]}
        """

    def test_force_recreate_touches_named_services_only(self):
        self.up(self.TWO)
        before = self.ids()
        self.compose("up", "-d", "-t", "0", "--force-recreate", "b")
        after = self.ids()
        self.assertEqual(after["conv-a-1"], before["conv-a-1"])
        self.assertNotEqual(after["conv-b-1"], before["conv-b-1"])
        self.compose("up", "-d", "-t", "0", "--force-recreate", "--always-recreate-deps", "b")
        self.assertNotEqual(self.ids()["conv-a-1"], before["conv-a-1"])

    def test_no_recreate_keeps_what_is_there(self):
        self.up(self.ONE)
        before = self.ids()
        self.up(self.ONE.replace("one", "two"), "--no-recreate")
        self.assertEqual(self.ids(), before)

    def test_no_deps_leaves_dependencies_alone(self):
        self.up(self.TWO, "--no-deps", "b")
        self.assertEqual(list(self.states()), ["conv-b-1"])

    def test_named_service_brings_its_dependencies(self):
        self.up(self.TWO, "b")
        self.assertEqual(sorted(self.states()), ["conv-a-1", "conv-b-1"])

    def test_no_start_and_create_start_nothing(self):
        self.up(self.TWO, "--no-start")
        self.assertEqual(set(self.states().values()), {"created"})
        before = self.ids()
        self.compose("create", "--force-recreate")
        self.assertEqual(set(self.states().values()), {"created"})
        self.assertNotEqual(self.ids(), before)
        self.compose("start")
        self.assertEqual(set(self.states().values()), {"running"})

    def test_anonymous_volumes_outlive_recreation_unless_renewed(self):
        yaml = self.ONE.replace("environment", "volumes: [/data], environment")
        self.up(yaml)
        self.compose("exec", "-T", "a", "sh", "-c", "echo kept > /data/x")
        self.up(yaml.replace("one", "two"))
        self.assertEqual(self.compose("exec", "-T", "a", "cat", "/data/x").out, "kept\n")
        self.compose("up", "-d", "-t", "0", "-V")
        self.compose("exec", "-T", "a", "cat", "/data/x", code=1)

    def test_named_volumes_outlive_down_unless_v(self):
        yaml = """
            services: {a: {image: busybox:test, init: true, command: sleep 1000, volumes: ["data:/data"]}}
            volumes: {data: {}, unused: {}}
            """
        self.up(yaml)
        self.compose("exec", "-T", "a", "sh", "-c", "echo kept > /data/x")
        self.compose("down", "-t", "0")
        self.compose("up", "-d")
        self.assertEqual(self.compose("exec", "-T", "a", "cat", "/data/x").out, "kept\n")
        self.assertEqual(self.compose("volumes", "-q").out, "conv_data\n")
        self.compose("down", "-t", "0", "-v")
        self.assertNotIn("conv_data", [volume["Name"] for volume in self.gantry.get("/volumes")["Volumes"] or []])

    def test_changed_volume_is_kept_unless_yes(self):
        yaml = """
            services: {a: {image: busybox:test, init: true, command: sleep 1000, volumes: ["data:/data"]}}
            volumes: {data: {labels: {v: "1"}}}
            """
        self.up(yaml)
        self.compose("exec", "-T", "a", "sh", "-c", "echo kept > /data/x")
        result = self.up(yaml.replace('"1"', '"2"'))
        self.assertIn("doesn't match configuration", result.err)
        self.assertEqual(self.compose("exec", "-T", "a", "cat", "/data/x").out, "kept\n")
        self.compose("up", "-d", "-t", "0", "-y")
        self.compose("exec", "-T", "a", "cat", "/data/x", code=1)
        self.assertEqual(self.plan(), "Nothing to do.\n")

    def test_changed_network_keeps_the_containers(self):
        yaml = """
            services: {a: {image: busybox:test, init: true, command: sleep 1000, networks: [n]}}
            networks: {n: {labels: {v: "1"}}}
            """
        self.up(yaml)
        before = self.ids()
        self.up(yaml.replace('"1"', '"2"'))
        self.assertEqual(self.ids(), before)
        self.assertEqual(self.states(), {"conv-a-1": "running"})
        self.assertEqual(self.plan(), "Nothing to do.\n")

    def test_sharing_a_namespace_means_being_made_anew_together(self):
        yaml = """
            services:
              a: {image: busybox:test, init: true, command: sleep 1000, environment: {URL: one}}
              b: {image: busybox:test, init: true, command: sleep 1000, network_mode: "service:a"}
            """
        self.up(yaml)
        before = self.ids()
        self.project(yaml.replace("one", "two"))
        self.assertIn("shares with a", self.plan())
        self.compose("up", "-d", "-t", "0")
        self.assertNotEqual(self.ids()["conv-b-1"], before["conv-b-1"])

    def test_scale_command_and_numbers(self):
        self.up(self.ONE)
        self.compose("scale", "a=3")
        self.assertEqual(sorted(self.states()), ["conv-a-1", "conv-a-2", "conv-a-3"])
        self.compose("exec", "-T", "--index", "3", "a", "true")
        self.compose("scale", "a=1")
        self.assertEqual(sorted(self.states()), ["conv-a-1"])
        self.compose("scale", "a=0")
        self.assertEqual(self.states(), {})
        self.assertIn("no such service: x", self.compose("scale", "x=1", code=1).err)

    def test_scale_down_drops_outdated_replicas_first(self):
        self.up(self.ONE, "--scale", "a=2")
        before = self.ids()
        self.up(self.ONE.replace("one", "two"), "--scale", "a=2", "--no-recreate")
        self.gantry.command("rm", "-f", "conv-a-1")
        self.compose("up", "-d", "-t", "0", "--no-recreate", "--scale", "a=2")
        self.assertIn(before["conv-a-2"], self.ids().values())
        self.compose("up", "-d", "-t", "0", "--scale", "a=1")
        self.assertNotIn(before["conv-a-2"], self.ids().values())
        self.assertEqual(len(self.ids()), 1)

    def test_disabled_by_profile_is_no_orphan(self):
        yaml = """
            services:
              a: {image: busybox:test, init: true, command: sleep 1000}
              extra: {image: busybox:test, init: true, command: sleep 1000, profiles: [x]}
            """
        self.directory = self.project(yaml)
        self.compose("--profile", "x", "up", "-d")
        result = self.compose("up", "-d", "--remove-orphans")
        self.assertEqual(sorted(self.states()), ["conv-a-1", "conv-extra-1"])
        self.assertNotIn("orphan", result.err)

    def test_orphans_are_warned_about_unless_ignored(self):
        self.up(self.TWO)
        self.project(self.ONE)
        self.assertIn("conv-b-1", self.compose("up", "-d", "-t", "0").err)
        quiet = self.compose("up", "-d", env={"COMPOSE_IGNORE_ORPHANS": "1"})
        self.assertNotIn("orphan", quiet.err)
        both = self.compose("up", "-d", "--remove-orphans", env={"COMPOSE_IGNORE_ORPHANS": "1"}, code=1)
        self.assertIn("cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans", both.err)
        self.compose("up", "-d", "-t", "0", env={"COMPOSE_REMOVE_ORPHANS": "1"})
        self.assertEqual(list(self.states()), ["conv-a-1"])

    def test_failed_dependency_leaves_dependents_created(self):
        self.directory = self.project("""
            services:
              a: {image: busybox:test, command: sh -c "exit 3"}
              b: {image: busybox:test, init: true, command: sleep 1000,
                  depends_on: {a: {condition: service_completed_successfully}}}
            """)
        result = self.compose("up", "-d", code=1)
        self.assertIn('service "a" didn\'t complete successfully: exit 3', result.err)
        self.assertEqual(self.states()["conv-b-1"], "created")
        why = self.compose("why", "b").out.splitlines()
        self.assertEqual(why[0], "b was created, but never started")
        self.assertIn("it waits for a (service_completed_successfully): it exited with code 3", why[1])

    def test_cycle_is_named(self):
        self.directory = self.project("""
            services:
              a: {image: busybox:test, depends_on: [b]}
              b: {image: busybox:test, depends_on: [a]}
            """)
        self.assertIn("dependency cycle detected", self.compose("up", "-d", code=1).err)

    def test_down_leaves_nothing_and_says_so_when_there_is_nothing(self):
        self.up(self.TWO)
        self.compose("down", "-t", "0")
        self.assertEqual(self.states(), {})
        self.assertEqual([n["Name"] for n in self.gantry.get("/networks") if n["Name"].startswith("conv")], [])
        self.assertIn('No resource found to remove for project "conv"', self.compose("down").err)

    def test_down_of_one_service(self):
        self.up(self.TWO)
        self.compose("down", "-t", "0", "b")
        self.assertEqual(list(self.states()), ["conv-a-1"])
        self.assertIn("no such service: x", self.compose("down", "x", code=1).err)

    def test_down_keeps_one_offs_unless_orphans_are_asked_for(self):
        self.up(self.ONE)
        self.compose("run", "-d", "--name", "once", "a", "sleep", "1000")
        self.compose("down", "-t", "0")
        self.assertEqual(list(self.states()), ["once"])
        self.compose("down", "-t", "0", "--remove-orphans")
        self.assertEqual(self.states(), {})

    def test_label_mode_works_without_any_file(self):
        self.up(self.TWO)
        elsewhere = self.gantry.projects / "nothing"
        elsewhere.mkdir(exist_ok=True)
        self.gantry.compose(elsewhere, "-p", "conv", "stop", "-t", "0")
        self.assertEqual(set(self.states().values()), {"exited"})
        self.gantry.compose(elsewhere, "-p", "conv", "start")
        self.assertEqual(set(self.states().values()), {"running"})
        self.assertEqual(self.gantry.compose(elsewhere, "-p", "conv", "ps", "--services").out, "a\nb\n")
        self.gantry.compose(elsewhere, "-p", "conv", "down", "-t", "0")
        self.assertEqual(self.states(), {})
        self.assertIn("no container found for project", self.gantry.compose(elsewhere, "-p", "conv", "start", code=1).err)

    def test_compatibility_uses_underscores(self):
        self.directory = self.project(self.ONE)
        self.compose("--compatibility", "up", "-d")
        self.assertEqual(list(self.states()), ["conv_a_1"])

    def test_compose_variables_in_the_env_file_count(self):
        self.up(self.TWO)
        self.project(self.ONE, **{".env": "COMPOSE_IGNORE_ORPHANS=1\n"})
        self.assertNotIn("orphan", self.compose("up", "-d", "-t", "0").err)
        (self.directory / ".env").unlink()
        self.assertIn("orphan", self.compose("up", "-d", "-t", "0").err)

    def test_wait_is_content_with_one_shots_and_fails_at_once(self):
        self.up("services: {a: {image: busybox:test, command: 'true'}}\n", "--wait")
        self.directory = self.project("""
            services:
              a: {image: busybox:test, command: sh -c 'exit 4', healthcheck: {test: "true", interval: 1h}}
            """)
        result = self.compose("up", "-d", "-t", "0", "--wait", code=1)
        self.assertIn("container conv-a-1 exited (4)", result.err)

    def test_wait_timeout(self):
        self.directory = self.project("""
            services:
              a:
                image: busybox:test
                init: true
                command: sleep 1000
                healthcheck: {test: "false", interval: 1h, start_period: 1h}
            """)
        self.assertIn("application not healthy after 1s",
                      self.compose("up", "-d", "--wait", "--wait-timeout", "1", code=1).err)

    def test_hooks(self):
        self.up("""
            services:
              a:
                image: busybox:test
                init: true
                command: sleep 1000
                volumes: ["log:/log"]
                post_start: [{command: [sh, -c, 'echo up $$WHO >> /log/x'], environment: {WHO: hook}}]
                pre_stop: [{command: [sh, -c, 'echo down >> /log/x']}]
            volumes: {log: {}}
            """)
        self.assertEqual(self.compose("exec", "-T", "a", "cat", "/log/x").out, "up hook\n")
        self.compose("restart", "-t", "0")
        self.assertEqual(self.compose("exec", "-T", "a", "cat", "/log/x").out, "up hook\ndown\nup hook\n")
        self.compose("stop", "-t", "0")
        self.assertEqual(self.compose("run", "--rm", "-T", "a", "cat", "/log/x").out, "up hook\ndown\nup hook\ndown\n")

    def test_failing_hook_fails_the_command(self):
        self.directory = self.project("""
            services:
              a:
                image: busybox:test
                init: true
                command: sleep 1000
                post_start: [{command: [sh, -c, 'echo no luck; exit 3']}]
            """)
        self.assertIn("a hook exited with status 3: no luck", self.compose("up", "-d", code=1).err)


if __name__ == "__main__":
    main()
