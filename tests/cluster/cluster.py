#!/usr/bin/env python3
"""A real Kubernetes of one node on this machine, from nothing.

    cluster.py up NAME      prints the path of its kubeconfig; again: the same cluster, with what was missing
    cluster.py down NAME    leaves nothing
    cluster.py restart NAME PROGRAM   one of its programs, such as containerd, is ended and started again
    cluster.py registry NAME   prints the registry's address
    cluster.py build        makes all programs, and starts none
"""

import fcntl
import functools
import os
import sys

import addons
import control_plane
import daemons
import network
import node
import pki
import programs
import registry
import teardown
from layout import Layout, choose, existing
from run import Failed, wait_for


def say(text: str) -> None:
    # Standard output is for the kubeconfig's path alone.
    print(text, file=sys.stderr, flush=True)


def up(name: str) -> None:
    if os.geteuid() != 0:
        raise Failed("a node's network, cgroups and mounts are root's; point KUBECONFIG at another cluster instead")
    programs.install()
    say("programs (built once, some minutes)")
    folders = {module.folder: programs.built(module) for module in programs.MODULES}
    layout = choose(name)
    with open(layout.path("lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _up(layout, folders)
    print(layout.kubeconfig)


def _up(layout: Layout, folders: dict) -> None:
    kubernetes = folders["kubernetes"]
    kubectl = functools.partial(control_plane.kubectl, layout, kubernetes)
    pki.make(layout, node.NAME)
    network.up(layout)
    say("registry, control plane")
    registry.up(layout)
    control_plane.up(layout, kubernetes)
    say("node")
    node.containerd(layout, folders["pause"])
    node.kubelet(layout, kubernetes)
    node.proxy(layout, kubernetes)
    wait_for("the node", 60, lambda: node.ready(layout, kubectl))
    say("names, volumes")
    addons.up(layout, kubectl, folders["coredns"], folders["local-path-provisioner"])
    link = layout.path("kubectl")
    link.unlink(missing_ok=True)
    link.symlink_to(kubernetes / "kubectl")


def main(words: list[str]) -> None:
    match words:
        case ["up", name]:
            up(name)
        case ["down", name]:
            if layout := existing(name):
                teardown.down(layout)
        case ["restart", name, program]:
            if layout := existing(name):
                daemons.stop(layout, program)
                up(name)
        case ["registry", name]:
            layout = existing(name)
            if layout is None:
                raise Failed(f"there is no cluster {name!r}")
            print(layout.registry)
        case ["build"]:
            programs.install()
            for module in programs.MODULES:
                programs.built(module)
        case _:
            raise Failed(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
