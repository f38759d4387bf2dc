#!/bin/sh
# Checks or times the kernels on this machine's NVIDIA card; needs its driver and nothing else.
#   ./run.sh check [rounds]   every kernel's tests on the card; rounds: how often random shapes are drawn anew (default 100: 10,000 shapes)
#   ./run.sh bench [calls]    times of frames and stages, and the peer's where PyTorch is there (default 2000 frames each)
# Results come to ./results, or to $OUT where that is set.
set -eu
cd "$(dirname "$0")"
here=$(pwd)
out=${OUT:-$here/results}
mkdir -p "$out"
export THRESHOLD_SHARED="$here/shared" THRESHOLD_PACKS="$here/packs" THRESHOLD_KERNELS="$here/kernels"

case "${1:-}" in
check)
    THRESHOLD_ROUNDS="${2:-100}" ./bin/check 2>&1 | tee "$out/check.txt"
    if command -v compute-sanitizer > /dev/null; then
        for tool in memcheck racecheck synccheck initcheck; do
            compute-sanitizer --tool "$tool" --error-exitcode 1 ./bin/check networks suppression 2>&1 |
                tee "$out/$tool.txt"
        done
    else
        echo "skipped: compute-sanitizer (not installed)" | tee -a "$out/check.txt"
    fi
    ;;
bench)
    nvidia-smi > "$out/nvidia-smi.txt" 2>&1 || true
    ./bin/bench --packs packs --frames frames --images kernels --calls "${2:-2000}" --out "$out"
    cat "$out/detect.md"
    if python3 -c 'import torch, torchvision' 2> /dev/null; then
        PYTHONPATH="$here/peer" python3 peer/peer.py frames "$out/peer.json" 50
    else
        echo "skipped: facenet-pytorch (no PyTorch with torchvision here)" | tee "$out/peer.txt"
    fi
    ;;
*)
    sed -n '2,5s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
