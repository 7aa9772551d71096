"""Atelier as in production: the control plane and an agent, a process each, TLS between them, everything recorded and durable."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request

import net


class Atelier:
    name = "atelier"

    def __init__(self, binaries, network, folder, live=False):
        """`folder` is on the file system that trees are on."""
        atelier, agent = binaries
        self.live = live
        self.folder = folder
        # None yet: no process is of it.
        self.studio = "no studio"
        # Where a confined agent may read and execute.
        self.place = pathlib.Path(f"/opt/atelier-bench-{os.getpid()}")
        self.place.mkdir()
        shutil.copy2(agent, self.place / "atelier-agent")
        (self.place / "namespace").touch()
        subprocess.run(["mount", "--bind", f"/run/netns/{network.names[1]}", self.place / "namespace"], check=True)
        wrapper = self.place / "agent"
        wrapper.write_text(f"#!/bin/sh\nexec nsenter --net={self.place}/namespace {self.place}/atelier-agent \"$@\"\n")
        wrapper.chmod(0o755)
        ready = folder / "ready.json"
        log = open(folder / "log", "w")
        self.child = subprocess.Popen(
            ["ip", "netns", "exec", network.names[0], atelier, "up", "--no-sample", "--data", folder / "data",
             "--listen", "127.0.0.1:0", "--listen-agents", f"{net.SERVER}:0", "--ready-file", ready,
             "--agent-binary", wrapper], stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while not ready.exists():
            if time.monotonic() > deadline:
                sys.exit("bench: the control plane does not start")
            time.sleep(0.02)
        answer = json.loads(ready.read_text())
        self.url, self.key = answer["url"] + "/api/v1", answer["api_key"]
        net.enter(network.names[0])
        try:
            self.start()
        except BaseException:
            self.end()
            raise

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.key}"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            sys.exit(f"bench: {method} {path}: {error.read().decode()}")
        return json.loads(text) if text else None

    def done(self, task):
        while task["state"] in ("pending", "running"):
            task = self.call("GET", f"/tasks/{task['id']}?wait=60")
        if task["state"] != "succeeded":
            sys.exit(f"bench: {task}")
        return task

    def start(self):
        self.call("POST", "/projects", {"key": "BENCH", "name": "Bench"})
        blocks = [{"type": "entrypoint", "label": "Sleeper", "command": "exec sleep 100000"}]
        if self.live:
            blocks.append({"type": "file_sync", "mounts": [{"zone": "code_studio-resources", "live": True}]})
        template = self.call("POST", "/templates", {"spec": {"label": "T", "blocks": blocks}})["id"]
        build = self.call("POST", f"/templates/{template}/builds")["id"]
        while self.call("GET", f"/builds/{build}")["state"] != "succeeded":
            time.sleep(0.1)
        self.studio = self.call("POST", "/projects/BENCH/studios", {"name": "bench", "template": template})["id"]
        self.done(self.call("POST", f"/studios/{self.studio}/start"))
        mounts = self.call("GET", f"/studios/{self.studio}")["mounts"]
        self.mount = next(mount["id"] for mount in mounts if "code_studio-resources" in mount["id"])
        # Where both sides lie, found by a file that travels.
        self.call("POST", f"/studios/{self.studio}/exec",
                  {"command": ["sh", "-c", f"touch {self.mount}/marker-of-the-bench"]})
        self.sync()
        found = subprocess.run(["find", self.folder / "data", "-name", "marker-of-the-bench", "-not", "-path", "*trash*"],
                               check=True, capture_output=True, text=True).stdout.split()
        roots = {pathlib.Path(file).parent for file in found}
        self.studio_root = next(root for root in roots if f"/studios/{self.studio}/" in f"{root}/" or "/run/" in f"{root}/")
        self.server_root = next(root for root in roots if root != self.studio_root)
        (self.studio_root / "marker-of-the-bench").unlink()
        self.sync()

    def sync(self):
        body = {"mounts": [self.mount], "allow_mass_deletion": [self.mount]}
        return self.done(self.call("POST", f"/studios/{self.studio}/sync", body))

    def look_everywhere(self, number):
        """The next synchronisation looks at everything: a file's other names, once it has some, may be anywhere."""
        for root in (self.server_root, self.studio_root):
            name = root / f"name-{root == self.server_root}-{number}"
            name.write_text("a file")
            os.link(name, f"{name}-too")
        self.sync()
        time.sleep(0.1)

    # What the harness asks of every tool.
    def first(self):
        self.sync()

    def again(self):
        self.sync()

    def pids(self):
        agents = subprocess.run(["pgrep", "-f", "atelier-agent"], capture_output=True, text=True).stdout.split()
        control = subprocess.run(["pgrep", "-P", str(self.child.pid)], capture_output=True, text=True).stdout.split()
        mine = [pid for pid in agents if self.studio in environment(pid)]
        # Its agent is a child of the control plane, too.
        return list(dict.fromkeys([*mine, *control, str(self.child.pid)]))

    def close(self):
        self.call("POST", f"/studios/{self.studio}/stop")
        time.sleep(1)
        self.end()

    def end(self):
        self.child.terminate()
        self.child.wait()
        for pid in self.pids()[:-1]:
            subprocess.run(["kill", pid], check=False)
        subprocess.run(["umount", "-l", self.place / "namespace"], check=False)
        shutil.rmtree(self.place)


def environment(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def family(pids):
    """With all that they started."""
    found = list(pids)
    for pid in found:
        # Each thread has its own.
        for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found += children.read_text().split()
            except OSError:
                continue
    return found


def cpu_s(pids):
    total = 0
    for pid in pids:
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        # With what its children spent, once they are gone.
        total += sum(int(field) for field in fields[11:15])
    return total / 100


def peaks_mib(pids):
    """Most memory that programs of each name have had."""
    peaks = {}
    for pid in pids:
        try:
            text = pathlib.Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        # One that has ended, and is not waited for yet, has none.
        if found := re.search(r"VmHWM:\s+(\d+)", text):
            name = re.search(r"Name:\s+(.*)", text)[1]
            peaks[name] = max(peaks.get(name, 0.0), int(found[1]) / 1024)
    return peaks


def peak_mib(pids):
    return max(peaks_mib(pids).values(), default=0.0)
