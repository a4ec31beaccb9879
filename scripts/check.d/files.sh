# SPDX-License-Identifier: MIT
# files.sh - sourced by the checks: the project's files, from git, or by find where there is no .git.
tracked() {
	if [ -e .git ] && git -c safe.directory='*' ls-files >/dev/null 2>&1; then
		# Deleted in the work tree but still in the index: not there to be read.
		git -c safe.directory='*' ls-files --cached --others --exclude-standard -- "$@" \
			| while IFS= read -r f; do [ -e "$f" ] && printf '%s\n' "$f"; done
	else
		find . \( -path './build*' -o -path './.cache' -o -name __pycache__ \) -prune -o -type f -print \
			| sed 's|^\./||' | sort \
			| if [ $# -eq 0 ]; then cat; else grep -E "$(printf '%s\n' "$@" \
				| sed -e 's/\./\\./g' -e 's/\*/.*/g' -e 's/^/(^|\/)/' -e 's/$/$/' | paste -sd'|')"; fi
	fi
}
