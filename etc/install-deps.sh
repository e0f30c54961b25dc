#!/usr/bin/env bash
# Installs the Debian packages that Levee needs. `install-deps.sh` is for building and `make run`;
# `install-deps.sh test` adds the clients, servers and tools that the tests talk to, `install-deps.sh bench`
# the servers that Levee is compared to.
# Does nothing when all of them are there.
set -euo pipefail

packages=(
  libdpdk-dev                           # DPDK with all its PMDs
  clang libclang-dev pkg-config         # bindgen
  gcc make cmake                        # wrappers of static inlines, aws-lc
  iproute2 ethtool procps curl openssl  # etc/demo.sh
)
if [ "${1-}" = test ]; then
  packages+=(
    gnutls-bin wrk nghttp2-client nginx-light # peers that are not ours
    linux-perf binutils                 # where a server's time goes
    tcpdump nftables iputils-ping       # segments on the wire: seen, lost, answered
  )
fi
if [ "${1-}" = bench ]; then
  packages+=(
    haproxy nginx-light                 # what Levee is compared to
    linux-perf binutils                 # where a server's time goes
  )
fi

# apt answers in a second, dpkg at once: ask dpkg first.
missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "install-deps: as root, please: apt-get install ${missing[*]}" >&2
  exit 1
fi
echo "install-deps: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# nginx-light and haproxy bring services that would start; ours are started with files of their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt-get install -q -y --no-install-recommends "${missing[@]}"
