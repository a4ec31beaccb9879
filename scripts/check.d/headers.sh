#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# headers.sh - each header compiles alone. Skips, and says so, where the libraries are not installed.
set -uo pipefail
. scripts/check.d/files.sh
cc=${CC:-cc}
flags=$(pkg-config --cflags libdpdk cunit inih rdkafka liblz4 libisal 2>/dev/null) || {
	echo "skipped: libraries missing, scripts/test.sh installs them"; exit 0; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
sed -e 's/@version@/0.0.0/' -e 's/@[a-z]*@/0/' include/kira/version.h.in > "$tmp/kira_version.h"
tracked '*.h' | xargs -P 2 -I{} sh -c '
	printf "#include \"%s\"\n" "{}" > "$0/$$.c"
	"$1" -std=gnu11 -fsyntax-only -Wall -Wextra -Wno-unused-parameter -Wno-unused-function -Wno-pragma-once-outside-header \
		-D_GNU_SOURCE -I. -Iinclude -I"$0" $2 "$0/$$.c" > "$0/$$.out" 2>&1 \
		|| { echo "{}: does not compile alone:"; head -n 4 "$0/$$.out"; exit 1; }' "$tmp" "$cc" "$flags" || exit 1
echo "$(tracked '*.h' | wc -l) headers"
