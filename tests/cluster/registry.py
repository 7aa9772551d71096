"""A registry beside the cluster, over plain HTTP: what is pushed there, the node can pull."""

import urllib.request
from pathlib import Path

import daemons
from layout import Layout
from run import wait_for


def up(layout: Layout) -> None:
    config = layout.path("registry.yml")
    config.write_text(
        "version: 0.1\n"
        "log:\n  level: warn\n"
        f"storage:\n  filesystem:\n    rootdirectory: {layout.path('registry')}\n  delete:\n    enabled: true\n"
        f"http:\n  addr: {layout.registry}\n"
    )
    daemons.start(layout, "registry", "docker-registry", "serve", config)
    wait_for("the registry", 20, lambda: _serves(layout))


def _serves(layout: Layout) -> bool:
    daemons.expect_alive(layout, "registry")
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{layout.registry}/v2/", timeout=2):
            return True
    except OSError:
        return False


def trust(layout: Layout) -> Path:
    """containerd's folder of registries, in which this one is said to speak HTTP."""
    folder = layout.path("certs.d", layout.registry)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hosts.toml").write_text(
        f'server = "http://{layout.registry}"\n[host."http://{layout.registry}"]\n  capabilities = ["pull", "resolve"]\n'
    )
    return layout.path("certs.d")
