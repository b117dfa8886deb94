#!/bin/sh
# /usr/local/sbin/slipway-revert FILE [COMMAND…]: takes back a change of sshd or the firewall that
# nobody has confirmed by a new connection. The file is as it was before, and the command puts that in
# force. Where there is no such change, nothing is done.
set -eu
file=$1
shift
[ -e "$file.before" ] || exit 0
# An empty one: there was no file.
if [ -s "$file.before" ]; then mv -f "$file.before" "$file"; else rm -f "$file" "$file.before"; fi
[ $# = 0 ] || exec "$@"
