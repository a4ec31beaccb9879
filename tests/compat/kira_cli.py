#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick:
# needs: clients
# timeout: 180
"""kira_cli.py - the tool `kira` over TCP, judged by kcat and python3-kafka: topics, lines there and back, keys
where a Java producer puts them, offsets, times, formats, exit codes, and what is refused with a clear word."""
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "pipeline"))
import harness as h


def body():
    h.need_module("kafka", "python3-kafka")
    from kafka.partitioner.default import murmur2
    kcat = h.need("kcat", "kcat")
    kira = h.binary("kira")
    for name in ("kirad", "kira", "kira-blast"):
        _, out, _ = h.run([h.binary(name), "--version"])
        h.check(re.match(r"%s \d+\.\d+" % name, out), "%s --version says %r" % (name, out))
    kirad = h.Kirad().start()

    def tool(*words, stdin=None, ok=(0,)):
        return h.run([kira] + list(words) + ["--bootstrap", kirad.bootstrap], stdin=stdin, ok=ok)

    def read(topic, form="%p %o %k=%s\n"):
        _, out, _ = h.run([kcat, "-b", kirad.bootstrap, "-C", "-t", topic, "-o", "beginning", "-e", "-q",
                           "-X", "check.crcs=true", "-f", form])
        return out.splitlines()

    tool("topic", "create", "four", "--partitions", "4", "--config", "retention.ms=3600000")
    code, _, err = tool("topic", "create", "four", ok=None)
    h.check(code == 1 and "four" in err, "created twice: exit %d, %s" % (code, err))
    code, _, err = tool("topic", "create", "odd", "--config", "no.such=1", ok=None)
    h.check(code == 1 and err.strip(), "an unknown configuration: exit %d, %s" % (code, err))
    code, _, err = tool("topic", "create", "a/b", ok=None)
    h.check(code == 1 and err.strip(), "a bad name: exit %d, %s" % (code, err))
    _, out, _ = tool("topic", "list")
    h.check("four" in out.split(), "topic list: %r" % out)
    _, out, _ = tool("topic", "describe", "four")
    h.check("4 partitions" in out, "topic describe: %r" % out)
    h.say("topics made, listed, described; refusals are clear")

    # Without a key: in turn. 4 partitions, 10,000 lines, 2,500 each.
    lines = ["line %d" % n for n in range(10000)]
    _, _, err = tool("produce", "--topic", "four", "--transport", "tcp", "--acks", "log", stdin="\n".join(lines).encode())
    h.check(re.search(r"10000 records .*\btcp\b", err), "the closing line: %r" % err)
    rows = [r.split(" ", 2) for r in read("four")]
    h.check(sorted(r[2][1:] for r in rows) == sorted(lines), "what kcat reads differs")
    each = [sum(1 for r in rows if r[0] == str(p)) for p in range(4)]
    h.check(each == [2500] * 4, "records per partition: %s" % each)

    # With a key: murmur2, as Java's default partitioner and kafka-python's.
    tool("topic", "create", "keyed", "--partitions", "4")
    pairs = [("key-%d" % (n % 500), "v%d" % n) for n in range(5000)]
    tool("produce", "--topic", "keyed", "--key-separator", "\\t", "--compression", "lz4",
         stdin="".join("%s\t%s\n" % p for p in pairs).encode())
    rows = [re.match(r"(\d) (\d+) (.*?)=(.*)", r).groups() for r in read("keyed")]
    h.check(sorted((k, v) for _, _, k, v in rows) == sorted(pairs), "keys and values differ")
    for part, _, key, _ in rows:
        h.check(int(part) == (murmur2(key.encode()) & 0x7fffffff) % 4, "%s lies in partition %s" % (key, part))
    h.say("10,000 lines in turn, 5,000 keys where murmur2 puts them, LZ4")

    # Odd lines: empty, long, no newline at the end.
    odd = ["", "x" * 60000, "\u00e4\u00f6", "last"]
    tool("produce", "--topic", "odd-lines", "--partition", "0", "--acks", "disk", stdin="\n".join(odd).encode())
    h.check(read("odd-lines", "%s\n") == odd, "odd lines differ")

    # Reading.
    _, out, _ = tool("consume", "--topic", "odd-lines", "--exit")
    h.check(out == "\n".join(odd) + "\n", "consume gives %r" % out[:80])
    _, out, _ = tool("consume", "--topic", "odd-lines", "--exit", "--offset", "-1", "--format", "%t %p %o %S %s|")
    h.check(out == "odd-lines 0 3 4 last|", "consume --offset -1 --format: %r" % out)
    _, out, _ = tool("consume", "--topic", "four", "--count", "10")
    h.check(len(out.splitlines()) == 10, "consume --count 10: %r" % out)
    before = time.time()
    between = h.until(lambda: time.time() > before + 0.02 and int(time.time() * 1000), 5, "20 ms pass")
    tool("produce", "--topic", "odd-lines", stdin=b"late\n")
    _, out, _ = tool("consume", "--topic", "odd-lines", "--exit", "--timestamp", str(between))
    h.check(out == "late\n", "consume --timestamp: %r" % out)
    h.say("offsets, times, formats, odd lines")

    # Refusals.
    code, _, err = tool("produce", "--topic", "four", "--acks", "uplink", stdin=b"x\n", ok=None)
    h.check(code in (1, 2) and "uplink" in err, "--acks uplink: exit %d, %s" % (code, err))
    started = time.monotonic()
    code, _, err = tool("produce", "--topic", "four", "--transport", "udp", stdin=b"x\n", ok=None)
    h.check(code == 1 and "udp" in err.lower(), "--transport udp without a data port: exit %d, %s" % (code, err))
    h.check(time.monotonic() - started < 30, "--transport udp took %.0f s to fail" % (time.monotonic() - started))
    _, _, err = tool("produce", "--topic", "four", "--transport", "auto", stdin=b"x\n")
    h.check(re.search(r"\btcp\b", err), "--transport auto does not fall back to tcp: %s" % err)
    code, _, err = tool("produce", "--topic", "missing", "--no-create", stdin=b"x\n", ok=None)
    h.check(code == 1 and "missing" in err, "--no-create: exit %d, %s" % (code, err))
    for words in (["produce"], ["produce", "--topic", "t", "--acks", "most"], ["consume"], ["nonsense"], ["topic", "make", "t"]):
        code, _, err = h.run([kira] + words, stdin=b"", ok=None)
        h.check(code == 2 and err.strip(), "kira %s: exit %d, %r" % (" ".join(words), code, err))
    h.say("refused: uplink, udp without a data port, a missing topic, wrong usage")

    stored = 10000 + 5000 + 4 + 1 + 1
    _, out, _ = h.run([kira, "stat", "--data-dir", kirad.data_dir])
    shown = sum(int(n) for n in re.findall(r"^store\d+\.tcp_records\s+(\d+)", out, re.M))
    h.check(shown == stored == kirad.count("tcp_records", "store"), "kira stat shows %d records of %d" % (shown, stored))
    tool("topic", "delete", "keyed")
    code, _, err = tool("topic", "delete", "keyed", ok=None)
    h.check(code == 1 and "keyed" in err, "deleted twice: exit %d, %s" % (code, err))
    kirad.stop()
    h.say("result: topics, %d records over tcp, keys by murmur2, refusals" % stored)


h.main(body)
