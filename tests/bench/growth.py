#!/usr/bin/env python3
"""How the cost of a synchronisation grows with what there is: `growth.py PROGRAM OUT PLOTS [--entries N,…] [--mib N,…] [--folder DIR]`.

Runs the engine's example `growth` for each size and case, writes its rows to OUT (JSON), and plots of them into the folder PLOTS (SVG).
"""

import argparse
import json
import math
import pathlib
import shutil
import subprocess
import sys
import tempfile

WIDTH, HEIGHT, MARGIN = 640, 400, 60
COLOURS = ("#1f77b4", "#2ca02c", "#d62728", "#9467bd")


def measured(program, kind, sizes, parent):
    rows = []
    for size in sizes:
        folder = tempfile.mkdtemp(prefix="atelier-growth-", dir=parent)
        try:
            for case in ("first", "again", "changed"):
                line = subprocess.run([program, kind, folder, str(size), case], check=True, capture_output=True, text=True).stdout
                rows.append(json.loads(line))
                print(line, end="", flush=True)
        finally:
            shutil.rmtree(folder)
    return rows


def ticks(least, most):
    first, last = math.floor(math.log10(least)), math.ceil(math.log10(most))
    return [10.0**power for power in range(first, max(last, first + 1) + 1)]


def plot(rows, value, title, across):
    """Lines of the cases over sizes, both axes logarithmic; dotted: growth in proportion."""
    points = [(row["size"], max(row[value], 1e-4), row["case"]) for row in rows]
    xs, ys = ticks(min(p[0] for p in points), max(p[0] for p in points)), ticks(min(p[1] for p in points), max(p[1] for p in points))

    def place(size, cost):
        x = MARGIN + (math.log10(size / xs[0])) / math.log10(xs[-1] / xs[0]) * (WIDTH - 2 * MARGIN)
        y = HEIGHT - MARGIN - (math.log10(cost / ys[0])) / math.log10(ys[-1] / ys[0]) * (HEIGHT - 2 * MARGIN)
        return x, y

    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
             f'<text x="{WIDTH / 2}" y="20" text-anchor="middle" font-size="14">{title}</text>',
             f'<text x="{WIDTH / 2}" y="{HEIGHT - 15}" text-anchor="middle">{across}</text>']
    for x in xs:
        at = place(x, ys[0])
        lines.append(f'<line x1="{at[0]:.1f}" y1="{MARGIN}" x2="{at[0]:.1f}" y2="{HEIGHT - MARGIN}" stroke="#eee"/>'
                     f'<text x="{at[0]:.1f}" y="{HEIGHT - MARGIN + 18}" text-anchor="middle">{x:g}</text>')
    for y in ys:
        at = place(xs[0], y)
        lines.append(f'<line x1="{MARGIN}" y1="{at[1]:.1f}" x2="{WIDTH - MARGIN}" y2="{at[1]:.1f}" stroke="#eee"/>'
                     f'<text x="{MARGIN - 6}" y="{at[1] + 4:.1f}" text-anchor="end">{y:g}</text>')
    # Every tenfold size costs ten times as much along these.
    decades = math.log10(ys[-1] / ys[0])
    for start in range(-len(xs) + 1, math.ceil(decades)):
        first, last = max(0, -start), min(math.log10(xs[-1] / xs[0]), decades - start)
        if last > first:
            (x1, y1), (x2, y2) = (place(xs[0] * 10**step, ys[0] * 10 ** (start + step)) for step in (first, last))
            lines.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#bbb" stroke-dasharray="2 4"/>')
    for number, case in enumerate(dict.fromkeys(p[2] for p in points)):
        those = [place(size, cost) for size, cost, of in points if of == case]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in those)
        colour = COLOURS[number % len(COLOURS)]
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        lines += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in those]
        lines.append(f'<text x="{MARGIN + 10}" y="{MARGIN + 16 * number}" fill="{colour}">{case}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("plots", type=pathlib.Path)
    parser.add_argument("--entries", default="1000,10000,100000,1000000")
    parser.add_argument("--mib", default="1,16,256,2048,8192")
    parser.add_argument("--folder", help="on the file system that is measured")
    options = parser.parse_args()
    rows = measured(options.program, "entries", [int(size) for size in options.entries.split(",")], options.folder)
    rows += measured(options.program, "file", [int(size) for size in options.mib.split(",")], options.folder)
    if not rows:
        sys.exit("growth: nothing was measured")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=2) + "\n")
    options.plots.mkdir(parents=True, exist_ok=True)
    for kind, across in (("entries", "files"), ("file", "MiB in one file")):
        those = [row for row in rows if row["kind"] == kind]
        for value, what in (("wall_s", "seconds"), ("peak_mib", "most memory in MiB, both ends in one process")):
            title = f"Synchronisation: {what}"
            (options.plots / f"{kind}-{value.split('_')[0]}.svg").write_text(plot(those, value, title, across))


main()
