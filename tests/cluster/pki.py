"""Certificates of one cluster: an authority, and a key pair for everybody who speaks to the API server."""

import base64
import json

from layout import Layout
from run import run

# File → subject. `system:masters` may do everything.
CLIENTS = {
    "admin": "/O=system:masters/CN=admin",
    "apiserver-kubelet": "/O=system:masters/CN=apiserver-kubelet",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "proxy": "/CN=system:kube-proxy",
    "node": "/O=system:nodes/CN=system:node:{node}",
}
DAYS = "3650"


def make(layout: Layout, node_name: str) -> None:
    """Makes what is not there yet."""
    pki = layout.path("pki")
    if (pki / "done").exists():
        return
    pki.mkdir(exist_ok=True)
    pki.chmod(0o700)
    authority = ("-subj", f"/CN=atelier-{layout.name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", DAYS, *authority,
        "-keyout", pki / "ca.key", "-out", pki / "ca.crt")
    run("openssl", "genrsa", "-out", pki / "service-accounts.key", "2048")
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    addresses = ["127.0.0.1", layout.host, layout.first_service]
    alternatives = [f"DNS:{name}" for name in names] + [f"IP:{address}" for address in addresses]
    _signed(layout, "apiserver", "/CN=kube-apiserver", "serverAuth", ",".join(alternatives))
    for file, subject in CLIENTS.items():
        _signed(layout, file, subject.format(node=node_name), "clientAuth", None)
        if file != "apiserver-kubelet":
            kubeconfig(layout, file)
    (pki / "done").touch()


def _signed(layout: Layout, file: str, subject: str, usage: str, alternatives: str | None) -> None:
    pki = layout.path("pki")
    extensions = f"basicConstraints=CA:FALSE\nextendedKeyUsage={usage}\n"
    if alternatives:
        extensions += f"subjectAltName={alternatives}\n"
    (pki / f"{file}.ext").write_text(extensions)
    run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", subject,
        "-keyout", pki / f"{file}.key", "-out", pki / f"{file}.csr")
    run("openssl", "x509", "-req", "-in", pki / f"{file}.csr", "-CA", pki / "ca.crt", "-CAkey", pki / "ca.key",
        "-CAcreateserial", "-days", DAYS, "-extfile", pki / f"{file}.ext", "-out", pki / f"{file}.crt")


def kubeconfig(layout: Layout, who: str) -> None:
    """Names everything after the cluster, so that several files can be merged."""
    pki = layout.path("pki")

    def content(name: str) -> str:
        return base64.b64encode((pki / name).read_bytes()).decode()

    name = f"atelier-{layout.name}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {
            "server": layout.api, "certificate-authority-data": content("ca.crt")}}],
        "users": [{"name": name, "user": {
            "client-certificate-data": content(f"{who}.crt"), "client-key-data": content(f"{who}.key")}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    # JSON is YAML.
    file = layout.kubeconfig if who == "admin" else pki / f"{who}.kubeconfig"
    file.write_text(json.dumps(config, indent=1))
    file.chmod(0o600)
