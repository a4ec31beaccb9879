#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# words.sh - words the code does without, each with what to write instead. Comments and string
# literals do not count; the text of each file is stripped of both before it is searched.
set -uo pipefail
. scripts/check.d/files.sh
bad=0

# Comments and literals become blanks, lines stay where they are.
bare() {
	awk '{
		out = ""; n = length($0)
		for (i = 1; i <= n; i++) {
			c = substr($0, i, 1); d = substr($0, i, 2)
			if (in_comment) { if (d == "*/") { in_comment = 0; i++ } continue }
			if (in_text) { if (c == "\\") i++; else if (c == quote) { in_text = 0; out = out c } continue }
			if (d == "/*") { in_comment = 1; i++; continue }
			if (d == "//") break
			if (c == "\"" || c == "\047") { in_text = 1; quote = c }
			out = out c
		}
		in_text = 0
		print out
	}' "$1"
}

# forbid FILES-REGEX WORD-REGEX INSTEAD
forbid() {
	local f hit
	for f in $all; do
		printf '%s\n' "$f" | grep -qE -- "$1" || continue
		hit=$(grep -nE -- "$2" "$tmp/${f//\//@}" | cut -d: -f1 | paste -sd,)
		[ -n "$hit" ] && { echo "$f:$hit: $3"; bad=1; }
	done
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
all=$(tracked '*.c' '*.h')
for f in $all; do
	bare "$f" > "$tmp/${f//\//@}"
done

w='(^|[^_[:alnum:]])'
forbid '' "${w}(strcpy|strcat|sprintf|vsprintf)[[:space:]]*\\(" 'strcpy, strcat, sprintf: snprintf or memcpy'
forbid '' "${w}(atoi|atol|atof)[[:space:]]*\\(" 'atoi: strtol and look at the end'
forbid '' "${w}strtok[[:space:]]*\\(" 'strtok: strchr, strtok_r'
forbid '' "${w}volatile([^_[:alnum:]]|\$)" 'volatile: <stdatomic.h>, with the pair named'
forbid '^(include|storage|dataplane|control)/' "${w}assert[[:space:]]*\\(" 'assert(: ASSERT, DASSERT of base/assert.h'
forbid '' "${w}system[[:space:]]*\\(" 'system(: fork and exec, or do without'
forbid '^(storage|include)/' "${w}(rte_|RTE_)" 'rte_: DPDK lives in dataplane/'
forbid '^(storage|dataplane/[^/]*$)' "${w}((printf|puts|perror|syslog|log_[a-z]+)[[:space:]]*\\(|fprintf[[:space:]]*\\((stderr|stdout))" \
	'only control/ and the tools print: return, count or latch'
forbid '^(storage|dataplane/client)/' "${w}(rte_pktmbuf_free|rte_mempool_put)" 'an mbuf here?'
forbid '^dataplane/[^/]*$' "^(.*[^_[:alnum:]])?rte_pktmbuf_free_seg" 'free whole packets, in drop.c'
exit $bad
