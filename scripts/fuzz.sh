#!/bin/sh
# Runs every fuzz target of the module, or of these packages, one after the other:
# fuzz.sh DURATION [PACKAGE...]
# A target fails when it wrote an input that fails. Its exit code alone does not
# say so: Go 1.26 can end in "context deadline exceeded" at the end of a good run
# (go.dev/issue/75804).
set -eu

duration=$1
shift
[ $# -gt 0 ] || set -- $(grep -rlE --include='*_test.go' '^func Fuzz' . | xargs -n 1 dirname | sort -u)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for package; do
	for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$package"/*_test.go | sed 's/^func //'); do
		echo "== $package $target"
		if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "$duration" "$package" >"$log" 2>&1 &&
			! grep -q 'context deadline exceeded' "$log" || grep -q 'Failing input written' "$log"; then
			cat "$log" >&2
			exit 1
		fi
		tail -n 1 "$log"
	done
done
