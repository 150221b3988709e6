#!/bin/sh
# Packs a platform's schema folder and migrates its databases: the tenant's of TENANT_ID, or all of the platform's.
# The environment, the output and the exit status are those of register-with-gateway.sh, which must lie beside it.
set -eu

export GATEWAY_ENDPOINT=migrate
exec "$(dirname -- "$0")/register-with-gateway.sh"
