"""An image of static programs, packed here and pushed to a registry by its own protocol.
(<https://distribution.github.io/distribution/spec/api/>)"""

import gzip
import hashlib
import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urljoin

import images

_MEDIA = "application/vnd.docker.distribution.manifest.v2+json"


def _ask(method: str, url: str, body: bytes | None = None, kind: str = "application/octet-stream"):
    request = urllib.request.Request(url, data=body, method=method, headers={"Content-Type": kind})
    # A test's registry is never behind a proxy.
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60)


def _blob(base: str, content: bytes) -> dict:
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    with _ask("POST", f"{base}/blobs/uploads/", b"") as begun:
        place = urljoin(f"{base}/", begun.headers["Location"])
    _ask("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", content).close()
    return {"size": len(content), "digest": digest}


def push(registry: str, name: str, tag: str, files: Mapping[str, Path | str], entrypoint: list[str]) -> str:
    """Answers with the image's reference by digest."""
    base = f"http://{registry}/v2/{name}"
    layer = images.layer(files)
    packed = gzip.compress(layer, compresslevel=1, mtime=0)
    config = images.config(layer, entrypoint)
    manifest = json.dumps({
        "schemaVersion": 2,
        "mediaType": _MEDIA,
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", **_blob(base, config)},
        "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", **_blob(base, packed)}],
    }).encode()
    _ask("PUT", f"{base}/manifests/{tag}", manifest, _MEDIA).close()
    return f"{registry}/{name}@sha256:{hashlib.sha256(manifest).hexdigest()}"
