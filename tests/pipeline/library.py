#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# about: include dataplane/client
"""library.py - libkira as others get it: installed, found by pkg-config, called from C and from Python, described.

`meson install` into a directory; the example compiled with what pkg-config says there, strictly, and run; the Python example on
the installed library; what the library exports and what the manual names are what <kira/producer.h> declares. Then, from
Python, a broker that stands still: kira_produce() says EAGAIN at once, after block_ms, or waits until there is room, and
every record is told once, in order. Last, as root, a port at which nobody listens is not taken for a broker."""
import errno
import glob
import importlib.util
import os
import re
import signal
import stat
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h

CLIENT = os.path.join(h.ROOT, "dataplane", "client")
LINES = 1000


def header():
    with open(os.path.join(h.ROOT, "include", "kira", "producer.h")) as f:
        return re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)


def installed(dest):
    """{name: path} of what a program needs."""
    env = dict(os.environ, DESTDIR=dest)
    h.run(["env", "DESTDIR=" + env["DESTDIR"], h.need("meson", "meson"), "install", "-C", h.BUILD, "--no-rebuild", "--quiet"])
    found = {}
    for name in ("libkira.so", "libkira.so.0", "kira.pc", "producer.h", "errors.h", "kira_producer.3"):
        paths = glob.glob(os.path.join(dest, "**", name), recursive=True)
        h.check(len(paths) == 1, "%s is installed %d times: %s" % (name, len(paths), paths))
        found[name] = paths[0]
    _, out, _ = h.run([h.need("readelf", "binutils"), "-d", found["libkira.so"]])
    h.check("[libkira.so.0]" in out, "the library's soname is not libkira.so.0: %s" % re.findall(r"soname.*", out))
    real = os.path.basename(os.path.realpath(found["libkira.so.0"]))
    h.check(re.fullmatch(r"libkira\.so\.0\.\d+\.\d+", real), "libkira.so.0 is %s, which names no version" % real)
    return found


def exports(found):
    declared = set(re.findall(r"KIRA_API [^;{]*?\b(kira_\w+)\(", header()))
    _, out, _ = h.run([h.need("nm", "binutils"), "-D", "--defined-only", found["libkira.so"]])
    exported = set(line.split()[-1] for line in out.splitlines())
    h.check(declared and exported == declared, "exported and declared differ by %s" % (exported ^ declared))
    return declared


def manual(found, functions):
    """The manual names every function, field and value of the header."""
    with open(found["kira_producer.3"]) as f:
        text = f.read().replace("\\-", "-")
    names = set(functions)
    for kind in ("kira_producer_options", "kira_producer_stats", "kira_delivery", "kira_record"):
        body = re.search(r"struct %s \{(.*?)\n\};" % kind, header(), re.S).group(1)
        for field in body.split(";"):
            call = re.search(r"\(\*(\w+)\)", field)
            names.update([call.group(1)] if call else re.findall(r"(\w+)(?:\[\d+\])?\s*(?=,|$)", field.strip()))
    names.update(re.findall(r"\bKIRA_(?:ACKS|TRANSPORT|COMPRESSION|PARTITION|TIMESTAMP)_\w+", header()))
    names -= {"reserved", "arg"}
    missing = sorted(n for n in names if not re.search(r"\b%s\b" % n, text))
    h.check(len(names) > 50 and not missing, "the manual does not name %s" % ", ".join(missing))
    h.say("the manual names all %d functions, fields and values" % len(names))


def compiled(found, dest):
    """The example, built as a stranger would."""
    env = ["env", "PKG_CONFIG_SYSROOT_DIR=" + dest, "PKG_CONFIG_LIBDIR=" + os.path.dirname(found["kira.pc"])]
    _, flags, _ = h.run(env + [h.need("pkg-config", "pkg-config"), "--cflags", "--libs", "kira"])
    program = os.path.join(dest, "example")
    # A library built with sanitizers wants them in the program, too.
    with open(os.path.join(h.BUILD, "compile_commands.json")) as f:
        more = re.findall(r"-fsanitize=[\w,]+", f.read())[:1]
    h.run([h.need("cc", "gcc"), "-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror", *more,
           os.path.join(CLIENT, "example.c"), "-o", program] + flags.split())
    with open(os.path.join(CLIENT, "example.c")) as f:
        h.check(len(f.readlines()) <= 60, "the example is longer than 60 lines")
    return ["env", "LD_LIBRARY_PATH=" + os.path.dirname(found["libkira.so"]), program]


def c_example(program, kirad):
    _, out, _ = h.run(program + ["fromc", kirad.bootstrap])
    offsets = re.findall(r"^record (\d+): offset \d+$", out, re.M)
    h.check(sorted(offsets, key=int) == [str(n) for n in range(10)], "the example says: %s" % out)
    code, _, err = h.run(program, ok=None)
    h.check(code == 1 and "usage" in err, "without arguments: %d, %s" % (code, err))
    code, _, err = h.run(program + ["no/such", kirad.bootstrap], ok=None)
    h.check(code == 1 and "topic no/such" in err, "a topic that cannot be: %d, %s" % (code, err))
    code, _, err = h.run(program + ["t", "127.0.0.1:1"], ok=None)
    h.check(code == 1 and "refused" in err, "no broker: %d, %s" % (code, err))


def python_example(library, kirad):
    lines = "".join("line %d\n" % n for n in range(LINES)).encode()
    _, out, _ = h.run(["env", "LIBKIRA=" + library, sys.executable, os.path.join(CLIENT, "example.py"), "frompython",
                       kirad.bootstrap], stdin=lines)
    told = re.findall(r"^record (\d+): offset (\d+)$", out, re.M)
    h.check([int(n) for n, _ in told] == list(range(1, LINES + 1)), "the example told of %d records: %s" % (len(told), out[-300:]))
    _, out, _ = h.run([h.need("kcat", "kcat"), "-b", kirad.bootstrap, "-C", "-t", "frompython", "-o", "beginning", "-e", "-q"])
    h.check(out.encode() == lines, "kcat reads something else than was sent")


class Stopped:
    """kirad stands still."""

    def __init__(self, kirad):
        self.kirad = kirad

    def stands(self):
        with open("/proc/%d/stat" % self.kirad.pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "T"

    def __enter__(self):
        self.kirad.process.popen.send_signal(signal.SIGSTOP)
        h.until(self.stands, 10, "kirad stands still")

    def __exit__(self, *unused):
        self.kirad.process.popen.send_signal(signal.SIGCONT)


def back_pressure(example, kirad):
    value, room = b"x" * 1000, 1 << 20

    def fill(producer):
        """Until there is no room: how many fit, and how long the last call took."""
        n = 0
        while True:
            begun = time.monotonic()
            try:
                producer.produce(value, partition=0)
                n += 1
            except BlockingIOError:
                return n, time.monotonic() - begun
            h.check(n <= 2 * room // len(value), "%d records of %d bytes are in %d bytes" % (n, len(value), room))

    def ends_well(producer, told, sent):
        h.check(producer.flush(60000), "not all is told: %s" % producer.stats())
        h.check([n for n, _ in told] == list(range(1, sent + 1)), "told were %d of %d records, or not in order" % (len(told), sent))
        h.check(not any(error for _, error in told), "failed: %s" % [t for t in told if t[1]][:3])
        h.check(producer.stats()["buffered_bytes"] == 0, "bytes are left: %s" % producer.stats())
        h.check(producer.close(), "close")

    for wrong in ({"window": 1}, {"buffer_bytes": 1000}, {"acks": 3}, {"reserved": (example.c.c_uint64 * 8)(1)}):
        try:
            example.Producer("pressure", kirad.bootstrap, **wrong)
            raise h.Failed("options are taken: %s" % wrong)
        except OSError as e:
            h.check(e.errno in (errno.EINVAL, errno.EOPNOTSUPP) and e.strerror, "%s: %s" % (wrong, e))
    for block_ms in (0, 200):
        told = []
        producer = example.Producer("pressure", kirad.bootstrap, lambda n, error, offset: told.append((n, error)),
                                    buffer_bytes=room, block_ms=block_ms)
        with Stopped(kirad):
            fit, took = fill(producer)
            h.check(fit > room // len(value) // 4, "only %d records fit" % fit)
            h.check(took >= block_ms / 1000, "EAGAIN after %.3f s, block_ms is %d" % (took, block_ms))
            again, _ = fill(producer)
            h.check(again <= 100, "%d more fit, though nothing left" % again)
        h.say("block_ms %d: %d records fit, then EAGAIN after %.3f s" % (block_ms, fit, took))
        ends_well(producer, told, fit + again)
    told = []
    producer = example.Producer("pressure", kirad.bootstrap, lambda n, error, offset: told.append((n, error)),
                                buffer_bytes=room, block_ms=60000)
    longest, sent = 0.0, 4 * room // len(value)
    with Stopped(kirad):
        later = threading.Timer(0.5, lambda: kirad.process.popen.send_signal(signal.SIGCONT))
        later.start()
        for _ in range(sent):
            begun = time.monotonic()
            producer.produce(value, partition=0)
            longest = max(longest, time.monotonic() - begun)
        later.join()
    h.check(longest > 0.1, "no call waited, the longest took %.3f s" % longest)
    h.say("block_ms 60000: %d records through %d bytes, the longest call waited %.3f s" % (sent, room, longest))
    ends_well(producer, told, sent)


def nobody_is_no_broker(program):
    """Of two ports the kernel chooses the one that is connected to, soon: the socket is its own peer then."""
    if os.geteuid() != 0:
        h.say("not root: no namespace to connect in to a port of its own range")
        return
    ns = h.Namespaces()
    h.run(["sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40001"], netns=ns.client)
    for port in (40000, 40001):
        code, _, err = h.run(program + ["t", "127.0.0.1:%d" % port], netns=ns.client, ok=None)
        h.check(code == 1 and "Connection refused" in err, "port %d, where nobody listens: %s" % (port, err))


def body():
    dest = h.temp_dir()
    os.chmod(dest, stat.S_IRWXU)
    found = installed(dest)
    functions = exports(found)
    manual(found, functions)
    program = compiled(found, dest)
    kirad = h.Kirad().start()
    c_example(program, kirad)
    python_example(found["libkira.so.0"], kirad)
    os.environ["LIBKIRA"] = found["libkira.so.0"]
    spec = importlib.util.spec_from_file_location("example", os.path.join(CLIENT, "example.py"))
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    back_pressure(example, kirad)
    nobody_is_no_broker(program)
    kirad.stop()
    h.say("result: installed, %d functions; examples in C and Python; EAGAIN at once, after block_ms, and waiting" % len(functions))


h.main(body)
