"""Two network namespaces: joined by a veth pair (`lan`), or by a user-space link with a rate and a delay (`wan`)."""

import contextlib
import ctypes
import fcntl
import heapq
import os
import pathlib
import signal
import struct
import subprocess
import threading
import time

SERVER, STUDIO = "10.77.0.1", "10.77.0.2"
LIBC = ctypes.CDLL(None, use_errno=True)
TUNSETIFF, IFF_TUN, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 1, 0x1000, 0x40000000


def enter(namespace):
    """This thread's sockets are of that namespace from now on."""
    fd = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if LIBC.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"enter {namespace}")
    os.close(fd)


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class Net:
    def __init__(self, link, rate_bit=95e6, delay_s=0.010):
        """`delay_s` is one way."""
        self.link, self.wires = link, []
        self.names = [f"atb{os.getpid()}s", f"atb{os.getpid()}c"]
        for name in self.names:
            run("ip", "netns", "add", name)
        if link == "lan":
            run("ip", "link", "add", "atb0", "netns", self.names[0], "type", "veth",
                "peer", "name", "atb0", "netns", self.names[1])
        else:
            fds = [self.tun(name) for name in self.names]
            for from_, to in (fds, fds[::-1]):
                self.wires.append(Wire(from_, to, rate_bit, delay_s))
        for name, address, peer in zip(self.names, (SERVER, STUDIO), (STUDIO, SERVER)):
            for command in (["link", "set", "lo", "up"], ["link", "set", "atb0", "up"],
                            ["addr", "add", f"{address}/32", "peer", f"{peer}/32", "dev", "atb0"]):
                run("ip", "-n", name, *command)

    @contextlib.contextmanager
    def hurried(self):
        """What only prepares a measurement need not wait for the slow link."""
        limits = [(wire, wire.rate, wire.delay) for wire in self.wires]
        for wire in self.wires:
            wire.rate, wire.delay = 1e10, 0.0
        try:
            yield
        finally:
            for wire, rate, delay in limits:
                wire.rate, wire.delay = rate, delay

    @staticmethod
    def tun(name):
        made = {}

        def make():
            enter(name)
            fd = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"atb0", IFF_TUN | IFF_NO_PI))
            made["fd"] = fd

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        return made["fd"]

    def counters(self):
        """Bytes that left the server and that left the studio."""
        return [self.sent(name) for name in self.names]

    @staticmethod
    def sent(name):
        text = subprocess.run(["ip", "netns", "exec", name, "cat", "/sys/class/net/atb0/statistics/tx_bytes"],
                              check=True, capture_output=True, text=True).stdout
        return int(text)

    def close(self):
        for name in self.names:
            # Daemons of a tool that failed.
            left = subprocess.run(["ip", "netns", "pids", name], check=False, capture_output=True, text=True).stdout.split()
            for pid in {int(pid) for pid in left} - {os.getpid()}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", name], check=False)


class Wire:
    """One direction: packets wait for their turn and their delay; what would wait too long is dropped."""

    def __init__(self, from_, to, rate_bit, delay_s, queue_bytes=512 << 10):
        self.rate, self.delay, self.queue = rate_bit / 8, delay_s, queue_bytes
        self.waiting, self.changed, self.number = [], threading.Condition(), 0
        threading.Thread(target=self.take, args=(from_,), daemon=True).start()
        threading.Thread(target=self.give, args=(to,), daemon=True).start()

    def take(self, from_):
        free = 0.0
        while True:
            packet = os.read(from_, 65536)
            now = time.monotonic()
            free = max(free, now)
            if (free - now) * self.rate > self.queue:
                continue
            free += len(packet) / self.rate
            with self.changed:
                self.number += 1
                heapq.heappush(self.waiting, (free + self.delay, self.number, packet))
                self.changed.notify()

    def give(self, to):
        while True:
            with self.changed:
                while not self.waiting:
                    self.changed.wait()
                due, _, packet = heapq.heappop(self.waiting)
            rest = due - time.monotonic()
            if rest > 0:
                time.sleep(rest)
            # Its end is not up yet, or is no more: the packet is lost.
            with contextlib.suppress(OSError):
                os.write(to, packet)


def remains():
    """Namespaces that a killed run left."""
    for file in pathlib.Path("/run/netns").glob("atb*"):
        owner = file.name.strip("atbsc")
        if not pathlib.Path(f"/proc/{owner}").exists():
            subprocess.run(["ip", "netns", "del", file.name], check=False)
