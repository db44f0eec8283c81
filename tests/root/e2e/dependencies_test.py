"""depends_on: what holds back whom, what fails it, and in which order things stop."""
import re

from harness import GantryTest, main


class Conditions(GantryTest):
    def starts(self, *names):
        return [self.gantry.inspect(name)["State"]["StartedAt"] for name in names]

    def test_healthy_and_completed_hold_back_dependants_until_true(self):
        project = self.gantry.project("order", """
            services:
              web:
                image: busybox:test
                command: sh -c "cat /shared/done && sleep 1000"
                volumes: ["shared:/shared"]
                depends_on:
                  db: {condition: service_healthy}
                  migrate: {condition: service_completed_successfully}
              migrate:
                image: busybox:test
                command: sh -c "test -e /shared/ready && sleep 0.5 && touch /shared/done"
                volumes: ["shared:/shared"]
                depends_on: {db: {condition: service_healthy}}
              db:
                image: busybox:test
                command: sh -c "sleep 1; touch /shared/ready; sleep 1000"
                volumes: ["shared:/shared"]
                healthcheck: {test: "test -e /shared/ready", interval: 200ms, retries: 50}
            volumes: {shared: {}}
            """)
        self.gantry.compose(project, "up", "-d")
        self.assertEqual(self.gantry.inspect("order-migrate-1")["State"]["ExitCode"], 0)
        self.assertEqual(self.gantry.inspect("order-web-1")["State"]["Status"], "running")
        db, migrate, web = self.starts("order-db-1", "order-migrate-1", "order-web-1")
        self.assertTrue(db < migrate < web)
        self.gantry.compose(project, "down", "-t", "0")
        self.assertEqual(self.gantry.containers(), {})

    def test_failed_one_shot_names_service_condition_and_code(self):
        project = self.gantry.project("fails", """
            services:
              web:
                image: busybox:test
                command: sleep 1000
                depends_on: {migrate: {condition: service_completed_successfully}}
              migrate:
                image: busybox:test
                command: sh -c "exit 3"
            """)
        result = self.gantry.compose(project, "up", "-d", code=1)
        for word in ("migrate", "complete", "3"):
            self.assertIn(word, result.err)
        self.assertEqual(self.gantry.inspect("fails-web-1")["State"]["Status"], "created")

    def test_unhealthy_dependency_names_itself(self):
        project = self.gantry.project("fails", """
            services:
              web:
                image: busybox:test
                command: sleep 1000
                depends_on: {db: {condition: service_healthy}}
              db:
                image: busybox:test
                command: sleep 1000
                healthcheck: {test: "false", interval: 100ms, retries: 2}
            """)
        result = self.gantry.compose(project, "up", "-d", code=1)
        self.assertIn("db", result.err)
        self.assertIn("unhealthy", result.err)

    def test_dependency_that_dies_before_it_is_healthy_fails_with_its_code(self):
        project = self.gantry.project("fails", """
            services:
              web:
                image: busybox:test
                command: sleep 1000
                depends_on: {db: {condition: service_healthy}}
              db:
                image: busybox:test
                command: sh -c "sleep 0.3; exit 5"
                healthcheck: {test: "false", interval: 10s, retries: 2}
            """)
        result = self.gantry.compose(project, "up", "-d", code=1)
        self.assertIn("db", result.err)
        self.assertIn("5", result.err)

    def test_down_stops_in_reverse_order(self):
        project = self.gantry.project("reverse", """
            services:
              web: {image: busybox:test, init: true, command: sleep 1000, depends_on: [app]}
              app: {image: busybox:test, init: true, command: sleep 1000, depends_on: [db]}
              db: {image: busybox:test, init: true, command: sleep 1000}
            """)
        self.gantry.compose(project, "up", "-d")
        plain = self.gantry.compose(project, "--progress", "plain", "down").err
        stopped = re.findall(r"reverse-(\w+)-1 Stopped", plain)
        self.assertEqual(stopped, ["web", "app", "db"])


if __name__ == "__main__":
    main()
