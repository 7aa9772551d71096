#!/usr/bin/env python3
"""Synchronisation beside other tools, on one machine in one run: `main.py ATELIER AGENT OUT [--links lan,wan] [--rounds N] [--tools NAME,…]`.

Needs root: network namespaces, and a loop device with a journaled ext4 for the trees. Bytes are the interfaces' own counters, CPU is
that of both sides. Each tool's result is compared with `rsync -rlnic --delete` before it counts.

Each tool begins anew in each round, and who begins is another in each: whoever comes first may pay for what all use. Memory that a
virtual machine gave back to its host costs several times as much to use again, so it is used once before each case, for every tool.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import net
import ours
import peers
import trees

# Of the best peer's time: local network, slow link. None: no goal.
GOALS = {"a": (0.75, 0.9), "b": (0.5, 0.5), "c": (0.7, 0.7), "d": (0.8, 0.8), "e": (0.35, 0.35), "f": (0.25, 0.25),
         "g-delete": (0.35, 0.35), "g-recreate": (0.6, 0.6)}


def mounted(work, size_gib):
    """A journaled ext4 of its own, and memory for what is large."""
    image, tree, memory = work / "image", work / "tree", work / "memory"
    tree.mkdir()
    memory.mkdir()
    with open(image, "wb") as file:
        file.truncate(size_gib << 30)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-N", "2000000", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, tree], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8g", "tmpfs", memory], check=True)
    return tree, memory


def touch_memory(folder, mib=2048):
    """Takes so much memory from the host, and gives it back to the kernel alone."""
    piece = b"\1" * (1 << 20)
    file = folder / "touched"
    with open(file, "wb", buffering=0) as touched:
        for _ in range(mib):
            touched.write(piece)
    file.unlink()


def same(one, other):
    # What a tool keeps there for itself is no part of what is synchronised.
    answer = subprocess.run(["rsync", "-rlnic", "--delete", "--exclude=/.stfolder", f"{one}/", f"{other}/"], check=True,
                            capture_output=True, text=True)
    return [line for line in answer.stdout.splitlines() if not line.startswith(".d")]


class Bench:
    def __init__(self, link, network, rows, memory):
        self.link, self.network, self.rows, self.memory = link, network, rows, memory

    def measure(self, tool, case, act):
        os.sync()
        touch_memory(self.memory)
        before, bytes_before = self.cpu(tool), self.network.counters()
        began = time.perf_counter()
        act()
        wall = time.perf_counter() - began
        down, up = (now - then for now, then in zip(self.network.counters(), bytes_before))
        row = {"link": self.link, "case": case, "tool": tool.name, "wall_s": wall, "cpu_s": self.cpu(tool) - before,
               "bytes_up": up, "bytes_down": down, "rss_mib": max(ours.peak_mib(tool.pids()), getattr(tool, "peak", 0.0))}
        different = same(tool.server_root, tool.studio_root)
        if different:
            sys.exit(f"bench: {tool.name} left differences after {case}: {different[:3]}")
        self.rows.append(row)
        print(f"  {case:10} {tool.name:30} {wall:8.3f} s {row['cpu_s']:7.2f} s CPU {up / 1e6:9.3f} MB up {down / 1e6:9.3f} MB down "
              f"{row['rss_mib']:6.0f} MiB", flush=True)

    @staticmethod
    def cpu(tool):
        return ours.cpu_s(tool.pids()) + getattr(tool, "spent", 0.0)

    def small(self, tool, tree, seed, number):
        subprocess.run(["cp", "-a", f"{seed}/.", tool.server_root], check=True)
        self.measure(tool, "a", tool.first)
        tool.again()
        time.sleep(0.1)
        if hasattr(tool, "look_everywhere"):
            tool.look_everywhere(number)
        self.measure(tool, "b", tool.again)
        if hasattr(tool, "look_everywhere"):
            tool.again()
            tool.again()
            self.measure(tool, "b-watched", tool.again)
        tree.edit(tool.studio_root, number)
        self.measure(tool, "e", tool.again)
        tree.rename(tool.studio_root, number)
        self.measure(tool, "f", tool.again)
        with tempfile.TemporaryDirectory(dir=tool.folder) as aside:
            tree.delete(tool.studio_root, pathlib.Path(aside))
            self.measure(tool, "g-delete", tool.again)
            tree.recreate(tool.studio_root, pathlib.Path(aside))
            self.measure(tool, "g-recreate", tool.again)

    def live(self, tool, seed):
        """From a save to the other side's having it, a hundred times each way; nobody asks for anything."""
        subprocess.run(["cp", "-a", f"{seed}/.", tool.server_root], check=True)
        tool.first()
        tool.again()
        waits = []
        for number in range(100):
            for near, far in ((tool.studio_root, tool.server_root), (tool.server_root, tool.studio_root)):
                text = f"{number} in {near}"
                began = time.perf_counter()
                (near / "saved").write_text(text)
                while not (far / "saved").exists() or (far / "saved").read_text() != text:
                    if time.perf_counter() - began > 30:
                        sys.exit("bench: a save is not seen")
                    time.sleep(0.001)
                waits.append(time.perf_counter() - began)
                # Until the dust has settled, as between two saves of a person.
                time.sleep(0.3)
        waits.sort()
        row = {"link": self.link, "case": "live", "tool": tool.name, "wall_s": waits[len(waits) // 2], "worst_s": waits[-1],
               "cpu_s": 0.0, "bytes_up": 0, "bytes_down": 0, "rss_mib": ours.peak_mib(tool.pids())}
        self.rows.append(row)
        print(f"  live       {tool.name:30} {row['wall_s']:8.3f} s from a save to the other side (p50), worst {waits[-1]:.3f} s", flush=True)

    def big(self, tool, tree, number):
        tree.make_big(tool.studio_root)
        tool.again()
        time.sleep(0.1)
        tree.change_a_byte(tool.studio_root, number)
        self.measure(tool, "c", tool.again)
        tree.insert_in_front(tool.studio_root, number)
        self.measure(tool, "d", tool.again)


def best(rows, link, case, tool):
    those = [row for row in rows if (row["link"], row["case"], row["tool"]) == (link, case, tool)]
    return min(those, key=lambda row: row["wall_s"]) if those else None


def table(rows):
    print("\n| link | case | atelier s (MB) | best peer s (MB) | ratio | goal |\n| --- | --- | --- | --- | --- | --- |")
    others = sorted({row["tool"] for row in rows} - {"atelier"})
    for at, link in enumerate(("lan", "wan")):
        for case, goals in GOALS.items():
            mine = best(rows, link, case, "atelier")
            theirs = [row for row in (best(rows, link, case, tool) for tool in others) if row]
            if not mine or not theirs:
                continue
            peer = min(theirs, key=lambda row: row["wall_s"])
            megabytes = lambda row: (row["bytes_up"] + row["bytes_down"]) / 1e6
            print(f"| {link} | {case} | {mine['wall_s']:.2f} ({megabytes(mine):.3f}) | {peer['tool']} {peer['wall_s']:.2f} "
                  f"({megabytes(peer):.3f}) | {mine['wall_s'] / peer['wall_s']:.2f} | ≤ {goals[at]} |")
        watched = best(rows, link, "b-watched", "atelier")
        if watched:
            print(f"| {link} | b-watched | {watched['wall_s']:.3f} ({(watched['bytes_up'] + watched['bytes_down']) / 1e6:.4f}) | – | – | "
                  "≤ 30 ms + 1 round trip, ≤ 1 KB |")
        live = best(rows, link, "live", "atelier")
        if live:
            print(f"| {link} | live | {live['wall_s']:.3f} | – | – | p50 ≤ 0.1 s |")
    peaks = {tool: max(row["rss_mib"] for row in rows if row["tool"] == tool) for tool in sorted({row["tool"] for row in rows})}
    print("\nlargest process:", ", ".join(f"{tool} {peak:.0f} MiB" for tool, peak in peaks.items()))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("atelier")
    parser.add_argument("agent")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--links", default="lan,wan")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tools", default="atelier,rsync,unison,syncthing")
    parser.add_argument("--files", type=int, default=trees.FILES)
    parser.add_argument("--big-mib", type=int, default=1024)
    options = parser.parse_args()
    if os.geteuid():
        sys.exit("bench: network namespaces and loop devices need root")
    net.remains()
    # Who ends it wants what it mounted to be gone, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: ended"))
    tree = trees.Tree(options.files, options.big_mib << 20)
    rows = []
    work = pathlib.Path(tempfile.mkdtemp(prefix="atelier-bench-"))
    disk, memory = mounted(work, 12)
    try:
        seed = disk / "seed"
        tree.make(seed)
        for link in options.links.split(","):
            rounds = options.rounds if link == "lan" else 1
            network = net.Net(link)
            bench = Bench(link, network, rows, memory)
            print(f"{link}:", flush=True)
            # With how often each takes part: some take minutes for what others do in seconds.
            tools = [
                ("atelier", lambda folder: ours.Atelier((options.atelier, options.agent), network, folder), rounds),
                ("rsync", lambda folder: peers.Rsync(network, folder, ["--no-inc-recursive"]), rounds),
                ("rsync", lambda folder: peers.Rsync(network, folder, ["--no-inc-recursive", "-z"]), rounds),
                ("rsync", lambda folder: peers.Rsync(network, folder), rounds),
                ("rsync", lambda folder: peers.Rsync(network, folder, ["-z"]), rounds),
                ("unison", lambda folder: peers.Unison(network, folder), 1),
                ("syncthing", lambda folder: peers.Syncthing(network, folder), 1),
            ]
            wanted = options.tools.split(",")
            tools = [tool for tool in tools if tool[0] in wanted and (tool[0] == "atelier" or shutil.which(tool[0]))]
            for number in range(rounds):
                turn = number % len(tools)
                for at, (_, make, rounds_of_it) in enumerate([*tools[turn:], *tools[:turn]]):
                    if number >= rounds_of_it:
                        continue
                    cases = ((disk, lambda tool: bench.small(tool, tree, seed, number)), (memory, lambda tool: bench.big(tool, tree, number)))
                    for place, case in cases:
                        folder = place / f"{link}{number}-{at}"
                        folder.mkdir()
                        tool = make(folder)
                        case(tool)
                        tool.close()
                        shutil.rmtree(folder, ignore_errors=True)
            if "atelier" in wanted:
                folder = disk / f"{link}-live"
                folder.mkdir()
                tool = ours.Atelier((options.atelier, options.agent), network, folder, live=True)
                bench.live(tool, seed)
                tool.close()
                shutil.rmtree(folder, ignore_errors=True)
            network.close()
    finally:
        for place in (disk, memory):
            subprocess.run(["umount", "-l", place], check=False)
        shutil.rmtree(work, ignore_errors=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=2) + "\n")
    table(rows)


main()
