"""Takes a cluster down, and leaves nothing of it: processes, mounts, cgroups, network, files."""

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import daemons
import network
import node
from layout import Layout
from run import wait_for

# In this order nobody makes anew what was just removed.
DAEMONS = ("kubelet", "proxy", "controller-manager", "scheduler", "apiserver", "etcd", "registry")


def down(layout: Layout) -> None:
    for name in DAEMONS:
        daemons.stop(layout, name)
    _end_pods(layout)
    daemons.stop(layout, "containerd")
    _end_shims(layout)
    _unmount(layout)
    _remove_cgroups(layout)
    network.down(layout)
    links = Path("/var/log/containers")
    if links.is_dir():
        for link in links.iterdir():
            if link.is_symlink() and os.readlink(link).startswith(f"{layout.root}/"):
                link.unlink()
    shutil.rmtree(layout.socket.parent, ignore_errors=True)
    shutil.rmtree(layout.root)


def _processes(layout: Layout) -> list[int]:
    found = set()
    for cgroup in node.cgroups(layout):
        for file in cgroup.rglob("cgroup.procs"):
            found.update(int(pid) for pid in file.read_text().split())
    return sorted(found)


def _end_pods(layout: Layout) -> None:
    """All processes in the cluster's cgroups: its pods, whatever they have become."""
    def ended() -> bool:
        left = _processes(layout)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left
    wait_for("the pods' end", 30, ended)


def _end_shims(layout: Layout) -> None:
    """They outlive containerd by design; each names its containerd's socket."""
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"containerd-shim" in words[0] and os.fsencode(layout.socket) in words:
                os.kill(int(process.name), signal.SIGKILL)
    for file in layout.socket.parent.glob("state/io.containerd.runtime.v2.task/k8s.io/*/address"):
        Path(file.read_text().removeprefix("unix://")).unlink(missing_ok=True)


def _unmount(layout: Layout) -> None:
    below = (f"{layout.root}/", f"{layout.socket.parent}/")
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in reversed([point for point in points if point.startswith(below)]):
        # What a killed process still holds goes with the process.
        subprocess.run(["umount", "--lazy", point], check=False, stderr=subprocess.DEVNULL)


def _remove_cgroups(layout: Layout) -> None:
    for cgroup in node.cgroups(layout):
        if cgroup.is_dir():
            folders = [Path(path) for path, _, _ in os.walk(cgroup, topdown=False)]
            def gone(folders: list[Path] = folders) -> bool:
                for folder in folders:
                    with contextlib.suppress(OSError):
                        folder.rmdir()
                return not folders[-1].exists()
            wait_for(f"the end of {cgroup}", 10, gone)
