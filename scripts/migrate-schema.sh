#!/bin/sh
# Packs a platform's schema folder and migrates the database of TENANT_ID, or all databases of the platform.
# The environment, the output and the exit status are those of register-with-gateway.sh, which must be in the same folder.
set -eu

export GATEWAY_ENDPOINT=migrate
exec "$(dirname -- "$0")/register-with-gateway.sh"
