#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# about: scripts/nightly.sh
# timeout: 240
"""nightly.py - scripts/nightly.sh over a made-up tree: it stops and goes on where it was, skips what is fresh, and
marks stale what is older than a change of the files it is about."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HEAD = "| now | UTC | commit | state | unit | minutes | seed | result |\n|---|---|---|---|---|---|---|---|\n"
UNITS = "\n".join((         # no line of this file may look like one of its own head
    "#!/usr/bin/env bash",
    "# about: storage",
    "# long: 3 x --part {part} --from {seed} --minutes {minutes}",
    'echo "ran $*" >> log',
    '[ "$2" != "$(cat stop)" ] || exec sleep 60',
    '[ "$2" != "$(cat fail)" ] || { echo "FAILED  as told"; exit 1; }',
    'echo "result: part $2 | held"', ""))
OTHER = "#!/usr/bin/env bash\n# about: control\n# quick:\necho 'result: other'\n"


def must(true, what):
    if not true:
        print("FAILED ", what)
        sys.exit(1)


class Tree:
    def __init__(self, path):
        self.path = path
        for folder in "scripts", "storage", "control", "tests/sim":
            os.makedirs(os.path.join(path, folder))
        shutil.copy(os.path.join(ROOT, "scripts/nightly.sh"), os.path.join(path, "scripts"))
        self.write("tests/RESULTS.md", HEAD + "| fresh | t | c | - | `tests/sim/gone.sh` | 1 | - | of an older day |\n")
        self.write("tests/sim/units.sh", UNITS)
        self.write("tests/sim/other.sh", OTHER)
        for name in "storage/append.c", "control/main.c", "stop", "fail", "log":
            self.write(name, "")

    def write(self, name, text):
        with open(os.path.join(self.path, name), "w") as f:
            f.write(text)
        os.chmod(f.name, 0o755)

    def read(self, name):
        with open(os.path.join(self.path, name)) as f:
            return f.read()

    def command(self, *args):
        return [os.path.join(self.path, "scripts/nightly.sh"), *args]

    def nightly(self, *args, code=0):
        env = dict(os.environ, KIRA_BUILD="/nonexistent")
        p = subprocess.run(self.command(*args), env=env, capture_output=True, text=True, timeout=50)
        must(p.returncode == code, "nightly.sh %s: exit %d\n%s%s" % (args, p.returncode, p.stdout, p.stderr))
        return p.stdout

    def ran(self):
        """Which parts ran since the last call."""
        parts = re.findall(r"^ran --part (\d)", self.read("log"), re.M)
        self.write("log", "")
        return "".join(parts)

    def status(self):
        return re.findall(r"^(\w+) +`tests/sim/units", self.nightly("--status"), re.M)

    def marks(self, script):
        return re.findall(r"^\| (\w+) .* `tests/sim/%s" % script, self.read("tests/RESULTS.md"), re.M)


def main():
    with tempfile.TemporaryDirectory(prefix="kira-nightly-", dir="/var/tmp") as path:
        tree = Tree(path)
        must(tree.status() == ["never"] * 3, "three units, none of them run")

        tree.write("stop", "2")
        p = subprocess.Popen(tree.command("--only", "units", "--minutes", "7"), stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, env=dict(os.environ, KIRA_BUILD="/nonexistent"), text=True)
        for line in p.stdout:
            if "--part 2" in line:
                break
        p.terminate()
        must(p.wait(timeout=20) == 143, "a run that is stopped says so")
        must("part 1 / held" in tree.read("tests/RESULTS.md"), "the unit that ended has its row already")
        must(tree.marks("units") == ["fresh"], "the one that was stopped has none")

        tree.write("stop", "")
        tree.ran()
        tree.nightly("--only", "units", "--minutes", "7")
        must(tree.ran() == "23", "it goes on where it was stopped")
        tree.nightly("--only", "units", "--minutes", "7")
        must(tree.ran() == "", "what is fresh is skipped")
        must(tree.status() == ["never"] * 3, "7 minutes are not 40")
        row = tree.read("tests/RESULTS.md").splitlines()[-1]
        must(re.search(r"\| none \| [0-9a-f]{12} \| `tests/sim/units.sh --part 3 --from \{seed\} --minutes 7` 3/3 \| 0 "
                       r"\| \d{10}000 \| part 3 / held \|$", row), "a row names unit, seed and counts: " + row)

        tree.nightly("--only", "units")
        tree.nightly("--only", "other")
        must(tree.status() == ["fresh"] * 3, "three units that held")
        tree.write("storage/append.c", "changed\n")
        tree.write("storage/README.md", "prose\n")
        must(tree.status() == ["stale"] * 3, "a change of what they are about: stale")
        tree.write("fail", "2")
        tree.ran()
        said = re.search("what it said: (.*)", tree.nightly("--only", "units", code=1))
        must(said and "FAILED  as told" in tree.read(said[1]), "what a failed unit said is kept")
        must(tree.ran() == "123", "what is stale is run again, and one failure ends nothing")
        must(tree.marks("units") == ["stale"] * 6 + ["fresh"] * 3, "rows of before are marked stale")
        must(tree.marks("other") == ["fresh"], "and no others")
        must(tree.marks("gone") == ["stale"], "a row of a script that is gone is stale")
        must("| FAILED (exit 1) FAILED  as told |" in tree.read("tests/RESULTS.md"), "a failure has a row")
        tree.write("fail", "")
        tree.ran()
        tree.nightly("--only", "units")
        must(tree.ran() == "2", "a unit that failed is not done")
        tree.write("storage/README.md", "other prose\n")
        tree.write("control/kirad.8", "prose\n")
        tree.write("storage/kira-x.1", "prose\n")
        must(tree.status() == ["fresh"] * 3, "prose changes nothing")
    print("result: stopped, gone on, skipped, stale, failed: each as it should be")


main()
