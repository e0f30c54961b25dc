#!/usr/bin/env bash
# Three network namespaces in a row, for the demonstration and the tests:
#
#   PREFIX-client            PREFIX-proxy              PREFIX-origin
#   c0 10.9.1.2/24 -------- lv-client  lv-origin -------- o0 10.9.2.2/24
#
#   network.sh up PREFIX [wire]   makes them (after removing what an earlier run left)
#   network.sh down PREFIX        ends the processes in them and removes them
#
# With `wire`, c0 and lv-client are not one link: their other ends are w-client and w-proxy in PREFIX-wire,
# for `levee-load wire` to join.
#
# DPDK owns lv-client, lv-origin and the wire's ends: the kernel has no address there, or it would answer the
# SYNs that are meant for Levee. Offloads are off at all ends, or frames would come to DPDK with unfinished checksums and
# longer than the link allows.
set -euo pipefail

link() { # NAMESPACE DEVICE NAMESPACE DEVICE
  ip link add "$2" netns "$prefix-$1" type veth peer name "$4" netns "$prefix-$3"
  silence "$prefix-$1" "$2"
  silence "$prefix-$3" "$4"
}

silence() { # NAMESPACE DEVICE
  ip netns exec "$1" sysctl -qw "net.ipv6.conf.$2.disable_ipv6=1"
  ip netns exec "$1" ethtool -K "$2" tx off rx off tso off gso off gro off >/dev/null
  ip -n "$1" link set "$2" up
}

up() {
  down
  for place in client proxy origin $wire; do
    ip netns add "$prefix-$place"
    ip -n "$prefix-$place" link set lo up
  done
  if [ "$wire" ]; then
    link client c0 wire w-client
    link wire w-proxy proxy lv-client
  else
    link client c0 proxy lv-client
  fi
  link origin o0 proxy lv-origin
  ip -n "$prefix-client" address add 10.9.1.2/24 dev c0
  ip -n "$prefix-origin" address add 10.9.2.2/24 dev o0
}

down() {
  local place pids
  for place in client proxy origin wire; do
    [ -e "/run/netns/$prefix-$place" ] || continue
    pids=$(ip netns pids "$prefix-$place")
    [ -z "$pids" ] || kill -KILL $pids 2>/dev/null || true
    ip netns delete "$prefix-$place"
  done
}

usage() {
  echo "usage: network.sh up PREFIX [wire] | down PREFIX" >&2
  exit 2
}

[ $# -ge 2 ] || usage
prefix=$2 wire=${3-}
case "$1 $wire" in
  "up " | "up wire" | "down ") "$1" ;;
  *) usage ;;
esac
