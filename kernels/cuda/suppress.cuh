// Sorting and non-maximum suppression within one block; deterministic, whatever order threads run in.
//
// Terms: a *key* sorts ascending, best first: the score's bits turned over in the upper half, what breaks ties in the lower.
// Of item i, bit j of its mask says that j < i (so j has the better score) overlaps it. An item goes if one that stays
// overlaps it.
#pragma once
#include "boxes.cuh"
#include "portable.h"

// Threads of the kernels that do a whole frame's part in one block.
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
                // `apart` is a power of two: the bits below it stay, those above move up by one.
                const u32 low = 2 * (i & ~(apart - 1)) | (i & (apart - 1)), high = low + apart;
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

// Decides the `n` items whose bits are set in `s_open`; afterwards `s_kept` holds those that stay. Word w of item i's mask is
// g_mask[w * most + i], for w up to the item's own. 32 items at a time, best first: one warp decides among them, then all
// threads let those go that a kept one overlaps. So the time depends on `n` alone, whatever stands before the camera.
// All threads call it, after a barrier; ends with one.
static __device__ __forceinline__ void resolve(const u32* g_mask, u32 most, u32 n, u32* s_open, u32* s_kept) {
    const u32 lane = threadIdx.x % 32;
    for (u32 w = 0; 32 * w < n; w++) {
        if (threadIdx.x < 32) {
            const u32 i = 32 * w + lane;
            const u32 own = i < n ? g_mask[w * most + i] : 0;
            u32 open = s_open[w], kept = 0;
            // The same in every lane: the best that is still open stays, and closes those that it overlaps.
            while (open != 0) {
                const u32 k = __ffs((int)open) - 1;
                kept |= 1u << k;
                open &= ~(1u << k | __ballot_sync(0xffffffffu, own >> k & 1));
            }
            if (lane == 0) s_kept[w] = kept;
        }
        __syncthreads();
        const u32 kept = s_kept[w];
        for (u32 i = 32 * (w + 1) + threadIdx.x; kept != 0 && i < n; i += blockDim.x) {
            if (g_mask[w * most + i] & kept) atomicAnd(&s_open[i / 32], ~(1u << (i % 32)));
        }
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
