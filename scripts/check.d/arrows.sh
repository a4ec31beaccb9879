#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# arrows.sh - include <- storage <- dataplane <- control, one door per folder; tests look everywhere.
# client/ and kira's cli/ see include/ and themselves; cli/ besides what control/ and storage/ offer.
set -uo pipefail
. scripts/check.d/files.sh
bad=0
say() { echo "$1: $2"; bad=1; }
while IFS=: read -r file line text; do
	inc=$(printf %s "$text" | sed -E 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"([^"]*)".*/\1/')
	dir=${file%%/*}
	at="$file:$line"
	case $inc in
	../*|./*) say "$at" "include \"$inc\": paths start at the root or at include/"; continue ;;
	esac
	# A generated header, or one beside the file, has no slash.
	case $inc in
	*/*) ;;
	kira_version.h) continue ;;
	*) say "$at" "include \"$inc\": name its folder (\"storage/$inc\")"; continue ;;
	esac
	case $dir:$inc in
	*:base/*|*:kira/*) ;;
	include:*) say "$at" "include/ includes nobody, but: \"$inc\"" ;;
	storage:storage/*) ;;
	storage:*) say "$at" "storage/ sees include/ only, but: \"$inc\"" ;;
	dataplane:dataplane/*)
		case $file:$inc in
		dataplane/client/*:dataplane/client/*) ;;
		dataplane/client/*) say "$at" "client/ sees include/ only, but: \"$inc\"" ;;
		esac ;;
	dataplane:storage/storage.h)
		case $file in dataplane/client/*) say "$at" "client/ sees include/ only, but: \"$inc\"" ;; esac ;;
	dataplane:storage/*) say "$at" "the door of storage/ is storage/storage.h, not \"$inc\"" ;;
	dataplane:*) say "$at" "dataplane/ sees storage/ and include/, but: \"$inc\"" ;;
	control:control/*|control:storage/storage.h|control:dataplane/dataplane.h) ;;
	# Tables of counters and drop reasons, no declarations: control lays out and names the mapped file by them.
	control:storage/counters.def|control:dataplane/*counters.def|control:dataplane/drop.def) ;;
	# The doors of storage/ for tools, which judge and mend files without an engine.
	control:storage/inspect.h|control:storage/repair.h)
		case $file in
		control/cli/*) ;;
		*) say "$at" "\"$inc\" is for the tools in control/cli/" ;;
		esac ;;
	control:storage/*) say "$at" "the door of storage/ is storage/storage.h, not \"$inc\"" ;;
	control:dataplane/*) say "$at" "the door of dataplane/ is dataplane/dataplane.h, not \"$inc\"" ;;
	esac
done < <(tracked '*.c' '*.h' | grep -v '^tests/' | tr '\n' '\0' \
	| xargs -0 grep -nHE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' /dev/null)
exit $bad
