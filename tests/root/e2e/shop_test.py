"""examples/shop: nginx, an application, redis and postgres from Debian's packages, wired by service names."""
import re
import subprocess
import unittest

from harness import BIN, REPO, Gantry, free_port, http_get, main, wait_until


class Shop(unittest.TestCase):
    def test_rows_outlive_down_but_not_its_volumes_and_a_dead_daemon_hurts_nobody(self):
        base = REPO / "build/base-image.tar"
        with Gantry() as gantry:
            made = subprocess.run([REPO / "examples/shop/base-image.sh", BIN, base], env=gantry.environment,
                                  capture_output=True, text=True)
            self.assertEqual(made.returncode, 0, made.stdout + made.stderr)
            port = str(free_port())
            env = {"SHOP_PORT": port}
            shop = REPO / "examples/shop"
            page = f"http://127.0.0.1:{port}/"

            def rows():
                text = http_get(page, seconds=10)
                self.assertIn("redis", text.lower())
                return int(re.search(r"rows in postgres: (\d+)", text).group(1))

            gantry.compose(shop, "up", "-d", "--wait", "--build", env=env, timeout=880)
            for name, container in gantry.containers().items():
                if container["State"] == "running":
                    self.assertIn("(healthy)", container["Status"], name)
            first = rows()
            self.assertEqual(rows(), first + 1)

            gantry.kill_daemon()
            self.assertEqual(rows(), first + 2)
            self.assertIn("(healthy)", gantry.compose(shop, "ps", env=env).out)

            gantry.compose(shop, "down", env=env)
            gantry.compose(shop, "up", "-d", "--wait", env=env)
            self.assertEqual(rows(), first + 3)
            gantry.compose(shop, "down", "-v", env=env)
            gantry.compose(shop, "up", "-d", "--wait", env=env)
            self.assertEqual(rows(), 1)
            gantry.compose(shop, "down", "-v", env=env)
            gantry.stop_daemon()
            self.assertEqual(gantry.footprint(), [])


if __name__ == "__main__":
    main()
