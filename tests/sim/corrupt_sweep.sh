#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# corrupt_sweep.sh - corrupt_sweep over every bit.
# about: include storage tests/sim/sim_* tests/sim/corrupt_sweep.c
# long: --every 1
set -euo pipefail
exec "${KIRA_BUILD:-build}/tests/sim/corrupt_sweep" "$@"
