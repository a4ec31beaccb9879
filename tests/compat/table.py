# SPDX-License-Identifier: MIT
"""table.py RESULTS - put what the tests of clients have shown into the table of control/README.md; scripts/compat.sh calls it.

RESULTS has lines `client | feature | pass, fail or skip` (cells.py), the last one of a cell counts. A cell of today replaces
an older one; a skip replaces none. What was not run keeps its cell with its date, and is named."""
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "pipeline"))
import cells

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "control", "README.md")
BEGIN, END = "<!-- compat: written by scripts/compat.sh -->", "<!-- compat: end -->"
NONE = "–"


def rank(order, name):
    return next((i for i, x in enumerate(order) if name.startswith(x)), len(order)), name


def parse(text):
    """{(client, feature): cell}"""
    found, clients = {}, []
    for line in text.splitlines():
        words = [w.strip() for w in line.strip("|").split("|")]
        if words[0] in ("feature", "tool"):
            clients = words[1:]
        elif clients and re.match(r"\|", line) and not words[0].startswith("--"):
            found.update({(c, words[0]): w for c, w in zip(clients, words[1:]) if w != NONE})
    return found


def render(table):
    common = [f for f in cells.FEATURES if any(f == x for _, x in table)]
    tools = sorted({f for _, f in table if f not in cells.FEATURES})
    out = []
    for head, features in (("feature", common), ("tool", tools)):
        clients = sorted({c for c, f in table if f in features}, key=lambda c: rank(cells.CLIENTS, c))
        if features:
            out.append("| %s |\n|%s" % (" | ".join([head] + clients), "---|" * (len(clients) + 1)))
            out += ["| %s |" % " | ".join([f] + [table.get((c, f), NONE) for c in clients]) for f in features]
            out.append("")
    return "\n".join(out)


def main():
    with open(PAGE) as f:
        page = f.read()
    before, rest = page.split(BEGIN + "\n", 1)
    old_text, after = rest.split(END, 1)
    with open(sys.argv[1]) as f:
        results = dict(((c, feature), result) for c, feature, result in (line.strip().split(" | ") for line in f))
    table, today = parse(old_text), time.strftime("%F", time.gmtime())
    kept = [cell for cell in table if results.get(cell, "skip") == "skip"]
    for cell, result in results.items():
        if result != "skip" or cell not in table:
            table[cell] = "%s %s" % (result, today)
    with open(PAGE, "w") as f:
        f.write("%s%s\n%s%s%s" % (before, BEGIN, render(table), END, after))
    for c, feature in sorted(kept):
        print("KEPT, NOT RUN NOW: %s, %s: %s" % (c, feature, table[c, feature]))
    count = {r: sum(cell.startswith(r) for cell in table.values()) for r in ("pass", "fail", "skip")}
    print("table of control/README.md: %d pass, %d fail, %d skip; %d of them from earlier runs" % (
        count["pass"], count["fail"], count["skip"], len(kept)))


main()
