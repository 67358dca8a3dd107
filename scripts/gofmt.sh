#!/usr/bin/env bash
# Fails when a Go file of the module is not as gofmt writes it, and names each.
set -euo pipefail
cd "$(dirname "$0")/.."
unformatted=$(find . -name '*.go' -not -path './.*' -not -path './bin/*' -not -path './build/*' -not -path '*/testdata/*' -exec gofmt -l {} +)
if [ -n "$unformatted" ]; then
	printf 'not as gofmt writes them; run `make fmt`:\n%s\n' "$unformatted" >&2
	exit 1
fi
