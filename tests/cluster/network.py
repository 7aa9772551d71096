"""The node's network: a namespace of its own, so that clusters and their packet filters never meet.

    host 10.X.0.1 ──── link ──── 10.X.0.2 node ──── bridge ──── pods
"""

from pathlib import Path

from layout import Layout
from run import run


def up(layout: Layout) -> None:
    if Path("/run/netns", layout.netns).exists():
        return
    run("ip", "netns", "add", layout.netns)
    run("ip", "link", "add", layout.link, "type", "veth", "peer", "name", "eth0", "netns", layout.netns)
    run("ip", "address", "add", f"{layout.host}/24", "dev", layout.link)
    run("ip", "link", "set", layout.link, "up")
    inside = ("nsenter", f"--net=/run/netns/{layout.netns}")
    run(*inside, "ip", "address", "add", f"{layout.node}/24", "dev", "eth0")
    run(*inside, "ip", "link", "set", "eth0", "up")
    run(*inside, "ip", "link", "set", "lo", "up")
    run(*inside, "ip", "route", "add", "default", "via", layout.host)
    run(*inside, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    # The host reaches pods and services as any machine of a cluster's network would.
    for destination in (layout.pods, layout.services):
        run("ip", "route", "add", destination, "via", layout.node)


def down(layout: Layout) -> None:
    # Removing one end of the link removes the other, and the routes over it.
    if Path("/sys/class/net", layout.link).exists():
        run("ip", "link", "delete", layout.link)
    if Path("/run/netns", layout.netns).exists():
        run("ip", "netns", "delete", layout.netns)
