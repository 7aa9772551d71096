#!/usr/bin/env python3
"""Starts, commands and stops of a studio in a cluster, beside what kubectl needs for the same without an agent.

Run by `make bench-kube` within tests/cluster/suite.py, whose environment it takes. The two sides take turns; the medians count.
"""

import datetime
import json
import os
import pathlib
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROUNDS = 7
EXECS = 60
KUBECTL_EXECS = 20
PORT = 8000
SERVE = f"echo served > index.html; exec httpd -f -p {PORT}"


def now():
    return time.monotonic()


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def kubectl(*words, stdin=None):
    return subprocess.run([os.environ["ATELIER_KUBECTL"], *words], input=stdin, text=True, check=True,
                          stdout=subprocess.PIPE).stdout


class Instance:
    """The program, with one built template and one studio."""

    def __init__(self, folder, namespace):
        settings, ready = folder / "kubernetes.yaml", folder / "ready.json"
        settings.write_text(json.dumps({"namespace": namespace}))
        log = open(folder / "log", "w")
        self.child = subprocess.Popen(
            [os.environ["ATELIER_BINARY"], "serve", "--runtime", "kubernetes", "--kubernetes", settings,
             "--image", os.environ["ATELIER_TEST_IMAGE"], "--data", folder / "data", "--listen", "127.0.0.1:0",
             "--listen-agents", "0.0.0.0:0", "--agents-address", os.environ["ATELIER_TEST_ADDRESS"],
             "--ready-file", ready], stdout=log, stderr=log)
        deadline = now() + 60
        while not ready.exists():
            if self.child.poll() is not None or now() > deadline:
                sys.exit(f"bench: the program does not serve: {(folder / 'log').read_text()}")
            time.sleep(0.02)
        answer = json.loads(ready.read_text())
        self.url, self.key = answer["url"] + "/api/v1", answer["api_key"]
        self.call("POST", "/projects", {"key": "BENCH", "name": "Bench"})
        blocks = [{"type": "entrypoint", "label": "Web", "port": PORT, "expose": True, "command": SERVE}]
        template = self.call("POST", "/templates", {"spec": {"label": "T", "blocks": blocks}})["id"]
        build = self.call("POST", f"/templates/{template}/builds")["id"]
        while self.call("GET", f"/builds/{build}")["state"] != "succeeded":
            time.sleep(0.05)
        self.studio = self.call("POST", "/projects/BENCH/studios", {"name": "s", "template": template})["id"]

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.key}"} | ({"Content-Type": "application/json"} if data else {})
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def bring(self, verb):
        begun = now()
        task = self.call("POST", f"/studios/{self.studio}/{verb}")["id"]
        done = self.call("GET", f"/tasks/{task}?wait=60")
        if done["state"] != "succeeded":
            sys.exit(f"bench: {verb}: {done}")
        return now() - begun, task

    def steps(self, task):
        """Milliseconds of each step of a start."""
        request = urllib.request.Request(f"{self.url}/tasks/{task}/events", headers={"Authorization": f"Bearer {self.key}"})
        with urllib.request.urlopen(request) as answer:
            lines = answer.read().decode().splitlines()
        events = [json.loads(line[6:]) for line in lines if line.startswith("data: ") and '"step"' in line]
        begun = {event["step"]: moment(event["at"]) for event in events if event["status"] == "began"}
        done = {event["step"]: moment(event["at"]) for event in events if event["status"] == "done"}
        return {step: round((done[step] - begun[step]) * 1000) for step in done if step in begun}

    def execute(self):
        begun = now()
        self.call("POST", f"/studios/{self.studio}/exec", {"command": ["true"]})
        return now() - begun


def plain(name):
    """The same image and command as a Deployment, without the agent."""
    labels = {"app": name}
    container = {
        "name": "web", "image": os.environ["ATELIER_TEST_IMAGE"], "command": ["/bin/sh", "-c", f"cd /tmp; {SERVE}"],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        "securityContext": {"runAsUser": 1000},
    }
    pod = {"terminationGracePeriodSeconds": 1, "containers": [container], "volumes": [{"name": "tmp", "emptyDir": {}}]}
    return json.dumps({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    })


def applied(namespace, name):
    begun = now()
    kubectl("-n", namespace, "apply", "-f", "-", stdin=plain(name))
    kubectl("-n", namespace, "wait", "--for=condition=Available", f"deployment/{name}", "--timeout=60s")
    return now() - begun


def measure(instance, namespace):
    starts, steps, applies, stops, execs, kubectl_execs = [], [], [], [], [], []
    for turn in range(ROUNDS):
        took, task = instance.bring("start")
        starts.append(took)
        steps.append(instance.steps(task))
        if turn == 0:
            execs = [instance.execute() for _ in range(EXECS)]
        stops.append(instance.bring("stop")[0])
        name = f"plain-{turn}"
        applies.append(applied(namespace, name))
        if turn == 0:
            for _ in range(KUBECTL_EXECS):
                begun = now()
                kubectl("-n", namespace, "exec", f"deployment/{name}", "--", "true")
                kubectl_execs.append(now() - begun)
        kubectl("-n", namespace, "delete", "deployment", name, "--cascade=foreground")
    median = lambda values: round(statistics.median(values) * 1000, 1)
    found = {
        "start_ms": median(starts), "kubectl_apply_until_ready_ms": median(applies),
        "exec_true_p50_ms": median(execs), "kubectl_exec_true_p50_ms": median(kubectl_execs),
        "stop_ms": median(stops),
    }
    found["start_ratio"] = round(found["start_ms"] / found["kubectl_apply_until_ready_ms"], 2)
    found["exec_ratio"] = round(found["exec_true_p50_ms"] / found["kubectl_exec_true_p50_ms"], 3)
    found |= {f"step_{name}_ms": statistics.median(each[name] for each in steps) for name in steps[0]}
    return found


def main():
    namespace = f"bench-{secrets.token_hex(4)}"
    kubectl("create", "namespace", namespace)
    try:
        with tempfile.TemporaryDirectory() as folder:
            instance = Instance(pathlib.Path(folder), namespace)
            try:
                results = measure(instance, namespace)
            finally:
                instance.child.terminate()
                instance.child.wait(timeout=60)
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false")
    out = pathlib.Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(results, indent=2) + "\n")
    for name, value in results.items():
        print(f"{name:32} {value}")


if __name__ == "__main__":
    main()
