#!/usr/bin/env python3
"""Runs a command with a cluster that is there for this command only.

    once.py COMMAND…      KUBECONFIG set: on that one; else NAME is a new cluster's, which is gone after the command

Where a machine can't have a cluster the command is not run, and the lines that say so are read by `.ci/run`.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import layout
import teardown

# Clusters of this program; the number is its process, so that what a killed one left is known.
PREFIX = "once-"


def why_not() -> str | None:
    """What a cluster needs and this machine does not give."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return "a node is made on Linux on x86-64"
    if os.geteuid() != 0:
        return "a node's network, cgroups and mounts are root's"
    if not shutil.which("go"):
        return "the cluster's programs are built with Go, which is not installed"
    may = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True)
    if may.returncode != 0:
        return f"root may make no network here: {may.stderr.strip()}"
    if os.statvfs("/sys/fs/cgroup").f_flag & os.ST_RDONLY:
        return "cgroups can't be made here: /sys/fs/cgroup is read-only"
    return None


def clear() -> None:
    """Takes down what earlier runs left that were killed."""
    for folder in (layout.cache() / "clusters").glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX)
        left = re.fullmatch("[0-9]+", pid) and not Path("/proc", pid).exists()
        if left and (old := layout.existing(folder.name)):
            teardown.down(old)


def main(command: list[str]) -> int:
    if os.environ.get("KUBECONFIG"):
        return subprocess.run(command).returncode
    if reason := why_not():
        print(f"skipped: studios on a cluster: {reason}")
        print("test result: ok. 0 passed; 0 failed; 1 ignored; no cluster")
        return 0
    clear()
    name = f"{PREFIX}{os.getpid()}"
    process = subprocess.Popen(command, env=os.environ | {"NAME": name}, start_new_session=True)
    # Where this is told to end, all of the command does; then the cluster goes.
    for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sign, lambda sign, _: os.killpg(process.pid, sign))
    try:
        return process.wait()
    finally:
        if made := layout.existing(name):
            teardown.down(made)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
