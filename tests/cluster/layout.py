"""Where a cluster lies: its folder, its addresses, its names. Everything of one cluster follows from its name."""

import fcntl
import os
import re
from dataclasses import dataclass
from pathlib import Path

# Second octets of 10.0.0.0/8 that clusters take; one octet a cluster.
FIRST, LAST = 200, 249


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "atelier"


@dataclass(frozen=True)
class Layout:
    name: str
    octet: int

    @property
    def root(self) -> Path:
        return cache() / "clusters" / self.name

    def path(self, *parts: str) -> Path:
        return self.root.joinpath(*parts)

    @property
    def kubeconfig(self) -> Path:
        return self.path("kubeconfig")

    @property
    def host(self) -> str:
        """The host's end of the link: API server, etcd and registry listen here."""
        return f"10.{self.octet}.0.1"

    @property
    def node(self) -> str:
        return f"10.{self.octet}.0.2"

    @property
    def pods(self) -> str:
        return f"10.{self.octet}.64.0/18"

    @property
    def services(self) -> str:
        return f"10.{self.octet}.128.0/20"

    @property
    def first_service(self) -> str:
        return f"10.{self.octet}.128.1"

    @property
    def dns(self) -> str:
        return f"10.{self.octet}.128.10"

    @property
    def api(self) -> str:
        return f"https://{self.host}:6443"

    @property
    def registry(self) -> str:
        return f"{self.host}:5000"

    @property
    def netns(self) -> str:
        return f"atelier-{self.name}"

    @property
    def link(self) -> str:
        """The host's network interface; the kernel allows 15 bytes."""
        return f"atelier{self.octet}"

    @property
    def cgroup(self) -> str:
        return f"atelier-{self.name}"

    @property
    def socket(self) -> Path:
        """Short, since a socket's path may have 108 bytes."""
        return Path("/run") / f"atelier-{self.name}" / "containerd.sock"


def _taken(clusters: Path) -> dict[int, str]:
    files = clusters.glob("*/octet")
    return {int(file.read_text()): file.parent.name for file in files}


def choose(name: str) -> Layout:
    """The layout of a cluster, with addresses that are its own from the first time on."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,19}", name):
        raise SystemExit(f"{name!r} is no name for a cluster: lower-case letters, digits and dashes, at most 20")
    clusters = cache() / "clusters"
    clusters.mkdir(parents=True, exist_ok=True)
    with open(clusters / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        taken = _taken(clusters)
        for octet, owner in taken.items():
            if owner == name:
                return Layout(name, octet)
        octet = next((octet for octet in range(FIRST, LAST + 1) if octet not in taken), None)
        if octet is None:
            raise SystemExit("there are 50 clusters already: take one down")
        layout = Layout(name, octet)
        layout.root.mkdir(exist_ok=True)
        layout.path("octet").write_text(str(octet))
        return layout


def existing(name: str) -> Layout | None:
    file = cache() / "clusters" / name / "octet"
    return Layout(name, int(file.read_text())) if file.is_file() else None
