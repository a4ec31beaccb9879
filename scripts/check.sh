#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# check.sh - what a script can check of the project's rules, file by file; the pre-commit hook.
# Usage: scripts/check.sh [NAME..]     only those of scripts/check.d/, by name without .sh
# Each check prints FILE:LINE: what is wrong and what to do; exit 1 if one of them found something.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

bad=0
for check in scripts/check.d/*.sh; do
	name=$(basename "$check" .sh)
	[ "$name" = files ] && continue    # sourced by the others
	if [ $# -gt 0 ] && ! printf '%s\n' "$@" | grep -qx -- "$name"; then
		continue
	fi
	if out=$(bash "$check" 2>&1); then
		printf 'ok      %s%s\n' "$name" "${out:+: $(printf %s "$out" | tail -n 1)}"
	else
		printf 'FAILED  %s\n' "$name"
		printf '%s\n' "$out" | sed 's/^/        /' | head -n 40
		bad=1
	fi
done

# Format is taste: what clang-format would do with the lines of this change, shown, never enforced.
if [ $# -eq 0 ] && command -v clang-format >/dev/null && command -v git-clang-format >/dev/null \
		&& [ -e .git ] && git rev-parse -q --verify HEAD >/dev/null 2>&1; then
	n=$(git clang-format --diff --staged --extensions c,h 2>/dev/null | grep -c '^[-+][^-+]' || true)
	[ "${n:-0}" -gt 0 ] && echo "advice  format: $n lines differ from clang-format (git clang-format --diff --staged)"
fi
exit $bad
