#!/usr/bin/env python3
"""How fast images are made, to pushed: the native builder beside a warm buildah, on one base and one registry, in one run.

usage: images.py ATELIER AGENT IMAGES_BENCH RESULT [--large-mib N]
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROUNDS = 5


def run(*command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(map(str, command))} failed: {done.stderr[:2000]}")
    return done.stdout


class Registry:
    """Debian's registry on a port that the system chooses."""

    def __init__(self, folder):
        config = {"version": "0.1", "log": {"level": "info"}, "http": {"addr": "127.0.0.1:0"},
                  "storage": {"filesystem": {"rootdirectory": str(folder / "blobs")}, "delete": {"enabled": True}}}
        (folder / "registry.yml").write_text(json.dumps(config))
        log = folder / "registry.log"
        self.child = subprocess.Popen(["docker-registry", "serve", folder / "registry.yml"], stdout=subprocess.DEVNULL,
                                      stderr=open(log, "w"))
        deadline = time.monotonic() + 30
        while not (found := re.search(r"listening on ([0-9.:]+)", log.read_text())):
            if time.monotonic() > deadline:
                sys.exit(f"bench: the registry does not start: {log.read_text()}")
            time.sleep(0.02)
        self.host = found[1]


class Buildah:
    """Builds the same files onto the same base: the agent, and a script whose one line changes."""

    def __init__(self, folder, registry, base, agent):
        self.folder, self.registry = folder / "peer", registry
        context = self.folder / "context"
        context.mkdir(parents=True)
        (context / "agent").write_bytes(agent.read_bytes())
        (context / "Dockerfile").write_text(
            f"FROM {base}\nCOPY agent /opt/atelier/agent\nCOPY serve.sh /opt/studio/scripts/serve.sh\n"
            "USER 1000:0\nENTRYPOINT [\"/opt/atelier/agent\"]\n")
        self.context = context

    def call(self, *words):
        run("buildah", "--root", self.folder / "root", "--runroot", self.folder / "run", "--storage-driver", "overlay", *words)

    def build(self, line):
        """Seconds until it is pushed."""
        (self.context / "serve.sh").write_text(f"#!/bin/sh\necho {line}\n")
        start = time.monotonic()
        self.call("build", "--layers", "--isolation", "chroot", "--tls-verify=false", "--timestamp", "0", "--tag", "localhost/peer", self.context)
        self.call("push", "--tls-verify=false", "localhost/peer", f"docker://{self.registry}/peer:latest")
        return time.monotonic() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("atelier", type=pathlib.Path)
    parser.add_argument("agent", type=pathlib.Path)
    parser.add_argument("bench", type=pathlib.Path)
    parser.add_argument("result", type=pathlib.Path)
    parser.add_argument("--large-mib", type=int, default=2048)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        registry = Registry(folder)
        try:
            made = run(args.atelier, "--json", "base-image", "build", f"{registry.host}/bases/debian:12", "--plain-http")
            base = json.loads(made)["image"]
            ours = json.loads(run(args.bench, registry.host, base, folder, args.agent, "--large-mib", args.large_mib))
            peer = Buildah(folder, registry.host, base, args.agent)
            fresh = peer.build("warm")
            changed = min(peer.build(f"round {n}") for n in range(ROUNDS))
            same = min(peer.build("same") for _ in range(ROUNDS + 1))
            peer.call("rmi", "--all", "--force")
        finally:
            registry.child.terminate()
            registry.child.wait()
    result = {"native": ours, "buildah": {"fresh_ms": fresh * 1000, "one_line_changed_ms": changed * 1000, "nothing_changed_ms": same * 1000},
              "cpus": os.cpu_count()}
    args.result.parent.mkdir(parents=True, exist_ok=True)
    args.result.write_text(json.dumps(result, indent=2) + "\n")
    for case in ("one_line_changed_ms", "nothing_changed_ms"):
        print(f"{case:34} native {ours[case]:8.0f}   buildah {result['buildah'][case]:8.0f}   {result['buildah'][case] / ours[case]:6.1f} x")
    for case in ("new_template_of_known_blocks_ms", "agent_on_100_templates_ms", "large_layer_ms", "peak_mib"):
        print(f"{case:34} native {ours[case]:8.0f}")


if __name__ == "__main__":
    main()
