#!/usr/bin/env bash
# Levee between a client and an origin, each in a network namespace of its own on this machine.
#
#   demo.sh run     until Ctrl-C, which takes everything down again
#   demo.sh check   fetches pages through Levee, compares them, takes everything down; exit code 0 if all is well
#   demo.sh up      namespaces, hugepages and certificates only
#   demo.sh down    removes them; certificates and logs stay in .demo/
#
# The binaries are built already (`make run` does it); BIN says where they are. All state is in .demo/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bin=$(realpath "${BIN:-${CARGO_TARGET_DIR:-target}/release}")
prefix=levee
host=demo.levee.test
proxy=10.9.1.1
origin=10.9.2.2:8080
state=.demo
hugepages=512 # of 2 MiB, for packet memory

up() {
  down
  mkdir -p "$state"
  if ! etc/hugepages.sh reserve $hugepages >"$state/hugepages"; then
    echo "demo: this machine cannot spare $hugepages hugepages: packet memory falls back to ordinary pages (--no-huge)"
  fi
  etc/network.sh up "$prefix"
  etc/certificates.sh "$state/certs" "$host" "$proxy"
}

down() {
  etc/network.sh down "$prefix"
  if [ -e "$state/hugepages" ]; then
    etc/hugepages.sh restore "$(<"$state/hugepages")"
    rm "$state/hugepages"
  fi
}

within() { # PLACE COMMAND...
  local place=$1
  shift
  ip netns exec "$prefix-$place" "$@"
}

# Starts the origin and Levee, which writes to descriptor 3.
start() {
  [ "$(id -u)" -eq 0 ] || fail "namespaces and hugepages need root"
  [ -z "$(ip netns pids "$prefix-proxy" 2>/dev/null)" ] || fail "one is running; \`etc/demo.sh down\` ends it"
  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  up
  # Not by `within`: the ids must be those of the programs.
  ip netns exec "$prefix-origin" "$bin/levee-load" origin --listen "$origin" >"$state/origin.log" 2>&1 &
  origin_id=$!
  ip netns exec "$prefix-proxy" "$bin/levee" run -c etc/demo.toml >&3 2>&3 &
  proxy_id=$!
}

finish() {
  local status=$?
  trap '' INT TERM
  if ! stop "${proxy_id-}"; then
    echo "demo: levee did not end well" >&2
    [ "$status" -ne 0 ] || status=1
  fi
  stop "${origin_id-}" || true
  down
  if [ "$status" -ne 0 ] && [ -n "${log-}" ]; then
    echo "demo: the end of $log:" >&2
    tail -n 30 "$log" >&2
  fi
  exit "$status"
}

# Asks a process to stop, then makes it; its exit status unless it was made to.
stop() { # ID
  [ -n "$1" ] || return 0
  kill -TERM "$1" 2>/dev/null || true
  for _ in $(seq 100); do
    if ! kill -0 "$1" 2>/dev/null; then
      wait "$1"
      # Within a trap, a bare return would give the status from before the trap.
      return $?
    fi
    sleep 0.1
  done
  kill -KILL "$1"
  echo "demo: process $1 had to be killed" >&2
  return 1
}

fail() {
  echo "demo: $*" >&2
  exit 1
}

run() {
  exec 3>&1
  start
  cat <<TXT

Try, in another terminal:

  ip netns exec $prefix-client curl --cacert $PWD/$state/certs/ca.crt --resolve $host:443:$proxy https://$host/

Ctrl-C ends the demonstration.

TXT
  wait -n "$proxy_id" "$origin_id" || true
  fail "a process ended by itself; the origin's log is $state/origin.log"
}

client() { # CURL-ARGUMENTS...
  within client curl --silent --show-error --max-time 30 --cacert "$state/certs/ca.crt" \
    --resolve "$host:443:$proxy" --resolve "$host:80:$proxy" "$@"
}

# A client that can verify one kind of certificate only is given that one.
only() { # KIND
  local schemes=ECDSA+SHA256
  [ "$1" = ecdsa ] || schemes=rsa_pss_rsae_sha256:RSA+SHA256
  cat >"$state/openssl-$1.cnf" <<TXT
openssl_conf = top
[top]
ssl_conf = ssl
[ssl]
system_default = verifies
[verifies]
SignatureAlgorithms = $schemes
TXT
}

check() {
  mkdir -p "$state"
  log=$state/levee.log
  exec 3>"$log"
  start
  wait_for_answer
  local version kind page upload
  upload=$state/upload
  head -c 1000000 /dev/urandom >"$upload"
  for kind in ecdsa rsa; do
    only $kind
    export OPENSSL_CONF=$PWD/$state/openssl-$kind.cnf
    for version in 1.2 1.3; do
      expect_certificate $version $kind
      for page in / /bytes/0 /bytes/1 /bytes/16383 /bytes/16384 /bytes/16385 /bytes/1048576 /chunked/100000 \
        /close/100000 /cached/4096 /cached/4096; do
        expect_same $version $page
      done
      expect_upload $version "$upload"
      echo "demo: TLS $version, $kind certificate: pages and an upload are the same through Levee"
    done
  done
  unset OPENSSL_CONF
  expect_redirect
  echo "demo: http:// is redirected to https://"
}

wait_for_answer() {
  for _ in $(seq 100); do
    client --output /dev/null --max-time 1 "https://$host/bytes/1" 2>/dev/null && return
    kill -0 "$proxy_id" 2>/dev/null || fail "levee ended by itself"
    kill -0 "$origin_id" 2>/dev/null || fail "the origin ended by itself: $(<"$state/origin.log")"
    sleep 0.1
  done
  fail "no answer from https://$host/"
}

expect_same() { # VERSION PAGE
  local through direct
  through=$(client --tlsv"$1" --tls-max "$1" "https://$host$2" | sha256sum) || fail "TLS $1: no $2"
  direct=$(within origin curl --silent --show-error "http://$origin$2" | sha256sum)
  [ "$through" = "$direct" ] || fail "TLS $1: $2 is not what the origin sent"
}

expect_upload() { # VERSION FILE
  local through
  through=$(client --tlsv"$1" --tls-max "$1" --data-binary "@$2" "https://$host/hash") || fail "TLS $1: no upload"
  [ "$through" = "$(sha256sum <"$2" | cut -d' ' -f1)" ] || fail "TLS $1: the origin got another upload"
}

expect_certificate() { # VERSION KIND
  local said
  said=$(client --tlsv"$1" --tls-max "$1" --verbose --output /dev/null "https://$host/bytes/1" 2>&1) || fail "$said"
  grep -q "SSL connection using TLSv$1 " <<<"$said" || fail "asked for TLS $1: $said"
  grep -q "subject: O=Levee demo ($2)" <<<"$said" || fail "asked for the $2 certificate: $said"
}

expect_redirect() {
  local said
  said=$(client --output /dev/null --write-out '%{http_code} %{redirect_url}' "http://$host/bytes/1?a=b")
  case $said in
    30[18]" https://$host/bytes/1?a=b") ;;
    *) fail "http:// answers $said" ;;
  esac
}

case ${1-} in
  run | check | up | down) "$1" ;;
  *)
    echo "usage: demo.sh run|check|up|down" >&2
    exit 2
    ;;
esac
