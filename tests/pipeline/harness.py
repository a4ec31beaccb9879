# SPDX-License-Identifier: MIT
"""harness.py - what the process tests share: start kirad, other processes and namespaces, wait for
them, end them by pid, remove what was made.

Imported by the scripts of tests/pipeline and tests/compat; runs under Debian's python3. Every child
dies with its harness (PR_SET_PDEATHSIG) and is ended by pid at exit. Nothing here uses a fixed port,
path or namespace name. Waiting is always for an event, with a limit.

Exit codes: 0 held, 1 did not, 77 skipped (the last line says what is missing and how to get it).
KIRA_BUILD names the build directory (default: build/ at the root), KIRA_TMP where to work (/var/tmp)."""
import atexit
import ctypes
import os
import random
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("KIRA_BUILD", os.path.join(ROOT, "build")))
TMP = os.environ.get("KIRA_TMP", "/var/tmp")
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_undo = []          # (function, args), last in first out
_started = time.monotonic()


class Failed(Exception):
    """A promise did not hold; the text says which."""


def say(text):
    print("%6.1f s  %s" % (time.monotonic() - _started, text), flush=True)


def skip(why):
    print("skipped: " + why, flush=True)
    sys.exit(77)


def check(held, text):
    if not held:
        raise Failed(text)


def at_exit(function, *args):
    _undo.append((function, args))


def _clean_up():
    while _undo:
        function, args = _undo.pop()
        try:
            function(*args)
        except Exception as e:     # the rest must still be undone
            print("clean-up: %s: %s" % (getattr(function, "__name__", function), e), file=sys.stderr)


atexit.register(_clean_up)
for _sig in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(_sig, lambda n, f: sys.exit(128 + n))


def main(function):
    """Run function(); turn a broken promise into exit 1 and say what each process said last."""
    try:
        function()
    except Failed as e:
        print("FAILED: %s" % e, flush=True)
        for p in Process.all:
            tail = p.output()[-2000:].rstrip()
            if tail:
                print("---- %s said (pid %d, exit %s):\n%s" % (p.name, p.pid, p.poll(), tail), flush=True)
        sys.exit(1)
    say("held")


# ---- files and processes --------------------------------------------------------------------------

_BINARIES = {
    "kirad": ("control/kirad",),
    "kira": ("control/cli/kira", "control/kira"),
    "kira-blast": ("dataplane/blast/kira-blast", "dataplane/kira-blast"),
}


def binary(name):
    for place in _BINARIES[name]:
        path = os.path.join(BUILD, place)
        if os.access(path, os.X_OK):
            return path
    # No skip: a test whose program is missing has not shown what it is for.
    raise Failed("%s is not built in %s: meson setup build && ninja -C build" % (name, BUILD))


def need(tool, package):
    path = shutil.which(tool)
    if not path:
        skip("%s is missing: apt-get install %s" % (tool, package))
    return path


def need_root(why):
    if os.geteuid() != 0:
        skip("needs root (%s): run it as root" % why)


def need_module(name, package):
    try:
        return __import__(name)
    except ImportError:
        skip("python module %s is missing: apt-get install %s, and run /usr/bin/python3" % (name, package))


def temp_dir():
    path = tempfile.mkdtemp(prefix="kira-test-", dir=TMP)
    at_exit(shutil.rmtree, path, True)
    return path


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Process:
    """A child whose output goes to a file; ended by pid at exit."""
    all = []

    def __init__(self, name, argv, netns=None, stdin=None, env=None, stdout=None):
        self.name = name
        self.argv = [str(a) for a in argv]
        self.log = tempfile.NamedTemporaryFile(prefix="kira-%s-" % name, suffix=".log", dir=TMP, delete=False)
        at_exit(_unlink, self.log.name)
        full = dict(os.environ)
        full.update(env or {})
        # `ip netns exec` execs, so the pid stays the child's own.
        argv = (["ip", "netns", "exec", netns] if netns else []) + self.argv
        self.popen = subprocess.Popen(argv, stdin=stdin if stdin is not None else subprocess.DEVNULL,
                                      stdout=stdout if stdout is not None else self.log, stderr=self.log,
                                      env=full, preexec_fn=_die_with_parent)
        self.pid = self.popen.pid
        Process.all.append(self)
        at_exit(self.kill)

    def poll(self):
        return self.popen.poll()

    def output(self):
        with open(self.log.name, "r", errors="replace") as f:
            return f.read()

    def wait(self, seconds):
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed("%s (pid %d) still runs after %d s: %s" % (self.name, self.pid, seconds, " ".join(self.argv)))

    def kill(self):
        if self.poll() is None:
            self.popen.kill()
            self.popen.wait()

    def term(self, seconds=30):
        if self.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        return self.wait(seconds)


def _unlink(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def run(argv, seconds=120, netns=None, stdin=None, ok=(0,), stdin_file=None, stdout_file=None):
    """Run to the end; (exit code, stdout, stderr) as text. An exit code not in `ok` fails the test."""
    argv = (["ip", "netns", "exec", netns] if netns else []) + [str(a) for a in argv]
    try:
        p = subprocess.run(argv, input=stdin, stdin=stdin_file, timeout=seconds, preexec_fn=_die_with_parent,
                           stdout=stdout_file or subprocess.PIPE, stderr=subprocess.PIPE)
    except subprocess.TimeoutExpired:
        raise Failed("after %d s still running: %s" % (seconds, " ".join(argv)))
    out = (p.stdout or b"").decode(errors="replace")
    err = p.stderr.decode(errors="replace")
    if ok is not None and p.returncode not in ok:
        raise Failed("exit %d of: %s\n%s\n%s" % (p.returncode, " ".join(argv), out[-1500:], err[-1500:]))
    return p.returncode, out, err


def until(condition, seconds, what):
    """Poll condition() until it is true; its value. For what no event announces."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed("not within %g s: %s" % (seconds, what))
        select.select([], [], [], 0.01)


# ---- kirad ----------------------------------------------------------------------------------------

class Kirad:
    """One kirad on one data directory. start() again after kill() or stop() keeps the port."""

    def __init__(self, data_dir=None, device="null", cpus=None, listen="127.0.0.1:0", netns=None, extra=()):
        self.data_dir = data_dir or temp_dir()
        self.device, self.listen, self.netns, self.extra = device, listen, netns, list(extra)
        self.cpus = cpus or cpu_list()
        self.process = None
        self.starts = 0

    def spawn(self):
        """The process, and no wait for what becomes of it."""
        argv = [binary("kirad"), "--data-dir", self.data_dir, "--listen", self.listen, "--device", self.device,
                "--cpus", self.cpus] + self.extra
        self.process = Process("kirad", argv, netns=self.netns)
        self.starts += 1
        return self.process

    def start(self, seconds=120):
        self.spawn()
        return self.serves(seconds)

    def serves(self, seconds=120):
        """What was spawned gets ready."""
        ready = until(self._ready, seconds, "kirad's line `ready kafka=HOST:PORT data=DEVICE`")
        self.host, self.port = ready.group(1).strip("[]"), int(ready.group(2))
        self.bootstrap = "%s:%d" % (ready.group(1), self.port)
        self.listen = self.listen.rsplit(":", 1)[0] + ":%d" % self.port
        return self

    def _ready(self):
        found = re.search(r"^ready kafka=(\S+):(\d+) data=\S+", self.process.output(), re.M)
        if not found and self.process.poll() is not None:
            raise Failed("kirad ended with %d before it was ready" % self.process.poll())
        return found

    @property
    def pid(self):
        return self.process.pid

    def lives(self):
        return self.process.poll() is None

    def kill9(self):
        check(self.lives(), "kirad was to be killed, but had ended by itself with %s" % self.process.poll())
        self.process.kill()

    def stop(self, seconds=60):
        code = self.process.term(seconds)
        check(code == 0, "kirad ended with %d at SIGTERM" % code)

    def counters(self):
        """{(group, name): value} of the mapped counters file, read by its own description (kira/counters.h)."""
        with open(os.path.join(self.data_dir, "run", "counters"), "rb") as f:
            raw = f.read()
        magic, version, size, pid, _, _, at, _, entries = struct.unpack_from("=8sIIiIqIII", raw)
        check(magic == b"KIRACNTR" and version == 1 and size == len(raw), "the counters file is no counters file")
        check(pid == self.pid, "the counters file is of pid %d, kirad is %d" % (pid, self.pid))
        found = {}
        for i in range(entries):
            group, name, where = struct.unpack_from("=32s48sI", raw, at + 96 * i)
            found[group.split(b"\0")[0].decode(), name.split(b"\0")[0].decode()] = struct.unpack_from("=Q", raw, where)[0]
        return found

    def count(self, name, kind=""):
        """The sum of a counter over the groups whose name begins with `kind`; it must exist."""
        values = [v for (group, n), v in self.counters().items() if n == name and group.startswith(kind)]
        check(values, "kirad counts no %s" % name)
        return sum(values)

    def drops(self):
        """{reason: packets} of every way a packet died unanswered, zeros left out."""
        total = {}
        for (_, name), value in self.counters().items():
            if name.startswith("drop_") and value:
                total[name] = total.get(name, 0) + value
        return total

    def status(self, key):
        """A line of /proc/PID/status, kB as an int."""
        with open("/proc/%d/status" % self.pid) as f:
            return int(re.search(r"^%s:\s+(\d+)" % key, f.read(), re.M).group(1))


def cpu_list(most=2):
    return ",".join(str(c) for c in sorted(os.sched_getaffinity(0))[:most])


# ---- namespaces -----------------------------------------------------------------------------------

class Namespaces:
    """Two network namespaces, made here and joined by veth pairs; no route leads out of them."""
    _count = 0

    def __init__(self):
        need_root("network namespaces")
        need("ip", "iproute2")
        self.server, self.client = self.add("s"), self.add("c")

    def add(self, side):
        """One more; its name."""
        Namespaces._count += 1
        name = "kira-%d-%d%s" % (os.getpid(), Namespaces._count, side)
        code, _, err = run(["ip", "netns", "add", name], ok=None)
        if code != 0:
            skip("no network namespaces here (%s)" % err.strip())
        at_exit(run, ["ip", "netns", "del", name])
        code, _, err = run(["ip", "-n", name, "link", "set", "lo", "up"], ok=None)
        if code != 0:
            skip("network namespaces cannot be entered here (%s)" % err.strip())
        return name

    def join(self, server_if, client_if, server_addr=None, client_addr=None, mtu=1500):
        """A veth pair; addresses as A/LEN, None leaves the kernel without one."""
        self.link((self.server, server_if, server_addr), (self.client, client_if, client_addr), mtu)

    @staticmethod
    def link(one, other, mtu=1500):
        """A veth pair of (namespace, interface, address or None) and another."""
        run(["ip", "-n", one[0], "link", "add", "name", one[1], "type", "veth",
             "peer", "name", other[1], "netns", other[0]])
        for ns, dev, addr in (one, other):
            run(["ip", "-n", ns, "link", "set", dev, "mtu", mtu, "up"])
            if addr:
                nodad = ["nodad"] if ":" in addr else []
                run(["ip", "-n", ns, "addr", "add", addr, "dev", dev] + nodad)


# ---- data -----------------------------------------------------------------------------------------

def stat_of(paths):
    """{path: os.stat_result} of those that are still there: kirad may delete one while they are looked at."""
    found = {}
    for path in paths:
        try:
            found[path] = os.stat(path)
        except FileNotFoundError:
            pass
    return found


def same_multiset(left, right):
    """Two lists of bytes hold the same lines, in any order; the first difference else."""
    from collections import Counter
    a, b = Counter(left), Counter(right)
    if a == b:
        return None
    missing, more = a - b, b - a
    return "%d missing (such as %r), %d too many (such as %r)" % (
        sum(missing.values()), next(iter(missing), None), sum(more.values()), next(iter(more), None))


def seeded():
    """A random generator whose seed is printed, or taken from KIRA_SEED to repeat a run."""
    seed = int(os.environ.get("KIRA_SEED", int.from_bytes(os.urandom(4), "big")))
    say("seed %d (KIRA_SEED=%d repeats it)" % (seed, seed))
    return random.Random(seed)
