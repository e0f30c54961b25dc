#!/usr/bin/env bash
# Levee and nginx in turn, in front of the same origin, on the same veth links with offloads off: requests and
# bytes a second of wrk over TLS 1.3 with an ECDSA certificate. The proxy has CPU 1, wrk and the origin CPU 0.
#
#   wrk.sh [ROUNDS [SECONDS]]     default 3 rounds of 8 seconds; prints a table
#
# With PROFILE=1 it prints behind each row of Levee where the worker spent its time, by perf (linux-perf).
#
# Needs root and the release binaries (`make build`), wrk and nginx (etc/install-deps.sh test).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rounds=${1-3} seconds=${2-8}
bin=$(realpath "${BIN:-${CARGO_TARGET_DIR:-target}/release}")
prefix=lvbench
state=$(mktemp -d)
pages=$(etc/hugepages.sh reserve 512) || true
proxy_id='' origin_id=''

finish() {
  stop_proxy
  [ -z "$origin_id" ] || kill "$origin_id" 2>/dev/null || true
  etc/network.sh down $prefix
  etc/hugepages.sh restore "$pages"
  rm -rf "$state"
}
trap finish EXIT

within() {
  local place=$1
  shift
  exec ip netns exec "$prefix-$place" "$@"
}

stop_proxy() {
  if [ -n "$proxy_id" ]; then
    kill -TERM "$proxy_id" 2>/dev/null || true
    wait "$proxy_id" 2>/dev/null || true
    proxy_id=''
  fi
}

# Whose CPU does the kernel's receive work of a link: without it the sender's does.
receive_on() { # CPU-MASK NAMESPACE LINK
  ip netns exec "$prefix-$2" sh -c "echo $1 >/sys/class/net/$3/queues/rx-0/rps_cpus"
}

addresses() { # add|del
  for link in lv-client:10.9.1.1/24 lv-origin:10.9.2.1/24; do
    ip -n $prefix-proxy address "$1" "${link#*:}" dev "${link%:*}"
    receive_on "$([ "$1" = add ] && echo 2 || echo 0)" proxy "${link%:*}"
  done
}

start_levee() {
  sed "s#\.\./\.demo/certs#$state/certs#; s#levee-demo#levee-bench#" etc/demo.toml >"$state/levee.toml"
  within proxy "$bin/levee" run -c "$state/levee.toml" >"$state/levee.log" 2>&1 &
  proxy_id=$!
}

start_nginx() {
  addresses add
  cat >"$state/nginx.conf" <<TXT
daemon off;
user root;
worker_processes 1;
worker_cpu_affinity 10;
pid $state/nginx.pid;
error_log $state/nginx-error.log;
events { worker_connections 8192; }
http {
  access_log off;
  keepalive_requests 100000000;
  proxy_cache_path $state/nginx-cache keys_zone=cache:10m;
  proxy_temp_path $state/nginx-temp;
  upstream origin { server 10.9.2.2:8080; keepalive 256; keepalive_requests 100000000; }
  server {
    listen 10.9.1.1:443 ssl reuseport;
    ssl_certificate $state/certs/ecdsa.crt;
    ssl_certificate_key $state/certs/ecdsa.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    location / { proxy_pass http://origin; }
    location /cached { proxy_pass http://origin; proxy_cache cache; }
  }
}
TXT
  within proxy nginx -c "$state/nginx.conf" &
  proxy_id=$!
}

measure() { # PATH CONNECTIONS -> requests/s, MB/s, 99th percentile of latency, errors
  ip netns exec $prefix-client taskset -c 0 wrk -t1 -c"$2" -d"$seconds" --latency --timeout 20 "https://10.9.1.1$1" | awk '
    /Requests\/sec/ {requests = $2}
    /Transfer\/sec/ {
      bytes = $2 + 0
      if ($2 ~ /GB/) bytes *= 1024
      if ($2 ~ /KB/) bytes /= 1024
    }
    $1 == "99%" {slow = $2}
    /Socket errors|Non-2xx/ {errors = $0}
    END {printf "%.0f\t%.1f\t%s\t%s\n", requests, bytes * 1.048576, slow, errors ? errors : "none"}'
}

# Where the worker's time went while a row was measured: shares by library.
profile() {
  perf record -q -e cpu-clock -F 499 -p "$proxy_id" -o "$state/perf.data" -- sleep "$((seconds - 2))" 2>/dev/null
  perf report -i "$state/perf.data" --stdio --sort dso 2>/dev/null | awk '/%/ {print "#", $0}' | head -n 6
}

etc/network.sh up $prefix
receive_on 1 client c0
receive_on 1 origin o0
etc/certificates.sh "$state/certs" demo.levee.test 10.9.1.1
ip netns exec $prefix-origin taskset -c 0 "$bin/levee-load" origin --listen 10.9.2.2:8080 >"$state/origin.log" 2>&1 &
origin_id=$!

echo "# $(uname -sr), $(awk -F': ' '/model name/ {print $2; exit}' /proc/cpuinfo), $(nproc) CPUs, $(nginx -v 2>&1), $(wrk -v 2>&1 | head -1 | cut -d' ' -f1-2)"
printf 'round\tpeer\tpath\tconnections\trequests/s\tMB/s\tp99\terrors\n'
for round in $(seq "$rounds"); do
  for peer in levee nginx; do
    start_$peer
    sleep 3
    for row in '/bytes/1024 64' '/bytes/1024 256' '/bytes/1048576 16' '/cached/1024 64' '/cached/1048576 16'; do
      read -r path connections <<<"$row"
      ip netns exec $prefix-client curl -sk --max-time 10 -o /dev/null "https://10.9.1.1$path"
      if [ $peer = levee ] && [ -n "${PROFILE-}" ]; then
        (sleep 1 && profile >"$state/profile") &
      fi
      printf '%s\t%s\t%s\t%s\t%s\n' "$round" "$peer" "$path" "$connections" "$(measure "$path" "$connections")"
      if [ -e "$state/profile" ]; then
        wait -n || true
        cat "$state/profile"
        rm "$state/profile"
      fi
    done
    stop_proxy
    [ $peer = levee ] || addresses del
  done
done
