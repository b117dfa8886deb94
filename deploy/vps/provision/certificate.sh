#!/bin/sh
# /usr/local/sbin/slipway-certificate: makes the self-signed certificate of nginx, unless there is one
# that holds for the domain for another 30 days; with --any-age: one for the domain, which somebody else
# renews. With --check after that it only says whether there is ("holds").
# The key stays the same, for those who know the server by it.
set -eu
umask 077
days=30
if [ "${1-}" = --any-age ]; then
    days=any
    shift
fi
cd /etc/slipway/tls
domain=$(cat domain)

case $domain in
    *:* | [0-9]*.*[0-9]) kind=IP check=-checkip ;;
    *) kind=DNS check=-checkhost ;;
esac
# A name may end in a digit too; an address has nothing else.
case $domain in
    *:*) ;;
    *[!0-9.]*) kind=DNS check=-checkhost ;;
esac

holds() {
    [ -s fullchain.pem ] && [ -s privkey.pem ] || return 1
    [ $days = any ] || openssl x509 -in fullchain.pem -noout -checkend $((days * 86400)) >/dev/null \
        || return 1
    openssl x509 -in fullchain.pem -noout "$check" "$domain" | grep -q 'does match' || return 1
    [ "$(openssl x509 -in fullchain.pem -noout -pubkey)" = "$(openssl pkey -in privkey.pem -pubout)" ]
}

if holds 2>/dev/null; then
    echo holds
    exit 0
fi
if [ "${1-}" = --check ]; then
    exit 1
fi

if ! openssl pkey -in privkey.pem -noout 2>/dev/null; then
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out privkey.pem.new
    mv -f privkey.pem.new privkey.pem
fi
# 397 days: browsers take no certificate that lives for longer than 398.
openssl req -x509 -new -sha256 -days 397 -key privkey.pem -out fullchain.pem.new -config - <<END
[req]
distinguished_name = subject
x509_extensions = extensions
prompt = no
[subject]
CN = slipway
[extensions]
subjectAltName = $kind:$domain
subjectKeyIdentifier = hash
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
END
chmod 644 fullchain.pem.new
mv -f fullchain.pem.new fullchain.pem
if systemctl --quiet is-active nginx.service; then
    systemctl reload nginx.service
fi
