#!/usr/bin/env bash
# Fails when a statement of the packages on which every promise rests is not run by any test of theirs.
# With names of packages it looks at these only.
set -euo pipefail
cd "$(dirname "$0")/.."
packages=("$@")
if [ ${#packages[@]} -eq 0 ]; then
	packages=(internal/engine internal/planfile internal/store/sqlite internal/ledger)
fi
profile=$(mktemp)
trap 'rm -f "$profile"' EXIT
failed=0
for p in "${packages[@]}"; do
	# The tests of the store's suite and of the app run the store as well, but a package is to be proven by its own. Random
	# trials do not count: what is run depends on no seed.
	ASTERN_PROOF_COUNT=1 go test -count=1 -skip "$random" -coverprofile="$profile" "./$p" >/dev/null
	missing=$(awk -v here="/$p/" 'NR > 1 && $NF == 0 && index($1, here) { sub(/^.*astern\//, "", $1); print "  " $1 }' "$profile" | sort -V)
	if [ -n "$missing" ]; then
		echo "$p: statements that no test runs (file:from,to):"
		echo "$missing"
		failed=1
	else
		echo "$p: every statement is run by its tests"
	fi
done
exit $failed
