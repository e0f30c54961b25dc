#!/usr/bin/env bash
# Hugepages of 2 MiB for packet memory.
#
#   hugepages.sh reserve COUNT   sees to it that COUNT are free, and prints how many there were before;
#                                exit code 1 when the machine cannot spare them
#   hugepages.sh restore TOTAL   what `reserve` printed: gives them back
set -euo pipefail

meminfo() {
  awk -v key="$1:" '$1 == key {print $2}' /proc/meminfo
}

case ${1-} in
  reserve)
    total=$(meminfo HugePages_Total) free=$(meminfo HugePages_Free)
    echo "$total"
    [ "$free" -ge "$2" ] || sysctl -qw vm.nr_hugepages=$((total - free + $2))
    [ "$(meminfo HugePages_Free)" -ge "$2" ]
    if ! grep -q ' hugetlbfs ' /proc/mounts; then
      mkdir -p /dev/hugepages
      mount -t hugetlbfs nodev /dev/hugepages
    fi
    ;;
  restore) sysctl -qw vm.nr_hugepages="$2" ;;
  *)
    echo "usage: hugepages.sh reserve COUNT | restore TOTAL" >&2
    exit 2
    ;;
esac
