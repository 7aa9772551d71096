"""The cluster's programs: from Debian by apt, and from Go modules, built once and kept by the content of their go.mod."""

import fcntl
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from layout import cache
from run import Failed, run

HERE = Path(__file__).parent / "go"

# Package → a program of it.
DEBIAN = {
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "etcd-server": "etcd",
    "docker-registry": "docker-registry",
    "buildah": "buildah",
    "busybox-static": "busybox",
    "iproute2": "ip",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "socat": "socat",
    "openssl": "openssl",
    "util-linux": "nsenter",
}


@dataclass(frozen=True)
class Module:
    folder: str
    packages: tuple[str, ...]
    ldflags: str = "-s -w"


_VERSION = "k8s.io/component-base/version"
KUBERNETES = Module(
    "kubernetes",
    tuple(
        f"k8s.io/kubernetes/cmd/kube{program}"
        for program in ("-apiserver", "-controller-manager", "-proxy", "-scheduler", "let", "ctl")
    ),
    # Without it the node reports v0.0.0.
    f"-s -w -X {_VERSION}.gitVersion=v1.34.4 -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=34",
)
PAUSE = Module("pause", ("atelier.test/pause",))
COREDNS = Module("coredns", ("github.com/coredns/coredns",))
LOCAL_PATH = Module("local-path-provisioner", ("github.com/rancher/local-path-provisioner",))
MODULES = (PAUSE, KUBERNETES, COREDNS, LOCAL_PATH)


def _missing() -> list[str]:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return [package for package, program in DEBIAN.items() if not shutil.which(program, path=path)]


def install() -> None:
    """Debian's packages, those that are not there."""
    missing = _missing()
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise Failed(f"not installed: {' '.join(missing)}")
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "-q", env=env)
    run("apt-get", "install", "-y", "-q", "--no-install-recommends", *missing, env=env)


def _key(module: Module, go: str) -> str:
    digest = hashlib.sha256(f"{go}\n{module.ldflags}\n{module.packages}".encode())
    for file in sorted((HERE / module.folder).iterdir()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def built(module: Module) -> Path:
    """The folder with the module's programs; builds them where no earlier build made the same."""
    if not shutil.which("go"):
        raise Failed("the cluster's programs are built with Go 1.26 or later, and there is no `go`")
    folder = HERE / module.folder
    go = run("go", "version", cwd=folder).strip()
    done = cache() / "cluster-programs" / f"{module.folder}-{_key(module, go)}"
    done.parent.mkdir(parents=True, exist_ok=True)
    with open(done.parent / f".{module.folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.is_dir():
            unfinished = done.with_suffix(".part")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            env = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -mod=readonly"}
            flags = ("-trimpath", "-ldflags", module.ldflags, "-o", f"{unfinished}/")
            run("nice", "go", "build", *flags, *module.packages, cwd=folder, env=env)
            unfinished.rename(done)
    return done
