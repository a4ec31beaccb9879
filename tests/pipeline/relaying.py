# SPDX-License-Identifier: MIT
"""relaying.py - what the scripts around relay.c share: a third namespace with the relay between client and
server, started with faults and stopped for its counts, as often as a script likes."""
import os
import re

import harness as h

# Frames that the relay was too slow for, or did not get rid of: nobody asked for these losses.
OWN_FAULT = ("long", "overrun", "refused")


class Path:
    """The data link of two namespaces: `data0` of the server and `data1` of the client, by way of the relay."""

    def __init__(self, ns, server_addr, client_addr):
        h.need("ethtool", "ethtool")
        self.binary = os.path.join(h.BUILD, "tests", "pipeline", "relay")
        h.check(os.access(self.binary, os.X_OK), "%s is not built" % self.binary)
        self.middle = ns.add("m")
        ns.link((self.middle, "to-client", None), (ns.client, "data1", client_addr))
        ns.link((self.middle, "to-server", None), (ns.server, "data0", server_addr))
        # As a NIC would send: one frame per datagram, its sum in it.
        for where, dev in ((ns.client, "data1"), (ns.server, "data0"), (self.middle, "to-client"), (self.middle, "to-server")):
            h.run(["ethtool", "-K", dev, "tx", "off"], netns=where)
        self.process = None

    def start(self, **faults):
        """loss=0.01, delay_us=1000, ..: the options of relay.c."""
        argv = [self.binary]
        for name, value in faults.items():
            argv += ["--" + name.replace("_", "-"), value]
        self.process = h.Process("relay", argv + ["to-client", "to-server"], netns=self.middle)
        h.until(lambda: "relay: ready" in self.process.output(), 10, "the relay's line `ready`")

    def stop(self):
        """{"out": {"datagrams": N, "lost": N, ..}, "back": {..}}"""
        code = self.process.term()
        said = self.process.output()
        h.check(code == 0, "the relay ended with %d: %s" % (code, said))
        counts = {}
        for way, line in re.findall(r"^relay (\w+): (.*)", said, re.M):
            words = line.split()
            counts[way] = dict(zip(words[::2], map(int, words[1::2])))
        h.check(sorted(counts) == ["back", "out"], "the relay told no counts: %s" % said)
        return counts
