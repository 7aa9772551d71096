"""The other tools, as their users run them for the same job."""

import os
import socket
import subprocess
import sys
import time

import net


def wait_for(port, address):
    for _ in range(500):
        with socket.socket() as probe:
            if probe.connect_ex((address, port)) == 0:
                return
        time.sleep(0.02)
    sys.exit(f"bench: nothing listens on {address}:{port}")


class Peer:
    """One that runs as a command in the studio, against a daemon on the server."""

    def __init__(self, network, folder):
        self.network, self.folder = network, folder
        self.server_root, self.studio_root = folder / "server", folder / "studio"
        self.server_root.mkdir(parents=True)
        self.studio_root.mkdir()
        self.spent = self.peak = 0.0

    def command(self, *command, env=None):
        whole = ["ip", "netns", "exec", self.network.names[1], *map(str, command)]
        child = subprocess.Popen(whole, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        self.spent += usage.ru_utime + usage.ru_stime
        self.peak = max(self.peak, usage.ru_maxrss / 1024)
        return child.returncode

    def pids(self):
        return [str(self.daemon.pid)]

    def close(self):
        self.daemon.terminate()
        self.daemon.wait()


class Rsync(Peer):
    def __init__(self, network, folder, options=()):
        super().__init__(network, folder)
        self.options = list(options)
        self.name = " ".join(["rsync", *self.options])
        config = folder / "rsyncd.conf"
        config.write_text(f"use chroot = no\nuid = root\ngid = root\naddress = {net.SERVER}\nport = 18730\n"
                          f"[tree]\npath = {self.server_root}\nread only = no\n")
        self.daemon = subprocess.Popen(["ip", "netns", "exec", network.names[0], "rsync", "--daemon", "--no-detach",
                                        "--config", config])
        wait_for(18730, net.SERVER)

    def rsync(self, from_, to):
        if self.command("rsync", "-a", "--delete", *self.options, from_, to):
            sys.exit(f"bench: {self.name} failed")

    def first(self):
        self.rsync(f"rsync://{net.SERVER}:18730/tree/", f"{self.studio_root}/")

    def again(self):
        self.rsync(f"{self.studio_root}/", f"rsync://{net.SERVER}:18730/tree/")


class Unison(Peer):
    name = "unison"

    def __init__(self, network, folder):
        super().__init__(network, folder)
        self.env = {**os.environ, "UNISON": str(folder / "archive")}
        server = {**os.environ, "UNISON": str(folder / "archive-server")}
        self.daemon = subprocess.Popen(["ip", "netns", "exec", network.names[0], "unison", "-socket", "18740",
                                        "-listen", net.SERVER], env=server,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(18740, net.SERVER)

    def again(self):
        code = self.command("unison", self.studio_root, f"socket://{net.SERVER}:18740/{self.server_root}", "-batch",
                            "-silent", "-auto", "-times", "-confirmbigdel=false", "-prefer", "newer", env=self.env)
        if code > 1:
            sys.exit(f"bench: unison failed: {code}")

    first = again
