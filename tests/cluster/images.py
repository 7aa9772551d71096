"""Images of one static program each, packed here and loaded into the node: no registry is asked."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from layout import Layout
from run import run

PAUSE = "atelier.test/pause:1"
BUSYBOX = "atelier.test/busybox:1"
COREDNS = "atelier.test/coredns:1"
LOCAL_PATH = "atelier.test/local-path-provisioner:1"

BUSYBOX_LINKS = ("sh", "mkdir", "rm", "chmod", "ls", "cat", "sleep", "httpd", "echo", "id", "nslookup", "true", "wget", "head", "tail", "dd")


def _layer(files: Mapping[str, Path | str]) -> bytes:
    """A layer with programs; a value that is text is a symbolic link's target."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for folder, mode in (("tmp", 0o1777), ("etc", 0o755), ("bin", 0o755)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            archive.addfile(entry)
        for name, source in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755
            if isinstance(source, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, source
                archive.addfile(entry)
            else:
                entry.size = source.stat().st_size
                with open(source, "rb") as content:
                    archive.addfile(entry, content)
    return out.getvalue()


def archive(name: str, files: Mapping[str, Path | str], entrypoint: list[str]) -> bytes:
    """A `docker save` archive: manifest, configuration, one layer."""
    layer = _layer(files)
    config = json.dumps({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": entrypoint, "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
    }).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as packed:
        for file, content in (("manifest.json", manifest), ("config.json", config), ("layer.tar", layer)):
            entry = tarfile.TarInfo(file)
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def busybox(program: Path) -> dict[str, Path | str]:
    return {"bin/busybox": program} | {f"bin/{link}": "busybox" for link in BUSYBOX_LINKS}


def ctr(layout: Layout, *words: str, stdin: bytes | None = None, check: bool = True) -> str:
    return run("ctr", "--address", layout.socket, "--namespace", "k8s.io", *words, stdin=stdin, check=check)


def load(layout: Layout, name: str, files: Mapping[str, Path | str], entrypoint: list[str]) -> None:
    """Loads an image into the node, unless it has it."""
    if name not in ctr(layout, "images", "list", "--quiet").split():
        ctr(layout, "images", "import", "-", stdin=archive(name, files, entrypoint))
