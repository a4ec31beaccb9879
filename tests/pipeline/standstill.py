# SPDX-License-Identifier: MIT
"""standstill.py - a thread of a process stops and goes on (ptrace), so that everything which waits for it can be looked at."""
import ctypes
import os

import harness as h

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


class Thread:
    """The thread of that name; a child's, since it is traced."""

    def __init__(self, pid, name):
        self.tid, self.stopped = 0, False
        for tid in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/comm" % (pid, tid)) as f:
                if f.read().strip() == name:
                    self.tid = int(tid)
        h.check(self.tid, "process %d has no thread %s" % (pid, name))

    def _ptrace(self, request):
        if _libc.ptrace(request, self.tid, None, None) < 0:
            errno = ctypes.get_errno()
            if request == PTRACE_SEIZE and errno == 1:
                h.skip("a child may not be traced here (ptrace): run it as root")
            raise h.Failed("ptrace %#x of %d: %s" % (request, self.tid, os.strerror(errno)))

    def stop(self):
        self._ptrace(PTRACE_SEIZE)
        self._ptrace(PTRACE_INTERRUPT)
        os.waitpid(self.tid, WALL)
        self.stopped = True
        h.at_exit(self.go_on)    # a stopped thread cannot even be killed

    def go_on(self):
        if self.stopped:
            self._ptrace(PTRACE_DETACH)
        self.stopped = False
