#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# nightly.sh - the long settings of the process tests, one after the other, a row each in tests/RESULTS.md.
#
# Usage: scripts/nightly.sh [--only NAME] [--minutes N]
#   --only NAME      only scripts of this name (kill_tcp, hostile, ..)
#   --minutes N      for each run; default 60
# A script takes part by lines "# long: ARGS" in its head; {minutes} there is N. Where a script has none, its
# quick form is its full form. Builds build/ first.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
only= minutes=60
while [ $# -gt 0 ]; do
	case $1 in
	--only) only=${2:?--only wants a name}; shift 2 ;;
	--minutes) minutes=${2:?--minutes wants a number}; shift 2 ;;
	*) sed -n '3,9p' "$0" | sed 's/^# \{0,1\}//'; exit 2 ;;
	esac
done
[[ $minutes =~ ^[0-9]+$ ]] && [ "$minutes" -gt 0 ] || { echo "--minutes: a whole number above 0, not '$minutes'"; exit 2; }
[ -e build/build.ninja ] || meson setup build || exit 1
ninja -C build || exit 1

child=
trap '[ -n "$child" ] && kill "$child" 2>/dev/null && wait "$child"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
commit=$(git rev-parse --short HEAD 2>/dev/null || echo none)
[ -n "$(git status --porcelain --untracked-files=no 2>/dev/null)" ] && commit=$commit+
out=$(mktemp /var/tmp/kira-nightly-XXXXXX)
ran=0 bad=0
for script in tests/pipeline/* tests/compat/* tests/sim/*; do
	[ -x "$script" ] && [ -f "$script" ] || continue
	name=$(basename "$script"); name=${name%.*}
	[ -n "$only" ] && [ "$only" != "$name" ] && continue
	run=()
	case $script in *.py) run=(/usr/bin/python3) ;; esac
	mapfile -t runs < <(sed -n 's/^# long: *//p' "$script")
	[ ${#runs[@]} -gt 0 ] || mapfile -t runs < <(sed -n 's/^# quick: *//p' "$script")
	for args in "${runs[@]}"; do
		args=${args//\{minutes\}/$minutes}
		echo "== $script $args"
		t0=$(date +%s)
		# Twice the time asked for, and ten minutes for what is read back: then it hangs.
		# shellcheck disable=SC2086
		KIRA_BUILD=$PWD/build PYTHONDONTWRITEBYTECODE=1 timeout -k 30 $((minutes * 120 + 600)) "${run[@]}" "$script" $args \
			> "$out" 2>&1 < /dev/null &
		child=$!
		tail -n +1 -f --pid=$child "$out" &
		wait $child
		rc=$?
		child=
		wait
		result=$(sed -n 's/^.*result: //p' "$out" | tail -n 1)
		case $rc in
		0) ;;
		77) result="skipped: $(sed -n 's/^skipped: //p' "$out" | tail -n 1)" ;;
		*) result="FAILED (exit $rc): $(grep -a '^FAILED' "$out" | tail -n 1)"; bad=1 ;;
		esac
		printf '| %s | %s | `%s %s` | %d | %s |\n' "$(date -u +%FT%RZ)" "$commit" "$script" "$args" \
			$((($(date +%s) - t0 + 30) / 60)) "${result:-held}" >> tests/RESULTS.md
		ran=$((ran + 1))
	done
done
rm -f "$out"
[ $ran -gt 0 ] || { echo "nothing to run: no script '$only' has a '# long:' or '# quick:' line"; exit 1; }
tail -n $ran tests/RESULTS.md
exit $bad
