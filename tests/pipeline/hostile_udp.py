#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# quick: --device afpacket --mutations 20000
# quick: --device afxdp --mutations 5000
# asan: --device afpacket --mutations 4000
# long: --device afpacket --minutes {minutes}
# needs: root
# timeout: 240
"""hostile_udp.py - malformed frames and datagrams are dropped under a name, answered by nothing, and
hurt nothing; with a session's secret in hand they still cannot crash kirad or get more out than in, and from
another address or port the secret is worth nothing.

kirad runs on afpacket: or afxdp: in a namespace; frames come raw from the other end of a veth pair, some with a
real session (OpenSession over TCP) and damaged behind the secret."""
import argparse
import os
import re
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness as h
import kafka_wire as k

# What the datagrams below must be counted as; the rest depends on chance.
EXPECTED_DROPS = ("drop_runt", "drop_length", "drop_magic", "drop_type", "drop_no_session", "drop_auth",
                  "drop_peer")
SERVER, CLIENT = "10.77.0.1", "10.77.0.2"


def in_netns(name, function):
    """Sockets made inside a namespace stay there: enter it, make them, come back."""
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open("/run/netns/" + name, os.O_RDONLY)
    try:
        h.check(libc.setns(there, 0x40000000) == 0, "setns")
        return function()
    finally:
        libc.setns(here, 0x40000000)
        os.close(here)
        os.close(there)


def csum(data):
    if len(data) % 2:
        data += b"\0"
    s = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while s >> 16:
        s = (s & 0xFFFF) + (s >> 16)
    return ~s & 0xFFFF


def frame(dst, src, payload, sport, dport, src_ip=CLIENT, udp_len=None, ihl=5, frag=0, proto=17, tags=b"", total=None,
          udp_sum=None):
    udp_len = 8 + len(payload) if udp_len is None else udp_len
    sip, dip = socket.inet_aton(src_ip), socket.inet_aton(SERVER)
    udp = struct.pack(">HHHH", sport, dport, udp_len & 0xFFFF, 0)
    if udp_sum is None:
        udp_sum = csum(sip + dip + struct.pack(">BBH", 0, 17, udp_len & 0xFFFF) + udp + payload) or 0xFFFF
    udp = udp[:6] + struct.pack(">H", udp_sum) + payload
    total = 20 + len(udp) if total is None else total
    ip = struct.pack(">BBHHHBBH4s4s", 0x40 | ihl, 0, total & 0xFFFF, 1, frag, 64, proto, 0, sip, dip)
    ip = ip[:10] + struct.pack(">H", csum(ip)) + ip[12:]
    return dst + src + tags + b"\x08\0" + ip + udp


def datagram(kind, sid, secret, rest, pad=256, flags=0):
    d = struct.pack(">BBBBIQ", 0x4B, 0x10 | kind, flags, 0, sid, secret) + rest
    return d + b"\0" * max(0, pad - len(d))


def data(sid, secret, seq, batch, handle=1, partition=0, frag=(0, 1), flags=1):
    return datagram(1, sid, secret, struct.pack(">IIHBBi", seq, 1, handle, frag[0], frag[1], partition) + batch, flags=flags)


def outweigh(udp, to, sid, secret, seq, good, rng):
    """The cheapest questions with the longest answers, from a session with 40 outcomes to tell: what comes back is
    never more than what went out. `seq`: the first that is free."""
    bad = k.batch([b"x"], crc=5)
    came = went = longest = 0

    def ask(question, limit):
        nonlocal came, went, longest
        went += len(question)
        udp.sendto(question, to)
        udp.settimeout(limit)
        try:
            while True:
                answer = udp.recv(2048)
                came += len(answer)
                longest = max(longest, len(answer))
                h.check(came <= went, "%d bytes came back for %d" % (came, went))
                udp.settimeout(0.002)
        except TimeoutError:
            pass
    for i in range(40):
        # Every other outcome another one: no two of them fit into one result.
        ask(data(sid, secret, seq + i, bad if i % 2 else good, partition=0 if i % 2 else 7), 5)
    came = went = longest = 0
    for i in range(400):
        ask(rng.choice((datagram(5, sid, secret, struct.pack(">IHH", 1, 1024, 0)),
                        datagram(5, sid, secret, struct.pack(">IHH", seq, 40, 0)),
                        datagram(3, sid, secret, struct.pack(">II", i, 1), flags=1),
                        data(sid, secret, rng.randrange(1, seq + 40), good),
                        data(sid, secret, seq + 5000, good))), 0.2)
    udp.settimeout(5)
    h.check(longest >= 200, "no answer was longer than %d bytes: nothing to tell" % longest)
    h.say("400 questions of %d bytes: %d bytes came back, %d at once at most" % (went, came, longest))


def moved(ns, kirad):
    """A session of any port belongs to the first that sends; a repeated OpenSession moves it."""
    def socket_there():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((CLIENT, 0))
        return s
    first, second = in_netns(ns.client, socket_there), in_netns(ns.client, socket_there)
    first_port, second_port = first.getsockname()[1], second.getsockname()[1]
    anchor, sid, secret, port, _ = in_netns(ns.client, lambda: k.open_session(kirad.host, kirad.port, CLIENT, 0, "u"))

    def hears(s, limit):
        s.settimeout(limit)
        s.sendto(datagram(3, sid, secret, struct.pack(">II", 9, 9)), (SERVER, port))
        try:
            return s.recv(2048)[1] == 0x14
        except TimeoutError:
            return False
    h.check(hears(first, 5), "the first sender of a session of any port is not answered")
    h.check(not hears(second, 0.3), "a second port is answered, too")
    h.check(hears(first, 5), "the first one no more")
    again = in_netns(ns.client, lambda: k.open_session(kirad.host, kirad.port, CLIENT, second_port, "u", (sid, secret)))
    h.check(again[1:4] == (sid, secret, port), "OpenSession did not repeat the session: %s" % (again[1:4],))
    h.check(hears(second, 5), "the port that it moved to is not answered")
    h.check(not hears(first, 0.3), "the one that it left, %d, is still answered" % first_port)
    first.sendto(datagram(7, sid, secret, struct.pack(">II", 9, 9)), (SERVER, port))
    h.check(not hears(first, 0.3) and hears(second, 5), "a CLOSE from where it left ended the session")
    for c in (anchor, again[0]):
        c.close()
    h.say("a session belongs to one port at a time, and moves by OpenSession alone")


def body():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--device", choices=("afpacket", "afxdp"), default="afpacket")
    args.add_argument("--mutations", type=int, default=20000)
    args.add_argument("--minutes", type=float)
    args = args.parse_args()
    h.need("kcat", "kcat")
    rng = h.seeded()
    ns = h.Namespaces()
    ns.join("kafka0", "kafka1", "10.78.0.1/24", "10.78.0.2/24")
    # On afxdp kirad itself answers ARP for its address, the kernel must not.
    ns.join("data0", "data1", SERVER + "/24" if args.device == "afpacket" else None, CLIENT + "/24")
    kirad = h.Kirad(device=args.device + ":data0", netns=ns.server, listen="10.78.0.1:0", extra=["--address", SERVER + "/24"]).start()

    def mac(name, dev):
        _, out, _ = h.run(["ip", "-n", name, "-o", "link", "show", dev])
        return bytes.fromhex(re.search(r"link/ether (\S+)", out).group(1).replace(":", ""))
    dst, src = mac(ns.server, "data0"), mac(ns.client, "data1")

    def sockets():
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        raw.bind(("data1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((CLIENT, 0))
        udp.settimeout(5)
        return raw, udp
    raw, udp = in_netns(ns.client, sockets)
    sport = udp.getsockname()[1]
    anchor, sid, secret, dport, credit = in_netns(ns.client, lambda: k.open_session(kirad.host, kirad.port, CLIENT, sport, "u"))
    h.say("session %08x on port %d, credit %d" % (sid, dport, credit))

    def put(payload, **more):
        raw.send(frame(dst, src, payload, more.pop("sport", sport), dport, **more))

    def answered(payload, what):
        udp.sendto(payload, (SERVER, dport))
        try:
            return udp.recv(2048)
        except TimeoutError:
            raise h.Failed("no answer to %s within 5 s" % what)

    def drain():
        udp.setblocking(False)
        n = 0
        try:
            while True:
                n += len(udp.recv(4096))
        except BlockingIOError:
            pass
        udp.settimeout(5)
        return n

    def alive(after):
        h.check(kirad.lives(), "kirad ended with %s after %s" % (kirad.process.poll(), after))
        drain()
        pong = answered(datagram(3, sid, secret, struct.pack(">II", 77, 5)), "a PING after " + after)
        while pong[1] != 0x14:
            pong = udp.recv(2048)
        h.check(pong[:2] == b"\x4b\x14" and struct.unpack_from(">I", pong, 16)[0] == 77, "PONG is odd: %r" % pong)

    alive("the start")
    good = k.batch([b"first"])
    got = answered(data(sid, secret, 1, good), "DATA")
    while got[1] != 0x12 or struct.unpack_from(">I", got, 16)[0] < 1:
        got = udp.recv(2048)
    h.say("DATA is acked at log, PING is ponged")

    # Nothing that lacks the secret, the address or the form is answered.
    silent = [
        ("a datagram of 1 byte", dict(payload=b"K")),
        ("a header alone, below the floor", dict(payload=datagram(3, sid, secret, b"", pad=0))),
        ("a wrong secret", dict(payload=datagram(3, sid, secret ^ 1, struct.pack(">II", 1, 1)))),
        ("an unknown session", dict(payload=datagram(3, sid ^ 0x55, secret, struct.pack(">II", 1, 1)))),
        ("session 0", dict(payload=datagram(3, 0, 0, struct.pack(">II", 1, 1)))),
        ("owner 255", dict(payload=datagram(3, sid | 0xFF000000, secret, struct.pack(">II", 1, 1)))),
        ("a wrong magic", dict(payload=b"X" + datagram(3, sid, secret, b"")[1:])),
        ("version 2", dict(payload=b"\x4b\x23" + datagram(3, sid, secret, b"")[2:])),
        ("a broker's type", dict(payload=b"\x4b\x12" + datagram(3, sid, secret, b"")[2:])),
        ("type 15", dict(payload=b"\x4b\x1f" + datagram(3, sid, secret, b"")[2:])),
        ("another source port", dict(payload=datagram(3, sid, secret, b""), sport=sport ^ 1)),
        ("another source address", dict(payload=datagram(3, sid, secret, b""), src_ip="10.77.0.9")),
        ("a UDP length past the frame", dict(payload=datagram(3, sid, secret, b""), udp_len=1400)),
        ("a UDP length of 3", dict(payload=datagram(3, sid, secret, b""), udp_len=3)),
        ("an IP length past the frame", dict(payload=datagram(3, sid, secret, b""), total=1500)),
        ("an IP length of 10", dict(payload=datagram(3, sid, secret, b""), total=10)),
        ("an IHL of 15", dict(payload=datagram(3, sid, secret, b""), ihl=15)),
        ("an IHL of 2", dict(payload=datagram(3, sid, secret, b""), ihl=2)),
        ("a first fragment", dict(payload=datagram(3, sid, secret, b""), frag=0x2000)),
        ("a later fragment", dict(payload=datagram(3, sid, secret, b""), frag=0x0010)),
        ("three VLAN tags", dict(payload=datagram(3, sid, secret, b""), tags=b"\x81\0\0\1" * 3)),
    ]
    for name, what in silent:
        drain()
        put(**what)
        udp.settimeout(0.15)
        try:
            answer = udp.recv(2048)
            while answer[1] == 0x12:          # a late ACK of what was before is no answer to this
                answer = udp.recv(2048)
            raise h.Failed("%s was answered: %r" % (name, answer[:40]))
        except TimeoutError:
            pass
        udp.settimeout(5)
        alive(name)
    h.say("%d malformed or forged datagrams: no answer" % len(silent))

    # With the secret: refused by result, never stored.
    seq = 2
    refused = [("a wrong CRC", k.batch([b"x"], crc=5), {}, 2), ("a batch longer than the datagram",
               good[:8] + k.i32(1 << 30) + good[12:], {}, 2), ("a negative length", good[:8] + k.i32(-1) + good[12:], {}, 2),
               ("handle 0", good, {"handle": 0}, 3), ("handle 65535", good, {"handle": 65535}, 3),
               ("partition 7 of 1", good, {"partition": 7}, 3), ("partition -2", good, {"partition": -2}, 3),
               ("a fragment", good, {"frag": (1, 2)}, 42), ("magic 1", k.batch([b"x"], magic=1), {}, 87),
               ("codec 6", k.batch([b"x"], attributes=6), {}, 76), ("count 9", k.batch([b"x"], count=9), {}, 87)]
    for name, batch, more, code in refused:
        drain()
        udp.sendto(data(sid, secret, seq, batch, **more), (SERVER, dport))
        end, seen = time.monotonic() + 5, None
        while seen is None and time.monotonic() < end:
            try:
                ack = udp.recv(2048)
            except TimeoutError:
                break
            if ack[1] != 0x12:
                continue
            n, r = ack[48], ack[49]
            for i in range(r):
                first, count, error = struct.unpack_from(">IHh", ack, 56 + 8 * n + 24 * i)
                if first <= seq < first + count:
                    seen = error
        h.check(seen == code, "%s: result %s, expected %d" % (name, seen, code))
        seq += 1
    h.say("%d refused batches: each with its code" % len(refused))

    outweigh(udp, (SERVER, dport), sid, secret, seq, good, rng)
    moved(ns, kirad)

    # Random damage, with and without the secret.
    seeds = [datagram(3, sid, secret, struct.pack(">II", 1, 1)), datagram(5, sid, secret, struct.pack(">IHH", 1, 3, 0)),
             data(sid, secret, seq, good), data(sid, secret, seq, k.batch([b"a"] * 40, producer=(99, 0, 0)))]
    stop = time.monotonic() + args.minutes * 60 if args.minutes else None
    n = 0
    while (time.monotonic() < stop) if stop else (n < args.mutations):
        f = bytearray(frame(dst, src, rng.choice(seeds), sport, dport))
        for _ in range(rng.choice((1, 1, 2, 5))):
            lo = rng.choice((12, 14, 34, 42, 58, 70))
            f[rng.randrange(lo, len(f))] = rng.choice((0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)))
        if rng.random() < 0.2:
            f = f[:rng.randrange(1, len(f))]
        if rng.random() < 0.1:
            f += bytes(rng.randrange(200))
        try:
            raw.send(bytes(f[:1514]) if len(f) >= 14 else bytes(f) + bytes(14))
        except OSError:
            pass
        n += 1
        if n % 2000 == 0:
            h.check(kirad.lives(), "kirad ended with %s after %d mutations" % (kirad.process.poll(), n))
            drain()
    h.say("%d mutated frames" % n)
    # The session may have been closed by a mutated CLOSE; a new one must work.
    anchor.close()
    anchor, sid, secret, dport, credit = in_netns(ns.client, lambda: k.open_session(kirad.host, kirad.port, CLIENT, sport, "u"))
    alive("all of it")
    _, out, _ = h.run(["kcat", "-b", kirad.bootstrap, "-C", "-t", "u", "-o", "beginning", "-e", "-q", "-X", "check.crcs=true"],
                      netns=ns.client)
    h.check(out.split("\n")[0] == "first", "the first record is gone")
    drops = kirad.drops()
    h.say("drops by name: %s" % ", ".join("%s %d" % d for d in sorted(drops.items())))
    # On afpacket the kernel keeps fragments to join them (the driver asks for PACKET_FANOUT_FLAG_DEFRAG).
    for reason in EXPECTED_DROPS + (("drop_fragment",) if args.device == "afxdp" else ()):
        h.check(drops.get(reason), "nothing was counted as %s" % reason)
    kirad.stop()
    h.say("result: %s: %d silent, %d refused, %d mutated; kirad lives" % (args.device, len(silent), len(refused), n))


h.main(body)
