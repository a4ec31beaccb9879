#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# damage.sh - corrupt_sweep over every bit.
# long: 1
set -euo pipefail
exec "${KIRA_BUILD:-build}/tests/sim/corrupt_sweep" --every "${1:-1}"
