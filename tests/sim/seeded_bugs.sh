#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# seeded_bugs.sh - with each bug of the table in tests/README.md (include/base/bug.h), one at a time, the
# command named beside it must fail. Without any it must hold, or its failing would prove nothing.
#
# Usage: tests/sim/seeded_bugs.sh [--quick] [N..]
#   --quick    those marked q, in the build $KIRA_BUILD, which has -Dc_args=-DKIRA_BUG_CHOSEN; that the
#              commands hold without a bug is left to the run that has them as tests
#   N..        only these
# A command is a program of the build, or a script of the tree, which finds the build in $KIRA_BUILD.
# about: include storage dataplane control tests/sim tests/crash tests/unit tests/compat
# asan: --quick
# long:
# timeout: 300
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
quick=0
[ "${1:-}" = --quick ] && { quick=1; shift; }

# A row of the table: | N | q or nothing | bug | `command` or what is missing |
declare -a bugs=() commands=() missing=()
while IFS='|' read -r _ n q bug command _; do
	n=${n// /} q=${q// /}
	if [ $# -gt 0 ]; then
		[[ " $* " == *" $n "* ]] || continue
	elif [ $quick = 1 ]; then
		[ "$q" = q ] || continue
	fi
	if [[ $command =~ \`(.*)\` ]]; then
		bugs+=("$n")
		commands+=("${BASH_REMATCH[1]}")
	else
		missing+=("$n")
		echo "bug $n,${bug% }: ${command# }"
	fi
done < <(sed -n '/^| N | q | bug /,/^$/p' tests/README.md | grep -E '^\| [0-9]+ \|')
[ $((${#bugs[@]} + ${#missing[@]})) -gt 0 ] || { echo "FAILED  no bug '$*' in the table of tests/README.md"; exit 1; }

if [ $quick = 1 ]; then
	dir=${KIRA_BUILD:?}
else
	dir=build-bugs
	[ -e $dir/build.ninja ] || meson setup $dir -Dc_args=-DKIRA_BUG_CHOSEN > /dev/null || exit 1
fi
log=$(mktemp /var/tmp/kira-bugs-XXXXXX)
trap 'rm -f "$log"' EXIT
trap 'exit 143' INT TERM HUP

# run N COMMAND..: with bug N.
run() {
	local bug=$1 program=$2
	shift 2
	case $program in
	*.py) set -- /usr/bin/python3 "$program" "$@" ;;
	*.sh) set -- bash "$program" "$@" ;;
	*) set -- "$dir/$program" "$@" ;;
	esac
	KIRA_BUG=$bug KIRA_BUILD=$(realpath "$dir") PYTHONDONTWRITEBYTECODE=1 timeout -k 10 240 "$@" > "$log" 2>&1 < /dev/null
}

missed= holds=
for i in "${!bugs[@]}"; do
	n=${bugs[i]} command=${commands[i]}
	if [ $quick = 0 ]; then
		target=${command%% *}
		case $target in *.py|*.sh) target=all ;; esac
		ninja -C $dir "$target" > "$log" 2>&1 || { tail "$log"; exit 1; }
		if [[ "$holds" != *"<$command>"* ]]; then
			# shellcheck disable=SC2086
			run 0 $command || { tail "$log"; echo "FAILED  without a bug: $command"; exit 1; }
			holds+="<$command>"
		fi
	fi
	# shellcheck disable=SC2086
	run "$n" $command
	rc=$?
	case $rc in
	0) echo "FAILED  bug $n: not caught by $command: $(tail -n 1 "$log")"; missed+=" $n" ;;
	77|124|126|127|137) echo "FAILED  bug $n: exit $rc of $command: $(tail -n 1 "$log")"; missed+=" $n" ;;
	*) echo "bug $n: caught by $command: $(grep -aE 'FAILED|ERROR|CHECK|ASSERT|assert' "$log" | head -n 1)" ;;
	esac
done
echo "result: ${#bugs[@]} rows of seeded bugs, not caught:${missed:- none}; their feature is missing: ${missing[*]:-none}"
[ -z "$missed" ]
