#!/bin/sh
# Checks or times the kernels on this machine's NVIDIA card; needs its driver and nothing else.
#   ./run.sh check                    every kernel's tests on the card, random shapes drawn once
#   ./run.sh rounds [n [seconds]]     random shapes drawn n times (default @ROUNDS@), as far as the seconds reach (default 300)
#   ./run.sh sanitize [tool...]       each test alone under memcheck, racecheck, synccheck, initcheck
#   ./run.sh bench [calls [option...]]  times in turns with the peer's where PyTorch is there (default @CALLS@ runs of each);
#                                     options are bin/bench's
#   ./run.sh accuracy pictures pairs [option...]
#                                     LFW's folds through the graph beside the CPU engine; options are bin/accuracy's
#   ./run.sh soak [frames]            drawn frames through the graph, which must repeat and not grow (default 100000)
#   ./run.sh energy [seconds]         joules a frame, where the driver tells power and Python is there (default 5 of each)
# Results come to ./results, or to $OUT where that is set.
# $THRESHOLD_TESTS names the tests that the sanitizer sees, instead of this folder's;
# $THRESHOLD_TEST_SECONDS (default 60) is what a test may take under the sanitizer, $THRESHOLD_JOBS (default 4) how many run at
# once, $THRESHOLD_TURNS (default 3) the turns of a benchmark, $THRESHOLD_COMPILE_SECONDS (default 150) what torch.compile may take,
# $THRESHOLD_PEER options of peer/peer.py (--calls 3 --modes default).
set -eu
cd "$(dirname "$0")"
here=$(pwd)
out=${OUT:-$here/results}
mkdir -p "$out"
export THRESHOLD_SHARED="$here/shared" THRESHOLD_PACKS="$here/packs" THRESHOLD_KERNELS="$here/kernels"
export THRESHOLD_PHOTOS="$here/photos"

# Runs a command into a file, shows it, and keeps in mind that it failed.
failed=0
record() {
    file=$1
    shift
    "$@" > "$out/$file" 2>&1 || { failed=1; echo "failed: $*" >> "$out/$file"; }
    cat "$out/$file"
}

# Lines of fields between tabs as JSON: a list of objects with these names; what looks like a number is one, nothing is null.
json() {
    awk -F '\t' -v names="$1" '
        BEGIN { n = split(names, name, " "); print "[" }
        {
            line = ""
            for (i = 1; i <= n; i++) {
                value = $i == "" ? "null" : $i ~ /^[0-9]+(\.[0-9]+)?$/ ? $i : "\"" $i "\""
                line = line (i > 1 ? ", " : "") "\"" name[i] "\": " value
            }
            printf "%s {%s}", (NR > 1 ? ",\n" : ""), line
        }
        END { print "\n]" }'
}

# The same as a table.
table() {
    awk -F '\t' -v names="$1" '
        BEGIN {
            n = split(names, name, " ")
            head = rule = "|"
            for (i = 1; i <= n; i++) { head = head " " name[i] " |"; rule = rule " --- |" }
            print head "\n" rule
        }
        { line = "|"; for (i = 1; i <= n; i++) line = line " " $i " |"; print line }'
}

has_torch() {
    python3 -c 'import torch, torchvision' 2> /dev/null
}

case "${1:-}" in
check)
    record check.txt env THRESHOLD_ROUNDS=1 ./bin/check @CHECK@
    if [ -x bin/contract ]; then
        record contract.txt ./bin/contract device::contract
    else
        : > "$out/contract.txt"
    fi
    tab=$(printf '\t')
    sed -n "s/^test \([^ ]*\) \.\.\. \(.*\)/\1$tab\2/p" "$out/check.txt" "$out/contract.txt" | sort | json "test result" > "$out/check.json"
    ;;
rounds)
    n=${2:-@ROUNDS@} seconds=${3:-300}
    # A round that has begun ends; what hangs does not.
    record rounds.txt timeout -k 5 $((seconds + 60)) \
        env THRESHOLD_ROUNDS="$n" THRESHOLD_SECONDS="$seconds" ./bin/check @CHECK@
    # A test may have several loops of rounds: the least is told.
    awk -v OFS='\t' '
        # Another thread may have begun a line of its own before it.
        match($0, /rounds: [^ ]+ [0-9]+ [0-9]+$/) {
            split(substr($0, RSTART), part, " ")
            if (!(part[2] in done) || part[3] < done[part[2]]) done[part[2]] = part[3]
            all = part[4]
        }
        END { for (test in done) print test, done[test], all }' "$out/rounds.txt" | sort > "$out/rounds.tsv"
    json "test done of" < "$out/rounds.tsv" > "$out/rounds.json"
    table "test done of" < "$out/rounds.tsv"
    rm "$out/rounds.tsv"
    ;;
sanitize)
    shift
    if ! command -v compute-sanitizer > /dev/null; then
        echo "skipped: compute-sanitizer (not installed)" | tee "$out/sanitize.txt"
        exit 0
    fi
    if [ $# = 0 ]; then set -- memcheck racecheck synccheck initcheck; fi
    rm -rf "$out/sanitize"
    mkdir "$out/sanitize"
    # shellcheck disable=SC2086
    tests=$(./bin/check --list --format terse ${THRESHOLD_TESTS:-@SANITIZE@} | sed -n 's/: test$//p')
    for tool in "$@"; do
        for test in $tests; do
            # Whose tiles and layers other tests have, of which racecheck comes to the end.
            case "$tool $test" in "racecheck "*facenets_large_batch*) continue ;; esac
            echo "$tool $test"
        done
    done | xargs -n 2 -P "${THRESHOLD_JOBS:-4}" "$here/run.sh" sanitized
    names="tool test errors seconds result"
    sort "$out/sanitize/lines" | json "$names" > "$out/sanitize.json"
    sort "$out/sanitize/lines" | table "$names" | tee "$out/sanitize.md"
    # What was said where something was found; the rest says nothing.
    for log in "$out"/sanitize/*.txt; do
        if [ -f "$log" ]; then echo "== $(basename "$log" .txt)"; cat "$log"; fi
    done > "$out/sanitize.txt"
    if grep -Ev "	(ok|skipped)$" "$out/sanitize/lines" > /dev/null; then failed=1; fi
    rm -r "$out/sanitize"
    ;;
# One test under one tool, for `sanitize`.
sanitized)
    tool=$2 test=$3 start=$(date +%s)
    log="$out/sanitize/$tool-$(echo "$test" | tr -s : -).txt"
    export THRESHOLD_ROUNDS=1
    # The sanitizers' records of calls lie on the stack of the thread that calls; 2 MB are too few for racecheck's.
    export RUST_MIN_STACK=67108864
    ulimit -s 65536 2> /dev/null || true
    status=0
    # Asking the driver for a parameter that a kernel does not have is how its parameters are counted, and no error.
    timeout -k 5 "${THRESHOLD_TEST_SECONDS:-60}" \
        compute-sanitizer --tool "$tool" --report-api-errors no --error-exitcode 1 \
        ./bin/check --test-threads 1 --exact "$test" > "$log" 2>&1 || status=$?
    errors=$(sed -nE 's/^=+ (ERROR|RACECHECK) SUMMARY: ([0-9]+) .*/\2/p' "$log" | tail -n 1)
    case $status in
    0) result=ok ;;
    124 | 137) result="timed out" ;;
    *) result="exit $status" ;;
    esac
    if [ "$result" = ok ] && [ -z "$errors" ]; then result="no summary"; fi
    # It asked the card for nothing, which the tool takes for an error.
    if [ -z "$errors" ] && [ "$status" = 255 ] && grep -q '^skipped: ' "$log"; then result=skipped; fi
    if [ "$result" = ok ] && ! grep -q '^test result: ok. 1 passed' "$log"; then result="not passed"; fi
    if [ "${errors:-0}" != 0 ]; then result=errors; fi
    printf '%s\t%s\t%s\t%s\t%s\n' "$tool" "$test" "$errors" $(($(date +%s) - start)) "$result" >> "$out/sanitize/lines"
    case $result in ok | skipped) rm "$log" ;; esac
    ;;
bench)
    # For the record only: not every board has it.
    nvidia-smi > "$out/nvidia-smi.txt" 2>&1 || true
    calls=${2:-@CALLS@}
    shift
    if [ $# -gt 0 ]; then shift; fi
    if has_torch; then
        turns=${THRESHOLD_TURNS:-3}
        # shellcheck disable=SC2086
        record bench.txt env PYTHONPATH="$here/peer" python3 peer/peer.py @PEER@ ${THRESHOLD_PEER:-} --out "$out" --turns "$turns" \
            -- ./bin/bench @BENCH@ --images kernels --calls $(((calls + turns - 1) / turns)) "$@"
    else
        echo "skipped: facenet-pytorch (no PyTorch with torchvision here)" | tee "$out/peer.txt"
        mkdir -p "$out/turn-1"
        record bench.txt ./bin/bench @BENCH@ --images kernels --calls "$calls" --out "$out/turn-1" "$@"
    fi
    for page in "$out"/turn-*/@NAME@.md; do
        if [ -f "$page" ]; then last=$page; fi
    done
    if [ -n "${last:-}" ]; then cat "$last"; fi
    ;;
accuracy)
    pictures=$2 pairs=$3
    shift 3
    record accuracy.txt ./bin/accuracy --pictures "$pictures" --pairs "$pairs" --images kernels --out "$out" "$@"
    ;;
soak)
    record soak.txt ./bin/soak "${2:-100000}" --images kernels --out "$out"
    ;;
energy)
    if python3 -c pass 2> /dev/null; then
        record energy.txt env PYTHONPATH="$here/peer" python3 peer/energy.py @NAME@ --out "$out" --seconds "${2:-5}"
    else
        echo "skipped: energy (no Python here)" | tee "$out/energy.txt"
    fi
    ;;
*)
    sed -n '2,16s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
exit $failed
