#!/usr/bin/env bash
# Three network namespaces in a row, for the demonstration and the tests:
#
#   PREFIX-client            PREFIX-proxy              PREFIX-origin
#   c0 10.9.1.2/24 -------- lv-client  lv-origin -------- o0 10.9.2.2/24
#
#   network.sh up PREFIX      makes them (after removing what an earlier run left)
#   network.sh down PREFIX    ends the processes in them and removes them
#
# DPDK owns lv-client and lv-origin: the kernel has no address there, or it would answer the SYNs that are
# meant for Levee. Offloads are off at all ends, or frames would come to DPDK with unfinished checksums and
# longer than the link allows.
set -euo pipefail

link() { # NAMESPACE DEVICE ADDRESS PROXY-DEVICE
  local client=$prefix-$1 proxy=$prefix-proxy
  ip link add "$2" netns "$client" type veth peer name "$4" netns "$proxy"
  silence "$client" "$2"
  silence "$proxy" "$4"
  ip -n "$client" address add "$3" dev "$2"
}

silence() { # NAMESPACE DEVICE
  ip netns exec "$1" sysctl -qw "net.ipv6.conf.$2.disable_ipv6=1"
  ip netns exec "$1" ethtool -K "$2" tx off rx off tso off gso off gro off >/dev/null
  ip -n "$1" link set "$2" up
}

up() {
  down
  for place in client proxy origin; do
    ip netns add "$prefix-$place"
    ip -n "$prefix-$place" link set lo up
  done
  link client c0 10.9.1.2/24 lv-client
  link origin o0 10.9.2.2/24 lv-origin
}

down() {
  local place pids
  for place in client proxy origin; do
    [ -e "/run/netns/$prefix-$place" ] || continue
    pids=$(ip netns pids "$prefix-$place")
    [ -z "$pids" ] || kill -KILL $pids 2>/dev/null || true
    ip netns delete "$prefix-$place"
  done
}

usage() {
  echo "usage: network.sh up|down PREFIX" >&2
  exit 2
}

[ $# -eq 2 ] || usage
prefix=$2
case $1 in
  up | down) "$1" ;;
  *) usage ;;
esac
