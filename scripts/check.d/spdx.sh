#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# spdx.sh - the licence stands on the first line (the second where the first is #!).
set -uo pipefail
. scripts/check.d/files.sh
bad=0
while IFS= read -r f; do
	if ! head -n 1 "$f" | grep -q '^#!' ; then line=1; else line=2; fi
	sed -n "${line}p" "$f" | grep -q 'SPDX-License-Identifier: MIT' && continue
	echo "$f:$line: no 'SPDX-License-Identifier: MIT' here"
	bad=1
done < <(tracked '*.c' '*.h' '*.h.in' '*.def' '*.sh' '*.py' 'meson.build' '*/meson.build' '*.1' '*.conf' '*.service' \
	'scripts/hooks/*' '.ci/*')
exit $bad
