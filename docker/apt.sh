#!/bin/sh
# Install Debian or Ubuntu packages: docker/apt.sh PACKAGE...
# Fails, saying nothing, where it cannot: not root, or no apt.
set -eu
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 1

echo "evenlake: apt-get install $*" >&2
export DEBIAN_FRONTEND=noninteractive
mkdir -p /usr/share/man/man1  # slim images lack it, and Java's package links into it
apt-get update -qq >/dev/null
apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null
