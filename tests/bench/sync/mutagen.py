"""mutagen, which no registry has: its binary is named by MUTAGEN, with the archive of its agents beside it."""

import os
import pathlib
import shlex
import subprocess
import sys
import tarfile

import net
import ours
import peers

FAR_PORT = 18750


def binary():
    """The binary that MUTAGEN names, or None."""
    named = os.environ.get("MUTAGEN")
    if not named:
        return None
    if not os.access(named, os.X_OK):
        sys.exit(f"bench: MUTAGEN: {named} is no program")
    return pathlib.Path(named).resolve()


class Mutagen(peers.Peer):
    """Its daemon on the server, its agent in the studio, and between them what it takes for ssh, without its encryption."""

    name = "mutagen"

    def __init__(self, network, folder, live=False):
        super().__init__(network, folder)
        self.binary = binary()
        here = pathlib.Path(__file__).parent
        home = folder / "home"
        self.install_agent(home)
        self.far = subprocess.Popen(["ip", "netns", "exec", network.names[1], sys.executable, here / "farshell.py",
                                     "listen", net.STUDIO, str(FAR_PORT), home], stderr=subprocess.DEVNULL)
        peers.wait_for(FAR_PORT, net.STUDIO)
        ssh = folder / "bin" / "ssh"
        ssh.parent.mkdir()
        caller = shlex.join([sys.executable, str(here / "farshell.py"), "call", net.STUDIO, str(FAR_PORT)])
        ssh.write_text(f'#!/bin/sh\nexec {caller} "$@"\n')
        ssh.chmod(0o755)
        self.env = {**os.environ, "MUTAGEN_DATA_DIRECTORY": str(folder / "data"), "MUTAGEN_SSH_PATH": str(ssh.parent),
                    "MUTAGEN_DISABLE_AUTOSTART": "1"}
        self.daemon = subprocess.Popen(["ip", "netns", "exec", network.names[0], self.binary, "daemon", "run"], env=self.env,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peers.until("mutagen's daemon answers", lambda: not self.command(self.binary, "sync", "list", env=self.env))
        # One that watches would be half done when the clock starts; a flush looks at everything.
        watching = [] if live else ["--watch-mode", "no-watch"]
        self.must("create", "--name", "bench", "--no-global-configuration", *watching, self.server_root, f"studio:{self.studio_root}")

    def install_agent(self, home):
        version = subprocess.run([self.binary, "version"], check=True, capture_output=True, text=True).stdout.strip()
        place = home / ".mutagen" / "agents" / version
        place.mkdir(parents=True)
        machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
        with tarfile.open(self.binary.parent / "mutagen-agents.tar.gz") as agents:
            agent = agents.extractfile(f"linux_{machine}")
            (place / "mutagen-agent").write_bytes(agent.read())
        (place / "mutagen-agent").chmod(0o755)

    def must(self, *arguments):
        if self.command(self.binary, "sync", *arguments, env=self.env):
            sys.exit(f"bench: mutagen: {arguments[0]} failed")

    def again(self):
        self.must("flush", "bench")

    first = again

    def pids(self):
        return ours.family([str(self.daemon.pid), str(self.far.pid)])

    def close(self):
        # It stops its session, and with that the agent.
        self.command(self.binary, "sync", "terminate", "bench", env=self.env)
        for child in (self.daemon, self.far):
            child.terminate()
            child.wait()
