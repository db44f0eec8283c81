"""Networks on a kernel without nftables: published ports are carried by a process, names are asked for at port 53 itself."""
import pathlib
import sys

from dns_wire import ask_udp, question, records
from harness import Gantry, free_port, main
from network_test import NetworkTest, compose, service
from outside import Outside, datagram_echo, exchange_datagram, inside

LAUNCHER = pathlib.Path(__file__).with_name("without_netfilter.py")


class WithoutNetfilter(Gantry):
    def __enter__(self):
        self.daemon_command = [sys.executable, LAUNCHER, *self.daemon_command]
        return super().__enter__()

    def warnings(self):
        return [line for line in (self.root / "daemon.log").read_text().splitlines() if "nftables cannot be used" in line]


class WithoutNftables(NetworkTest):
    instance = WithoutNetfilter

    def bridge(self, network):
        return "br-" + self.gantry.get(f"/networks/{network}")["Id"][:12]

    def test_the_log_says_once_what_is_lost(self):
        self.gantry.stop_daemon()
        before = len(self.gantry.warnings())
        self.gantry.start_daemon()
        self.up(compose(service("web")))
        warnings = self.gantry.warnings()[before:]
        self.assertEqual(len(warnings), 1, warnings)
        for lost in ("Protocol not supported", "published ports are carried by a process", "containers reach nothing outside",
                     "kept apart", "port 53"):
            self.assertIn(lost, warnings[0])

    def test_ports_and_names_work_and_go_on_without_the_daemon(self):
        port, udp, local = free_port(), free_port(), free_port()
        self.up(compose(service("web", f"ports: ['{port}:80', '{udp}:9/udp', '127.0.0.1:{local}:80']"), service("other")))
        gateway = self.networks_of("net-web-1")["net_default"]["Gateway"]
        own = self.networks_of("net-web-1")["net_default"]["IPAddress"]

        def all_answers(when):
            self.wait_answer(lambda: self.who("127.0.0.1", port), f"web sees {gateway}")
            self.assertEqual(self.who("127.0.0.1", local), f"web sees {gateway}", when)
            self.assertEqual(self.who("::1", port), f"web sees {gateway}", when)
            self.assertEqual(self.who_from_outside(Outside.HOST, port), f"web sees {gateway}", when)
            self.assertEqual(self.who_from_outside(Outside.HOST6, port), f"web sees {gateway}", when)
            self.assertEqual(self.who_from_outside(Outside.HOST, local, 1), "ConnectionRefusedError", when)
            self.assertEqual(self.who_from("net-other-1", gateway, port), f"web sees {gateway}", when)
            self.assertEqual(self.who_from("net-other-1", own).split()[0], "web", when)
            found = records(inside(self.pid("net-other-1"), lambda: ask_udp(question("web"))))
            self.assertEqual([answer[2] for answer in found], [own], when)
            self.assertIn(own, self.gantry.command("exec", "net-other-1", "nslookup", "web").out, when)
            with datagram_echo(self.pid("net-web-1"), 9):
                self.assertEqual(self.outside.inside(lambda: exchange_datagram(Outside.HOST, udp, b"ping")), b"ping")

        all_answers("at first")
        setting = pathlib.Path(f"/proc/sys/net/ipv4/conf/{self.bridge('net_default')}/route_localnet")
        self.assertEqual(setting.read_text(), "0\n", "no rule keeps strangers off the loopback address")
        self.gantry.kill_daemon()
        self.assertEqual(self.who_from_outside(Outside.HOST, port), f"web sees {gateway}", "while no daemon runs")
        self.gantry.start_daemon()
        all_answers("with the next daemon")
        late = self.up(compose(service("web", f"ports: ['{port}:80']")), "late", code=None)
        self.assertIn("(held by container net-web-1)", late.out + late.err)
        self.gantry.compose(self.gantry.projects / "net", "down", "-t", "0")
        self.assertEqual(self.who("127.0.0.1", port, 1), "ConnectionRefusedError")

    def test_a_port_follows_its_container_to_another_network(self):
        port = free_port()
        for name in ("first", "second"):
            self.network("create", name)
        self.gantry.command("run", "-d", "--name", "lone", "--network", "first", "-p", f"{port}:80", "busybox:test", "sh", "-c",
                            "mkdir -p /www/cgi-bin; printf '#!/bin/sh\\necho\\necho lone sees $REMOTE_ADDR\\n' > /www/cgi-bin/who; "
                            "chmod +x /www/cgi-bin/who; exec httpd -f -p 80 -h /www")
        gateway = lambda name: self.networks_of("lone")[name]["Gateway"]
        self.wait_answer(lambda: self.who_from_outside(Outside.HOST, port), f"lone sees {gateway('first')}")
        self.network("connect", "second", "lone")
        self.network("disconnect", "first", "lone")
        self.assertEqual(self.who_from_outside(Outside.HOST, port), f"lone sees {gateway('second')}")
        self.gantry.command("rm", "-f", "lone")
        for name in ("first", "second"):
            self.network("rm", name)

    def test_an_internal_networks_packets_are_not_forwarded(self):
        self.up(compose(service("inner", "networks: [closed]"), service("inner2", "networks: [closed]"),
                        rest="networks: {closed: {internal: true}}\n"))
        inner = self.networks_of("net-inner-1")["net_closed"]["IPAddress"]
        self.wait_answer(lambda: self.who_from("net-inner2-1", inner).split()[0], "inner")
        setting = pathlib.Path(f"/proc/sys/net/ipv4/conf/{self.bridge('net_closed')}/forwarding")
        self.assertEqual(setting.read_text(), "0\n")

    def test_what_needs_rules_is_refused(self):
        refused = self.gantry.command("network", "create", "-o", "com.gantry.isolated=true", "x", code=1)
        self.assertIn("a network with com.gantry.isolated needs nftables, which cannot be used here", refused.err)
        refused = self.gantry.command("run", "--rm", "-p", f"{free_port()}:80/sctp", "busybox:test", "true", code=None)
        self.assertIn("sctp cannot be published: nftables cannot be used", refused.err)


if __name__ == "__main__":
    main()
