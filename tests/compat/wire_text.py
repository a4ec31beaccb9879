# SPDX-License-Identifier: MIT
"""wire_text.py - a test vector as text: tests/golden/wire/README.md has the format. For wire_vectors.py, wire_faults.py."""
import collections
import re

Vector = collections.namedtuple("Vector", "name data fields text")
SID, SECRET, INCARNATION = 0x0100002A, 0x1122334455667788, 7


def runs(data):
    """Hex, a run of eight equal bytes and more as XX*N, at most 32 bytes or one run in a line."""
    lines, line = [], ""
    for m in re.finditer(rb"(?s)(.)\1{7,}|.", data):
        text = m.group(0)
        if len(text) > 1:
            lines += [line] if line else []
            lines.append("%02x*%d" % (text[0], len(text)))
            line = ""
        else:
            line += "%02x" % text[0]
            if len(line) == 64:
                lines.append(line)
                line = ""
    return lines + ([line] if line else [])


def vector(name, what, data, fields):
    out = ["", "vector %s" % name, "is %s" % what]
    out += ["%s %s" % (key, value) for key, value in fields]
    return Vector(name, data, dict(fields), "\n".join(out + ["bytes %s" % line for line in runs(data)]) + "\n")
