#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# readmes.sh - each file of a folder is named in the folder's README.md, or, where the folder has none
# of its own, in the next one above it. "append.c .h" names both; a stem alone is a name too.
# Not asked of: dotfiles, meson.build, the top level, and what mirrors the tree or is mere data
# (tests/unit, tests/fuzz, golden).
set -uo pipefail
. scripts/check.d/files.sh
bad=0
for d in storage dataplane control control/kafka include tests scripts; do
	[ -e "$d/README.md" ] || { echo "$d/README.md is missing"; bad=1; }
done
while IFS= read -r f; do
	d=$(dirname "$f")
	while [ ! -e "$d/README.md" ] && [ "$d" != . ]; do d=$(dirname "$d"); done
	[ "$d" = . ] && { echo "$f: no README.md between it and the top level"; bad=1; continue; }
	b=$(basename "$f")
	grep -qE "(^|[^[:alnum:]_])$(printf %s "${b%%.*}" | sed 's/[][\.*^$]/\\&/g')([^[:alnum:]_]|\$)" "$d/README.md" && continue
	echo "$d/README.md: does not name $f"
	bad=1
done < <(tracked | grep / | grep -vE '^\.|/\.|(^|/)meson\.build$|/README\.md$|^tests/(unit|fuzz|golden)/')
exit $bad
