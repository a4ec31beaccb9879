#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# test.sh - install what is missing, build, run every quick test; one of the two commands of README.md.
#
# Usage: scripts/test.sh [--only PATTERN] [--list] [--keep-logs]
#   --only PATTERN   only cases whose name matches (extended regular expression)
#   --list           name the cases, run none
#   --keep-logs      leave the log of each case in build/test-logs
# Builds: build (warnings are errors), build-asan (address, undefined), build-fuzz (clang, libFuzzer).
# A case is a unit test program, a fuzz driver (100,000 executions, or as many as its source says; those of the
# produce protocol 30 s each as well, side by side), a rule of check.sh, or a script of tests/ that says how it
# runs quickly (tests/README.md).
# What could not run for want of something of the machine is skipped, and named at the end with the way
# to get it. The last line is "N passed, N failed", from what was run; exit 1 if one failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
root=$PWD

only= list=0 keep=0
while [ $# -gt 0 ]; do
	case $1 in
	--only) only=${2:?--only wants a pattern}; shift 2 ;;
	--list) list=1; shift ;;
	--keep-logs) keep=1; shift ;;
	*) sed -n '3,10p' "$0" | sed 's/^# \{0,1\}//'; exit 2 ;;
	esac
done

# shellcheck source=scripts/packages.sh
. scripts/packages.sh
# shellcheck disable=SC2086
install_missing scripts/test.sh $build_packages $run_packages $test_packages

logs=$root/build/test-logs
child= work=
clean_up() {
	[ -n "$child" ] && kill "$child" 2>/dev/null && wait "$child" 2>/dev/null
	[ -n "$work" ] && rm -rf "$work"
	[ $keep = 1 ] || rm -rf "$logs"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

passed=0 failed=0 skipped=0 number=0
failures=() failed_logs=() skips=()
begun=$(date +%s)

# run_case NAME TIMEOUT COMMAND..: counts it; 77 is a skip whose reason is the line "skipped: ...".
run_case() {
	local name=$1 limit=$2 rc t0 t1 log why teller
	shift 2
	[ -n "$only" ] && ! [[ $name =~ $only ]] && return
	if [ $list = 1 ]; then
		echo "$name"
		return
	fi
	number=$((number + 1))
	log=$logs/$number.log
	t0=$(date +%s%N)
	: > "$log"
	timeout -k 10 "$limit" "$@" > "$log" 2>&1 < /dev/null &
	child=$!
	# Progress of a long case: its own lines, as they come.
	if [ "${show:-0}" = 1 ]; then
		echo "..      $name"
		{ tail -n +1 -s 0.2 -f --pid=$child "$log" 2>/dev/null | sed -u 's/^/        /' | head -n 200; } &
		teller=$!
	fi
	wait $child
	rc=$?
	child=
	[ "${show:-0}" = 1 ] && wait $teller
	t1=$(($(date +%s%N) - t0))
	t1=$(printf '%d.%01d' $((t1 / 1000000000)) $((t1 / 100000000 % 10)))
	case $rc in
	0)
		passed=$((passed + 1))
		printf 'ok      %-44s %7s s%s\n' "$name" "$t1" "$(case_note "$log")" ;;
	77)
		why=$(grep -a '^skipped: ' "$log" | tail -n 1)
		skipped=$((skipped + 1))
		skips+=("$name: ${why#skipped: }")
		printf 'skipped %-44s %7s s  %s\n' "$name" "$t1" "${why#skipped: }" ;;
	*)
		failed=$((failed + 1))
		failures+=("$name")
		failed_logs+=("$log")
		[ $rc = 124 ] || [ $rc = 137 ] && echo "no end after $limit s" >> "$log"
		printf 'FAILED  %-44s %7s s  exit %d\n' "$name" "$t1" "$rc"
		[ "${show:-0}" = 1 ] || tail -n 40 "$log" | sed 's/^/        /' ;;
	esac
}

# What a case wants to say on its line: executions of a fuzzer, the result line of a harness.
case_note() {
	local n
	n=$(sed -n 's/^stat::number_of_executed_units: *//p' "$1" | tail -n 1)
	[ -n "$n" ] && printf '  %s executions' "$n" && return
	n=$(sed -n 's/^.*result: //p' "$1" | tail -n 1)
	[ -n "$n" ] && printf '  %s' "$n"
}

build() {
	local dir=$1
	shift
	if [ -e "$dir/build.ninja" ]; then
		meson configure "$dir" "$@" || return 1
	else
		meson setup "$dir" "$@" || { rm -rf "$dir"; return 1; }
	fi
}

# A build that failed is one failure; what an older build left behind is not run in its place.
build_failed() {
	cp "$quiet" "$logs/$1-build.log"
	failed=$((failed + 1))
	failures+=("$1/build")
	failed_logs+=("$logs/$1-build.log")
	echo "FAILED  $1/build"
}

# The tests of a build directory as lines: name, time-out, command (quoted for the shell).
meson_tests() {
	meson introspect --tests "$1" | /usr/bin/python3 -c '
import json, shlex, sys
for t in json.load(sys.stdin):
    suites = {s.split(":")[-1] for s in t["suite"]}
    if suites & {"slow", "nic"}:
        continue
    env = ["env"] + ["%s=%s" % kv for kv in sorted(t["env"].items())] if t["env"] else []
    print(t["name"], t["timeout"] or 300, " ".join(shlex.quote(a) for a in env + t["cmd"]), sep="\t")'
}

unit_cases() {
	local prefix=$1 dir=$2 name limit command
	while IFS=$'\t' read -r name limit command; do
		eval "run_case '$prefix/$name' $((limit * 2)) $command"
	done < <(meson_tests "$dir")
}

# Fuzz drivers: a corpus that grows in a folder of its own, seeded with the one in the tree.
fuzz_case() {
	local driver=$1 name=$2 n runs
	runs=$(sed -n 's/^ \* runs: *//p' "$root"/tests/fuzz/*/fuzz_"$name".c)
	runs=${runs:-100000}
	mkdir -p "$work/corpus-$name"
	local seeds=()
	[ -d "$root/tests/fuzz/corpus/$name" ] && seeds=("$root/tests/fuzz/corpus/$name")
	"$driver" -runs=$runs -max_len=4096 -timeout=20 -rss_limit_mb=3000 -print_final_stats=1 \
		-artifact_prefix="$root/build/fuzz-$name-" "$work/corpus-$name" "${seeds[@]}" > "$work/out-$name" 2>&1 \
		|| { tail -n 40 "$work/out-$name"; echo "the input that did it: build/fuzz-$name-*"; return 1; }
	n=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/out-$name")
	tail -n 8 "$work/out-$name"
	[ "${n:-0}" -ge $runs ] || { echo "only ${n:-0} executions"; return 1; }
}

# Scripts say in their own heads how they run: see tests/README.md.
scripted_cases() {
	local key=$1 build=$2 script name args limit first
	for script in tests/{pipeline,compat,sim,crash,fuzz}/*; do
		[ -x "$script" ] && [ -f "$script" ] || continue
		limit=$(sed -n 's/^# timeout: *//p' "$script" | head -n 1)
		name=$(basename "$script")
		first=$(basename "$(dirname "$script")")/${name%.*}
		[ "$key" = quick ] || first=$key/$first
		interpreter=()
		case $script in *.py) interpreter=(/usr/bin/python3) ;; esac
		while IFS= read -r args; do
			# shellcheck disable=SC2086
			show=1 run_case "$first${args:+ $args}" "${limit:-120}" env KIRA_BUILD="$build" \
				PYTHONDONTWRITEBYTECODE=1 "${interpreter[@]}" "$script" $args
		done < <(sed -n "s/^# $key: *//p; s/^# $key:\$//p" "$script")
	done
}

step() {
	[ $list = 1 ] || printf '== %s (%d s so far)\n' "$1" $(($(date +%s) - begun))
}

wanted() {    # is any case of this prefix wanted?
	local of=${only#^}
	[ -z "$of" ] || [[ $1 =~ ${of%%/*} ]] || [[ $of =~ $1 ]] || ! [[ $of =~ ^[a-z]+/ ]]
}

mkdir -p build
rm -rf "$logs"
mkdir -p "$logs"
work=$(mktemp -d /var/tmp/kira-tests-XXXXXX)
quiet=build/test-logs/setup
ninja_run() { if [ -t 1 ]; then ninja -C "$1" "${@:2}"; else ninja -C "$1" "${@:2}" | sed -u -n -e '/FAILED/,$p' -e '$p' | tee -a "$quiet"; fi; }

step "build (warnings are errors)"
build build -Dwerror=true > "$quiet" 2>&1 || { cat "$quiet"; echo "the build was not set up"; echo "0 passed, 1 failed"; exit 1; }
if [ $list = 0 ]; then
	ninja_run build || { echo "the build failed"; echo "0 passed, 1 failed"; exit 1; }
fi

step "rules"
for c in scripts/check.d/*.sh; do
	n=$(basename "$c" .sh)
	[ "$n" = files ] || run_case "check/$n" 120 bash "$c"
done

step "unit tests"
unit_cases unit build

step "unit tests under ASan and UBSan"
export ASAN_OPTIONS=abort_on_error=1:detect_stack_use_after_return=0
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
# Warnings are no errors here: gcc says itself that its sanitizers cause false ones (its manual, -fsanitize).
asan=0
if wanted asan; then
	# Bugs on purpose can be chosen in it: seeded_bugs.sh.
	if build build-asan -Dwerror=false -Dc_args=-DKIRA_BUG_CHOSEN -Db_sanitize=address,undefined -Db_lundef=false > "$quiet" 2>&1 \
			&& { [ $list = 1 ] || ninja_run build-asan; }; then
		asan=1
		unit_cases asan build-asan
	else
		build_failed asan
	fi
fi

step "fuzz drivers"
if wanted fuzz; then
	if CC=clang build build-fuzz -Db_sanitize=address,undefined -Db_lundef=false \
			-Dc_args=-fsanitize=fuzzer-no-link > "$quiet" 2>&1 \
			&& { [ $list = 1 ] || ninja_run build-fuzz fuzz; }; then
		export -f fuzz_case
		export root work
		while IFS= read -r driver; do
			name=$(basename "$driver"); name=${name#fuzz_}
			# Those of the produce protocol run for a time instead, below: tests/fuzz/produce.sh.
			grep -qE "^# quick:.* $name( |\$)" tests/fuzz/produce.sh && continue
			run_case "fuzz/$name" 400 bash -c "fuzz_case '$root/$driver' '$name'"
		done < <(meson introspect --targets build-fuzz 2>/dev/null | /usr/bin/python3 -c '
import json, os, sys
for t in json.load(sys.stdin):
    if t["type"] == "executable" and t["name"].startswith("fuzz_"):
        print(os.path.relpath(t["filename"][0]))')
	else
		build_failed fuzz
	fi
fi

step "processes together"
scripted_cases quick "$root/build"
[ $asan = 1 ] && scripted_cases asan "$root/build-asan"

[ $list = 1 ] && exit 0
took=$(($(date +%s) - begun))
echo
# Again: who is shown only the end of all this sees why, too.
for i in "${!failures[@]}"; do
	printf '== the end of %s\n' "${failures[i]}"
	tail -n 40 "${failed_logs[i]}" | sed 's/^/        /'
done
[ ${#skips[@]} -gt 0 ] && printf 'skipped: %s\n' "${skips[@]}"
[ ${#failures[@]} -gt 0 ] && printf 'failed: %s\n' "${failures[@]}"
echo "$((passed + failed + skipped)) cases in $((took / 60)) min $((took % 60)) s, $skipped skipped"
[ $((passed + failed)) -gt 0 ] || { echo "no case matches '$only'"; failed=1; }
echo "$passed passed, $failed failed"
[ $failed = 0 ]
