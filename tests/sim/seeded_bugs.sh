#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# seeded_bugs.sh - builds the simulators with each bug of tests/README.md (include/base/bug.h), one at
# a time: the one named beside it must fail. Arguments: only these bugs.
# long:
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
declare -A by=([2]=page_sim [3]=page_sim [5]=page_sim [7]=page_sim [8]=page_sim [9]=page_sim [10]=corrupt_sweep
	[11]=corrupt_sweep [12]=page_sim [14]=page_sim)
[ $# -gt 0 ] || set -- 2 3 5 7 8 9 10 11 12 14
dir=$(mktemp -d /var/tmp/kira-bugs-XXXXXX)
trap 'rm -rf "$dir"' EXIT
missed=
for n in "$@"; do
	program=${by[$n]:-}
	[ -n "$program" ] || { echo "no simulator is named for bug $n"; exit 2; }
	if [ -e "$dir/build.ninja" ]; then
		meson configure "$dir" -Dc_args="-DKIRA_BUG=$n" || exit 1
	else
		meson setup "$dir" -Dc_args="-DKIRA_BUG=$n" > /dev/null || exit 1
	fi
	ninja -C "$dir" "tests/sim/$program" > "$dir/log" 2>&1 || { tail "$dir/log"; exit 1; }
	timeout 120 "$dir/tests/sim/$program" > "$dir/log" 2>&1
	if [ $? = 1 ]; then
		echo "bug $n: caught by $program: $(grep '^FAILED' "$dir/log" | head -n 1)"
	else
		echo "FAILED  bug $n: not caught by $program: $(tail -n 1 "$dir/log")"
		missed="$missed $n"
	fi
done
echo "result: $# seeded bugs, not caught:${missed:- none}"
[ -z "$missed" ]
