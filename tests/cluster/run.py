"""Runs a program to its end; what it said is in the error where it fails."""

import subprocess
import time
from collections.abc import Callable


class Failed(SystemExit):
    """What a person is told, without a traceback."""


def run(*command: object, stdin: str | bytes | None = None, cwd=None, env=None, check: bool = True) -> str:
    words = [str(word) for word in command]
    if isinstance(stdin, str):
        stdin = stdin.encode()
    done = subprocess.run(words, input=stdin, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if check and done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-3000:]
        raise Failed(f"{' '.join(words)}: exit code {done.returncode}\n{said}")
    return done.stdout.decode(errors="replace")


def wait_for(what: str, seconds: float, fulfilled: Callable[[], bool]) -> None:
    """Asks ten times a second."""
    deadline = time.monotonic() + seconds
    while not fulfilled():
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)
