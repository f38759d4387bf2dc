#!/bin/sh
# Checks or times the kernels on this machine's NVIDIA card; needs its driver and nothing else.
#   ./run.sh check [rounds]   every kernel's tests on the card; rounds: how often random shapes are drawn anew (default @ROUNDS@)
#   ./run.sh bench [calls]    times, and the peer's where PyTorch is there (default @CALLS@ runs of each)
# Results come to ./results, or to $OUT where that is set.
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

case "${1:-}" in
check)
    export THRESHOLD_ROUNDS="${2:-@ROUNDS@}"
    record check.txt ./bin/check @CHECK@
    if command -v compute-sanitizer > /dev/null; then
        export THRESHOLD_ROUNDS=1
        for tool in memcheck racecheck synccheck initcheck; do
            # Asking the driver for a parameter that a kernel does not have is how its parameters are counted, and no error.
            # One test at a time: what the sanitizer does for one thread breaks off another's recording of a graph.
            record "$tool.txt" compute-sanitizer --tool "$tool" --report-api-errors no --error-exitcode 1 \
                ./bin/check --test-threads 1 @SANITIZE@
        done
    else
        echo "skipped: compute-sanitizer (not installed)" | tee "$out/memcheck.txt"
    fi
    ;;
bench)
    # For the record only: not every board has it.
    nvidia-smi > "$out/nvidia-smi.txt" 2>&1 || true
    peer=
    if python3 -c 'import torch, torchvision' 2> /dev/null; then
        record peer.txt env PYTHONPATH="$here/peer" python3 peer/peer.py @PEER@
        if [ -f "$out/peer.json" ]; then peer="--peer $out/peer.json"; fi
    else
        echo "skipped: facenet-pytorch (no PyTorch with torchvision here)" | tee "$out/peer.txt"
    fi
    # shellcheck disable=SC2086
    record bench.txt ./bin/bench @BENCH@ --images kernels --calls "${2:-@CALLS@}" --out "$out" $peer
    if [ -f "$out/@NAME@.md" ]; then cat "$out/@NAME@.md"; fi
    ;;
*)
    sed -n '2,5s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
exit $failed
