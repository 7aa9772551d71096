"""The node: containerd, kubelet and kube-proxy in the node's network, with folders and cgroups of their own."""

import json
from pathlib import Path

import daemons
import images
import registry
from layout import Layout
from run import wait_for

CGROUPS = Path("/sys/fs/cgroup")
NAME = "node-1"


def cgroups(layout: Layout) -> list[Path]:
    """The cluster's own, in every hierarchy (version 1) or the only one (version 2)."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS / layout.cgroup]
    folders = [folder for folder in CGROUPS.iterdir() if folder.is_dir() and (folder / "cgroup.procs").exists()]
    return [folder / layout.cgroup for folder in folders if not folder.is_symlink()]


def containerd(layout: Layout, pause: Path) -> None:
    config = layout.path("containerd.toml")
    cni = layout.path("cni")
    cni.mkdir(exist_ok=True)
    (cni / "10-pods.conflist").write_text(json.dumps({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {"type": "bridge", "bridge": "pods", "isGateway": True, "hairpinMode": True,
             "ipam": {"type": "host-local", "ranges": [[{"subnet": layout.pods}]], "dataDir": str(layout.path("ipam")),
                      "routes": [{"dst": "0.0.0.0/0"}]}},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }))
    config.write_text(f"""version = 2
root = "{layout.path('containerd')}"
state = "{layout.socket.parent}/state"
[grpc]
  address = "{layout.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{layout.path('opt')}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{images.PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{registry.trust(layout)}"
""")
    layout.socket.parent.mkdir(exist_ok=True)
    daemons.start(layout, "containerd", "containerd", "--config", config, on_node=True)
    wait_for("containerd", 30, lambda: _answers(layout))
    images.load(layout, images.PAUSE, {"pause": pause / "pause"}, ["/pause"])


def _answers(layout: Layout) -> bool:
    daemons.expect_alive(layout, "containerd")
    return "Server" in images.ctr(layout, "version", check=False)


def kubelet(layout: Layout, programs: Path) -> None:
    pki = layout.path("pki")
    for folder in cgroups(layout):
        folder.mkdir(exist_ok=True)
        # A new cpuset of version 1 has no processors, and takes no process until it has.
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (folder / file).exists() and not (folder / "cgroup.controllers").exists():
                (folder / file).write_text((folder.parent / file).read_text())
    config = layout.path("kubelet.json")
    config.write_text(json.dumps({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": layout.node,
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True},
                           "x509": {"clientCAFile": str(pki / "ca.crt")}},
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{layout.socket}",
        "clusterDNS": [layout.dns],
        "clusterDomain": "cluster.local",
        "resolvConf": str(layout.path("resolv.conf")),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        # It may not raise limits where it lacks the right, and goes on without.
        "featureGates": {"KubeletInUserNamespace": True},
        "localStorageCapacityIsolation": False,
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "podLogsDir": str(layout.path("pod-logs")),
        "nodeStatusUpdateFrequency": "4s",
        "syncFrequency": "10s",
        "maxPods": 110,
        "readOnlyPort": 0,
        "healthzBindAddress": layout.node,
        "shutdownGracePeriod": "0s",
    }, indent=1))
    # No name server of the host: names of the outside are none of a test's business.
    layout.path("resolv.conf").write_text("")
    daemons.start(
        layout, "kubelet", programs / "kubelet", f"--config={config}", f"--kubeconfig={pki / 'node.kubeconfig'}",
        f"--root-dir={layout.path('kubelet')}", f"--cert-dir={layout.path('kubelet-pki')}",
        f"--hostname-override={NAME}", f"--node-ip={layout.node}", on_node=True,
    )


def proxy(layout: Layout, programs: Path) -> None:
    daemons.start(
        layout, "proxy", programs / "kube-proxy", f"--kubeconfig={layout.path('pki', 'proxy.kubeconfig')}",
        "--proxy-mode=iptables", f"--cluster-cidr={layout.pods}", f"--hostname-override={NAME}",
        # Without the right to set the kernel's limits they stay as they are.
        "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s",
        on_node=True,
    )


def ready(layout: Layout, kubectl) -> bool:
    for name in ("containerd", "kubelet", "proxy"):
        daemons.expect_alive(layout, name)
    said = kubectl("get", "nodes", "-o", "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}", check=False)
    return said.strip() == "True"
