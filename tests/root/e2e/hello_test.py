"""examples/hello as the README shows it, and that nothing at all is left afterwards."""
import re
import unittest

from harness import REPO, Gantry, free_port, http_get, main


class Hello(unittest.TestCase):
    def test_counts_keeps_its_count_and_leaves_nothing(self):
        with Gantry(auto_start=True) as gantry:
            before = gantry.footprint()
            self.assertEqual(before, [])
            port = str(free_port())
            example = REPO / "examples/hello"
            env = {"HELLO_PORT": port}
            gantry.compose(example, "up", "-d", "--wait", "--build", env=env)
            pages = [http_get(f"http://127.0.0.1:{port}/") for _ in range(2)]
            counts = [int(re.search(r"\d+", re.sub(r"<[^>]*>", "", page)).group()) for page in pages]
            self.assertEqual(counts[1], counts[0] + 1, pages)
            listing = gantry.compose(example, "ps", env=env).out
            self.assertIn("(healthy)", listing)
            self.assertIn(port, listing)
            gantry.compose(example, "down", env=env)
            gantry.compose(example, "up", "-d", "--wait", env=env)
            page = http_get(f"http://127.0.0.1:{port}/")
            self.assertEqual(int(re.search(r"\d+", re.sub(r"<[^>]*>", "", page)).group()), counts[1] + 1)
            gantry.compose(example, "down", "-v", env=env)
            gantry.stop_daemon()
            self.assertEqual(gantry.footprint(), [])


if __name__ == "__main__":
    main()
