"""Fetches and unpacks extensions, one a line of $EXTENSIONS: `name`, `name@version`, an address, or a resource's path."""

import io
import json
import os
import pathlib
import shutil
import sys
import urllib.error
import urllib.parse
import urllib.request
import zipfile

PREFIX = pathlib.Path(os.environ["PREFIX"])
CONTEXT = pathlib.Path(os.environ["CONTEXT"])
REGISTRY = os.environ.get("OPEN_VSX_URL", "https://open-vsx.org").rstrip("/")
LIMIT = 512 << 20
TIMEOUT_S = 120


def fetch(url):
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            content = answer.read(LIMIT + 1)
    except (urllib.error.URLError, OSError) as error:
        sys.exit(f"{url} can't be fetched: {error}")
    if len(content) > LIMIT:
        sys.exit(f"{url} is larger than {LIMIT >> 20} MiB")
    return content


def named(name):
    """What the registry has under a name; of several builds, the one for this kind of machine or for all."""
    full, _, version = name.partition("@")
    publisher, _, short = full.partition(".")
    parts = [publisher, short, version or "latest"]
    address = "/".join(urllib.parse.quote(part, safe="") for part in parts)
    answer = json.loads(fetch(f"{REGISTRY}/api/{address}"))
    machine = {"x86_64": "linux-x64", "aarch64": "linux-arm64"}.get(os.uname().machine)
    builds = answer.get("downloads") or {}
    url = builds.get(machine) or builds.get("universal") or answer.get("files", {}).get("download")
    if not url:
        sys.exit(f"{REGISTRY} has no extension {name}: {answer.get('error', 'nothing to download')}")
    return fetch(url)


def unpack(name, content):
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        about = json.loads(archive.read("extension/package.json").decode("utf-8-sig"))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        sys.exit(f"{name} is not an extension: {error}")
    folder = f"{about['publisher']}.{about['name']}-{about['version']}".lower()
    if "/" in folder or folder.startswith("."):
        sys.exit(f"{name} calls itself {folder}")
    target = PREFIX / folder
    if target.exists():
        shutil.rmtree(target)
    for entry in archive.infolist():
        path = pathlib.PurePosixPath(entry.filename)
        if path.parts[:1] != ("extension",) or entry.is_dir():
            continue
        if ".." in path.parts or path.is_absolute():
            sys.exit(f"{name} has a file that lies outside of it: {entry.filename}")
        file = target.joinpath(*path.parts[1:])
        file.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, open(file, "wb") as copy:
            shutil.copyfileobj(source, copy)
        # Programs that come with extensions stay such.
        file.chmod(0o755 if (entry.external_attr >> 16) & 0o111 else 0o644)
    print(f"{name}: {folder}")


for wanted in filter(None, os.environ["EXTENSIONS"].split("\n")):
    if wanted.startswith(("http://", "https://")):
        unpack(wanted, fetch(wanted))
    elif wanted.endswith(".vsix"):
        unpack(wanted, (CONTEXT / wanted).read_bytes())
    else:
        unpack(wanted, named(wanted))
