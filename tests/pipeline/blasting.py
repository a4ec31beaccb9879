# SPDX-License-Identifier: MIT
"""blasting.py - what the harnesses around kira-blast share: a kirad on a memif port, kira-blast's runs
and reports, kirad's mapped counters, and an independent look at the offsets of a topic."""
import json
import mmap
import os
import subprocess
import struct

import harness as h


class MemifKirad(h.Kirad):
    """kirad on a memif port of its own; counters() are those of the process that serves now."""

    def __init__(self, cpus=None, extra=()):
        super().__init__(device="memif:%s/m.sock" % h.temp_dir(), cpus=cpus, extra=extra)

    def counters(self):
        """{name: sum over groups}, or None while there are none (layout: include/kira/counters.h)."""
        try:
            with open(os.path.join(self.data_dir, "run", "counters"), "rb") as f:
                with mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as m:
                    return self._counters(m)
        except (FileNotFoundError, ValueError):
            return None

    def _counters(self, m):
        magic, version, _, pid, _, _, entries_at, _, n = struct.unpack_from("=8sIIiIqIII", m, 0)
        if magic != b"KIRACNTR" or version != 1 or pid != self.pid:
            return None
        sums = {}
        for i in range(n):
            _, name, value_at = struct.unpack_from("=32s48sI", m, entries_at + 96 * i)
            name = name.split(b"\0")[0].decode()
            sums[name] = sums.get(name, 0) + struct.unpack_from("=Q", m, value_at)[0]
        return sums

    def counter(self, name):
        return (self.counters() or {}).get(name, 0)


def blast_argv(kirad, topic, **options):
    """Options by name, _ for -; True: a flag without a value."""
    argv = [h.binary("kira-blast"), "--bootstrap", kirad.bootstrap, "--topic", topic, "--json",
            "--run-dir", h.temp_dir()]
    if "verify_only" not in options:
        options.setdefault("device", kirad.device)
        options.setdefault("cpus", kirad.cpus)
        options.setdefault("give_up_after", 30)     # a disk that others use, too, may take that long to sync
    for name, value in options.items():
        if value is not None and value is not False:
            argv.append("--" + name.replace("_", "-"))
            if value is not True:
                argv.append(str(value))
    return argv


def parse(out):
    lines = out.strip().splitlines()
    h.check(lines and lines[-1].startswith("{"), "kira-blast's last line is no report: %s" % out[-300:])
    return json.loads(lines[-1])


def blast(kirad, topic, limit=120, ok=(0,), netns=None, **options):
    """Run to the end; its report, and the exit code as report["exit"]."""
    code, out, err = h.run(blast_argv(kirad, topic, **options), seconds=limit, ok=None, netns=netns)
    h.check(code in ok, "kira-blast: exit %d\n%s\n%s" % (code, out[-1500:], err[-1500:]))
    report = parse(out)
    report["exit"] = code
    return report


class Running:
    """kira-blast in the background; its report after finish()."""

    def __init__(self, kirad, topic, **options):
        self.process = h.Process("kira-blast", blast_argv(kirad, topic, **options), stdout=subprocess.PIPE)

    def must_live(self, what="kira-blast"):
        code = self.process.poll()
        if code is not None:
            out, _ = self.process.popen.communicate()
            raise h.Failed("%s ended by itself, exit %d: %s" % (what, code, out.decode()[-1500:]))

    def finish(self, seconds):
        """SIGTERM ends the sending; what is acked is still read back."""
        self.must_live()
        self.process.popen.terminate()
        try:
            out, _ = self.process.popen.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise h.Failed("kira-blast is not done %d s after SIGTERM" % seconds)
        report = parse(out.decode())
        report["exit"] = self.process.poll()
        return report


def good(report, level=None):
    """What must hold of every run."""
    for key in ("records_lost", "records_duplicated", "records_reordered", "offset_gaps", "crc_errors"):
        h.check(report[key] == 0, "%s is %s: %s" % (key, report[key], report))
    h.check(report["records_acked"] > 0, "nothing was acked: %s" % report)
    h.check(report["exit"] == 0 and report["error"] is None, "kira-blast: %s" % report)


def dense(kirad, topic, partitions):
    """kcat's own view: offsets of every partition are 0, 1, 2, .. to the end. How many records."""
    kcat = h.need("kcat", "kcat")
    p = subprocess.Popen([kcat, "-b", kirad.bootstrap, "-C", "-t", topic, "-o", "beginning", "-e", "-q",
                          "-X", "check.crcs=true", "-f", "%p %o\\n"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    h.at_exit(p.kill)
    expect = [0] * partitions
    for line in p.stdout:
        part, offset = line.split()
        part, offset = int(part), int(offset)
        if offset != expect[part]:
            p.kill()
            raise h.Failed("partition %d: offset %d where %d was due" % (part, offset, expect[part]))
        expect[part] = offset + 1
    err = p.stderr.read().decode()
    h.check(p.wait() == 0, "kcat: exit %d %s" % (p.returncode, err[-500:]))
    return sum(expect)
