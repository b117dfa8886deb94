#!/bin/sh
# /etc/letsencrypt/renewal-hooks/deploy/slipway: certbot calls it with a new certificate, which it puts
# where nginx reads it. Both files are whole before either is in its place.
set -eu
umask 077
cd /etc/slipway/tls
if [ "$(basename "$RENEWED_LINEAGE")" != "$(cat domain)" ]; then
    exit 0 # another one of this server's
fi
cp "$RENEWED_LINEAGE/privkey.pem" privkey.pem.new
cp "$RENEWED_LINEAGE/fullchain.pem" fullchain.pem.new
chmod 644 fullchain.pem.new
mv -f privkey.pem.new privkey.pem
mv -f fullchain.pem.new fullchain.pem
if systemctl --quiet is-active nginx.service; then
    nginx -t -q
    systemctl reload nginx.service
fi
