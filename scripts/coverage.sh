#!/usr/bin/env bash
# Fails when a statement in profiles of `go test -coverprofile` was not run, and names it.
set -euo pipefail
for profile in "$@"; do
	if [ "$(wc -l <"$profile")" -lt 2 ]; then
		echo "$profile has no statements" >&2
		exit 1
	fi
done
missing=$(awk '!/^mode:/ && $NF == 0 { sub(/^.*astern\//, "", $1); print "  " $1 }' "$@" | sort -V)
if [ -n "$missing" ]; then
	echo "statements that no test of their package runs (file:from,to):"
	echo "$missing"
	exit 1
fi
echo "every statement of $(awk '!/^mode:/ { sub(/^.*astern\//, "", $1); sub(/\/[^\/]*$/, "", $1); print $1 }' "$@" | sort -u | paste -sd' ') is run by its tests"
