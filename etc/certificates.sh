#!/usr/bin/env bash
# Certificates for the demonstration and the tests: for each kind of key (ecdsa: P-256, rsa: 2048 bit, p384,
# ed25519) a CA and a certificate of NAME signed by it. Keeps what is there already.
#
#   certificates.sh DIRECTORY NAME [ADDRESS]
#
# DIRECTORY/ca.crt holds all CAs, DIRECTORY/{ecdsa,rsa,p384,ed25519}.{crt,key} the certificates and their keys.
set -euo pipefail

[ $# -ge 2 ] || { echo "usage: certificates.sh DIRECTORY NAME [ADDRESS]" >&2; exit 2; }
directory=$1 name=$2 address=${3-}
kinds=(ecdsa rsa p384 ed25519)
[ "$(grep -c BEGIN "$directory/ca.crt" 2>/dev/null)" != "${#kinds[@]}" ] || exit 0

key() { # KIND FILE
  case $1 in
    ecdsa) openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$2" ;;
    p384) openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out "$2" ;;
    ed25519) openssl genpkey -quiet -algorithm ED25519 -out "$2" ;;
    rsa) openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$2" ;;
  esac
}

umask 077
mkdir -p "$directory"
work=$(mktemp -d "$directory/making.XXXXXX")
trap 'rm -rf "$work"' EXIT

for kind in "${kinds[@]}"; do
  hash=()
  [ $kind != p384 ] || hash=(-sha384)
  key $kind "$work/ca-$kind.key"
  openssl req -x509 -new -key "$work/ca-$kind.key" -days 3650 -subj "/O=Levee demo/CN=Levee demo CA ($kind)" "${hash[@]}" \
    -addext keyUsage=critical,keyCertSign,cRLSign -out "$work/ca-$kind.crt"

  key $kind "$work/$kind.key"
  openssl req -new -key "$work/$kind.key" -subj "/O=Levee demo ($kind)/CN=$name" -out "$work/$kind.csr"
  printf '%s\n' "subjectAltName=DNS:$name${address:+,IP:$address}" \
    basicConstraints=critical,CA:false keyUsage=critical,digitalSignature extendedKeyUsage=serverAuth \
    >"$work/extensions"
  openssl x509 -req -in "$work/$kind.csr" -CA "$work/ca-$kind.crt" -CAkey "$work/ca-$kind.key" \
    -days 3650 "${hash[@]}" -extfile "$work/extensions" -out "$work/$kind.crt" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
  mv "$work/$kind.crt" "$work/$kind.key" "$directory/"
done
for kind in "${kinds[@]}"; do cat "$work/ca-$kind.crt"; done >"$work/ca.crt"
mv "$work/ca.crt" "$directory/"
