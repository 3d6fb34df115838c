#!/bin/sh
# Keep a capture going from cron: start one where none runs, and leave the one that runs alone.
#
#   */5 * * * * <checkout>/scripts/cron_stream_capture.sh "$HOME/market-data" --stocks SPY,AAPL
#
# The first argument is the folder to record into; the others go to `options-helper stream capture`. The capture waits
# for the market by itself, on holidays and half days too, so the line in the crontab needs no hours. Keys come from the
# environment or from config/alpaca.env of the checkout. What the capture says is in <folder>/log; this script says
# something, which cron then mails, only when a capture ended with an error.
set -eu

if [ $# -eq 0 ] || [ "${1#-}" != "$1" ]; then
    echo "usage: $(basename -- "$0") FOLDER [option of stream capture] ..." >&2
    exit 2
fi
if ! command -v flock >/dev/null; then
    echo "$(basename -- "$0") needs flock, which is in the package util-linux." >&2
    exit 2
fi

mkdir -p -- "$1"
out=$(cd -P -- "$1" && pwd)
shift
root=$(cd -P -- "$(dirname -- "$0")/.." && pwd)
program=${OPTIONS_HELPER:-$root/.venv/bin/options-helper}
if [ ! -x "$program" ]; then
    program=$(command -v options-helper) || {
        echo "There is no options-helper: run sh scripts/setup, or name it: OPTIONS_HELPER=<path>" >&2
        exit 2
    }
fi

# The capture inherits the lock, so that it lasts as long as the capture does, even if this script is killed.
exec 9>"$out/.cron.lock"
flock -n 9 || exit 0

mkdir -p -- "$out/log"
log=$out/log/$(date +%Y-%m-%dT%H%M%S).log
find "$out/log" -name '*.log' -mtime "+${KEEP_LOG_DAYS:-30}" -exec rm -f -- {} +

# The capture runs elsewhere; the paths it is told are the caller's.
here=$(pwd)
previous=
for word; do
    shift
    case $previous=$word in --portfolio=[!/]* | --state=[!/]*) word=$here/$word ;; esac
    case $word in --portfolio=[!/]* | --state=[!/]*) word=${word%%=*}=$here/${word#*=} ;; esac
    set -- "$@" "$word"
    previous=$word
done

cd -- "$root" # config/alpaca.env is here
"$program" stream capture --market-hours --out "$out" "$@" >"$log" 2>&1 &
capture=$!
trap 'kill -s TERM "$capture" 2>/dev/null || true' INT TERM HUP

code=0
wait "$capture" || code=$?
# A signal ends the wait, not the capture, which still has something to write.
while kill -s 0 "$capture" 2>/dev/null; do
    code=0
    wait "$capture" || code=$?
done

if [ "$code" -ne 0 ]; then
    echo "The capture into $out ended with exit code $code. The end of $log:" >&2
    tail -n 20 -- "$log" >&2
fi
exit "$code"
