#!/bin/bash
# A change of settings alone is no deploy of the application, and may bring another DATABASE_URL.
set -euo pipefail

exec "$(dirname "$0")/../../hooks/predeploy/10_migrate.sh"
