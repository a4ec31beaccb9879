#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# long: --seconds 600 frame
# long: --seconds 600 requests
# long: --seconds 600 groups
# long: --seconds 600 group_record
# long: --seconds 600 records
# about: include control storage/records.c storage/codec.c tests/fuzz
# kafka.sh - libFuzzer on the Kafka port for as long as it is told: frames and headers, each request, the state
# machine of groups, what is kept of them, records whatever compressed them. For test.sh each of these drivers is a
# case of its own, of so many executions.
#
# Usage: tests/fuzz/kafka.sh [--seconds N] DRIVER..
exec "$(dirname "$0")/produce.sh" "$@"
