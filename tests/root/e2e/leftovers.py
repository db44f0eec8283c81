"""What an instance's networks left behind in the kernel and in its own books, once everything of it was removed."""
import hashlib
import json
import os
import subprocess
import time

FORWARDING = ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding")
GROUPS = (0x47000000, 0x46000000)  # of interfaces, and of those that are about to go; the low bits tell the daemon


class Leftovers:
    """Made before the daemon starts. Its namespace may be another: look() opens it while the daemon lives."""

    def __init__(self, tag):
        self.tag = tag
        self.netns = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        number = int(hashlib.sha256(f"gantry-{tag}".encode()).hexdigest()[:6], 16)
        self.groups = {str(group | number) for group in GROUPS}
        self.bridges = set()
        self.allocated = []
        self.settings = self.undisturbed_settings()

    def run(self, *words):
        return subprocess.run(["nsenter", f"--net=/proc/self/fd/{self.netns}", *words], pass_fds=(self.netns,),
                              capture_output=True, text=True, check=True).stdout

    def others_run(self):
        return any(" gantry-" in line for line in self.run("nft", "list", "tables").splitlines())

    def forwarding(self):
        return self.run("cat", *FORWARDING).split()

    def undisturbed_settings(self):
        """None where other instances run: they turn forwarding on and off as well."""
        if self.others_run():
            return None
        found = self.forwarding()
        return None if self.others_run() else found

    def look(self, daemon, networks):
        """`networks`: as the API tells them after everything was removed. Their bridges must go with the daemon."""
        own = os.open(f"/proc/{daemon}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        if not os.path.sameopenfile(own, self.netns):
            self.settings = None  # nobody knows what they were before
        os.close(self.netns)
        self.netns = own
        for network in networks:
            name, options = network["Name"], network.get("Options") or {}
            self.bridges.add(options.get("com.docker.network.bridge.name") or "br-" + network["Id"][:12])
            self.allocated += [f"address {one['IPv4Address']} of {one['Name']} in network {name}"
                               for one in (network.get("Containers") or {}).values()]

    def after_its_end(self):
        """Everything that is left, as lines."""
        try:
            return self.allocated + self.in_kernel() + self.changed_settings()
        finally:
            os.close(self.netns)

    def in_kernel(self):
        links = json.loads(self.run("ip", "-d", "-j", "link"))
        ours = {link["ifname"] for link in links
                if self.tag in link.get("ifalias", "") or str(link.get("group")) in self.groups}
        lines = [f"interface {name}" for name in sorted(ours)]
        lines += [f"rule {line.strip()}" for line in self.run("nft", "-s", "list", "ruleset").splitlines()
                  if self.tag in line]
        for what in (["address"], ["-4", "route", "show", "table", "all"], ["-6", "route", "show", "table", "all"],
                     ["rule"], ["neigh"]):
            lines += [" ".join(["ip", *what, "has", line.strip()]) for line in self.run("ip", "-o", *what).splitlines()
                      if (ours | self.bridges) & set(line.split())]
        return lines

    def changed_settings(self, seconds=5):
        """Another instance that ends at the same time may be about to turn forwarding off."""
        end = time.monotonic() + seconds
        while self.settings and self.forwarding() != self.settings and not self.others_run():
            if time.monotonic() > end:
                return [f"forwarding is {self.forwarding()}, was {self.settings}"]
            time.sleep(0.05)
        return []
