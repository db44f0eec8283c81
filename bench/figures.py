"""How the benchmarks measure whole processes, and print what they measured."""
import os
import statistics
import sys
import time


def milliseconds(work):
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def process(words, environment, cwd=None):
    """From fork to exit, its output dropped; posix_spawn, so that the size of this interpreter does not count."""
    def work():
        actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                   (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
                   (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)]
        pid = os.posix_spawn(words[0], [str(word) for word in words], environment, file_actions=actions)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code:
            sys.exit(f"{' '.join(map(str, words))}: exit {code}")
    here = os.getcwd()
    os.chdir(cwd or here)
    try:
        return milliseconds(work)
    finally:
        os.chdir(here)


def spread(values, digits=1):
    """The median, and half of the whole spread in percent of it."""
    middle = statistics.median(values)
    return f"{middle:8.{digits}f} ms ±{(max(values) - min(values)) / 2 / middle * 100:3.0f} %" if middle else "0"
