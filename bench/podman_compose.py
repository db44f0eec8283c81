"""What compose_beside.py needs of podman-compose, as Debian has it (1.0)."""
import os
import pathlib
import resource
import shutil
import subprocess

import harness
import images


class Podman:
    """podman with a store, configuration and network namespace of its own, for podman-compose; by runc, since crun refuses a hybrid
    cgroup tree."""
    name = "podman"

    def __init__(self, root):
        self.place = place = images.own_filesystem(root, "podman-compose")
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # not everywhere may it be raised
        (place / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{place}/root"\nrunroot = "{place}/run"\n')
        (place / "containers.conf").write_text(
            f'[containers]\ndefault_ulimits = ["nofile={hard}:{hard}", "nproc=1024:1024"]\n'
            f'[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\nruntime = "runc"\ntmp_dir = "{place}/tmp"\n'
            f'[network]\nnetwork_config_dir = "{place}/networks"\n')
        self.environment = os.environ | {"CONTAINERS_STORAGE_CONF": f"{place}/storage.conf",
                                         "CONTAINERS_CONF": f"{place}/containers.conf"}
        namespace = place / "namespace"
        namespace.touch()
        images.run(["unshare", f"--net={namespace}", "ip", "link", "set", "lo", "up"])
        self.inside = [shutil.which("nsenter"), f"--net={namespace}"]
        archive = place / "busybox.tar"
        archive.write_bytes(harness.busybox_tar())
        images.run([*self.inside, "podman", "import", archive, "localhost/busybox:test"], env=self.environment)

    def close(self):
        for file in (self.place / "networks").glob("*_default.conflist"):  # its allocator's notes lie outside of the store
            shutil.rmtree(pathlib.Path("/var/lib/cni/networks") / file.stem, ignore_errors=True)
        subprocess.run([*self.inside, "podman", "system", "prune", "-a", "-f"], env=self.environment, capture_output=True)
        subprocess.run(["umount", "-R", "-l", self.place], capture_output=True)
