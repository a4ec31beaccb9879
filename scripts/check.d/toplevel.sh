#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# toplevel.sh - the top level holds exactly what the layout says, and dotfiles.
set -uo pipefail
. scripts/check.d/files.sh
want="LICENSE README.md control dataplane include meson.build scripts storage tests"
have=$(tracked | cut -d/ -f1 | grep -v '^\.' | LC_ALL=C sort -u | paste -sd' ')
[ "$have" = "$want" ] || { echo "top level is: $have"; echo "must be:      $want"; exit 1; }
