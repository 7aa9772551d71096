"""Programs that go on after this one has ended: known by process id and start time, so that no other one is ever ended."""

import os
import signal
import subprocess
from pathlib import Path

from layout import Layout
from run import Failed, wait_for


def _started(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    # Field 22 of proc(5) is the start time; a zombie runs no more.
    return None if fields[0] == "Z" else fields[19]


def _known(file: Path) -> int | None:
    """The process that a file names, if it still is that one."""
    try:
        pid, started = file.read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return int(pid) if _started(int(pid)) == started else None


def start(layout: Layout, name: str, *command: object, env: dict[str, str] | None = None, on_node: bool = False) -> None:
    """Starts a program unless it runs. `on_node`: in the node's network."""
    file, log = layout.path("run", f"{name}.pid"), layout.path("log", f"{name}.log")
    if _known(file):
        return
    file.parent.mkdir(exist_ok=True)
    log.parent.mkdir(exist_ok=True)
    words = [str(word) for word in command]
    if on_node:
        # The network only: in a mount namespace of its own nobody else would see what the kubelet mounts.
        words = ["nsenter", f"--net=/run/netns/{layout.netns}", *words]
    with open(log, "ab") as out:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, cwd="/",
            env=os.environ | {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"} | (env or {}),
        )
    file.write_text(f"{process.pid} {_started(process.pid)}")


def alive(layout: Layout, name: str) -> bool:
    return _known(layout.path("run", f"{name}.pid")) is not None


def expect_alive(layout: Layout, name: str) -> None:
    if not alive(layout, name):
        words = layout.path("log", f"{name}.log").read_text(errors="replace")[-2000:]
        raise Failed(f"{name} has ended:\n{words}")


def stop(layout: Layout, name: str) -> None:
    file = layout.path("run", f"{name}.pid")
    for sign, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        pid = _known(file)
        if pid is None:
            break
        os.kill(pid, sign)
        try:
            wait_for(f"the end of {name}", seconds, lambda: _known(file) is None)
        except Failed:
            if sign == signal.SIGKILL:
                raise
    file.unlink(missing_ok=True)
