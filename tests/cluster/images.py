"""Images of one static program each, packed here and loaded into the node: no registry is asked."""

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

from layout import Layout
from run import run

PAUSE = "atelier.test/pause:1"
BUSYBOX = "atelier.test/busybox:1"
COREDNS = "atelier.test/coredns:1"
LOCAL_PATH = "atelier.test/local-path-provisioner:1"

BUSYBOX_LINKS = (
    "sh", "cat", "chmod", "date", "dd", "echo", "find", "grep", "head", "httpd", "id", "ls", "mkdir", "mv", "nslookup", "ps", "rm", "sed", "seq",
    "sha256sum", "sleep", "sort", "tail", "touch", "true", "wc", "wget",
)


def layer(files: Mapping[str, Path | str]) -> bytes:
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


def config(layer: bytes, entrypoint: list[str]) -> bytes:
    """What a container of an image of one layer is started with."""
    return json.dumps({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": entrypoint, "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
    }).encode()


def archive(name: str, files: Mapping[str, Path | str], entrypoint: list[str]) -> bytes:
    """A `docker save` archive: manifest, configuration, one layer."""
    content = layer(files)
    described = config(content, entrypoint)
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as packed:
        for file, bytes_ in (("manifest.json", manifest), ("config.json", described), ("layer.tar", content)):
            entry = tarfile.TarInfo(file)
            entry.size = len(bytes_)
            packed.addfile(entry, io.BytesIO(bytes_))
    return out.getvalue()


def busybox_program() -> Path:
    """Debian's static one."""
    return Path(shutil.which("busybox", path="/bin:/usr/bin") or "/bin/busybox")


def busybox(program: Path) -> dict[str, Path | str]:
    return {"bin/busybox": program} | {f"bin/{link}": "busybox" for link in BUSYBOX_LINKS}


def ctr(layout: Layout, *words: str, stdin: bytes | None = None, check: bool = True) -> str:
    return run("ctr", "--address", layout.socket, "--namespace", "k8s.io", *words, stdin=stdin, check=check)


def load(layout: Layout, name: str, files: Mapping[str, Path | str], entrypoint: list[str]) -> None:
    """Loads an image into the node, unless it has it."""
    if name not in ctr(layout, "images", "list", "--quiet").split():
        ctr(layout, "images", "import", "-", stdin=archive(name, files, entrypoint))
