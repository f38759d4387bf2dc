// Sorting and non-maximum suppression within one block; deterministic, whatever order threads run in.
//
// Terms: a *key* sorts ascending, best first: the score's bits turned over in the upper half, what breaks ties in the lower.
// Of item i, bit j of its mask row says that j < i (so j has the better score) overlaps it. An item goes if one that
// stays overlaps it, and stays if all that overlap it go; both follow in a few rounds, with no walk over the items.
#pragma once
#include "boxes.cuh"
#include "portable.h"

// Threads of the kernels that do a whole frame's part in one block: at 1,024 ptxas leaves each thread 32 registers, and
// spills.
constexpr u32 ONE_BLOCK = 512;

static __device__ __forceinline__ u64 key_of(float score, u32 tie) {
    // Scores are at least zero, so that their bits sort as they do.
    return (u64)~__float_as_uint(score) << 32 | tie;
}

// The least power of two that is at least n, and at least 2.
static __device__ __forceinline__ u32 power_of_two(u32 n) { return n <= 2 ? 2u : 1u << (32 - __clz((int)(n - 1))); }

// Bitonic sort of `n` keys, ascending; `s_keys` has room for power_of_two(n). All threads call it; ends with a barrier.
static __device__ __forceinline__ void sort_keys(u64* s_keys, u32 n) {
    const u32 padded = power_of_two(n);
    for (u32 i = n + threadIdx.x; i < padded; i += blockDim.x) s_keys[i] = ~0ull;
    __syncthreads();
    for (u32 run = 2; run <= padded; run *= 2) {
        for (u32 apart = run / 2; apart > 0; apart /= 2) {
            for (u32 i = threadIdx.x; i < padded / 2; i += blockDim.x) {
                const u32 low = 2 * apart * (i / apart) + i % apart, high = low + apart;
                const u64 a = s_keys[low], b = s_keys[high];
                if ((a > b) == ((low & run) == 0)) {
                    s_keys[low] = b;
                    s_keys[high] = a;
                }
            }
            __syncthreads();
        }
    }
}

// Decides the items whose bits are set in `s_open`; afterwards `s_kept` holds those that stay and `s_open` is empty.
// `g_mask` has `words` words a row. ITEMS: the most items of one thread. All threads call it; `s_kept` must be zero and both
// visible (a barrier before). Ends with a barrier.
template <u32 ITEMS>
static __device__ __forceinline__ void resolve(const u32* g_mask, u32 words, u32 n, u32* s_open, u32* s_kept, u32* s_any) {
    for (;;) {
        u32 drop = 0, keep = 0;
        for (u32 k = 0; k < ITEMS; k++) {
            const u32 i = k * blockDim.x + threadIdx.x;
            if (i >= n || !(s_open[i / 32] >> (i % 32) & 1)) continue;
            bool dropped = false, waits = false;
            for (u32 w = 0; w <= i / 32 && !dropped; w++) {
                const u32 mask = g_mask[i * words + w];
                dropped = mask & s_kept[w];
                waits |= (mask & s_open[w]) != 0;
            }
            if (dropped) drop |= 1u << k;
            else if (!waits) keep |= 1u << k;
        }
        // Nobody changes what another still reads.
        __syncthreads();
        if (threadIdx.x == 0) *s_any = 0;
        for (u32 k = 0; k < ITEMS; k++) {
            const u32 i = k * blockDim.x + threadIdx.x;
            if ((drop | keep) >> k & 1) atomicAnd(&s_open[i / 32], ~(1u << (i % 32)));
            if (keep >> k & 1) atomicOr(&s_kept[i / 32], 1u << (i % 32));
        }
        __syncthreads();
        for (u32 w = threadIdx.x; w < (n + 31) / 32; w += blockDim.x) {
            if (s_open[w] != 0) *s_any = 1;
        }
        __syncthreads();
        if (*s_any == 0) return;
        __syncthreads();
    }
}

// How many of the block's threads before this one have `flag` set, and how many in all. All threads call it; `s_warps` has
// 33 words. Begins and ends with a barrier.
static __device__ __forceinline__ u32 rank_in_block(bool flag, u32* s_warps, u32* total) {
    const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32, n_warps = blockDim.x / 32;
    const u32 ballot = __ballot_sync(0xffffffffu, flag);
    __syncthreads();
    if (lane == 0) s_warps[warp] = __popc(ballot);
    __syncthreads();
    if (threadIdx.x == 0) {
        u32 sum = 0;
        for (u32 w = 0; w < n_warps; w++) {
            const u32 here = s_warps[w];
            s_warps[w] = sum;
            sum += here;
        }
        s_warps[32] = sum;
    }
    __syncthreads();
    *total = s_warps[32];
    return s_warps[warp] + __popc(ballot & ((1u << lane) - 1));
}
