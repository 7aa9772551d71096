"""The cases: what happens to the trees, and what is measured of each tool then."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

import ours
import peers

# Saves in the live case, each way; and no more once it took so long.
SAVES, LIVE_S = 100, 60


def touch_memory(folder, mib=2048):
    """Takes so much memory from the host, and gives it back to the kernel alone."""
    piece = b"\1" * (1 << 20)
    file = folder / "touched"
    with open(file, "wb", buffering=0) as touched:
        for _ in range(mib):
            touched.write(piece)
    file.unlink()


def flushed_s(*folders):
    """How long it takes until everything in them is on the disk."""
    began = time.perf_counter()
    for folder in folders:
        subprocess.run(["sync", "-f", folder], check=True)
    return time.perf_counter() - began


def same(one, other):
    # What a tool keeps there for itself is no part of what is synchronised.
    answer = subprocess.run(["rsync", "-rlnic", "--delete", "--exclude=/.stfolder", f"{one}/", f"{other}/"], check=True,
                            capture_output=True, text=True)
    return [line for line in answer.stdout.splitlines() if not line.startswith(".d")]


class Bench:
    def __init__(self, network, rows, memory):
        self.network, self.rows, self.memory = network, rows, memory

    def measure(self, tool, case, act):
        """A row of what `act` costs; `act` says how long it took if that is not simply its time."""
        os.sync()
        touch_memory(self.memory)
        before, bytes_before = self.cpu(tool), self.network.counters()
        began = time.perf_counter()
        late = None
        try:
            wall = act() or time.perf_counter() - began
        except peers.TooSlow as error:
            wall, late = None, error
        spent = self.cpu(tool) - before
        down, up = (now - then for now, then in zip(self.network.counters(), bytes_before))
        safe = wall and wall + flushed_s(tool.server_root, tool.studio_root)
        row = {"link": self.network.link, "case": case, "tool": tool.name, "wall_s": wall, "safe_s": safe, "cpu_s": spent,
               "bytes_up": up, "bytes_down": down, "rss_mib": max(ours.peak_mib(tool.pids()), getattr(tool, "peak", 0.0)), "peaks_mib": ours.peaks_mib(tool.pids())}
        self.rows.append(row)
        if late:
            raise late
        different = same(tool.server_root, tool.studio_root)
        if different:
            sys.exit(f"bench: {tool.name} left differences after {case}: {different[:3]}")
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

    def big(self, tool, tree, number):
        tree.make_big(tool.studio_root)
        with self.network.hurried():
            tool.again()
        time.sleep(0.1)
        tree.change_a_byte(tool.studio_root, number)
        self.measure(tool, "c", tool.again)
        tree.insert_in_front(tool.studio_root, number)
        self.measure(tool, "d", tool.again)

    def live(self, tool, seed):
        """From a save to the other side's having it, many times each way; nobody asks for anything. The time of half of them."""
        # Some would take minutes to bring it, which is no part of this.
        for root in (tool.server_root, tool.studio_root):
            subprocess.run(["cp", "-a", f"{seed}/.", root], check=True)
        with self.network.hurried():
            tool.first()
            tool.again()
        waits = []
        self.measure(tool, "live", lambda: self.saves(tool, waits))
        print(f"             of {len(waits)} saves the slowest took {max(waits):.3f} s", flush=True)

    @staticmethod
    def saves(tool, waits):
        ways = ((tool.studio_root, tool.server_root), (tool.server_root, tool.studio_root))
        end = time.perf_counter() + LIVE_S
        for number in range(SAVES):
            for near, far in ways:
                text = f"{number} in {near}"
                began = time.perf_counter()
                (near / "saved").write_text(text)
                while not (far / "saved").exists() or (far / "saved").read_text() != text:
                    if time.perf_counter() - began > 60:
                        raise peers.TooSlow("a save is not seen")
                    time.sleep(0.001)
                waits.append(time.perf_counter() - began)
                # Until the dust has settled, as between two saves of a person.
                time.sleep(0.3)
            if time.perf_counter() > end:
                break
        return sorted(waits)[len(waits) // 2]
