"""The table: ours beside the best peer of the same run, and the goals."""

# Of the best peer's time on the local network and on the slow link, and most MB both ways.
GOALS = {"a": (0.75, 0.9, 80), "b": (0.5, 0.5, 0.001), "c": (0.7, 0.7, 0.040), "d": (0.8, 0.8, 0.010), "e": (0.35, 0.35, 0.6),
         "f": (0.25, 0.25, 0.002), "g-delete": (0.35, 0.35, 2), "g-recreate": (0.6, 0.6, 2)}
# Where no peer is the measure: most seconds, the slow link's round trip included.
TIMES = {"b-watched": {"lan": (0.030, 0.001), "wan": (0.050, 0.001)}, "live": {"lan": (0.1, None), "wan": (0.1, None)}}
MOST_MIB = 40


def megabytes(row):
    return (row["bytes_up"] + row["bytes_down"]) / 1e6


def best(rows, by="wall_s", **wanted):
    """The quickest of those rows; what was not done within the limit has no time."""
    those = [row for row in rows if row["wall_s"] is not None and all(row[key] == value for key, value in wanted.items())]
    return min(those, key=lambda row: row[by], default=None)


def cell(row):
    return "–" if row is None else f"{row['wall_s']:.3g} s / {megabytes(row):.4g} MB"


def line(*cells):
    print("| " + " | ".join(cells) + " |")


def judged(rows, link, case, mine):
    """Best peer, ratio, goal, and whether it is met."""
    others = [row for row in rows if row["tool"] != "atelier"]
    peer = best(others, link=link, case=case)
    if case in TIMES:
        seconds, most = TIMES[case][link]
        goal = f"≤ {seconds:g} s" + (f", ≤ {most:g} MB" if most else "")
        met = mine["wall_s"] <= seconds and (most is None or megabytes(mine) <= most)
    else:
        *ratios, most = GOALS[case]
        ratio = ratios[("lan", "wan").index(link)]
        goal = f"≤ {ratio:g} ×, ≤ {most:g} MB"
        met = peer is not None and mine["wall_s"] <= ratio * peer["wall_s"] and megabytes(mine) <= most
    if peer is None:
        return "–", "–", goal, "yes" if met else "no"
    return f"{peer['tool']} {cell(peer)}", f"{mine['wall_s'] / peer['wall_s']:.2f} ×", goal, "yes" if met else "no"


def table(rows):
    links = list(dict.fromkeys(row["link"] for row in rows))
    cases = list(dict.fromkeys(row["case"] for row in rows))
    print("\nBest of all rounds, and the goals:\n")
    line("link", "case", "atelier", "best peer", "ratio", "goal", "met")
    line(*["---"] * 7)
    for link in links:
        for case in cases:
            if mine := best(rows, link=link, case=case, tool="atelier"):
                line(link, case, cell(mine), *judged(rows, link, case, mine))
    print("\nUntil what came is on the disk, which no peer waits for:\n")
    line("link", "case", "atelier", "best peer", "ratio")
    line(*["---"] * 5)
    for link in links:
        for case in (case for case in cases if case in GOALS):
            mine = best(rows, "safe_s", link=link, case=case, tool="atelier")
            peer = best([row for row in rows if row["tool"] != "atelier"], "safe_s", link=link, case=case)
            if mine and peer:
                line(link, case, f"{mine['safe_s']:.3g} s", f"{peer['tool']} {peer['safe_s']:.3g} s", f"{mine['safe_s'] / peer['safe_s']:.2f} ×")
    tools = sorted({row["tool"] for row in rows}, key=lambda tool: (tool != "atelier", tool))
    print("\nEvery tool:\n")
    line("link", "case", *tools)
    line(*["---"] * (2 + len(tools)))
    for link in links:
        for case in cases:
            line(link, case, *(cell(best(rows, link=link, case=case, tool=tool)) for tool in tools))
    peaks = {tool: max(row["rss_mib"] for row in rows if row["tool"] == tool) for tool in tools}
    print("\nlargest process:", ", ".join(f"{tool} {peak:.0f} MiB" for tool, peak in peaks.items()), f"(goal: atelier ≤ {MOST_MIB} MiB)")
    programs = {}
    for row in rows:
        if row["tool"] == "atelier":
            programs = {name: max(peak, programs.get(name, 0.0)) for name, peak in {**programs, **row.get("peaks_mib", {})}.items()}
    print("atelier's:", ", ".join(f"{name} {peak:.0f} MiB" for name, peak in sorted(programs.items())))
