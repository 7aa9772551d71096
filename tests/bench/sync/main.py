#!/usr/bin/env python3
"""Synchronisation beside other tools, on one machine in one run: `main.py ATELIER AGENT OUT [--links lan,wan] [--rounds N] [--tools NAME,…]`.

Needs root: network namespaces, and a loop device with a journaled ext4 for the trees. Bytes are the interfaces' own counters, CPU is
that of both sides. Each tool's result is compared with `rsync -rlnic --delete` before it counts. A tool that needs longer than the limit
for a case has a row without a time, and no further cases in that round.

A row's `wall_s` is until the tool says that it is done; `safe_s` adds what it takes then until everything is on the disk.

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

import mutagen
import net
import ours
import peers
import report
import trees
from cases import Bench


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


def makers(options, network):
    """Of each that is wanted and there: its name, what makes one, how often it takes part, and whether it can go on by itself."""
    def atelier(folder, live=False):
        return ours.Atelier((options.atelier, options.agent), network, folder, live)

    def rsync(*flags):
        return lambda folder: peers.Rsync(network, folder, flags)

    many, few = options.rounds, min(options.rounds, options.slow_rounds)
    tools = [
        ("atelier", atelier, many, True),
        ("rsync", rsync("--no-inc-recursive"), many, False),
        ("rsync", rsync("--no-inc-recursive", "-z"), many, False),
        ("rsync", rsync(), many, False),
        ("rsync", rsync("-z"), many, False),
        ("mutagen", lambda folder, live=False: mutagen.Mutagen(network, folder, live), many, True),
        # They take minutes for what others do in seconds.
        ("unison", lambda folder: peers.Unison(network, folder), few, False),
        ("syncthing", lambda folder, live=False: peers.Syncthing(network, folder, live), few, True),
    ]
    there = {"atelier": True, "mutagen": bool(mutagen.binary()), **{name: bool(shutil.which(name)) for name in ("rsync", "unison", "syncthing")}}
    wanted = options.tools.split(",")
    if missing := [name for name in wanted if not there[name]]:
        print(f"bench: not here, so not measured: {', '.join(missing)}", flush=True)
    return [tool for tool in tools if tool[0] in wanted and there[tool[0]]] or sys.exit("bench: nothing to measure")


def one(name, make, case, folder):
    folder.mkdir()
    tool = make(folder)
    try:
        case(tool)
    except peers.TooSlow as late:
        print(f"  {name}: not within {peers.Peer.limit_s} s: {late}", flush=True)
    finally:
        tool.close()
        shutil.rmtree(folder, ignore_errors=True)


def over(network, options, tree, seed, disk, memory, rows):
    bench = Bench(network, rows, memory)
    tools = makers(options, network)
    print(f"{network.link}:", flush=True)
    for number in range(options.rounds):
        turn = number % len(tools)
        for at, (name, make, rounds, _) in enumerate([*tools[turn:], *tools[:turn]]):
            if number < rounds:
                place = f"{network.link}{number}-{at}"
                one(name, make, lambda tool: bench.small(tool, tree, seed, number), disk / place)
                one(name, make, lambda tool: bench.big(tool, tree, number), memory / place)
    for name, make, _, can_go_on in tools:
        if can_go_on:
            one(name, lambda folder: make(folder, live=True), lambda tool: bench.live(tool, seed), disk / f"{network.link}-live")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("atelier")
    parser.add_argument("agent")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--links", default="lan,wan")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slow-rounds", type=int, default=1, help="of those that take minutes")
    parser.add_argument("--limit-s", type=int, default=900, help="for one synchronisation of a peer")
    parser.add_argument("--tools", default="atelier,rsync,mutagen,unison,syncthing", help="mutagen: the program that MUTAGEN names")
    parser.add_argument("--files", type=int, default=trees.FILES)
    parser.add_argument("--big-mib", type=int, default=1024)
    options = parser.parse_args()
    if os.geteuid():
        sys.exit("bench: network namespaces and loop devices need root")
    peers.Peer.limit_s = options.limit_s
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
            network = net.Net(link)
            try:
                over(network, options, tree, seed, disk, memory, rows)
            finally:
                network.close()
    finally:
        for place in (disk, memory):
            subprocess.run(["umount", "-l", place], check=False)
        shutil.rmtree(work, ignore_errors=True)
        # What was measured until something failed is worth keeping.
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(rows, indent=2) + "\n")
    report.table(rows)


main()
