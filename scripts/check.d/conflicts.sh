#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# conflicts.sh - no merge conflict marker was committed, no line ends in a blank.
set -uo pipefail
. scripts/check.d/files.sh
bad=0
tracked | grep -v '/corpus/' | tr '\n' '\0' | xargs -0 grep -InE '^(<<<<<<<|>>>>>>>)( |$)' /dev/null && bad=1
tracked '*.c' '*.h' '*.sh' '*.py' 'meson.build' '*/meson.build' | tr '\n' '\0' \
	| xargs -0 grep -InE '[[:blank:]]+$' /dev/null | sed 's/:[^:]*$/: blanks at the end of the line/' | grep . && bad=1
exit $bad
