"""How the benchmarks print what they measured."""
import statistics


def spread(values, digits=1):
    """The median, and half of the whole spread in percent of it."""
    middle = statistics.median(values)
    return f"{middle:8.{digits}f} ms ±{(max(values) - min(values)) / 2 / middle * 100:3.0f} %" if middle else "0"
