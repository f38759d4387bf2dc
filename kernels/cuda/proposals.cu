// computes  the best PNET_MAX proposals in order (score descending, then level, y, x), and their boxes
// shapes    keys u64 [found] in any order; sorted u64, boxes float4, levels u32 [PNET_MAX]
// params    ProposalsParams
// launch    grid 1, block ONE_BLOCK, shared PROPOSALS_SHARED
// work      with more than PNET_MAX keys, their PNET_MAX-th by its digits (radix selection); then a bitonic sort
// cost      8 bytes a key read (9 times if there are too many), 28 a proposal written; latency-bound
// numerics  the same bits as models::cascade::proposal::collect
#include "boxes.cuh"
#include "pyramid.cuh"
#include "status.cuh"
#include "suppress.cuh"

struct ProposalsParams {
    const Level* levels;
    const u64* keys;
    u64* sorted;
    Box* boxes;
    u32* level_of_box;
    Status* status;
    u32 n_levels;
    u32 unused;
};
static_assert(sizeof(ProposalsParams) == 56, "as launch::proposals::Params");

constexpr u32 DIGITS = 256;
constexpr u32 PROPOSALS_SHARED = PNET_MAX * 8 + DIGITS * 4 + 32;
static_assert(PROPOSALS_SHARED == 66592, "as launch::proposals::SHARED_BYTES");

// P-Net's window at step 2: pixels (2 x + 1) .. (2 x + 12) of its level, divided in f32 as the reference does.
static __device__ __forceinline__ Box box_of(const Level& level, u32 x, u32 y) {
    return make_float4(floorf((float)(2 * x + 1) / level.scale), floorf((float)(2 * y + 1) / level.scale),
                       floorf((float)(2 * x + 12) / level.scale), floorf((float)(2 * y + 12) / level.scale));
}

// The PNET_MAX-th of `found` keys, which are all different. `s_counts` has DIGITS words, `s_state` two.
static __device__ __forceinline__ u64 last_kept(const u64* g_keys, u32 found, u32* s_counts, u64* s_state) {
    u64 prefix = 0, known = 0;
    u32 rank = PNET_MAX;
    for (i32 shift = 56; shift >= 0; shift -= 8) {
        for (u32 i = threadIdx.x; i < DIGITS; i += blockDim.x) s_counts[i] = 0;
        __syncthreads();
        for (u32 i = threadIdx.x; i < found; i += blockDim.x) {
            const u64 key = g_keys[i];
            if ((key & known) == prefix) atomicAdd(&s_counts[(u32)(key >> shift) & (DIGITS - 1)], 1u);
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            u32 digit = 0, before = 0;
            while (before + s_counts[digit] < rank) before += s_counts[digit++];
            s_state[0] = digit;
            s_state[1] = before;
        }
        __syncthreads();
        prefix |= s_state[0] << shift;
        known |= (u64)(DIGITS - 1) << shift;
        rank -= (u32)s_state[1];
        __syncthreads();
    }
    return prefix;
}

KERNEL_BY_FEW(proposals, ProposalsParams, ONE_BLOCK, 1) {
    SHARED_BYTES(s_raw);
    let_next_begin();
    wait_for_before();
    u64* s_keys = (u64*)s_raw;
    u64* s_state = s_keys + PNET_MAX;
    u32* s_kept = (u32*)(s_state + 2);
    u32* s_counts = s_kept + 4;

    const u32 found = p.status->pnet_found, kept = min(found, PNET_MAX);
    if (found <= PNET_MAX) {
        for (u32 i = threadIdx.x; i < kept; i += ONE_BLOCK) s_keys[i] = p.keys[i];
    } else {
        const u64 last = last_kept(p.keys, found, s_counts, s_state);
        if (threadIdx.x == 0) *s_kept = 0;
        __syncthreads();
        for (u32 i = threadIdx.x; i < found; i += ONE_BLOCK) {
            const u64 key = p.keys[i];
            if (key <= last) s_keys[atomicAdd(s_kept, 1u)] = key;
        }
    }
    __syncthreads();
    sort_keys(s_keys, kept);
    for (u32 i = threadIdx.x; i < kept; i += ONE_BLOCK) {
        const u64 key = s_keys[i];
        const u32 cell = (u32)key;
        const u32 level_idx = level_of_cell(p.levels, p.n_levels, cell);
        const Level level = p.levels[level_idx];
        const u32 at = cell - level.cell_offset;
        p.sorted[i] = key;
        p.boxes[i] = box_of(level, at % level.cells_w, at / level.cells_w);
        p.level_of_box[i] = level_idx;
    }
    if (threadIdx.x == 0) p.status->pnet_kept = kept;
}
