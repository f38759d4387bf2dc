// computes  the best template for each probe and the best of another person, from what the blocks of `scan` found
// shapes    pairs Pair [blocks][PROBES], found FoundTemplate [PROBES][2]; lasts u64 [PROBES]: the key of the best, below which
//           `scan` finds the next one
// params    RankParams
// launch    grid PROBES, block SEARCH_BLOCK, shared RANK_SHARED; overlaps
// work      a block: one probe's pairs
// cost      24 bytes a block and probe read; latency-bound
// numerics  none: keys are compared, and unequal, so the order of blocks is of no matter
#include "search.cuh"

// A template's place in the gallery, in the order of person and slot, and its score; NO_TEMPLATE if there is none. Mirrors
// `launch::FoundTemplate`.
struct FoundTemplate {
    u32 place;
    float score;
};
static_assert(sizeof(FoundTemplate) == 8, "as launch::FoundTemplate");
constexpr u32 NO_TEMPLATE = 0xffffffffu;

struct RankParams {
    const Pair* pairs;
    FoundTemplate* found;
    u64* lasts;
    u32 blocks;
    u32 unused;
};
static_assert(sizeof(RankParams) == 32, "as launch::rank::Params");

constexpr u32 RANK_SHARED = SEARCH_WARPS * 24;
static_assert(RANK_SHARED == 192, "as launch::rank::SHARED_BYTES");

static __device__ __forceinline__ FoundTemplate found_of(u64 key) {
    if (key == 0) return {NO_TEMPLATE, LOWEST};
    return {~(u32)key, from_ascending((u32)(key >> 32))};
}

KERNEL(rank, RankParams, SEARCH_BLOCK) {
    SHARED_BYTES(s_raw);
    Pair* s_pairs = (Pair*)s_raw;
    let_next_begin();
    wait_for_before();
    Pair r_pair = {};
    for (u32 i = threadIdx.x; i < p.blocks; i += SEARCH_BLOCK) merge(r_pair, p.pairs[i * gridDim.x + blockIdx.x]);
    merge_lanes<1>(r_pair);
    if (threadIdx.x % 32 == 0) s_pairs[threadIdx.x / 32] = r_pair;
    __syncthreads();
    if (threadIdx.x != 0) return;
    for (u32 i = 1; i < SEARCH_WARPS; i++) merge(r_pair, s_pairs[i]);
    p.lasts[blockIdx.x] = r_pair.best;
    p.found[2 * blockIdx.x] = found_of(r_pair.best);
    p.found[2 * blockIdx.x + 1] = found_of(r_pair.runner_up);
}
