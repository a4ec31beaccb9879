#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# counters.sh - each counter of a *counters.def is counted somewhere: one that is always 0 says that all is well.
# Without stall_counters.def, whose names are places of a histogram.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
. scripts/check.d/files.sh

bad=0 n=0
mapfile -t source < <(tracked '*.c' '*.h' | grep -E '^(control|dataplane|storage)/')
used=$(grep -ohE '(->|\.)[a-z_0-9]+' "${source[@]}" | sed -E 's/^(->|\.)//' | sort -u)
for def in $(tracked '*counters.def'); do
	[ "$(basename "$def")" = stall_counters.def ] && continue
	while IFS=: read -r line name; do
		n=$((n + 1))
		grep -qx -- "$name" <<<"$used" && continue
		echo "$def:$line: nothing counts $name: count it, or take the row away"
		bad=1
	done < <(sed -nE 's/^COUNTER\(([a-z_0-9]+),.*/\1/p;t;s/.*//p' "$def" | grep -n . )
done
echo "$n counters"
exit $bad
