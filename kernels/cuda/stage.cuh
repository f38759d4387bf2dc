// What the two later stages do alike in one block: who passes, in which order, and who suppresses whom.
#pragma once
#include "boxes.cuh"
#include "status.cuh"
#include "suppress.cuh"

// Room in shared memory for `MOST` proposals.
template <u32 MOST>
struct Stage {
    Box* s_boxes;
    u64* s_keys;
    u32* s_open;
    u32* s_kept;
    u32* s_warps;
    u32* s_count;
    static constexpr u32 WORDS = MOST / 32;
    static constexpr u32 BYTES = MOST * 16 + MOST * 8 + 2 * WORDS * 4 + 40 * 4;

    __device__ explicit Stage(unsigned char* s_raw)
        : s_boxes((Box*)s_raw), s_keys((u64*)(s_boxes + MOST)), s_open((u32*)(s_keys + MOST)), s_kept(s_open + WORDS),
          s_warps(s_kept + WORDS), s_count(s_warps + 36) {}

    // Sorts the keys of those whose score lies above the threshold and gives their number; ties by index, or backwards.
    // `g_answers` has COLUMNS values for each: two logits, then what must be finite as well.
    template <u32 COLUMNS>
    __device__ u32 pass(const float* g_answers, u32 n, float threshold, Status* status, Fault fault, bool backwards) const {
        if (threadIdx.x == 0) *s_count = 0;
        __syncthreads();
        for (u32 i = threadIdx.x; i < n; i += blockDim.x) {
            const float* g_answer = g_answers + i * COLUMNS;
            float sum = 0.0f;
            for (u32 c = 0; c < COLUMNS; c++) sum += fabsf(g_answer[c]);
            if (!(sum <= 65504.0f)) atomicOr(&status->faults, (u32)fault);
            const float score = 1.0f / (1.0f + expf(g_answer[0] - g_answer[1]));
            if (score > threshold) s_keys[atomicAdd(s_count, 1u)] = key_of(score, backwards ? ~i : i);
        }
        __syncthreads();
        const u32 m = *s_count;
        sort_keys(s_keys, m);
        return m;
    }

    // Suppression among `m` boxes in `s_boxes`, best first; `stays` tells then. All threads call it, after a barrier.
    template <Overlap OVERLAP>
    __device__ void suppress(u32* g_masks, u32 m, float threshold) const {
        const u32 words = (m + 31) / 32;
        for (u32 w = threadIdx.x; w < WORDS; w += blockDim.x) {
            const u32 rest = m > 32 * w ? m - 32 * w : 0;
            s_open[w] = rest >= 32 ? 0xffffffffu : (1u << rest) - 1;
            s_kept[w] = 0;
        }
        for (u32 item = threadIdx.x; item < m * words; item += blockDim.x) {
            const u32 i = item % m, w = item / m;
            if (w > i / 32) continue;
            const Box own = s_boxes[i];
            u32 mask = 0;
#pragma unroll 4
            for (u32 k = 0; k < 32; k++) {
                if (overlap_of<OVERLAP>(s_boxes[32 * w + k], own) > threshold) mask |= 1u << k;
            }
            // Of its own word only those before it, whatever lies behind.
            g_masks[w * MOST + i] = w < i / 32 ? mask : mask & ((1u << (i % 32)) - 1);
        }
        // Also of what the block wrote to device memory.
        __syncthreads();
        resolve(g_masks, MOST, m, s_open, s_kept);
    }

    __device__ bool stays(u32 k) const { return s_kept[k / 32] >> (k % 32) & 1; }
};
