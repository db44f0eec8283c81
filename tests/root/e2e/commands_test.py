"""Every command as a user types it, against containers that really run."""
import json
import os
import re
import signal

from harness import GantryTest, free_port, http_get, main, wait_until

SLEEPER = """
    services:
      a: {image: busybox:test, init: true, command: sh -c "echo hello; echo oops >&2; exec sleep 1000"}
      b: {image: busybox:test, init: true, command: sleep 1000, depends_on: [a]}
    """


class Commands(GantryTest):
    def up(self, yaml=SLEEPER, name="cmd", *flags):
        project = self.gantry.project(name, yaml)
        self.gantry.compose(project, "up", "-d", *flags)
        return project

    def states(self):
        return {name: c["State"] for name, c in self.gantry.containers().items()}

    def test_second_up_changes_nothing(self):
        project = self.up()
        before = {n: c["Id"] for n, c in self.gantry.containers().items()}
        self.gantry.compose(project, "up", "-d")
        self.assertEqual({n: c["Id"] for n, c in self.gantry.containers().items()}, before)
        self.assertEqual(self.gantry.compose(project, "plan").out.strip(), "Nothing to do.")

    def test_changed_service_alone_is_recreated(self):
        project = self.up()
        before = {n: c["Id"] for n, c in self.gantry.containers().items()}
        self.gantry.project("cmd", SLEEPER.replace("init: true, command: sleep 1000", "init: true, command: sleep 1001"))
        self.gantry.compose(project, "up", "-d")
        after = {n: c["Id"] for n, c in self.gantry.containers().items()}
        self.assertEqual(after["cmd-a-1"], before["cmd-a-1"])
        self.assertNotEqual(after["cmd-b-1"], before["cmd-b-1"])
        self.gantry.compose(project, "up", "-d", "--force-recreate")
        self.assertNotEqual(self.gantry.containers()["cmd-a-1"]["Id"], before["cmd-a-1"])

    def test_scale_up_and_down(self):
        project = self.up()
        self.gantry.compose(project, "up", "-d", "--scale", "b=3")
        self.assertEqual(sorted(self.states()), ["cmd-a-1", "cmd-b-1", "cmd-b-2", "cmd-b-3"])
        self.gantry.compose(project, "up", "-d", "--scale", "b=1")
        self.assertEqual(sorted(self.states()), ["cmd-a-1", "cmd-b-1"])

    def test_orphans_are_named_and_removed_when_asked(self):
        project = self.up()
        self.gantry.project("cmd", "services:\n  a: {image: busybox:test, init: true, command: sleep 1000}\n")
        result = self.gantry.compose(project, "up", "-d")
        self.assertIn("orphan", result.err)
        self.assertIn("cmd-b-1", result.err)
        self.gantry.compose(project, "up", "-d", "--remove-orphans")
        self.assertEqual(list(self.states()), ["cmd-a-1"])

    def test_ps_lists_what_runs(self):
        project = self.up()
        table = self.gantry.compose(project, "ps").out.splitlines()
        self.assertRegex(table[0], r"NAME +IMAGE +COMMAND +SERVICE +CREATED +STATUS +PORTS")
        self.assertRegex(table[1], r"cmd-a-1 +busybox:test")
        rows = [json.loads(line) for line in self.gantry.compose(project, "ps", "--format", "json").out.splitlines()]
        self.assertEqual([(r["Name"], r["State"]) for r in rows], [("cmd-a-1", "running"), ("cmd-b-1", "running")])
        self.assertEqual(self.gantry.compose(project, "ps", "--services").out.split(), ["a", "b"])

    def test_logs_of_both_streams_with_prefix(self):
        project = self.up()
        out = wait_until(lambda: (o := self.gantry.compose(project, "logs", "a").out).count("\n") >= 2 and o, "logs")
        self.assertIn("a-1  | hello\n", out)
        self.assertIn("a-1  | oops\n", out)
        follower = self.gantry.start(project, "logs", "-f", "--no-log-prefix", "a")
        self.assertEqual(follower.stdout.readline(), "hello\n")
        self.gantry.compose(project, "stop", "-t", "0", "a")
        self.assertEqual(follower.wait(20), 0)
        follower.stdout.close(), follower.stderr.close()

    def test_exec_has_the_containers_world_and_passes_its_code(self):
        project = self.up()
        self.assertEqual(self.gantry.compose(project, "exec", "-T", "a", "hostname").out.strip(),
                         self.gantry.containers()["cmd-a-1"]["Id"][:12])
        self.assertEqual(self.gantry.compose(project, "exec", "-T", "a", "sh", "-c", "exit 9", code=9).code, 9)
        echoed = self.gantry.compose(project, "exec", "-T", "-e", "X=1", "-w", "/tmp", "-u", "app", "a", "sh", "-c",
                                     "echo $X $PWD $(id -u); cat", stdin="typed")
        self.assertEqual(echoed.out, "1 /tmp 1000\ntyped")
        self.gantry.compose(project, "exec", "-T", "a", "nosuch", code=127)

    def test_run_is_a_container_of_its_own_and_passes_its_code(self):
        project = self.up()
        result = self.gantry.compose(project, "run", "--rm", "-T", "b", "sh", "-c", "hostname; echo err >&2; exit 4",
                                     code=4)
        self.assertNotIn(result.out.strip(), (self.gantry.containers()["cmd-b-1"]["Id"][:12], ""))
        self.assertIn("err", result.err)
        self.assertEqual(sorted(self.states()), ["cmd-a-1", "cmd-b-1"])
        self.assertEqual(self.gantry.compose(project, "run", "--rm", "-T", "b", "cat", stdin="through\n").out, "through\n")

    def test_stop_start_restart(self):
        project = self.up()
        self.gantry.compose(project, "stop")
        self.assertEqual(set(self.states().values()), {"exited"})
        self.gantry.compose(project, "start")
        self.assertEqual(set(self.states().values()), {"running"})
        pid = self.gantry.inspect("cmd-a-1")["State"]["Pid"]
        self.gantry.compose(project, "restart", "-t", "1", "a")
        self.assertNotEqual(self.gantry.inspect("cmd-a-1")["State"]["Pid"], pid)

    def test_attached_up_prefixes_lines_and_stops_at_the_first_interrupt(self):
        project = self.gantry.project("cmd", SLEEPER)
        up = self.gantry.start(project, "up")
        lines = []
        while not any("oops" in l for l in lines) or not any("hello" in l for l in lines):
            line = up.stdout.readline()
            self.assertNotEqual(line, "", up.stderr.read() if up.poll() is not None else "")
            lines.append(line)
            if len(lines) == 1 and "hello" not in line:
                continue
            if any("hello" in l for l in lines):
                break
        self.assertTrue(any(re.match(r"a-1 +\| hello$", l) for l in lines), lines)
        wait_until(lambda: self.states().get("cmd-b-1") == "running", "all run")
        up.send_signal(signal.SIGINT)
        self.assertEqual(up.wait(30), 130)
        self.assertEqual(set(self.states().values()), {"exited"})
        up.stdout.close(), up.stderr.close()

    def test_wait_returns_when_all_are_healthy(self):
        project = self.gantry.project("cmd", """
            services:
              a:
                image: busybox:test
                command: sh -c "sleep 0.5; touch /tmp/ok; sleep 1000"
                healthcheck: {test: "test -e /tmp/ok", interval: 100ms, retries: 100}
            """)
        self.gantry.compose(project, "up", "-d", "--wait")
        self.assertEqual(self.gantry.inspect("cmd-a-1")["State"]["Health"]["Status"], "healthy")

    def test_config_ls_version(self):
        project = self.up()
        model = json.loads(self.gantry.compose(project, "config", "--format", "json").out)
        self.assertEqual(list(model["services"]), ["a", "b"])
        self.assertEqual(self.gantry.compose(project, "config", "--services").out.split(), ["a", "b"])
        self.assertRegex(self.gantry.compose(project, "ls").out, r"cmd +running\(2\)")
        self.assertRegex(self.gantry.compose(project, "version").out, r"version v?\d+\.\d+\.\d+")

    def test_profiles_env_files_and_project_name(self):
        project = self.gantry.project("cmd", """
            services:
              a: {image: "busybox:${TAG}", init: true, command: sleep 1000}
              debug: {image: busybox:test, init: true, command: sleep 1000, profiles: [debug]}
            """, my__env="TAG=test\n")
        self.gantry.compose(project, "-p", "other", "--env-file", "my/env", "--profile", "debug", "up", "-d")
        self.assertEqual(sorted(self.states()), ["other-a-1", "other-debug-1"])

    def test_mounts_secrets_configs_tmpfs(self):
        project = self.gantry.project("cmd", """
            services:
              a:
                image: busybox:test
                init: true
                command: sleep 1000
                read_only: true
                user: app
                volumes:
                  - ./host:/host:ro
                  - data:/data
                tmpfs: ["/scratch"]
                secrets: [token]
                configs: [{source: conf, target: /etc/conf}]
            secrets: {token: {file: ./token}}
            configs: {conf: {content: "made of text\\n"}}
            volumes: {data: {}}
            """, token="s3cret\n", host__file="from the host\n")
        self.gantry.compose(project, "up", "-d")
        run = lambda text, code=0: self.gantry.compose(project, "exec", "-T", "a", "sh", "-c", text, code=code).out
        self.assertEqual(run("cat /host/file /run/secrets/token /etc/conf"), "from the host\ns3cret\nmade of text\n")
        run("touch /host/x", code=1)
        run("touch /x", code=1)
        self.assertEqual(run("touch /scratch/x && ls /scratch"), "x\n")
        self.assertEqual(run("id -u; id -G"), "1000\n1000 2000\n")

    def test_networks_separate_and_names_resolve(self):
        port = free_port()
        project = self.gantry.project("cmd", f"""
            services:
              web:
                image: busybox:test
                command: sh -c "echo page > /var/www/index.html; exec httpd -f -p 80 -h /var/www"
                ports: ["{port}:80"]
                networks: {{front: {{aliases: [www]}}}}
              peer: {{image: busybox:test, init: true, command: sleep 1000, networks: [front]}}
              stranger: {{image: busybox:test, init: true, command: sleep 1000, networks: [back]}}
            networks:
              front: {{}}
              back: {{internal: true}}
            """)
        self.gantry.compose(project, "up", "-d")
        def fetch(service, host, code=0):
            return self.gantry.compose(project, "exec", "-T", service, "timeout", "3", "wget", "-q", "-O", "-",
                                       f"http://{host}/", code=code).out
        wait_until(lambda: fetch("peer", "web", code=None) == "page\n", "the page is served")
        for name in ("www", "cmd-web-1", "web.cmd_front"):
            self.assertEqual(fetch("peer", name), "page\n", name)
        self.assertEqual(http_get(f"http://127.0.0.1:{port}/"), "page\n")
        address = self.gantry.inspect("cmd-web-1")["NetworkSettings"]["Networks"]["cmd_front"]["IPAddress"]
        self.assertEqual(http_get(f"http://{address}/"), "page\n")
        self.assertEqual(fetch("stranger", "web", code=None), "")
        self.assertEqual(fetch("stranger", address, code=None), "")

    def test_build_uses_its_cache_and_ignores_what_is_ignored(self):
        project = self.gantry.project("cmd", """
            services:
              a:
                build: {context: ., args: {WHO: world}}
                init: true
            """, Dockerfile="""
FROM busybox:test
ARG WHO
ENV GREETING="hello ${WHO}"
WORKDIR /app
COPY . .
RUN echo "$GREETING" > made && ls -A > list
USER app
CMD ["sleep", "1000"]
""", **{"file": "kept\n", "secret.txt": "no\n", ".dockerignore": "*.txt\n.dockerignore\n"})
        self.gantry.compose(project, "up", "-d")
        out = self.gantry.compose(project, "exec", "-T", "a", "sh", "-c", "cat made list; id -un").out
        self.assertEqual(out, "hello world\nDockerfile\ncompose.yaml\nfile\nlist\nmade\napp\n")
        again = self.gantry.compose(project, "build")
        self.assertIn("cache", (again.out + again.err).lower())


if __name__ == "__main__":
    main()
