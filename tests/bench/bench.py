#!/usr/bin/env python3
"""Speed and memory of agent, control plane and proxy, measured from the outside. Results: target/bench/main.json and a table.

The proxy is compared with nginx on the same upstream in alternating rounds; the best of each counts, because other work on a machine
only ever makes numbers worse.
"""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROUNDS = 5
EXECS = 200
SECONDS = 3


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, so, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if so():
            return
        time.sleep(0.02)
    sys.exit(f"bench: {what} took longer than {seconds} s")


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def resident_mib(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


class Instance:
    """A control plane with one studio that has one entrypoint and no files to speak of."""

    def __init__(self, atelier, agent, folder):
        self.ready = folder / "ready.json"
        log = open(folder / "log", "w")
        self.child = subprocess.Popen(
            [atelier, "up", "--no-sample", "--data", folder / "data", "--listen", "127.0.0.1:0",
             "--ready-file", self.ready, "--agent-binary", agent],
            stdout=log, stderr=log)
        wait_for("the control plane", self.ready.exists)
        answer = json.loads(self.ready.read_text())
        self.url, self.key = answer["url"] + "/api/v1", answer["api_key"]

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.key}"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def studio(self):
        self.call("POST", "/projects", {"key": "BENCH", "name": "Bench"})
        block = {"type": "entrypoint", "label": "Sleeper", "command": "exec sleep 100000"}
        template = self.call("POST", "/templates", {"spec": {"label": "T", "blocks": [block]}})["id"]
        build = self.call("POST", f"/templates/{template}/builds")["id"]
        wait_for("the build", lambda: self.call("GET", f"/builds/{build}")["state"] == "succeeded")
        body = {"name": "bench", "template": template}
        return self.call("POST", "/projects/BENCH/studios", body)["id"]

    def bring(self, studio, verb):
        task = self.call("POST", f"/studios/{studio}/{verb}")["id"]
        done = self.call("GET", f"/tasks/{task}?wait=60")
        if done["state"] != "succeeded":
            sys.exit(f"bench: {done}")
        return task

    def agent_pid(self, folder, studio):
        return json.loads((folder / "data/studios" / studio / "agent.pid").read_text())["pid"]


def milliseconds(events, step, status):
    at = next(event["at"] for event in events if (event["step"], event["status"]) == (step, status))
    whole, _, rest = at.rstrip("Z").partition(".")
    moment = time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    return (moment + float("0." + (rest or "0"))) * 1000


def events_of(instance, task):
    request = urllib.request.Request(f"{instance.url}/tasks/{task}/events",
                                     headers={"Authorization": f"Bearer {instance.key}"})
    with urllib.request.urlopen(request) as answer:
        lines = answer.read().decode().splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: ") and '"step"' in line]


def measure_instance(atelier, agent, results):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        instance = Instance(atelier, agent, folder)
        try:
            studio = instance.studio()
            starts = []
            for _ in range(ROUNDS):
                task = instance.bring(studio, "start")
                events = events_of(instance, task)
                starts.append(milliseconds(events, "entrypoints", "done") - milliseconds(events, "agent", "done"))
                time.sleep(1)
                idle = resident_mib(instance.agent_pid(folder, studio))
                if _ + 1 < ROUNDS:
                    instance.bring(studio, "stop")
            took = []
            for _ in range(EXECS):
                began = time.perf_counter()
                instance.call("POST", f"/studios/{studio}/exec", {"command": ["true"]})
                took.append((time.perf_counter() - began) * 1000)
            took.sort()
            time.sleep(2)
            results["agent"] = {
                "binary_mb": os.path.getsize(agent) / 1e6,
                "resident_mib": idle,
                "hello_to_entrypoint_ms": min(starts),
            }
            results["exec_over_api_ms"] = {"p50": took[len(took) // 2], "p99": took[len(took) * 99 // 100]}
            results["control_plane"] = {"resident_mib": resident_mib(instance.child.pid)}
            instance.bring(studio, "stop")
        finally:
            instance.child.terminate()
            instance.child.wait()


def wrk(url, host, connections):
    command = ["wrk", f"-t{min(2, connections)}", f"-c{connections}", f"-d{SECONDS}s", "--latency",
               "-H", f"Host: {host}", "-H", "Authorization: Bearer bench", url]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in text:
        sys.exit(f"bench: {url} answers with errors:\n{text}")
    unit = {"us": 0.001, "ms": 1, "s": 1000}
    number, name = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), float(number) * unit[name]


NGINX = """
daemon off; worker_processes auto; pid {folder}/{name}.pid; error_log {folder}/{name}.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 128; }}
  server {{ listen 127.0.0.1:{port}; {location} }}
}}
"""


def nginx(folder, name, port, upstream, location):
    config = folder / f"{name}.conf"
    config.write_text(NGINX.format(folder=folder, name=name, port=port, upstream=upstream, location=location))
    return subprocess.Popen(["nginx", "-c", config])


def measure_proxy(proxy_bench, results):
    if not shutil.which("wrk") or not shutil.which("nginx"):
        results["proxy"] = "not measured: wrk and nginx are needed"
        return
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        os.chmod(folder, 0o755)
        upstream, ours, theirs = free_port(), free_port(), free_port()
        prefix = "/code-studios/DEMO/abcdefgh/8888/"
        children = [
            nginx(folder, "upstream", upstream, 1, 'location / { return 200 "0123456789abcdef"; }'),
            nginx(folder, "peer", theirs, upstream,
                  f'location {prefix} {{ proxy_pass http://up/; proxy_http_version 1.1; proxy_set_header Connection ""; }}'),
            subprocess.Popen([proxy_bench, f"127.0.0.1:{ours}", f"127.0.0.1:{upstream}"], stdout=subprocess.DEVNULL),
        ]
        try:
            for port in (upstream, ours, theirs):
                wait_for("a server", lambda port=port: listens(port))
            rows = []
            for connections in (1, 64):
                best = {"atelier": (0, 0), "nginx": (0, 0)}
                for _ in range(ROUNDS):
                    for tool, port in (("atelier", ours), ("nginx", theirs)):
                        run = wrk(f"http://127.0.0.1:{port}{prefix}", "8888--abcdefgh.localhost", connections)
                        best[tool] = max(best[tool], run)
                for tool, (requests, p99) in best.items():
                    rows.append({"connections": connections, "tool": tool, "requests_s": requests, "p99_ms": p99})
            results["proxy"] = rows
        finally:
            for child in children:
                child.terminate()
                child.wait()


def main():
    atelier, agent, proxy_bench, out = sys.argv[1:]
    results = {}
    measure_instance(atelier, agent, results)
    measure_proxy(proxy_bench, results)
    file = pathlib.Path(out)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(results, indent=2) + "\n")
    measured = results["agent"]
    print("| | measured | goal |\n| --- | --- | --- |")
    print(f"| agent, binary | {measured['binary_mb']:.1f} MB | ≤ 6 MB |")
    print(f"| agent, resident, idle | {measured['resident_mib']:.1f} MiB | ≤ 8 MiB |")
    print(f"| hello to first entrypoint, no files | {measured['hello_to_entrypoint_ms']:.0f} ms | ≤ 50 ms |")
    took = results["exec_over_api_ms"]
    print(f"| exec of true over the API, p50 (p99) | {took['p50']:.1f} ({took['p99']:.1f}) ms | ≤ 10 ms |")
    print(f"| control plane, resident, idle | {results['control_plane']['resident_mib']:.0f} MiB | ≤ 60 MiB |")
    if isinstance(results["proxy"], str):
        print(results["proxy"])
        return
    for row in results["proxy"]:
        print(f"| proxy, {row['connections']} connections, {row['tool']} | "
              f"{row['requests_s']:.0f} requests/s, p99 {row['p99_ms']:.2f} ms | |")


main()
