"""What a cluster of a cloud has beside Kubernetes: names of services, and volumes on demand."""

import string
from pathlib import Path

import images
from layout import Layout
from run import wait_for

MANIFESTS = Path(__file__).parent / "manifests"


def up(layout: Layout, kubectl, coredns: Path, local_path: Path) -> None:
    images.load(layout, images.BUSYBOX, images.busybox(images.busybox_program()), ["/bin/sh"])
    images.load(layout, images.COREDNS, {"coredns": coredns / "coredns"}, ["/coredns"])
    program = local_path / "local-path-provisioner"
    images.load(layout, images.LOCAL_PATH, {"local-path-provisioner": program}, ["/local-path-provisioner"])
    values = {"DNS": layout.dns, "VOLUMES": str(layout.path("volumes"))}
    for file in ("coredns.yaml", "local-path.yaml"):
        manifest = string.Template((MANIFESTS / file).read_text()).safe_substitute(values)
        kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest)
    for namespace, deployment in (("kube-system", "coredns"), ("local-path-storage", "local-path-provisioner")):
        kubectl("-n", namespace, "rollout", "status", f"deployment/{deployment}", "--timeout=90s")
    # Pods of a namespace need its account, which comes a moment after the namespace.
    wait_for("the default account", 30, lambda: "default" in kubectl("get", "serviceaccounts", "-o", "name"))
