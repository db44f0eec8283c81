"""Networks with com.gantry.isolated: two copies of a project with the same subnets and addresses, side by side."""
import json
import socket
import subprocess
import threading

from dns_wire import ask_udp, question, records
from harness import free_port, main, wait_until
from network_test import NetworkTest
from outside import Outside, datagram_echo, exchange_datagram, fetch, inside

SERVICE = """  {name}:
    image: busybox:test
    init: true
    environment: {{COPY: "${{COMPOSE_PROJECT_NAME}}"}}
    command:
      - sh
      - -c
      - |
        mkdir -p /www/cgi-bin
        printf '#!/bin/sh\\necho\\necho {name} of $$COPY sees $$REMOTE_ADDR\\n' > /www/cgi-bin/who
        chmod +x /www/cgi-bin/who
        exec httpd -f -p 80 -h /www
"""
COPY = "services:\n" + SERVICE.format(name="web") + """\
    ports: ["${PORT}:80", "${UDP}:9/udp"]
    networks: {default: {ipv4_address: 10.96.0.10}}
    extra_hosts: ["machine:host-gateway"]
""" + SERVICE.format(name="other") + """\
    networks: [default, inner]
""" + SERVICE.format(name="vault") + """\
    networks: {inner: {ipv4_address: 10.96.1.7}}
networks:
  default:
    driver_opts: {com.gantry.isolated: "true", com.docker.network.bridge.name: br-same}
    ipam: {config: [{subnet: 10.96.0.0/24, gateway: 10.96.0.1}]}
  inner:
    internal: true
    driver_opts: {com.gantry.isolated: "true"}
    ipam: {config: [{subnet: 10.96.1.0/24}]}
"""


class Isolated(NetworkTest):
    def tearDown(self):
        super().tearDown()
        self.network("prune", "-f")
        self.assertFalse((self.gantry.run / "netns").exists(), "a namespace is left")
        # The last bridge goes behind the answer.
        wait_until(lambda: not [line for line in self.gantry.footprint() if line.startswith(("mount", "interface"))],
                   "no mount or interface is left")

    def copy(self, name):
        """A copy of the project: its ports."""
        ports = {"PORT": free_port(), "UDP": free_port()}
        directory = self.gantry.project(name, COPY)
        (directory / ".env").write_text("".join(f"{key}={value}\n" for key, value in ports.items()))
        self.gantry.compose(directory, "up", "-d")
        return ports

    def answers(self, name, ports, when=""):
        """All that a copy of the project must do."""
        port = ports["PORT"]
        self.wait_answer(lambda: self.who_from_outside(Outside.HOST, port), f"web of {name} sees {Outside.OTHER}")
        self.assertIn(f"web of {name} sees", self.who("127.0.0.1", port), when)
        self.assertIn(f"web of {name} sees", self.who("::1", port), when)
        self.assertIn(f"web of {name} sees", self.who_from_outside(Outside.HOST6, port), when)
        with datagram_echo(self.pid(f"{name}-web-1"), 9):
            for address in (Outside.HOST, Outside.HOST6):
                self.assertEqual(self.outside.inside(lambda: exchange_datagram(address, ports["UDP"], b"ping")), b"ping", when)
        other = f"{name}-other-1"
        found = records(inside(self.pid(other), lambda: ask_udp(question("web"))))
        self.assertEqual([answer[2] for answer in found], ["10.96.0.10"], when)
        own = self.networks_of(other)[f"{name}_default"]["IPAddress"]
        self.assertEqual(self.who_from(other, "10.96.0.10"), f"web of {name} sees {own}", when)
        self.assertEqual(self.who_from(other, "10.96.1.7").partition(" sees")[0], f"vault of {name}", when)
        self.assertIn(f"web of {name} sees", self.who_from(other, Outside.HOST, port), "through the host's port " + when)
        self.assertEqual(self.address_outside_sees(other), Outside.HOST, when)
        self.assertNotEqual(self.address_outside_sees(f"{name}-vault-1"), Outside.HOST, when)

    def address_outside_sees(self, container):
        def listen():
            return socket.create_server((Outside.OTHER, 0))

        with self.outside.inside(listen) as server:
            server.settimeout(1)
            seen = []

            def serve():
                try:
                    connection, peer = server.accept()
                    connection.close()
                    seen.append(peer[0])
                except OSError:
                    pass

            thread = threading.Thread(target=serve)
            thread.start()
            address = server.getsockname()

            def ask():
                try:
                    socket.create_connection(address, timeout=1).close()
                except OSError as error:
                    seen.append(type(error).__name__)

            inside(self.pid(container), ask)
            thread.join()
            return seen[0]

    def test_two_copies_with_the_same_subnets_and_addresses(self):
        one, two = self.copy("one"), self.copy("two")
        for name, ports in (("one", one), ("two", two)):
            self.answers(name, ports)
            self.assertEqual(self.networks_of(f"{name}-web-1")[f"{name}_default"]["IPAddress"], "10.96.0.10")
            pool = json.loads(self.network("inspect", f"{name}_default"))[0]["IPAM"]["Config"]
            self.assertEqual(pool, [{"Subnet": "10.96.0.0/24", "Gateway": "10.96.0.1"}])
        self.assertNotIn("sees", self.who("10.96.0.10", 80, 1), "the host has no way there but the ports")
        hosts = self.gantry.command("exec", "one-web-1", "cat", "/etc/hosts").out
        machine = next(line.split()[0] for line in hosts.splitlines() if "machine" in line.split())
        self.assertIn("web of two sees", self.who_from("one-web-1", machine, two["PORT"]), "host-gateway is the host")
        # Copies see each other's ports on the host alone.
        namespaces = sorted((self.gantry.run / "netns").iterdir())
        uplinks = [inside(str(path), lambda: subprocess.run(["ip", "-4", "-o", "address", "show", "uplink"], check=True,
                                                           capture_output=True, text=True).stdout.split()[3].partition("/")[0])
                   for path in namespaces]
        self.assertEqual(len(set(uplinks)), 2)
        for address in uplinks:
            reached = {self.who_from(f"{name}-web-1", address, ports["PORT"], 1).partition(" sees")[0]
                       for name, ports in (("one", two), ("two", one))}
            self.assertNotIn("web of one", reached)
            self.assertNotIn("web of two", reached)
        self.gantry.compose(self.gantry.projects / "one", "down", "-t", "0")
        self.answers("two", two, "after the other has gone")

    def test_all_is_there_again_after_kills_and_damage(self):
        one, two = self.copy("one"), self.copy("two")
        self.gantry.kill_daemon()
        self.assertEqual(self.who_from_outside(Outside.HOST, one["PORT"]), f"web of one sees {Outside.OTHER}", "no daemon runs")
        self.gantry.start_daemon()
        self.answers("one", one, "with the next daemon")
        self.answers("two", two, "with the next daemon")
        pids = {name: self.pid(f"{name}-web-1") for name in ("one", "two")}
        # While no daemon runs somebody takes away a whole namespace, and the bridge that leads to all of them.
        self.gantry.kill_daemon()
        subprocess.run(["umount", "-l", next((self.gantry.run / "netns").iterdir())], check=True)
        self.gantry.start_daemon()
        for name, ports in (("one", one), ("two", two)):
            self.answers(name, ports, "with a namespace made anew")
        uplink = [line.split()[1] for line in self.gantry.footprint() if line.startswith("interface br-")]
        self.assertEqual(len(uplink), 1)
        subprocess.run(["ip", "link", "delete", uplink[0]], check=True)
        for name, ports in (("one", one), ("two", two)):
            self.answers(name, ports, "with the uplink made anew")
            self.assertEqual(self.pid(f"{name}-web-1"), pids[name], "nothing was restarted")

    def test_a_container_joins_and_leaves(self):
        port = free_port()
        self.network("create", "plain")
        self.network("create", "-o", "com.gantry.isolated=true", "apart")
        self.gantry.command("run", "-d", "--name", "lone", "--network", "plain", "-p", f"{port}:80", "busybox:test", "sh", "-c",
                            "mkdir -p /www/cgi-bin; printf '#!/bin/sh\\necho\\necho lone sees $REMOTE_ADDR\\n' > /www/cgi-bin/who; "
                            "chmod +x /www/cgi-bin/who; exec httpd -f -p 80 -h /www")
        answer = f"lone sees {Outside.OTHER}"
        self.wait_answer(lambda: self.who_from_outside(Outside.HOST, port), answer)
        self.network("connect", "--gw-priority", "3", "apart", "lone")
        self.assertEqual(self.who_from_outside(Outside.HOST, port), answer, "by way of the isolated network")
        self.assertIn("lone sees", self.who("::1", port))
        self.assertEqual(self.address_outside_sees("lone"), Outside.HOST)
        self.network("disconnect", "plain", "lone")
        self.assertEqual(self.who_from_outside(Outside.HOST, port), answer)
        self.network("connect", "plain", "lone")
        self.network("disconnect", "apart", "lone")
        self.assertEqual(self.who_from_outside(Outside.HOST, port), answer)
        self.gantry.command("rm", "-f", "lone")

    def test_ipv6_is_for_its_containers_among_themselves(self):
        self.network("create", "--ipv6", "-o", "com.gantry.isolated=true", "six")
        for name in ("one", "two"):
            self.gantry.command("run", "-d", "--name", name, "--network", "six", "busybox:test", "httpd", "-f", "-p", "80")
        address = self.networks_of("one")["six"]["GlobalIPv6Address"]
        self.wait_answer(lambda: "404" in inside(self.pid("two"), lambda: fetch(address, 80)), True)
        routes = subprocess.run(["nsenter", "-t", str(self.pid("two")), "-n", "ip", "-6", "route", "show", "default"], check=True,
                                capture_output=True, text=True).stdout
        self.assertEqual(routes, "")
        self.gantry.command("rm", "-f", "one", "two")

    def test_what_cannot_be_is_refused(self):
        create = lambda *words: self.gantry.command("network", "create", *words, code=1).err
        isolated = ("-o", "com.gantry.isolated=true")
        self.assertIn("does not go with com.gantry.isolated: nobody outside has a route to such a network",
                      create(*isolated, "-o", "com.docker.network.bridge.gateway_mode_ipv4=routed", "x"))
        self.assertIn("true or false", create("-o", "com.gantry.isolated=maybe", "x"))
        self.assertIn('"com.gantry.isolated" is not supported by driver "macvlan"', create("-d", "macvlan", *isolated, "x"))
        self.network("create", *isolated, "apart")
        port = free_port()
        run = ("run", "-d", "--network", "apart")
        self.gantry.command(*run, "--name", "one", "-p", f"127.0.0.1:{port}:80", "busybox:test", "sleep", "1000")
        refused = self.gantry.command(*run, "--name", "two", "-p", f"{Outside.HOST}:{port}:80", "busybox:test", "sleep", "1000",
                                      code=None)
        self.assertIn("port is already allocated on another address of the host (held by container one)", refused.err)
        self.gantry.command("rm", "-f", "one", "two")


if __name__ == "__main__":
    main()
