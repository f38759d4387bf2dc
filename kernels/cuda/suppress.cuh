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
// Pairs at most WARP_APART apart lie within the 64 keys of one warp, which then waits for itself alone.
constexpr u32 WARP_APART = 32;
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
            const u32 next = apart > 1 ? apart / 2 : run;
            if (apart > WARP_APART || next > WARP_APART) __syncthreads();
            else __syncwarp();
        }
    }
    __syncthreads();
}

// One warp: which of a group's items stay. Bit k of `open` says that item k is still open, bit j of a lane's `own` that item
// j of the group overlaps the lane's. In each round those stay that no open one overlaps, the first of all at least.
static __device__ __forceinline__ u32 decide(u32 own, u32 open) {
    const u32 lane = threadIdx.x % 32;
    u32 kept = 0;
    while (open != 0) {
        const u32 stays = __ballot_sync(0xffffffffu, (open >> lane & 1) != 0 && (own & open) == 0);
        kept |= stays;
        open &= ~(stays | __ballot_sync(0xffffffffu, (own & kept) != 0));
    }
    return kept;
}

// Decides the `n` items whose bits are set in `s_open`; afterwards `s_kept` holds those that stay. Word w of item i's mask is
// g_mask[w * most + i], for w up to the item's own; `most` is a multiple of ONE_BLOCK.
// A part of ONE_BLOCK items at a time, best first, an item a thread: what earlier parts' kept ones overlap goes, all words at
// once; then the part's groups of 32 decide one after the other, a warp each, with the masks in registers and one barrier a
// group. So the time depends on `n` alone, whatever stands before the camera. All threads call it, after a barrier, and
// those of a block are ONE_BLOCK; ends with one.
static __device__ __forceinline__ void resolve(const u32* g_mask, u32 most, u32 n, const u32* s_open, u32* s_kept) {
    constexpr u32 GROUPS = ONE_BLOCK / 32;
    const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    for (u32 first = 0; 32 * first < n; first += GROUPS) {
        const u32 i = 32 * (first + warp) + lane;
        u32 r_mask[GROUPS];
#pragma unroll
        for (u32 group = 0; group < GROUPS; group++) {
            r_mask[group] = i < n && group <= warp ? g_mask[(first + group) * most + i] : 0;
        }
        bool open = i < n && (s_open[first + warp] >> lane & 1) != 0;
        if (open) {
            u32 overlapped = 0;
#pragma unroll 16
            for (u32 w = 0; w < first; w++) overlapped |= g_mask[w * most + i] & s_kept[w];
            open = overlapped == 0;
        }
#pragma unroll
        for (u32 group = 0; group < GROUPS; group++) {
            if (32 * (first + group) >= n) break;
            if (warp == group) {
                const u32 kept = decide(r_mask[group], __ballot_sync(0xffffffffu, open));
                if (lane == 0) s_kept[first + group] = kept;
            }
            __syncthreads();
            open = open && (r_mask[group] & s_kept[first + group]) == 0;
        }
    }
    // All have read what the caller may set anew.
    __syncthreads();
}

// The sum of `count` (at most 32) over the block's threads before this one, and over all. All threads call it, ONE_BLOCK
// of them; `s_warps` has a word for each warp. Begins with a barrier and has one before the sums are read.
static __device__ __forceinline__ u32 rank_of_counts(u32 count, u32* s_warps, u32* total) {
    const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    u32 before = 0, sum = 0;
#pragma unroll
    for (u32 bit = 0; bit < 6; bit++) {
        const u32 ballot = __ballot_sync(0xffffffffu, (count >> bit & 1) != 0);
        before += (u32)__popc(ballot & ((1u << lane) - 1)) << bit;
        sum += (u32)__popc(ballot) << bit;
    }
    __syncthreads();
    if (lane == 0) s_warps[warp] = sum;
    __syncthreads();
    u32 all = 0;
#pragma unroll
    for (u32 w = 0; w < ONE_BLOCK / 32; w++) {
        const u32 here = s_warps[w];
        if (w < warp) before += here;
        all += here;
    }
    *total = all;
    return before;
}

// How many of the block's threads before this one have `flag` set, and how many in all. As `rank_of_counts`.
static __device__ __forceinline__ u32 rank_in_block(bool flag, u32* s_warps, u32* total) {
    return rank_of_counts(flag ? 1 : 0, s_warps, total);
}
