#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A script that says how it is run, and may not be executed, is run by nobody, and nobody says so.
set -euo pipefail
cd "$(dirname "$0")/../.."
bad=0
for f in $(grep -lE '^# (quick|asan|long):' tests/{pipeline,compat,sim,crash}/*); do
	[ -x "$f" ] || { echo "$f: chmod +x, or test.sh passes over it"; bad=1; }
done
exit $bad
