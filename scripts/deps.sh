#!/bin/sh
# Installs what the tests need beside Go and git, where it is missing and may be
# installed: a C compiler (for the race detector), redis-server, PostgreSQL,
# Chromium, Node, rsyslog and a Python library. Says in one line what to install where it may not.
set -eu

missing=""
need() { # need PACKAGE COMMAND...: one of the commands is enough
	package=$1
	shift
	for command in "$@"; do
		# The pattern finds PostgreSQL's server commands, which Debian keeps off PATH.
		if command -v "$command" >/dev/null 2>&1 || ls $command >/dev/null 2>&1; then
			return 0
		fi
	done
	missing="$missing $package"
}

need "gcc libc6-dev" gcc cc
need redis-server redis-server
need postgresql initdb '/usr/lib/postgresql/*/bin/initdb'
need chromium chromium chromium-browser
need nodejs node
need npm npm
need procps pgrep
need "rsyslog rsyslog-gnutls" '/usr/lib/*/rsyslog/lmnsd_gtls.so'
need python3-jwcrypto /usr/lib/python3/dist-packages/jwcrypto/jws.py

[ -n "$missing" ] || exit 0

sudo=""
[ "$(id -u)" -eq 0 ] || sudo="sudo -n"
if ! command -v apt-get >/dev/null 2>&1 || ! $sudo true 2>/dev/null; then
	echo "The tests need these packages, and this user may not install them:$missing" >&2
	exit 1
fi
echo "Installing what the tests need:$missing"
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # the list is words
if ! { $sudo apt-get update && $sudo apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
	tail -n 5 "$log" >&2
	echo "apt could not install:$missing (its whole output is in $log)" >&2
	exit 1
fi
rm -f "$log"
