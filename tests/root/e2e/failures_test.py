"""A failing part way: one clear message with the line, nothing half-made, and the next `up` carries on."""
import socket

from harness import GantryTest, free_port, main


class PartWay(GantryTest):
    def assert_fails_cleanly(self, project, *words):
        result = self.gantry.compose(project, "up", "-d", code=1)
        for word in words:
            self.assertIn(word, result.err)
        running = [name for name, c in self.gantry.containers().items()
                   if c["State"] == "running" and name.startswith(project.name + "-bad")]
        self.assertEqual(running, [])
        return result

    def test_missing_image_names_it_and_its_line(self):
        project = self.gantry.project("miss", """services:
  ok:
    image: busybox:test
    command: sleep 1000
  bad:
    image: 127.0.0.1:1/nosuch:1
""")
        self.assert_fails_cleanly(project, "127.0.0.1:1/nosuch:1", "compose.yaml:6:")
        project = self.gantry.project("miss", """services:
  ok:
    image: busybox:test
    command: sleep 1000
  bad:
    image: busybox:test
    command: sleep 1000
""")
        self.gantry.compose(project, "up", "-d")
        self.assertEqual({c["State"] for c in self.gantry.containers().values()}, {"running"})

    def test_taken_port_names_the_port_and_the_line(self):
        with socket.socket() as holder:
            holder.bind(("0.0.0.0", 0))
            holder.listen()
            port = holder.getsockname()[1]
            project = self.gantry.project("port", f"""services:
  bad:
    image: busybox:test
    command: sleep 1000
    ports:
      - "{port}:80"
""")
            self.assert_fails_cleanly(project, str(port), "address already in use", "compose.yaml:")
        self.gantry.compose(project, "up", "-d")
        self.assertEqual(self.gantry.inspect("port-bad-1")["State"]["Status"], "running")

    def test_bad_mount_names_the_source_and_the_line(self):
        project = self.gantry.project("mount", """services:
  bad:
    image: busybox:test
    command: sleep 1000
    volumes:
      - type: bind
        source: ./nosuch
        target: /data
        bind: {create_host_path: false}
""")
        self.assert_fails_cleanly(project, "nosuch", "compose.yaml:")
        (project / "nosuch").mkdir()
        self.gantry.compose(project, "up", "-d")

    def test_wrong_files_are_answered_with_line_column_and_a_suggestion(self):
        project = self.gantry.project("wrong", """services:
  web:
    imagee: busybox:test
    depends_on: [databse]
  database:
    image: busybox:test
""")
        result = self.gantry.compose(project, "up", "-d", code=1)
        self.assertIn("compose.yaml:3:5: services.web", result.err)
        self.assertIn('did you mean "image"', result.err)
        self.assertEqual(self.gantry.containers(), {})


if __name__ == "__main__":
    main()
