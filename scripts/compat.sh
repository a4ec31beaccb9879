#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# compat.sh - every test of a real client, in its long form; writes the table of clients and features into control/README.md.
#
# Usage: scripts/compat.sh [--only PATTERN]
#   --only PATTERN   only scripts and arguments that match (extended regular expression); other cells stay as they are
# Clients are Debian's kcat, librdkafka, python3-confluent-kafka and python3-kafka; kafkajs from the npm registry and Apache's
# Java clients from Maven Central, fetched once into the build directory. What cannot be had is skipped, and its cells
# keep their dates. Builds build/ first, unless KIRA_BUILD names another. The tests are those of tests/compat that import
# cells.py. Exit: 0 all held, 1 one did not or none ran.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
only=
while [ $# -gt 0 ]; do
	case $1 in
	--only) only=${2:?--only wants a pattern}; shift 2 ;;
	*) sed -n '3,11p' "$0" | sed 's/^# \{0,1\}//'; exit 2 ;;
	esac
done
if [ -z "${KIRA_BUILD:-}" ]; then
	[ -e build/build.ninja ] || meson setup build || exit 1
	ninja -C build || exit 1
fi
export KIRA_BUILD=${KIRA_BUILD:-$PWD/build} PYTHONDONTWRITEBYTECODE=1
work=$(mktemp -d /var/tmp/kira-compat-XXXXXX)
child=
clean_up() {
	[ -n "$child" ] && kill "$child" 2> /dev/null && wait "$child"
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

ran=0 bad=0
: > "$work/all"
for script in $(grep -l '^import cells' tests/compat/*.py); do
	[ -x "$script" ] || continue
	form=quick
	grep -q '^# long:' "$script" && form=long
	while IFS= read -r args; do
		[[ -n $only && ! "$script $args" =~ $only ]] && continue
		echo "== $script $args"
		: > "$work/cells"
		# shellcheck disable=SC2086
		KIRA_CELLS=$work/cells timeout -k 30 1200 /usr/bin/python3 "$script" $args > "$work/out" 2>&1 < /dev/null &
		child=$!
		wait $child
		rc=$?
		child=
		case $rc in
		0) ran=$((ran + 1)); grep -a 'result: ' "$work/out" | tail -n 1 ;;
		77) grep -a '^skipped: ' "$work/out" | tail -n 1; sed -i 's/| fail$/| skip/' "$work/cells" ;;
		*) bad=1; ran=$((ran + 1)); grep -aE 'FAILED' "$work/out" | cut -c 1-300 | head -n 12 || tail -n 20 "$work/out" ;;
		esac
		cat "$work/cells" >> "$work/all"
	done < <(sed -n "s/^# $form: *//p; s/^# $form:\$//p" "$script")
done
[ $ran -gt 0 ] || { echo "nothing ran"; bad=1; }
/usr/bin/python3 tests/compat/table.py "$work/all" || bad=1
exit $bad
