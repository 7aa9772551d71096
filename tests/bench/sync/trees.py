"""Trees from a seed, and what happens to them. Every tool sees the same."""

import os
import pathlib
import random
import shutil

FILES, FOLDERS, BIG = 100_000, 10_000, 1 << 30
WORDS = "let mut value compute result error return match self config buffer index total parse write read next".split()


class Tree:
    def __init__(self, files=FILES, big=BIG):
        self.files, self.big = files, big
        self.folders = max(10, files // 10)
        self.per_module = max(1, self.folders // 10)

    def path(self, number):
        folder = number * self.folders // self.files
        return pathlib.Path(f"m{folder // self.per_module}", f"p{folder:05}", f"file_{number:06}.rs")

    def text(self, number):
        """About 3 KB, as compressible as source."""
        rng = random.Random(number)
        lines, size, wanted = [], 0, rng.randrange(500, 5500)
        while size < wanted:
            line = f"    let {rng.choice(WORDS)}_{rng.randrange(100)} = {rng.choice(WORDS)}({rng.random():.6f}, \"{rng.choice(WORDS)}\");\n"
            lines.append(line)
            size += len(line)
        return "".join(lines)

    def make(self, root):
        made = set()
        for number in range(self.files):
            file = root / self.path(number)
            if file.parent not in made:
                file.parent.mkdir(parents=True, exist_ok=True)
                made.add(file.parent)
            file.write_text(self.text(number))

    def make_big(self, root):
        root.mkdir(parents=True, exist_ok=True)
        rng = random.Random(7)
        with open(root / "big.bin", "wb") as file:
            for _ in range(self.big >> 20):
                file.write(rng.randbytes(1 << 20))

    def edit(self, root, salt):
        """1,000 edits: a line more, a line less, a line changed."""
        for at in range(0, self.files, max(1, self.files // 1000)):
            file = root / self.path(at)
            lines = file.read_text().splitlines(keepends=True)
            kind = (at + salt) % 3
            if kind == 0:
                lines.insert(len(lines) // 2, f"    // edited {salt}\n")
            elif kind == 1:
                lines[len(lines) // 3] = f"    let edited = {salt};\n"
            else:
                lines.append(f"    // appended {salt}\n")
            file.write_text("".join(lines))

    @staticmethod
    def change_a_byte(root, salt):
        with open(root / "big.bin", "r+b") as file:
            file.seek(500_000_000 % os.path.getsize(root / "big.bin") + salt)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 0xFF]))
        # rsync compares times by whole seconds.
        later = os.stat(root / "big.bin").st_mtime_ns + 2_000_000_000
        os.utime(root / "big.bin", ns=(later, later))

    @staticmethod
    def insert_in_front(root, salt):
        new = root / "big.new"
        with open(root / "big.bin", "rb") as old, open(new, "wb") as file:
            file.write(random.Random(salt).randbytes(1024))
            shutil.copyfileobj(old, file, 8 << 20)
        new.rename(root / "big.bin")

    def rename(self, root, salt):
        """A folder of a tenth of all files."""
        names = ("m3", "renamed")
        from_, to = names if salt % 2 else names[::-1]
        if not (root / from_).exists():
            from_, to = to, from_
        (root / from_).rename(root / to)

    def delete(self, root, aside):
        """A fifth of all files."""
        for module in (5, 6):
            shutil.copytree(root / f"m{module}", aside / f"m{module}", dirs_exist_ok=True)
            shutil.rmtree(root / f"m{module}")

    @staticmethod
    def recreate(root, aside):
        for module in (5, 6):
            shutil.copytree(aside / f"m{module}", root / f"m{module}")
