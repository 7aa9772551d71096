#!/usr/bin/env python3
"""Runs a command with everything that suites on a cluster need in its environment.

    suite.py NAME AGENT COMMAND…

The cluster is NAME of this machine, brought up where it is not; or the one that KUBECONFIG names, whose nodes then pull from the
registry ATELIER_TEST_REGISTRY (plain HTTP) and reach this machine at ATELIER_TEST_ADDRESS.
"""

import os
import sys
from pathlib import Path

import cluster
import images
import layout
import push


def environment(name: str, agent: Path) -> dict[str, str]:
    if os.environ.get("KUBECONFIG"):
        there = {
            "ATELIER_TEST_ADDRESS": os.environ["ATELIER_TEST_ADDRESS"],
            "ATELIER_KUBECTL": os.environ.get("ATELIER_KUBECTL", "kubectl"),
        }
        registry = os.environ["ATELIER_TEST_REGISTRY"]
    else:
        cluster.up(name)
        lies = layout.choose(name)
        registry = lies.registry
        there = {
            "KUBECONFIG": str(lies.kubeconfig),
            "ATELIER_KUBECTL": str(lies.path("kubectl")),
            "ATELIER_TEST_ADDRESS": lies.host,
            "ATELIER_TEST_SERVICE_ACCOUNTS_KEY": str(lies.path("pki", "service-accounts.key")),
            "ATELIER_TEST_CLUSTER": name,
            "ATELIER_TEST_API_SERVER_PID": lies.path("run", "apiserver.pid").read_text().split()[0],
        }
    shell = images.busybox(images.busybox_program())
    studio = shell | {"bin/atelier-agent": agent}
    words = "echo I am no agent; exit 3"
    return there | {
        "ATELIER_TEST_REGISTRY": registry,
        "ATELIER_TEST_AGENT": str(agent.resolve()),
        "ATELIER_TEST_IMAGE": push.push(registry, "studio", "1", studio, ["/bin/atelier-agent"]),
        "ATELIER_TEST_IMAGE_WITHOUT_AGENT": push.push(registry, "plain", "1", shell, ["/bin/sh", "-c", words]),
        # What a proxy of this machine is for, the cluster is not.
        "NO_PROXY": "*",
    }


if __name__ == "__main__":
    _, name, agent, *command = sys.argv
    os.execvpe(command[0], command, os.environ | environment(name, Path(agent)))
