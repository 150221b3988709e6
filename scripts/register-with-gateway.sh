#!/bin/sh
# Packs a platform's schema folder and registers it with the gateway. Safe to run at every start of every container.
#
#   DB_GATEWAY_URL    the address of the gateway, like http://10.0.0.5:9000 (required)
#   PLATFORM_ID       the platform                                          (required)
#   DB_GATEWAY_KEY    the platform's API key, if it has one
#   TENANT_ID         the tenant; by default the platform's main database
#   POSTGRESQL_PATH   the folder with tables/, functions/ and the others    (src/postgresql)
#   FORCE             true: deploy in spite of differences that would lose data
#   DRY_RUN           true: only report the changes
#   GATEWAY_ATTEMPTS  attempts while the gateway cannot be reached or answers 503 or 429   (8: about two minutes)
#   GATEWAY_TIMEOUT   seconds to wait for one answer                        (600)
#
# Needs tar and curl. The gateway's answer goes to standard output, everything else to standard error.
# Exit status: 0 success; 1 the gateway refused; 2 wrong usage; 3 the gateway could not be reached.
set -eu

endpoint=${GATEWAY_ENDPOINT:-register}
schema_path=${POSTGRESQL_PATH:-src/postgresql}
attempts=${GATEWAY_ATTEMPTS:-8}
longest_pause=30

say() { printf '%s: %s\n' "$endpoint" "$*" >&2; }

[ -n "${DB_GATEWAY_URL:-}" ] || { say 'DB_GATEWAY_URL is not set'; exit 2; }
[ -n "${PLATFORM_ID:-}" ] || { say 'PLATFORM_ID is not set'; exit 2; }
[ -d "$schema_path" ] || { say "there is no folder $schema_path; set POSTGRESQL_PATH"; exit 2; }
command -v curl >/dev/null || { say 'curl is needed and not installed'; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
tar -czf "$work/schema.tar.gz" -C "$schema_path" . || { say "$schema_path cannot be packed"; exit 2; }

# --form-string: curl interprets no @ or < at the start of a value.
set -- --form-string "platform=$PLATFORM_ID"
if [ -n "${DB_GATEWAY_KEY:-}" ]; then # from a file, because every user of the machine can see a command's arguments
    printf 'X-API-Key: %s\n' "$DB_GATEWAY_KEY" >"$work/headers"
    set -- "$@" --header "@$work/headers"
fi
[ -z "${TENANT_ID:-}" ] || set -- "$@" --form-string "tenant_id=$TENANT_ID"
[ -z "${FORCE:-}" ] || set -- "$@" --form-string "force=$FORCE"
[ -z "${DRY_RUN:-}" ] || set -- "$@" --form-string "dry_run=$DRY_RUN"

attempt=1
pause=1
while :; do
    curl_status=0
    : >"$work/answer"
    http_status=$(curl --silent --show-error --max-time "${GATEWAY_TIMEOUT:-600}" \
        --output "$work/answer" --write-out '%{http_code}' "$@" --form "schema=@$work/schema.tar.gz" \
        "${DB_GATEWAY_URL%/}/$endpoint") || curl_status=$?

    if [ "$curl_status" -eq 0 ] && [ "$http_status" = 200 ]; then
        cat "$work/answer"
        echo
        exit 0
    fi
    case $curl_status/$http_status in
        0/503 | 0/429) ;;                        # no connection to PostgreSQL, or too many requests
        0/*)
            cat "$work/answer" >&2
            echo >&2
            say "the gateway refused with HTTP status $http_status"
            exit 1
            ;;
        6/* | 7/* | 28/* | 35/* | 52/* | 55/* | 56/*) ;; # not resolved, not connected, too slow, cut off
        *) say "curl cannot send the request to $DB_GATEWAY_URL"; exit 2 ;;
    esac
    if [ "$attempt" -ge "$attempts" ]; then
        cat "$work/answer" >&2
        say "no success after $attempt attempts"
        exit 3
    fi
    say "attempt $attempt of $attempts failed; trying again in $pause s"
    sleep "$pause"
    attempt=$((attempt + 1))
    pause=$((pause * 2))
    [ "$pause" -le "$longest_pause" ] || pause=$longest_pause
done
