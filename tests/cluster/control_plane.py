"""etcd, API server, controller manager and scheduler, on the host's end of the link."""

from pathlib import Path

import daemons
from layout import Layout
from run import Failed, run, wait_for


def kubectl(layout: Layout, programs: Path, *words: str, stdin: str | None = None, check: bool = True) -> str:
    return run(programs / "kubectl", f"--kubeconfig={layout.kubeconfig}", *words, stdin=stdin, check=check)


def up(layout: Layout, programs: Path) -> None:
    pki = layout.path("pki")
    client, peer = f"http://{layout.host}:2379", f"http://{layout.host}:2380"
    daemons.start(
        layout, "etcd", "etcd", f"--data-dir={layout.path('etcd')}", "--name=only",
        f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=only={peer}",
        # What a test's cluster knows may be lost with the machine.
        "--unsafe-no-fsync", "--log-level=warn",
    )
    key = pki / "service-accounts.key"
    daemons.start(
        layout, "apiserver", programs / "kube-apiserver",
        f"--etcd-servers={client}", f"--advertise-address={layout.host}", f"--bind-address={layout.host}",
        "--secure-port=6443", f"--service-cluster-ip-range={layout.services}",
        f"--client-ca-file={pki / 'ca.crt'}", f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--kubelet-client-certificate={pki / 'apiserver-kubelet.crt'}",
        f"--kubelet-client-key={pki / 'apiserver-kubelet.key'}",
        # The node's name leads nowhere on this machine; logs and exec take its address.
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
        "--profiling=false",
    )
    wait_for("the API server", 90, lambda: _ready(layout, programs))
    daemons.start(
        layout, "controller-manager", programs / "kube-controller-manager",
        f"--kubeconfig={pki / 'controller-manager.kubeconfig'}", f"--bind-address={layout.host}",
        f"--authentication-kubeconfig={pki / 'controller-manager.kubeconfig'}",
        f"--authorization-kubeconfig={pki / 'controller-manager.kubeconfig'}",
        f"--root-ca-file={pki / 'ca.crt'}", f"--service-account-private-key-file={key}",
        "--use-service-account-credentials=true", "--leader-elect=false",
        # A node that goes is noticed in seconds, for tests that take one away.
        "--node-monitor-grace-period=16s",
    )
    daemons.start(
        layout, "scheduler", programs / "kube-scheduler",
        f"--kubeconfig={pki / 'scheduler.kubeconfig'}", f"--bind-address={layout.host}",
        f"--authentication-kubeconfig={pki / 'scheduler.kubeconfig'}",
        f"--authorization-kubeconfig={pki / 'scheduler.kubeconfig'}", "--leader-elect=false",
    )


def _ready(layout: Layout, programs: Path) -> bool:
    for name in ("etcd", "apiserver"):
        daemons.expect_alive(layout, name)
    try:
        return kubectl(layout, programs, "get", "--raw", "/readyz").strip() == "ok"
    except Failed:
        return False
