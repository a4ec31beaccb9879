#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# nightly.sh - the long settings of the tests, in units of at most 40 minutes, a row each in tests/RESULTS.md.
#
# Usage: scripts/nightly.sh [--only NAME] [--minutes N] [--again] [--status]
#   --only NAME      only units of the script of this name (page_sim, kill_loop, ..)
#   --minutes N      for units that last as long as they are told: 1 to 40, default 40
#   --again          also those that are fresh
#   --status         tell which units are fresh, stale, or were never run; run nothing
# Which units there are the scripts say in their heads: tests/README.md. A unit is fresh when it held with the
# files it is about as they are now; it is skipped, so a run that was stopped goes on where it was. Rows of
# other states of these files are marked stale. What a failed unit said is kept as build/nightly-TIME.log. Builds
# build/ first, unless KIRA_BUILD names another.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
only= minutes=40 again=0 status=0
while [ $# -gt 0 ]; do
	case $1 in
	--only) only=${2:?--only wants a name}; shift 2 ;;
	--minutes) minutes=${2:?--minutes wants a number}; shift 2 ;;
	--again) again=1; shift ;;
	--status) status=1; shift ;;
	*) sed -n '3,13p' "$0" | sed 's/^# \{0,1\}//'; exit 2 ;;
	esac
done
[[ $minutes =~ ^[1-9][0-9]?$ ]] && [ "$minutes" -le 40 ] || { echo "--minutes: 1 to 40, not '$minutes'"; exit 2; }
results=tests/RESULTS.md

# What a script is about, as it is now: 12 hex digits over its files; prose changes nothing. -: no such script.
declare -A state_of_files=() state_of=()
find_state() {
	local about
	[ -n "${state_of[$1]:-}" ] && return
	if [ ! -f "$1" ]; then
		state_of[$1]=-
		return
	fi
	about=$(sed -n 's/^# about: *//p' "$1" | tr '\n' ' ')
	about="${about:-include storage dataplane control} $1"
	# shellcheck disable=SC2086
	: "${state_of_files[$about]:=$(find $about -type f ! -name '*.md' ! -name '*.[1-9]' ! -name '*.pyc' -print0 2> /dev/null \
		| LC_ALL=C sort -zu | xargs -0 sha256sum | sha256sum | cut -c 1-12)}"
	state_of[$1]=${state_of_files[$about]}
}

# The units of a script, a line each, as they stand in the table: its name and arguments, only {seed} left open.
units_of() {
	local args n
	{ grep -q '^# long:' "$1" && sed -n 's/^# long: *//p' "$1" || sed -n 's/^# quick: *//p' "$1"; } | while IFS= read -r args; do
		n=1
		[[ $args =~ ^([0-9]+)\ x(\ (.*))?$ ]] && n=${BASH_REMATCH[1]} args=${BASH_REMATCH[3]}
		args=${args//\{minutes\}/$minutes}
		for ((part = 1; part <= n; part++)); do
			printf '`%s%s`%s\n' "$1" "${args:+ ${args//\{part\}/$part}}" "$([ "$n" = 1 ] || echo " $part/$n")"
		done
	done
}

# A row is: | fresh or stale | UTC | commit | state | unit | minutes | seed | result |
mark_rows() {
	local row mark cells
	while IFS= read -r row; do
		if [[ $row =~ ^\|\ (fresh|stale)\ (\|.*) ]]; then
			cells=${BASH_REMATCH[2]}
			mark=stale
			if [[ $cells =~ ^\|[^\|]*\|[^\|]*\|\ ([0-9a-f]{12})\ \|\ \`([^\ \`]+) ]]; then
				find_state "${BASH_REMATCH[2]}"
				[ "${state_of[${BASH_REMATCH[2]}]}" = "${BASH_REMATCH[1]}" ] && mark=fresh
			fi
			row="| $mark $cells"
		fi
		printf '%s\n' "$row"
	done < "$results" > "$results.tmp" && mv "$results.tmp" "$results"
}

# fresh, stale or never. A unit that failed is not done.
is() {
	local rows
	rows=$(grep -F " | $2 | " "$results" | grep -v '| FAILED[^|]*|$')
	if [ -z "$rows" ]; then
		echo never
	else
		grep -qF " | $1 | $2 | " <<< "$rows" && echo fresh || echo stale
	fi
}

child= out=
clean_up() {
	[ -n "$child" ] && kill "$child" 2> /dev/null && wait "$child"
	[ -n "$out" ] && rm -f "$out"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# run_unit SCRIPT UNIT: runs it and appends its row; 1: it failed.
run_unit() {
	local script=$1 unit=$2 command seed=- t0 rc result kept run=()
	command=${unit#\`}
	command=${command%%\`*}
	if [[ $command == *"{seed}"* ]]; then
		seed=$(date +%s)000 # runs count upwards from it, slower than a thousand a second
		command=${command//\{seed\}/$seed}
	fi
	case $script in *.py) run=(/usr/bin/python3) ;; esac
	echo "== $command"
	t0=$(date +%s)
	# shellcheck disable=SC2086
	KIRA_BUILD=${KIRA_BUILD:-$PWD/build} PYTHONDONTWRITEBYTECODE=1 timeout -k 30 3000 "${run[@]}" $command \
		> "$out" 2>&1 < /dev/null & # 40 minutes, and ten for what is read back: then it hangs
	child=$!
	tail -n +1 -s 0.2 -f --pid=$child "$out" &
	wait $child
	rc=$?
	child=
	wait
	result=$(grep -a '^.*result: ' "$out" | tail -n 1 | sed 's/^.*result: //' | tr '|' '/')
	case $rc in
	0) ;;
	77) echo "no row: $(grep -a '^skipped: ' "$out" | tail -n 1)"; return 0 ;;
	*) result="FAILED (exit $rc) $(grep -a '^FAILED' "$out" | head -n 1 | tr '|' '/')"
		mkdir -p build
		kept=build/nightly-$(date -u +%FT%H%M%SZ).log
		cp "$out" "$kept"
		echo "what it said: $kept" ;;
	esac
	printf '| fresh | %s | %s | %s | %s | %d | %s | %s |\n' "$(date -u +%FT%RZ)" "$commit" "${state_of[$script]}" \
		"$unit" $((($(date +%s) - t0 + 30) / 60)) "$seed" "${result:-held}" >> "$results"
	ran=$((ran + 1))
	[ $rc = 0 ]
}

if [ $status = 0 ]; then
	if [ -z "${KIRA_BUILD:-}" ]; then
		[ -e build/build.ninja ] || meson setup build || exit 1
		ninja -C build || exit 1
	fi
	commit=$(git rev-parse --short HEAD 2> /dev/null || echo none)
	[ -z "$(git status --porcelain --untracked-files=no 2> /dev/null | grep -v " $results\$")" ] || commit=$commit+
	out=$(mktemp /var/tmp/kira-nightly-XXXXXX)
	mark_rows
fi
known=0 ran=0 bad=0
for script in tests/{pipeline,compat,sim,crash,fuzz}/*; do
	[ -x "$script" ] && [ -f "$script" ] || continue
	name=$(basename "$script"); name=${name%.*}
	[ -n "$only" ] && [ "$only" != "$name" ] && continue
	find_state "$script"
	mapfile -t units < <(units_of "$script")
	for unit in "${units[@]}"; do
		known=$((known + 1))
		now=$(is "${state_of[$script]}" "$unit")
		if [ $status = 1 ]; then
			printf '%-6s %s\n' "$now" "$unit"
		elif [ "$now" = fresh ] && [ $again = 0 ]; then
			echo "fresh: $unit"
		else
			run_unit "$script" "$unit" || bad=1
		fi
	done
done
[ $known -gt 0 ] || { echo "nothing to run: no script '$only' has a '# long:' or '# quick:' line"; exit 1; }
[ $ran -gt 0 ] && tail -n $ran "$results"
exit $bad
