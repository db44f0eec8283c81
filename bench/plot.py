"""Draws what bench/up.py measured: time over the number of services, Gantry beside the floor, as SVG.

    plot.py [--json build/bench-up.json] [--out build/bench-up.svg]
"""
import argparse
import json
import pathlib
import statistics

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 420, 70, 50, 40
SERIES = (("up", "up", "#1f5fa8", ""), ("floor_up", "floor of up", "#1f5fa8", "6 4"),
          ("down", "down", "#b5482a", ""), ("floor_down", "floor of down", "#b5482a", "6 4"))


def medians(samples, key):
    sizes = sorted({sample["n"] for sample in samples})
    return [(n, statistics.median(s[key] for s in samples if s["n"] == n)) for n in sizes]


def ticks(most):
    """Five or so round numbers up to `most`."""
    step = 10 ** (len(str(int(most))) - 1)
    while most / step < 4:
        step /= 2
    return [step * i for i in range(int(most / step) + 1)]


def picture(samples):
    lines = {key: medians(samples, key) for key, *_ in SERIES}
    right = max(n for n, _ in lines["up"])
    most = max(value for points in lines.values() for _, value in points) * 1.05

    def at(n, value):
        return LEFT + n / right * (WIDTH - LEFT - 20), HEIGHT - BOTTOM - value / most * (HEIGHT - BOTTOM - TOP)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for value in ticks(most):
        _, y = at(0, value)
        out.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - 20}" y2="{y:.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g} ms</text>')
    for n, _ in lines["up"]:
        x, _ = at(n, 0)
        out.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{n}</text>')
    out.append(f'<text x="{(LEFT + WIDTH) / 2:.0f}" y="{HEIGHT - 12}" text-anchor="middle">services</text>')
    for i, (key, name, colour, dashes) in enumerate(SERIES):
        points = [at(n, value) for n, value in lines[key]]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        x = LEFT + 10 + i * 150
        out.append(f'<line x1="{x}" y1="20" x2="{x + 24}" y2="20" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>')
        out.append(f'<text x="{x + 30}" y="24">{name}</text>')
    return "\n".join([*out, "</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", default="build/bench-up.json")
    parser.add_argument("--out", default="build/bench-up.svg")
    options = parser.parse_args()
    pathlib.Path(options.out).write_text(picture(json.loads(pathlib.Path(options.json).read_text())))
    print(f"drawn: {options.out}")


if __name__ == "__main__":
    main()
