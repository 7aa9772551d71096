"""The other tools, as their users run them for the same job."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

import net
import ours


def wait_for(port, address):
    for _ in range(500):
        with socket.socket() as probe:
            if probe.connect_ex((address, port)) == 0:
                return
        time.sleep(0.02)
    sys.exit(f"bench: nothing listens on {address}:{port}")


class TooSlow(Exception):
    """Not within the limit."""


def until(what, holds, seconds=60):
    """Asks again and again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if holds():
                return
        except (OSError, http.client.HTTPException, json.JSONDecodeError, KeyError):
            # Not up yet.
            pass
        time.sleep(0.005)
    raise TooSlow(what)


class Peer:
    """One that runs as a command in the studio, against a daemon on the server."""

    # For one synchronisation.
    limit_s = 900

    def __init__(self, network, folder):
        self.network, self.folder = network, folder
        self.server_root, self.studio_root = folder / "server", folder / "studio"
        self.server_root.mkdir(parents=True)
        self.studio_root.mkdir()
        self.spent = self.peak = 0.0

    def command(self, *command, env=None):
        whole = ["ip", "netns", "exec", self.network.names[1], *map(str, command)]
        child = subprocess.Popen(whole, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
        ended, late = threading.Event(), threading.Event()

        def end_it():
            late.set()
            child.kill()

        watching = threading.Thread(target=self.watch, args=(str(child.pid), ended), daemon=True)
        watching.start()
        limit = threading.Timer(self.limit_s, end_it)
        limit.daemon = True
        limit.start()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        limit.cancel()
        ended.set()
        watching.join()
        self.spent += usage.ru_utime + usage.ru_stime
        if late.is_set():
            raise TooSlow(" ".join(whole[4:]))
        return child.returncode

    def watch(self, pid, ended):
        """The kernel's own account begins with the memory of this program, which it was before it became another."""
        while not ended.wait(0.02):
            self.peak = max(self.peak, ours.peak_mib(ours.family([pid])))

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


class Syncthing(Peer):
    """Two processes that know each other; discovery, relays and NAT are off, and so is what waits for more changes."""

    name = "syncthing"
    KEY = "bench"

    def __init__(self, network, folder, live=False):
        super().__init__(network, folder)
        # By default it lets ten seconds pass after a change.
        watching = f'fsWatcherEnabled="{str(live).lower()}" fsWatcherDelayS="1"'
        homes = [folder / "st-server", folder / "st-studio"]
        ids = [self.generate(home) for home in homes]
        self.ids = ids
        self.sockets = [home / "gui" for home in homes]
        addresses = (net.SERVER, net.STUDIO)
        self.daemons = []
        for number, root in enumerate((self.server_root, self.studio_root)):
            devices = "".join(f'<device id="{ids[at]}" name="{at}" compression="metadata"><address>tcp://{addresses[at]}:22000</address></device>'
                              for at in (0, 1))
            off = "".join(f"<{option}>false</{option}>" for option in ("globalAnnounceEnabled", "localAnnounceEnabled", "relaysEnabled",
                                                                        "natEnabled", "startBrowser", "crashReportingEnabled"))
            (homes[number] / "config.xml").write_text(
                f'<configuration version="36"><folder id="bench" label="bench" path="{root}" type="sendreceive" rescanIntervalS="0" '
                f'{watching}><filesystemType>basic</filesystemType>{"".join(f"""<device id="{one}"/>""" for one in ids)}'
                f'<minDiskFree unit="%">0</minDiskFree></folder>{devices}'
                f'<gui enabled="true" tls="false"><address>{self.sockets[number]}</address><apikey>{self.KEY}</apikey></gui>'
                f"<options><listenAddress>tcp://{addresses[number]}:22000</listenAddress>{off}<urAccepted>-1</urAccepted>"
                "<autoUpgradeIntervalH>0</autoUpgradeIntervalH><reconnectionIntervalS>1</reconnectionIntervalS></options></configuration>")
            (root / ".stfolder").mkdir(parents=True)
            command = ["ip", "netns", "exec", network.names[number], "syncthing", "serve", f"--home={homes[number]}", "--no-browser",
                       "--no-restart", f"--logfile={homes[number]}/log"]
            self.daemons.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                                 env={**os.environ, "STNOUPGRADE": "1"}))
        until("syncthing's two are connected", lambda: self.ask(1, "GET", "/rest/system/connections")["connections"][ids[0]]["connected"])

    @staticmethod
    def generate(home):
        subprocess.run(["syncthing", "generate", f"--home={home}", "--no-default-folder"], check=True, capture_output=True)
        answer = subprocess.run(["syncthing", f"--home={home}", "--device-id"], check=True, capture_output=True, text=True)
        return re.search(r"[A-Z0-9]{7}(-[A-Z0-9]{7}){7}", answer.stdout)[0]

    def ask(self, number, method, path):
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(str(self.sockets[number]))
            connection.request(method, path, headers={"X-API-Key": self.KEY})
            text = connection.getresponse().read()
        finally:
            connection.close()
        return json.loads(text) if text.strip() else None

    def sync(self, number):
        """Looks at one side, and waits until the other has all of it: so says the other's own index."""
        self.ask(number, "POST", "/rest/db/scan?folder=bench")

        def complete():
            other = self.ask(number, "GET", f"/rest/db/completion?folder=bench&device={self.ids[1 - number]}")
            idle = self.ask(1 - number, "GET", "/rest/db/status?folder=bench")["state"] == "idle"
            return other["completion"] == 100 and not other["needItems"] and not other["needDeletes"] and idle

        until("syncthing's other side has all", complete, self.limit_s)

    def first(self):
        self.sync(0)

    def again(self):
        self.sync(1)

    def pids(self):
        return ours.family([str(daemon.pid) for daemon in self.daemons])

    def close(self):
        for daemon in self.daemons:
            daemon.terminate()
            daemon.wait()
