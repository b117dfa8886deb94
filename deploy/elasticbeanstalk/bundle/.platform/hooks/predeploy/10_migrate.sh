#!/bin/bash
# Migrates, on each instance, while the last version still runs there or before the first one starts.
#
# Not a container command with leader_only: an instance that joins by itself has no leader, and a
# batch may be ready before the leader's turn comes. All may do it at once: there is a lock.
set -euo pipefail

cd "$(dirname "$0")/../../.."
for folder in /var/app/venv/*/bin; do
    PATH=$folder:$PATH
done
export PATH

# As the user of the service; hooks are root's. libpq looks for certificates in HOME, and must not
# be sent to that of root, which it may not read.
exec /usr/sbin/runuser --user webapp -- env --unset=HOME \
    python -m service migrate
