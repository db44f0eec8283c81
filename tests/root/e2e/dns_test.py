"""The name service at 127.0.0.11 as containers find it: a table of questions and answers, and what real resolvers do."""
import collections
import io
import os
import shutil
import subprocess
import tarfile

from dns_wire import Upstream, ask_tcp, ask_udp, question, read_name, records, summary
from harness import BIN, Gantry, GantryTest, busybox_tar, main, wait_until
from outside import fetch, inside

STACK = """
services:
  web: {image: busybox:test, init: true, command: sleep 1000, networks: {front: {aliases: [www, Upper-Case]}, back: {}},
        hostname: webhost, deploy: {replicas: 3}}
  db: {image: busybox:test, init: true, command: sleep 1000, networks: {back: {ipv4_address: 10.94.2.50}}}
  six: {image: busybox:test, init: true, command: sleep 1000, networks: {dual: {ipv6_address: 'fd94::60'}}}
  asker: {image: busybox:test, init: true, command: sleep 1000, networks: [front, back, dual], links: ['db:database']}
  stranger: {image: busybox:test, init: true, command: sleep 1000, networks: [other]}
  shut: {image: busybox:test, init: true, command: sleep 1000, networks: [closed]}
  dotted: {image: busybox:test, init: true, command: sleep 1000, networks: [front], dns_opt: ['ndots:2']}
  own: {image: busybox:test, init: true, command: sleep 1000, networks: [front], dns: [127.0.0.53, 10.98.9.2],
        dns_search: [corp.example, example.net], dns_opt: ['timeout:1', 'ndots:1']}
networks:
  front:
  back: {ipam: {config: [{subnet: 10.94.2.0/24}]}}
  dual: {enable_ipv6: true, ipam: {config: [{subnet: 10.94.3.0/24}, {subnet: 'fd94::/64'}]}}
  other:
  closed: {internal: true}
"""
ZONE = {
    "plain.example": ["192.0.2.1"], "two.example": ["192.0.2.1", "192.0.2.2"],
    "big.example": [f"192.0.2.{n}" for n in range(1, 101)], "no.example": "nxdomain", "fail.example": "servfail",
    "refuse.example": "refused", "silent.example": "silence", "slow.example": 1.5, "kept.example": ["192.0.2.3"],
    "db.corp.example": ["192.0.2.77"], "single": ["192.0.2.8"], "web.other.example": ["192.0.2.5"],
    "_http._tcp.web": "nxdomain", "4.3.2.1.in-addr.arpa": "nxdomain", "onlyfirst.example": ["192.0.2.10"],
}
SECOND = {"fail.example": ["192.0.2.21"], "refuse.example": ["192.0.2.22"], "silent.example": ["192.0.2.23"],
          "slow.example": "servfail", "onlyfirst.example": ["192.0.2.66"]}


class HostWithNameservers(Gantry):
    """Its daemon sees an /etc/resolv.conf of the test's."""

    def __enter__(self):
        self.resolv_conf = self.root / "resolv.conf"
        self.resolv_conf.write_text("nameserver 127.0.0.153\nnameserver 127.0.0.154\nsearch host.example\n")
        self.daemon_command = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"',
                               self.resolv_conf, *self.daemon_command]
        return super().__enter__()


def resolvers_tar():
    """busybox, and the resolvers of glibc and (where it could be built) musl: lookup-glibc, lookup-musl."""
    data = io.BytesIO(busybox_tar())
    libraries = [word for word in subprocess.run(["ldd", BIN / "lookup_glibc"], capture_output=True, text=True,
                                                 check=True).stdout.split() if word.startswith("/")]
    with tarfile.open(fileobj=data, mode="a") as tar:
        for path in libraries:
            tar.add(os.path.realpath(path), path.lstrip("/"))
        for libc in ("glibc", "musl"):
            if (BIN / f"lookup_{libc}").exists():
                tar.add(BIN / f"lookup_{libc}", f"bin/lookup-{libc}")
        entry = tarfile.TarInfo("etc/nsswitch.conf")
        text = b"hosts: files dns\n"
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    return data.getvalue()


class DnsTest(GantryTest):
    @classmethod
    def setUpClass(cls):
        cls.gantry = HostWithNameservers()
        cls.gantry.__enter__()
        cls.addClassCleanup(cls.gantry.__exit__, None, None, None)
        cls.first = Upstream("127.0.0.153", dict(ZONE))
        cls.second = Upstream("127.0.0.154", SECOND)
        cls.third = Upstream("127.0.0.155", {"plain.example": ["192.0.2.31"]})
        for upstream in (cls.first, cls.second, cls.third):
            cls.addClassCleanup(upstream.close)
        tar = cls.gantry.root / "resolvers.tar"
        tar.write_bytes(resolvers_tar())
        cls.gantry.command("import", tar, "busybox:test")

    def libcs(self):
        return [libc for libc in ("glibc", "musl") if (BIN / f"lookup_{libc}").exists()]

    def look_up(self, container, libc, *questions):
        """What the C library's resolver in the container answers to each, as of lookup.c."""
        script = "; ".join(f"lookup-{libc} {q}" for q in questions)
        return self.gantry.command("exec", container, "sh", "-c", script, code=None).out.splitlines()

    def up(self, yaml, name="dns"):
        self.project = self.gantry.project(name, yaml)
        self.gantry.compose(self.project, "up", "-d")

    def pid(self, container):
        return self.gantry.inspect(container)["State"]["Pid"]

    def address(self, container, network, key="IPAddress"):
        return self.gantry.inspect(container)["NetworkSettings"]["Networks"][network][key]

    def ask(self, container, name, kind="A", **options):
        return summary(inside(self.pid(container), lambda: ask_udp(question(name, kind, **options))))


class Conformance(DnsTest):
    """One application for all of them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.project = cls.gantry.project("dns", STACK)
        cls.gantry.compose(cls.project, "up", "-d")

    def tearDown(self):
        pass

    def test_table(self):
        pids = {}

        def pid(container):
            return pids.setdefault(container, self.pid(container))

        front = [self.address(f"dns-web-{n}", "dns_front") for n in (1, 2, 3)]
        short = self.gantry.inspect("dns-db-1")["Id"][:12]
        web1 = self.address("dns-web-1", "dns_front")
        six4 = self.address("dns-six-1", "dns_dual")
        webs = "NOERROR " + " ".join(sorted(front))
        db, empty = "NOERROR 10.94.2.50", "NOERROR"
        reverse = lambda ip: ".".join(reversed(ip.split("."))) + ".in-addr.arpa"
        nibbles = ".".join(reversed("fd940000000000000000000000000060")) + ".ip6.arpa"
        rows = [  # asker, question, answer
            # Every name of a container.
            ("asker", ("db",), db), ("asker", ("dns-db-1",), db), ("asker", (short,), db),
            ("asker", ("web",), "web on back"), ("asker", ("www",), webs), ("asker", ("webhost",), "web on back"),
            ("asker", ("dns-web-1.dns_front",), f"NOERROR {web1}"), ("asker", ("upper-case",), webs),
            ("asker", ("database",), db), ("asker", ("asker",), None), ("db", ("db",), db),
            # Letter case, the final dot, the network behind the name.
            ("asker", ("DB",), db), ("asker", ("Db.",), db), ("asker", ("db.",), db), ("asker", ("UPPER-CASE",), webs),
            ("asker", ("db.dns_back",), db), ("asker", ("DB.DNS_BACK.",), db), ("asker", ("web.dns_front",), webs),
            ("asker", ("web.dns_back",), "web on back"), ("asker", ("db.dns_front",), "NXDOMAIN"),
            # Names belong to their networks.
            ("db", ("web",), "web on back"), ("db", ("six",), "NXDOMAIN"), ("stranger", ("db",), "NXDOMAIN"),
            ("stranger", ("web",), "NXDOMAIN"), ("stranger", ("stranger",), None), ("db", ("database",), "NXDOMAIN"),
            ("six", ("asker",), None), ("shut", ("shut",), None), ("shut", ("db",), "SERVFAIL"),
            # Types: a name that is known is never denied.
            ("asker", ("db", "AAAA"), empty), ("asker", ("db", "MX"), empty), ("asker", ("db", "TXT"), empty),
            ("asker", ("db", "SRV"), empty), ("asker", ("db", "NS"), empty), ("asker", ("db", "CNAME"), empty),
            ("asker", ("db", "SOA"), empty), ("asker", ("db", "ANY"), db), ("asker", ("db", 65280), empty),
            ("asker", ("six", "AAAA"), "NOERROR fd94::60"), ("asker", ("six", "A"), f"NOERROR {six4}"),
            ("asker", ("six", "ANY"), f"NOERROR {six4} fd94::60"), ("asker", ("database", "AAAA"), empty),
            ("asker", ("six.dns_dual", "AAAA"), "NOERROR fd94::60"), ("asker", ("_http._tcp.web", "SRV"), "NXDOMAIN"),
            # Addresses back to names.
            ("asker", (reverse("10.94.2.50"), "PTR"), "NOERROR dns-db-1.dns_back."),
            ("asker", (reverse("10.94.2.50").upper(), "PTR"), "NOERROR dns-db-1.dns_back."),
            ("asker", (reverse(web1), "PTR"), "NOERROR dns-web-1.dns_front."),
            ("asker", (nibbles, "PTR"), "NOERROR dns-six-1.dns_dual."), ("stranger", (reverse("10.94.2.50"), "PTR"), "NXDOMAIN"),
            ("asker", (reverse("10.94.2.50"), "A"), "NXDOMAIN"), ("asker", ("4.3.2.1.in-addr.arpa", "PTR"), "NXDOMAIN"),
            ("asker", ("50.2.94.in-addr.arpa", "PTR"), "NXDOMAIN"), ("asker", ("300.2.94.10.in-addr.arpa", "PTR"), "NXDOMAIN"),
            # Others' names.
            ("asker", ("plain.example",), "NOERROR 192.0.2.1"), ("asker", ("PLAIN.Example.",), "NOERROR 192.0.2.1"),
            ("asker", ("two.example",), "NOERROR 192.0.2.1 192.0.2.2"), ("asker", ("plain.example", "AAAA"), empty),
            ("asker", ("no.example",), "NXDOMAIN"), ("asker", ("no.example", "AAAA"), "NXDOMAIN"),
            ("asker", ("fail.example",), "NOERROR 192.0.2.21"), ("asker", ("refuse.example",), "NOERROR 192.0.2.22"),
            ("asker", ("silent.example",), "NOERROR 192.0.2.23"), ("asker", ("slow.example",), "NOERROR 192.0.2.9"),
            ("asker", ("onlyfirst.example",), "NOERROR 192.0.2.10"), ("asker", ("single",), "NOERROR 192.0.2.8"),
            ("asker", ("web.other.example",), "NOERROR 192.0.2.5"), ("asker", ("web.nosuchnetwork",), "NXDOMAIN"),
            ("shut", ("plain.example",), "SERVFAIL"), ("stranger", ("plain.example",), "NOERROR 192.0.2.1"),
            ("dotted", ("single",), empty), ("dotted", ("single", "AAAA"), empty), ("dotted", ("web",), webs),
            ("dotted", ("plain.example",), "NOERROR 192.0.2.1"),
        ]
        self.assertGreaterEqual(len(rows), 70)
        web_back = "NOERROR " + " ".join(sorted(self.address(f"dns-web-{n}", "dns_back") for n in (1, 2, 3)))
        for asker, asked, wanted in rows:
            with self.subTest(asker=asker, asked=asked):
                packet = question(*asked)
                got = summary(inside(pid(f"dns-{asker}-1"), lambda: ask_udp(packet)))
                if wanted is None:
                    self.assertRegex(got, r"^NOERROR( \d+\.\d+\.\d+\.\d+)+$")
                else:
                    self.assertEqual(got, web_back if wanted == "web on back" else wanted)
        raw = lambda packet: summary(inside(pid("dns-asker-1"), lambda: ask_udp(packet, seconds=1.0)))
        tcp = lambda *packets: inside(pid("dns-asker-1"), lambda: ask_tcp(*packets))
        wire = [  # bytes, answer
            ("truncated header", question("db")[:11], "nothing"), ("an answer", question("db", flags=0x8100), "nothing"),
            ("no question", question("db", count=0), "FORMERR"), ("two questions", question("db", count=2), "FORMERR"),
            ("cut in the name", question("db")[:14], "FORMERR"), ("cut in the type", question("db")[:-1], "FORMERR"),
            ("a pointer to itself", question("db")[:12] + b"\xc0\x0c\0\x01\0\x01", "FORMERR"),
            ("a label of type 0x40", question("db")[:12] + b"\x41a\0\0\x01\0\x01", "FORMERR"),
            ("status", question("db", flags=0x1000), "NOTIMP"), ("update", question("db", flags=0x2800), "NOTIMP"),
            ("notify", question("db", flags=0x2000), "NOTIMP"), ("class CHAOS", question("db", klass=3), "REFUSED"),
            ("class ANY", question("db", klass=255), db), ("EDNS", question("db", edns=1232), db),
            ("EDNS of 65535", question("db", edns=65535), db), ("EDNS of 0", question("db", edns=0), db),
            ("two OPT records", question("db", edns=1232)[:10] + b"\0\x02" + question("db", edns=1232)[12:] +
             b"\0\0\x29\x04\xd0\0\0\0\0\0\0", "FORMERR"),
            ("no recursion wanted", question("db", flags=0), db), ("an empty name", question(""), None),
            ("a long name", question(".".join(["a" * 63] * 3)), "NXDOMAIN"), ("bytes behind it", question("db") + b"xyz", db),
            ("a name with a blank", question("d b.example"), "NXDOMAIN"), ("too many addresses", question("big.example"), "NOERROR TC"),
        ]
        for what, packet, wanted in wire:
            with self.subTest(what=what):
                got = raw(packet)
                if wanted is not None:
                    self.assertEqual(got, wanted)
        self.assertEqual(summary(tcp(question("db"))), db)
        self.assertEqual(summary(tcp(question("big.example"))), "NOERROR " + " ".join(sorted(ZONE["big.example"])))
        several = tcp(question("db", ident=1), question("plain.example", ident=2), question("web", ident=3))
        self.assertEqual(sorted(a[1] for a in several), [1, 2, 3])
        self.assertEqual(summary(tcp(question("www", edns=512))), webs)
        answer = inside(pid("dns-asker-1"), lambda: ask_udp(question("dB", ident=77)))
        self.assertEqual((answer[1], read_name(answer, 12)[0], answer[2] & 4, answer[3] & 0x80), (77, "dB", 0, 0x80),
                         "id and letter case are the asker's, not authoritative, recursion available")

    def test_replicas_are_given_in_turn(self):
        pid = self.pid("dns-asker-1")
        first = collections.Counter(records(inside(pid, lambda: ask_udp(question("web"))))[0][2] for _ in range(60))
        self.assertEqual(len(first), 3, first)

    def test_what_was_denied_or_answered_is_asked_once(self):
        before = self.first.times_asked("kept.example"), self.first.times_asked("never.example")
        for asker in ("asker", "stranger", "db"):
            self.assertEqual(self.ask(f"dns-{asker}-1", "kept.example"), "NOERROR 192.0.2.3")
            self.assertEqual(self.ask(f"dns-{asker}-1", "NEVER.example"), "NXDOMAIN")
        after = self.first.times_asked("kept.example"), self.first.times_asked("never.example")
        self.assertEqual((after[0] - before[0], after[1] - before[1]), (1, 1))

    def test_the_hosts_resolv_conf_may_change(self):
        old = self.gantry.resolv_conf.read_text()
        self.assertEqual(self.ask("dns-asker-1", "plain.example"), "NOERROR 192.0.2.1")
        try:
            self.gantry.resolv_conf.write_text("nameserver 127.0.0.155\n")
            wait_until(lambda: self.ask("dns-asker-1", "plain.example") == "NOERROR 192.0.2.31", "the new one is asked")
            self.gantry.resolv_conf.write_text("nameserver 127.0.0.156\n")  # nobody there
            wait_until(lambda: self.ask("dns-asker-1", "plain.example") == "SERVFAIL", "nobody can be asked")
            self.assertEqual(self.ask("dns-asker-1", "db"), "NOERROR 10.94.2.50", "our own names need nobody")
        finally:
            self.gantry.resolv_conf.write_text(old)

    def test_files_of_a_container(self):
        read = lambda name, file: self.gantry.command("exec", name, "cat", f"/etc/{file}").out
        self.assertEqual(read("dns-asker-1", "resolv.conf"),
                         "nameserver 127.0.0.11\nsearch host.example\noptions ndots:0\n")
        self.assertEqual(read("dns-own-1", "resolv.conf"),
                         "nameserver 127.0.0.11\nsearch corp.example example.net\noptions timeout:1 ndots:1\n")

    def test_names_come_and_go_with_their_containers(self):
        self.gantry.compose(self.project, "stop", "-t", "0", "db")
        self.assertEqual(self.ask("dns-asker-1", "db"), "NXDOMAIN")
        self.gantry.compose(self.project, "start", "db")
        self.assertEqual(self.ask("dns-asker-1", "db"), "NOERROR 10.94.2.50")
        self.gantry.command("network", "connect", "--alias", "late", "dns_other", "dns-db-1")
        self.assertRegex(self.ask("dns-stranger-1", "late"), r"^NOERROR \d")
        self.gantry.command("network", "disconnect", "dns_other", "dns-db-1")
        self.assertEqual(self.ask("dns-stranger-1", "late"), "NXDOMAIN")
        self.gantry.compose(self.project, "up", "-d", "--scale", "web=1")
        self.assertEqual(len(self.ask("dns-asker-1", "web").split()), 2)
        self.gantry.compose(self.project, "up", "-d", "--scale", "web=3")
        self.assertEqual(len(self.ask("dns-asker-1", "web").split()), 4)

    def test_resolvers_of_c_libraries(self):
        front = " ".join(sorted(self.address(f"dns-web-{n}", "dns_front") for n in (1, 2, 3)))
        six4 = self.address("dns-six-1", "dns_dual")
        short = self.gantry.inspect("dns-db-1")["Id"][:12]
        no_data = ("NODATA", "NONAME")  # glibc tells them apart, musl does not always
        rows = [("db", "10.94.2.50"), ("DB", "10.94.2.50"), ("db.", "10.94.2.50"), ("db 4", "10.94.2.50"), ("db 6", no_data),
                ("dns-db-1", "10.94.2.50"), (short, "10.94.2.50"), ("db.dns_back", "10.94.2.50"),
                ("database", "10.94.2.50"), ("www", front), ("upper-case.", front),
                ("six", " ".join(sorted([six4, "fd94::60"]))), ("six 6", "fd94::60"), ("six 4", six4),
                ("nosuch", "NONAME"), ("nosuch.", "NONAME"), ("plain.example", "192.0.2.1"),
                ("plain.example 6", no_data), ("two.example", "192.0.2.1 192.0.2.2"), ("no.example", "NONAME"),
                ("fail.example", "192.0.2.21"), ("silent.example", "192.0.2.23"), ("slow.example", "192.0.2.9"),
                ("-r 10.94.2.50", "dns-db-1.dns_back"), ("-r fd94::60", "dns-six-1.dns_dual"),
                ("-r 192.0.2.250", "NONAME"), ("192.0.2.7", "192.0.2.7")]
        for libc in self.libcs():
            answers = self.look_up("dns-asker-1", libc, *(row[0] for row in rows))
            self.assertEqual(len(answers), len(rows), answers)
            for (asked, wanted), got in zip(rows, answers):
                with self.subTest(libc=libc, asked=asked):
                    self.assertIn(got, [wanted] if isinstance(wanted, str) else wanted)
            self.assertEqual(self.look_up("dns-shut-1", libc, "shut", "plain.example")[1], "AGAIN")
            self.assertEqual(self.look_up("dns-stranger-1", libc, "db"), ["NONAME"])
        # More than fits into a datagram: over TCP.
        self.assertEqual(self.look_up("dns-asker-1", "glibc", "big.example"), [" ".join(sorted(ZONE["big.example"]))])

    def test_busybox_agrees(self):
        self.assertIn("10.94.2.50", self.gantry.command("exec", "dns-asker-1", "nslookup", "db.").out)
        self.assertIn("192.0.2.1", self.gantry.command("exec", "dns-asker-1", "nslookup", "plain.example.").out)
        self.assertNotEqual(self.gantry.command("exec", "dns-asker-1", "nslookup", "no.example", code=None).code, 0)
        self.assertIn("10.94.2.50", self.gantry.command("exec", "dns-asker-1", "ping", "-c", "1", "-W", "3", "db").out)
        self.assertIn("dns-db-1.dns_back", self.gantry.command("exec", "dns-asker-1", "nslookup", "10.94.2.50").out)


class Resolvers(DnsTest):
    def test_search_domains_are_tried(self):
        self.up("""
services:
  a: {image: busybox:test, init: true, command: sleep 1000, dns_search: [corp.example]}
  b: {image: busybox:test, init: true, command: sleep 1000}
""")
        self.assertIn("192.0.2.77", self.gantry.command("exec", "dns-a-1", "nslookup", "db.corp.example").out)
        self.assertIn("192.0.2.77", self.gantry.command("exec", "dns-a-1", "ping", "-c", "1", "-W", "1", "db",
                                                        code=None).out)
        self.assertNotIn("192.0.2.77", self.gantry.command("exec", "dns-a-1", "ping", "-c", "1", "-W", "1", "b",
                                                           code=None).out)
        for libc in self.libcs():
            # resolv.conf says ndots:0, as Docker's does: musl then searches for no name at all.
            short = "NONAME" if libc == "musl" else "192.0.2.77"
            self.assertEqual(self.look_up("dns-a-1", libc, "db", "db.corp.example", "db."), [short, "192.0.2.77", "NONAME"])

    def test_own_servers_are_asked_from_inside(self):
        self.up("""
services:
  resolver: {image: busybox:test, init: true, command: sleep 1000, networks: {in: {ipv4_address: 10.93.1.53}}}
  asker: {image: busybox:test, init: true, command: sleep 1000, networks: [in], dns: [10.93.1.53]}
networks:
  in: {internal: true, ipam: {config: [{subnet: 10.93.1.0/24}]}}
""")
        made = inside(self.pid("dns-resolver-1"), lambda: Upstream("10.93.1.53", {"inner.example": ["192.0.2.44"]}))
        try:
            self.assertEqual(self.ask("dns-asker-1", "inner.example"), "NOERROR 192.0.2.44")
            self.assertEqual(self.ask("dns-resolver-1", "inner.example"), "SERVFAIL", "no way out, and no own server")
        finally:
            made.close()

    def test_port_53_is_the_containers(self):
        self.up("services:\n  a: {image: busybox:test, init: true, command: sleep 1000}\n")

        def bind():
            own = Upstream("0.0.0.0", {"mine.example": ["192.0.2.55"]})
            try:
                return summary(ask_udp(question("mine.example"), "127.0.0.1")), summary(ask_udp(question("a")))
            finally:
                own.close()

        mine, ours = inside(self.pid("dns-a-1"), bind)
        self.assertEqual(mine, "NOERROR 192.0.2.55")
        self.assertRegex(ours, r"^NOERROR \d")

    def test_host_gateway_in_extra_hosts(self):
        self.up("services:\n  a: {image: busybox:test, init: true, command: sleep 1000, "
                "extra_hosts: ['host.docker.internal:host-gateway', 'fixed:192.0.2.99']}\n")
        hosts = self.gantry.command("exec", "dns-a-1", "cat", "/etc/hosts").out
        gateway = self.address("dns-a-1", "dns_default", "Gateway")
        self.assertIn(f"{gateway}\thost.docker.internal\n", hosts)
        self.assertIn("192.0.2.99\tfixed\n", hosts)


class Load(DnsTest):
    def test_nothing_is_lost_at_10000_questions_a_second_from_20_containers(self):
        self.up("services:\n  a: {image: busybox:test, init: true, command: sleep 1000, deploy: {replicas: 20}}\n")
        pids = [str(self.pid(f"dns-a-{n}")) for n in range(1, 21)]
        for rate in ("10000", "0"):  # and as fast as they are answered
            out = subprocess.run([BIN / "dns_load", rate, "2", "a", *pids], capture_output=True, text=True, check=True).stdout
            print(out.strip(), end="; ")
            figures = dict(zip(out.split()[::2], map(float, out.split()[1::2])))
            self.assertGreaterEqual(figures["asked"], 20000 if rate == "10000" else 1000)
            self.assertEqual(figures["asked"], figures["answered"])


class Nginx(DnsTest):
    def test_resolver_directive_follows_a_recreated_service(self):
        nginx = shutil.which("nginx")
        if nginx is None:
            self.skipTest("needs nginx")
        who = "mkdir -p /w; hostname > /w/index.html; exec httpd -f -p 8080 -h /w"
        yaml = f"""
services:
  app: {{image: busybox:test, init: true, command: ["sh", "-c", "{who}"]}}
  front: {{image: busybox:test, init: true, command: sleep 1000}}
"""
        self.up(yaml)
        root = self.gantry.root / "nginx"
        root.mkdir(exist_ok=True)
        (root / "nginx.conf").write_text(f"""
daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;
events {{}}
http {{
  access_log off; client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;
  uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
  server {{ listen 127.0.0.1:80; resolver 127.0.0.11 valid=1s; set $app http://app:8080;
           location / {{ proxy_pass $app; proxy_connect_timeout 1s; }} }}
}}
""")
        pid = self.pid("dns-front-1")
        server = subprocess.Popen(["nsenter", "-t", str(pid), "-n", nginx, "-c", str(root / "nginx.conf")],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            answer = lambda: inside(pid, lambda: fetch("127.0.0.1", 80))
            one = lambda: self.gantry.inspect("dns-app-1")["Id"][:12]
            wait_until(lambda: answer() == one(), "nginx finds the service")
            self.gantry.compose(self.project, "up", "-d", "--scale", "app=3")
            wait_until(lambda: len({answer() for _ in range(20)}) == 3, "all three replicas are used", 30)
            self.gantry.compose(self.project, "up", "-d", "--scale", "app=1", "--force-recreate", "app")
            wait_until(lambda: answer() == one(), "the new container is found", 30)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
