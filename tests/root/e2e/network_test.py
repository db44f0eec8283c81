"""Networks as users make them, with namespaces of the test standing for other machines."""
import json
import os
import socket
import subprocess
import threading
import unittest

from dns_wire import ask_udp, question, records
from harness import Gantry, GantryTest, free_port, main, wait_until
from outside import Outside, datagram_echo, exchange_datagram, fetch, inside

# Answers on port 80 with its name and the address of whoever asked.
WHO = ("mkdir -p /www/cgi-bin; printf '#!/bin/sh\\necho\\necho {name} sees $REMOTE_ADDR\\n' > /www/cgi-bin/who; "
       "chmod +x /www/cgi-bin/who; exec httpd -f -p 80 -h /www")


def service(name, extra="", indent=6):
    text = f"{name}:\n  image: busybox:test\n  init: true\n  command:\n    - sh\n    - -c\n    - |\n      {WHO.format(name=name).replace('$', '$$')}\n"
    text += "".join(f"  {line}\n" for line in extra.strip("\n").splitlines())
    return "".join(" " * 2 + line + "\n" for line in text.splitlines())


def compose(*services, rest=""):
    return "services:\n" + "".join(services) + rest


def seen(answer):
    """"web sees ::ffff:10.1.2.3" as "web sees 10.1.2.3"."""
    return answer.replace("::ffff:", "").replace("[", "").replace("]", "")


class NetworkTest(GantryTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.outside = Outside()
        cls.outside.__enter__()
        cls.addClassCleanup(cls.outside.__exit__)

    def up(self, yaml, name="net", *flags, **options):
        self.project = self.gantry.project(name, yaml)
        return self.gantry.compose(self.project, "up", "-d", *flags, **options)

    def pid(self, container):
        return self.gantry.inspect(container)["State"]["Pid"]

    def networks_of(self, container):
        return self.gantry.inspect(container)["NetworkSettings"]["Networks"]

    def who(self, address, port=80, seconds=5):
        return seen(fetch(address, port, "/cgi-bin/who", seconds))

    def who_from_outside(self, address, port, seconds=5):
        return seen(self.outside.fetch(address, port, "/cgi-bin/who", seconds))

    def who_from(self, container, address, port=80, seconds=5):
        return seen(inside(self.pid(container), lambda: fetch(address, port, "/cgi-bin/who", seconds)))

    def wait_answer(self, ask, wanted):
        wait_until(lambda: ask() == wanted, f"{wanted!r} (last: {ask()!r})")

    def network(self, *words, **options):
        return self.gantry.command("network", *words, **options).out.strip()


class Published(NetworkTest):
    def test_from_everywhere_with_the_askers_address(self):
        port, udp = free_port(), free_port()
        self.up(compose(service("web", f"ports: ['{port}:80', '{udp}:9/udp']"), service("other")))
        gateway = self.networks_of("net-web-1")["net_default"]["Gateway"]
        self.wait_answer(lambda: self.who("127.0.0.1", port), f"web sees {gateway}")
        self.assertEqual(self.who_from_outside(Outside.HOST, port), f"web sees {Outside.OTHER}")
        self.assertEqual(self.who("::1", port), f"web sees {gateway}")
        self.assertEqual(self.who_from_outside(Outside.HOST6, port), f"web sees {gateway}",
                         "IPv6 clients of a container without IPv6 are carried")
        own = self.networks_of("net-other-1")["net_default"]["IPAddress"]
        answer = self.who_from("net-other-1", Outside.HOST, port)
        self.assertIn(answer, (f"web sees {own}", f"web sees {gateway}"), "a neighbour through the host's port")
        self.assertIn("web sees", self.who_from("net-web-1", Outside.HOST, port), "itself through the host's port")
        with datagram_echo(self.pid("net-web-1"), 9):
            self.assertEqual(self.outside.inside(lambda: exchange_datagram(Outside.HOST, udp, b"ping")), b"ping")
            self.assertEqual(exchange_datagram("127.0.0.1", udp, b"pong"), b"pong")
            self.assertEqual(self.outside.inside(lambda: exchange_datagram(Outside.HOST6, udp, b"six")), b"six")
        self.gantry.kill_daemon()
        self.assertEqual(self.who_from_outside(Outside.HOST6, port), f"web sees {gateway}", "while no daemon runs")
        self.gantry.start_daemon()
        self.assertEqual(self.who_from_outside(Outside.HOST6, port), f"web sees {gateway}", "with the next one")
        self.gantry.compose(self.project, "restart", "-t", "0")
        self.wait_answer(lambda: self.who_from_outside(Outside.HOST6, port), f"web sees {gateway}")
        self.gantry.compose(self.project, "down", "-t", "0")
        for address in ("127.0.0.1", "::1"):
            self.assertEqual(self.who(address, port, 1), "ConnectionRefusedError")

    def test_ipv6_network_keeps_ipv6_addresses(self):
        port = free_port()
        self.up(compose(service("web", f"ports: ['{port}:80']"),
                        rest="networks: {default: {enable_ipv6: true}}\n"))
        self.wait_answer(lambda: self.who_from_outside(Outside.HOST6, port), f"web sees {Outside.OTHER6}")
        self.assertIn("web sees fd", self.who("::1", port))
        self.assertEqual(self.who_from_outside(Outside.HOST, port), f"web sees {Outside.OTHER}")

    def test_range_gives_each_replica_the_next_free_port(self):
        first = next(p for p in range(20000 + os.getpid() % 20000, 60000, 7) if self.all_free(p, 3))
        with socket.socket() as taken:
            taken.bind(("0.0.0.0", first + 1))
            taken.listen()
            self.up(compose(service("web", f"ports: ['{first}-{first + 2}:80']\ndeploy: {{replicas: 2}}")))
            got = sorted(p["PublicPort"] for c in self.gantry.containers().values() for p in c["Ports"]
                         if p.get("PublicPort"))
            self.assertEqual(sorted(set(got)), [first, first + 2])

    @staticmethod
    def all_free(first, count):
        for port in range(first, first + count):
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    return False
        return True

    def conflict(self, ports, name="late", extra=""):
        """What `up` of a project with these ports says, which must be before it has made anything of it."""
        result = self.up(compose(service("api", f"ports: {json.dumps(ports)}\n{extra}")), name, code=None)
        self.assertNotEqual(result.code, 0, result)
        self.assertEqual([one for one in self.gantry.containers() if one.startswith(name)], [], "nothing was made")
        self.assertEqual([n["Name"] for n in self.gantry.get("/networks") if n["Name"].startswith(name)], [])
        return result.out + result.err

    def test_conflict_with_another_container_is_told_before_anything_is_made(self):
        port, udp = free_port(), free_port()
        self.up(compose(service("web", f"ports: ['{port}:80', '127.0.0.1:{udp}:9/udp']")), "one")
        text = self.conflict([f"{port}:80"])
        self.assertIn(f"Bind for 0.0.0.0:{port} failed: port is already allocated (held by container one-web-1)", text)
        self.assertIn("(services.api.ports[0])", text)
        self.assertIn("(held by container one-web-1)", self.conflict([f"{udp}:9/udp"]), "the wildcard and one address")
        self.assertIn("(held by container one-web-1)", self.conflict([f"[::1]:{port}:80"]), "IPv6")
        self.assertIn("(held by container one-web-1)", self.conflict([f"{port}-{port}:80"]), "a range of one")
        self.up(compose(service("api", f"ports: ['{port}:9/udp']")), "late")  # UDP is not TCP
        self.gantry.compose(self.project, "down", "-t", "0")
        stopped = self.gantry.command("create", "--name", "stopped", "-p", f"{port}:80", "busybox:test", "true")
        self.assertEqual(stopped.code, 0, "what does not run holds nothing")
        self.up(compose(service("web", f"ports: ['{port}:80', '127.0.0.1:{udp}:9/udp']")), "one")
        started = self.gantry.command("start", "stopped", code=None)
        self.assertIn("(held by container one-web-1)", started.out + started.err)

    def test_conflict_with_a_process_of_the_host_names_it(self):
        me = f"pid {os.getpid()})"
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket(socket.AF_INET6) as v6:
            tcp.bind(("127.0.0.1", 0))
            tcp.listen()
            udp.bind(("0.0.0.0", 0))
            v6.bind(("::1", 0))
            v6.listen()
            for ports in (["127.0.0.1:{}:80"], ["{}:80"]):
                self.assertIn(me, self.conflict([p.format(tcp.getsockname()[1]) for p in ports]))
            self.assertIn(me, self.conflict([f"{udp.getsockname()[1]}:9/udp"]))
            self.assertIn(me, self.conflict([f"[::1]:{v6.getsockname()[1]}:80"]))
            all_at_once = self.conflict([f"127.0.0.1:{tcp.getsockname()[1]}:80", f"{udp.getsockname()[1]}:9/udp"])
            self.assertIn(me, all_at_once)

    def test_conflict_within_a_project(self):
        port = free_port()
        ports = f"ports: ['{port}:80']"
        both = self.up(compose(service("api", ports), service("web", ports)), "late", code=None)
        self.assertNotEqual(both.code, 0)
        self.assertIn(f"Bind for 0.0.0.0:{port} failed: port is already allocated (held by container late-api-1)",
                      both.out + both.err)
        self.assertIn("(services.web.ports[0])", both.out + both.err)
        self.assertEqual(self.gantry.containers(), {}, "nothing was made")
        replicas = self.conflict([f"{port}:80"], extra="deploy: {replicas: 2}\n")
        self.assertIn("(held by container late-api-1)", replicas)
        # One that has ended when the other starts does not count.
        job = f"  job: {{image: 'busybox:test', command: 'true', ports: ['{port}:80']}}\n"
        after = service("web", ports + "\ndepends_on: {job: {condition: service_completed_successfully}}")
        self.up(compose(job, after), "late")

    def test_a_project_is_not_in_conflict_with_itself(self):
        port = free_port()
        ports = f"ports: ['{port}:80', '{port}:9/udp', '[::1]:{free_port()}:80']"
        self.up(compose(service("web", ports)))
        first = self.gantry.containers()["net-web-1"]["Id"]
        self.up(compose(service("web", ports)))
        self.assertEqual(self.gantry.containers()["net-web-1"]["Id"], first, "nothing to do")
        self.up(compose(service("web", ports + "\nenvironment: {CHANGED: 'yes'}")))
        self.up(compose(service("web", ports)), "net", "--force-recreate")
        self.assertNotEqual(self.gantry.containers()["net-web-1"]["Id"], first)
        # The port goes from one service to the other in one command.
        self.up(compose(service("web"), service("other", ports)))
        self.wait_answer(lambda: self.who("127.0.0.1", port).split()[0], "other")
        self.gantry.compose(self.project, "stop", "-t", "0")
        self.gantry.compose(self.project, "start")
        self.gantry.compose(self.project, "restart", "-t", "0")
        self.wait_answer(lambda: self.who("127.0.0.1", port).split()[0], "other")

    def test_loopback_address_is_for_this_host_alone(self):
        port = free_port()
        self.up(compose(service("web", f"ports: ['127.0.0.1:{port}:80']")))
        self.wait_answer(lambda: self.who("127.0.0.1", port).startswith("web sees"), True)
        self.assertEqual(self.who_from_outside(Outside.HOST, port, 1), "ConnectionRefusedError")


class Addresses(NetworkTest):
    def test_options_of_a_place_in_a_network(self):
        self.up(compose(service("web", """
networks:
  front:
    ipv4_address: 10.97.1.10
    ipv6_address: fd97:1::10
    interface_name: front0
    mac_address: 02:42:ac:11:00:99
    link_local_ips: [169.254.8.8]
    driver_opts: {com.docker.network.endpoint.sysctls: net.ipv4.conf.IFNAME.log_martians=1}
  back:
    gw_priority: 10
"""), rest="""
networks:
  front:
    enable_ipv6: true
    driver_opts: {com.docker.network.bridge.name: gtbr%d, com.docker.network.driver.mtu: 1400}
    ipam: {config: [{subnet: 10.97.1.0/24, ip_range: 10.97.1.128/25, gateway: 10.97.1.5}, {subnet: 'fd97:1::/64'}]}
  back: {driver_opts: {com.docker.network.container_iface_prefix: back}}
""" % (os.getpid() % 100000)))
        pid = self.pid("net-web-1")
        run = lambda *words: subprocess.run(["nsenter", "-t", str(pid), "-n", *words], capture_output=True, text=True,
                                            check=True).stdout
        link = json.loads(run("ip", "-j", "address", "show", "front0"))[0]
        self.assertEqual((link["address"], link["mtu"]), ("02:42:ac:11:00:99", 1400))
        addresses = [a["local"] for a in link["addr_info"]]
        for address in ("10.97.1.10", "fd97:1::10", "169.254.8.8"):
            self.assertIn(address, addresses)
        self.assertIn("default via " + self.networks_of("net-web-1")["net_back"]["Gateway"] + " dev back0",
                      run("ip", "route"))
        self.assertIn("default via fd97:1::1 dev front0", run("ip", "-6", "route"))
        self.assertEqual(inside(pid, lambda: open("/proc/sys/net/ipv4/conf/front0/log_martians").read()), "1\n")
        front = self.networks_of("net-web-1")["net_front"]
        self.assertEqual((front["IPAddress"], front["GlobalIPv6Address"], front["Gateway"], front["MacAddress"]),
                         ("10.97.1.10", "fd97:1::10", "10.97.1.5", "02:42:ac:11:00:99"))

    def test_refusals_say_what_would_be_right(self):
        for words, message in [
            (("--driver", "overlay", "x"), 'plugin "overlay" not found'),
            (("--subnet", "10.97.1.0/24", "--gateway", "10.98.1.1", "x"), "no matching subnet for gateway 10.98.1.1"),
            (("-o", "nonsense=1", "x"), 'network option "nonsense" is not supported by driver "bridge"'),
            (("-o", "com.docker.network.bridge.gateway_mode_ipv4=open", "x"),
             "must be one of nat, nat-unprotected, routed, isolated"),
            (("-o", "com.docker.network.bridge.gateway_mode_ipv4=isolated", "x"),
             "gateway mode 'isolated' can only be used for an internal network"),
            (("-d", "macvlan", "-o", "parent=nosuch0", "x"), 'parent interface "nosuch0" does not exist on this host'),
            (("-d", "macvlan", "-o", "macvlan_mode=open", "x"), "must be one of bridge, private, vepa, passthru"),
            (("--subnet", "10.97.1.0/24", "--subnet", "10.97.2.0/24", "x"),
             "bridge driver doesn't support multiple subnets"),
            (("--subnet", "fd97::/64", "x"), "set enable_ipv6 (--ipv6)"),
            (("host",), "operation is not permitted on predefined host network"),
        ]:
            result = self.gantry.command("network", "create", *words, code=1)
            self.assertIn(message, result.err)
        self.network("create", "--subnet", "10.97.2.0/24", "taken")
        self.assertIn("Pool overlaps with other one on this address space",
                      self.gantry.command("network", "create", "--subnet", "10.97.2.128/25", "x", code=1).err)
        self.assertIn("network with name taken already exists",
                      self.gantry.command("network", "create", "taken", code=1).err)
        self.network("rm", "taken")

    def test_macvlan_with_several_subnets(self):
        self.up(compose(service("web", "networks: {lan: {ipv4_address: 10.95.0.5}}"),
                        service("first", "networks: [lan]"),
                        service("next", "networks: [lan]\ndepends_on: [first]"), rest=f"""
networks:
  lan:
    driver: macvlan
    driver_opts: {{parent: {self.outside.name}}}
    ipam:
      config:
        - {{subnet: 10.98.0.0/24, ip_range: 10.98.0.61/32, gateway: 10.98.0.2}}
        - {{subnet: 10.95.0.0/24, gateway: 10.95.0.1}}
"""))
        place = lambda name: [self.networks_of(f"net-{name}-1")["net_lan"][key]
                              for key in ("IPAddress", "IPPrefixLen", "Gateway")]
        self.assertEqual(place("first"), ["10.98.0.61", 24, "10.98.0.2"])
        self.assertEqual(place("web"), ["10.95.0.5", 24, "10.95.0.1"])
        self.assertEqual(place("next"), ["10.95.0.2", 24, "10.95.0.1"], "the first subnet is full")
        self.wait_answer(lambda: self.who_from("net-next-1", "10.95.0.5"), "web sees 10.95.0.2")
        self.wait_answer(lambda: self.who_from_outside("10.98.0.61", 80), f"first sees {Outside.OTHER}")
        network = json.loads(self.network("inspect", "net_lan"))[0]
        self.assertEqual([pool["Subnet"] for pool in network["IPAM"]["Config"]], ["10.98.0.0/24", "10.95.0.0/24"])
        self.assertEqual(sorted(m["IPv4Address"] for m in network["Containers"].values()),
                         ["10.95.0.2/24", "10.95.0.5/24", "10.98.0.61/24"])
        self.gantry.kill_daemon()
        self.gantry.start_daemon()
        self.assertEqual(place("next"), ["10.95.0.2", 24, "10.95.0.1"])
        self.gantry.compose(self.project, "up", "-d", "--force-recreate", "next")
        self.assertEqual(place("next")[0].rpartition(".")[0], "10.95.0", "what the others have is not given twice")

    def test_routed_and_isolated_gateway_modes(self):
        port = free_port()
        mode = "com.docker.network.bridge.gateway_mode_ipv"
        self.up(compose(service("web", f"networks: [open]\nports: ['{port}:80']"),
                        service("inner", "networks: {closed: {ipv4_address: 10.97.5.1}}"),
                        service("inner2", "networks: [closed]"),
                        rest=f"""
networks:
  open:
    enable_ipv6: true
    driver_opts: {{{mode}6: routed}}
  closed:
    internal: true
    driver_opts: {{{mode}4: isolated}}
    ipam: {{config: [{{subnet: 10.97.5.0/24}}]}}
"""))
        web = self.gantry.inspect("net-web-1")["NetworkSettings"]
        self.assertEqual(web["Ports"]["80/tcp"], [{"HostIp": "0.0.0.0", "HostPort": str(port)},
                                                  {"HostIp": "::", "HostPort": ""}])
        self.assertEqual([p["IP"] for p in self.gantry.containers()["net-web-1"]["Ports"] if "PublicPort" in p], ["0.0.0.0"])
        options = json.loads(self.network("inspect", "net_open"))[0]["Options"]
        self.assertEqual(options, {mode + "6": "routed"})
        address6 = web["Networks"]["net_open"]["GlobalIPv6Address"]

        def as_it_should_be(when):
            self.wait_answer(lambda: self.who_from_outside(Outside.HOST, port), f"web sees {Outside.OTHER}")
            self.assertEqual(self.who_from_outside(address6, 80), f"web sees {Outside.OTHER6}", when)
            self.assertEqual(self.who("::1", port, 1), "ConnectionRefusedError", when)
            self.assertEqual(self.who_from("net-inner2-1", "10.97.5.1"), "inner sees 10.97.5.2", when)
            self.assertNotIn("sees", self.who("10.97.5.1", 80, 1), "the host has no address there")

        as_it_should_be("at first")
        pool = json.loads(self.network("inspect", "net_closed"))[0]["IPAM"]["Config"][0]
        self.assertNotIn("Gateway", pool)
        self.gantry.kill_daemon()
        self.gantry.start_daemon()
        as_it_should_be("with the next daemon")
        self.assertEqual(self.gantry.inspect("net-web-1")["NetworkSettings"]["Ports"], web["Ports"])

    def test_macvlan_is_on_the_hosts_own_network(self):
        self.up(compose(service("web", "networks: {lan: {ipv4_address: 10.98.0.50}}"), rest=f"""
networks:
  lan:
    driver: macvlan
    driver_opts: {{parent: {self.outside.name}}}
    ipam: {{config: [{{subnet: 10.98.0.0/24, gateway: 10.98.0.2}}]}}
"""))
        self.wait_answer(lambda: self.who_from_outside("10.98.0.50", 80), f"web sees {Outside.OTHER}")
        self.assertIn(f"already using parent interface {self.outside.name}",
                      self.gantry.command("network", "create", "-d", "macvlan", "-o", f"parent={self.outside.name}",
                                          "--subnet", "10.96.0.0/24", "second", code=1).err)

    def test_isolation_between_networks_and_from_outside(self):
        self.up(compose(service("a", "networks: [one]"), service("b", "networks: [two]"),
                        service("inner", "networks: [closed]"), service("lone", "networks: [quiet]"),
                        service("lone2", "networks: [quiet]"),
                        rest="networks:\n  one:\n  two:\n  closed: {internal: true}\n"
                             "  quiet: {driver_opts: {com.docker.network.bridge.enable_icc: 'false'}}\n"))
        address = lambda name, net: self.networks_of(f"net-{name}-1")[f"net_{net}"]["IPAddress"]
        a, b, inner = address("a", "one"), address("b", "two"), address("inner", "closed")
        self.wait_answer(lambda: self.who_from("net-a-1", "127.0.0.1"), "a sees 127.0.0.1")
        self.wait_answer(lambda: self.who_from("net-b-1", "127.0.0.1"), "b sees 127.0.0.1")
        cases = [("net-a-1", b), ("net-b-1", a), ("net-a-1", inner), ("net-inner-1", a), ("net-inner-1", Outside.OTHER),
                 ("net-lone-1", address("lone2", "quiet"))]
        results = {}
        threads = [threading.Thread(target=lambda c=c: results.__setitem__(c, self.who_from(*c, seconds=1)))
                   for c in cases]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for case in cases:
            self.assertNotIn("sees", results[case], case)
        self.assertNotIn("sees", self.who_from_outside(a, 80, 1))
        self.assertEqual(self.networks_of("net-inner-1")["net_closed"]["Gateway"], "")


class Live(NetworkTest):
    def start_lone(self, *flags):
        self.network("create", "first")
        self.gantry.command("run", "-d", "--name", "lone", "--network", "first", *flags, "busybox:test", "sh", "-c",
                            WHO.format(name="lone"))

    def tearDown(self):
        super().tearDown()
        self.network("prune", "-f")

    def test_connect_and_disconnect_while_it_runs(self):
        port = free_port()
        self.start_lone("-p", f"{port}:80")
        self.network("create", "--subnet", "10.97.3.0/24", "second")
        self.wait_answer(lambda: self.who_from_outside(Outside.HOST, port), f"lone sees {Outside.OTHER}")
        self.network("connect", "--alias", "other-name", "--ip", "10.97.3.9", "second", "lone")
        second = self.networks_of("lone")["second"]
        self.assertEqual((second["IPAddress"], second["IPPrefixLen"], second["Gateway"]),
                         ("10.97.3.9", 24, "10.97.3.1"))
        self.assertIn("other-name", second["DNSNames"])
        self.assertEqual(self.who("10.97.3.9"), "lone sees 10.97.3.1")
        members = json.loads(self.network("inspect", "second"))[0]["Containers"]
        self.assertEqual([m["IPv4Address"] for m in members.values()], ["10.97.3.9/24"])
        self.assertIn("already exists in network second",
                      self.gantry.command("network", "connect", "second", "lone", code=1).err)
        self.assertIn("has active endpoints", self.gantry.command("network", "rm", "second", code=1).err)
        # The port was published through the first network: it moves.
        self.network("disconnect", "first", "lone")
        self.assertEqual(list(self.networks_of("lone")), ["second"])
        self.assertEqual(self.who_from_outside(Outside.HOST, port), f"lone sees {Outside.OTHER}")
        self.assertEqual(self.who("::1", port), "lone sees 10.97.3.1")
        self.network("disconnect", "second", "lone")
        self.assertEqual(self.who("127.0.0.1", port, 1), "ConnectionRefusedError", "nothing gets in any more")
        self.network("connect", "first", "lone")
        self.assertEqual(self.who_from_outside(Outside.HOST, port), f"lone sees {Outside.OTHER}")

    def test_a_port_goes_from_a_translated_network_to_a_routed_one_and_back(self):
        port = free_port()
        self.network("create", "-o", "com.docker.network.bridge.gateway_mode_ipv4=routed", "--subnet", "10.97.6.0/24",
                     "straight")
        self.start_lone("-p", f"{port}:80")
        bound = lambda: self.gantry.inspect("lone")["NetworkSettings"]["Ports"]["80/tcp"]
        self.wait_answer(lambda: self.who_from_outside(Outside.HOST, port), f"lone sees {Outside.OTHER}")
        self.network("connect", "--gw-priority", "5", "--ip", "10.97.6.9", "straight", "lone")
        self.assertEqual(bound(), [{"HostIp": "0.0.0.0", "HostPort": ""}])
        self.assertEqual(self.who_from_outside("10.97.6.9", 80), f"lone sees {Outside.OTHER}")
        self.assertEqual(self.who_from_outside(Outside.HOST, port, 1), "ConnectionRefusedError")
        self.network("disconnect", "straight", "lone")
        self.assertEqual(self.who_from_outside(Outside.HOST, port), f"lone sees {Outside.OTHER}")
        self.assertEqual(self.who("::1", port).split()[0], "lone")

    def test_the_higher_priority_takes_the_default_route_over(self):
        self.start_lone()
        self.network("create", "second")
        self.network("connect", "--gw-priority", "5", "second", "lone")
        route = lambda: subprocess.run(["nsenter", "-t", str(self.pid("lone")), "-n", "ip", "route", "show", "default"],
                                       capture_output=True, text=True, check=True).stdout
        self.assertIn("via " + self.networks_of("lone")["second"]["Gateway"], route())
        self.network("disconnect", "second", "lone")
        self.assertIn("via " + self.networks_of("lone")["first"]["Gateway"], route())

    def test_prune_removes_what_no_container_uses(self):
        self.start_lone()
        self.network("create", "--label", "keep=yes", "unused1")
        self.network("create", "unused2")
        self.assertEqual(self.network("prune", "-f", "--filter", "label!=keep"), "Deleted Networks:\nunused2")
        self.assertEqual(self.network("prune", "-f"), "Deleted Networks:\nunused1")
        self.assertIn("first", self.network("ls"))


class OnAHostOfItsOwn(Gantry):
    """In a network namespace of its own, whose rules nobody else needs."""

    def __enter__(self):
        self.daemon_command = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *self.daemon_command]
        return super().__enter__()

    def on_the_host(self, *words):
        subprocess.run(["nsenter", "-t", str(self.daemon_pid()), "-n", *words], check=True)


class Repair(unittest.TestCase):
    def test_a_flushed_ruleset_and_a_deleted_bridge_are_repaired_under_traffic(self):
        with OnAHostOfItsOwn() as gantry:
            gantry.busybox()
            project = gantry.project("net", compose(service("web", "ports: ['8080:80']"), service("other")))
            gantry.compose(project, "up", "-d")
            daemon = gantry.daemon_pid()
            pids = {name: gantry.inspect(name)["State"]["Pid"] for name in ("net-web-1", "net-other-1")}
            web = gantry.inspect("net-web-1")["NetworkSettings"]["Networks"]["net_default"]
            asked = {"published": (daemon, "127.0.0.1", 8080), "direct": (daemon, web["IPAddress"], 80),
                     "neighbour": (pids["net-other-1"], "web", 80),
                     "hairpin": (pids["net-other-1"], web["Gateway"], 8080)}

            def who(way):
                pid, address, port = asked[way]
                if address == "web":
                    address = records(inside(pid, lambda: ask_udp(question("web"))))[0][2]
                return seen(inside(pid, lambda: fetch(address, port, "/cgi-bin/who", 1)))

            def all_answer(what):
                for way in asked:
                    wait_until(lambda: who(way).startswith("web sees"), f"{way} {what} (last: {who(way)!r})")

            all_answer("at first")
            bridge = "br-" + gantry.get("/networks/net_default")["Id"][:12]
            for damage in (["nft", "flush", "ruleset"], ["ip", "link", "delete", bridge], ["nft", "flush", "ruleset"]):
                gantry.on_the_host(*damage)
                all_answer("after " + " ".join(damage))
            for name, pid in pids.items():
                self.assertEqual(gantry.inspect(name)["State"]["Pid"], pid, f"{name} was not restarted")


class Crash(NetworkTest):
    def test_a_daemon_killed_in_the_middle_of_connects_repairs_itself(self):
        containers, networks = 10, 20
        for n in range(networks):
            self.network("create", f"crash{n}")
        for c in range(containers):
            self.gantry.command("run", "-d", "--name", f"c{c}", "--network", "crash0", "busybox:test", "sleep", "1000")
        done = threading.Event()

        def connect(c):
            for n in range(1, networks):
                if self.gantry.command("network", "connect", f"crash{n}", f"c{c}", code=None, timeout=30).code != 0:
                    return
                if c == 0 and n == 5:
                    done.set()

        self.gantry.environment["GANTRY_NO_DAEMON_START"] = "1"
        threads = [threading.Thread(target=connect, args=(c,)) for c in range(containers)]
        for thread in threads:
            thread.start()
        done.wait(60)
        self.gantry.kill_daemon()
        for thread in threads:
            thread.join()
        if not self.gantry.daemon_pid():
            self.gantry.start_daemon()
        for c in range(containers):
            recorded = self.networks_of(f"c{c}")
            pid = self.pid(f"c{c}")
            links = json.loads(subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", "-j", "address"],
                                              capture_output=True, text=True, check=True).stdout)
            real = sorted(a["local"] for link in links if link["ifname"] != "lo" for a in link["addr_info"]
                          if a["family"] == "inet")
            self.assertEqual(real, sorted(n["IPAddress"] for n in recorded.values()), f"c{c}")
        # Everything can still be joined, left and removed, and then nothing is left.
        if f"crash{networks - 1}" not in self.networks_of("c9"):
            self.network("connect", f"crash{networks - 1}", "c9")
        self.gantry.remove_everything()
        self.network("prune", "-f")
        self.gantry.stop_daemon()
        self.assertEqual([line for line in self.gantry.footprint() if not line.startswith("file")], [])
        self.gantry.start_daemon()


if __name__ == "__main__":
    main()
