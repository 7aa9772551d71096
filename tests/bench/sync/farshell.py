"""A far shell without encryption, for tools that reach the other side by `ssh`.

`farshell.py listen ADDRESS PORT HOME` runs what callers name, in HOME, with the connection as its input and output.
`farshell.py call ADDRESS PORT …ssh's arguments` is the caller: its input and output are those of the far command. The last argument
is the command, as it is with ssh when a tool calls it.
"""

import os
import socket
import subprocess
import sys
import threading

PIECE = 1 << 20


def listen(address, port, home):
    with socket.create_server((address, port)) as listening:
        while True:
            caller, _ = listening.accept()
            caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            command = bytearray()
            # One at a time: what follows is the command's own input.
            while (byte := caller.recv(1)) not in (b"\n", b""):
                command += byte
            child = subprocess.Popen(["sh", "-c", bytes(command)], cwd=home, env={**os.environ, "HOME": home}, stdin=caller, stdout=caller)
            caller.close()
            threading.Thread(target=child.wait, daemon=True).start()


def move(read, write):
    while piece := read(PIECE):
        write(piece)


def write_out(piece):
    while piece:
        piece = piece[os.write(1, piece):]


def call(address, port, arguments):
    far = socket.create_connection((address, port))
    far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    far.sendall(arguments[-1].encode() + b"\n")

    def give():
        try:
            move(lambda most: os.read(0, most), far.sendall)
            far.shutdown(socket.SHUT_WR)
        except OSError:
            # The far command ended first.
            pass

    threading.Thread(target=give, daemon=True).start()
    try:
        move(far.recv, write_out)
    except OSError:
        # Whoever called has gone, or the far command was ended.
        pass


if __name__ == "__main__":
    if sys.argv[1] == "listen":
        listen(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        call(sys.argv[2], int(sys.argv[3]), sys.argv[4:])
