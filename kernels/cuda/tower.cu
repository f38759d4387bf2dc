// computes  a run of an embedder's levels, one after the other, each item by one cluster of blocks
// shapes    as `layers.cu`; the table: LayerStep [n_steps], then the number of steps up to each level's end, u32 [n_levels]
// params    TowerParams
// launch    grid: items x blocks of a cluster, block 128 to 512, shared: the table and TOWER_RING bytes a team; overlaps
// work      a team of 128 threads: tiles of a convolution or 128 times 8 channels of another layer, every so many-th of a level
// cost      as `layers.cu`; a level that waits for the one before costs a barrier of 16 blocks instead of a launch
// numerics  as `layers.cu`; an item's values do not depend on how many there are
//
// Compute capability 9.0 and later: blocks of a cluster run at once and have a barrier of their own, so that a level can wait
// for the one before without an end of the launch. Between levels, as between launches, values go through the second cache.
// A level's first weights are under way before its team waits.
#include "pointwise.cuh"
#include "product.cuh"

constexpr u32 TOWER_TEAMS = 4;

struct TowerParams {
    const uint4* table;
    const u32* count;   // items that there are, at most as many as have clusters; null: all. No launch that this one may overlap
                        // writes it
    u32 n_steps, n_levels;
};
static_assert(sizeof(TowerParams) == 24, "as launch::tower::Params");
static_assert(sizeof(LayerStep) % 8 == 0, "the ends of the levels lie behind the steps");

#if HAS_CLUSTERS
constexpr u32 TOWER_RING = 48 << 10;   // bytes

typedef Product<64, 32, 2, 1, 4, ClusterTeam> Tower64x32;
typedef Product<32, 32, 2, 1, 6, ClusterTeam> Tower32x32;
typedef Product<16, 64, 1, 1, 4, ClusterTeam> Tower16x64;
typedef Product<16, 32, 1, 4, 2, ClusterTeam> Tower16x32Shared;
typedef Product<16, 16, 1, 4, 3, ClusterTeam> Tower16x16Shared;
static_assert(Tower64x32::SHARED <= TOWER_RING && Tower32x32::SHARED <= TOWER_RING && Tower16x64::SHARED <= TOWER_RING &&
                  Tower16x32Shared::SHARED <= TOWER_RING && Tower16x16Shared::SHARED <= TOWER_RING,
              "a team's ring holds each");

// Of the item: its values follow the first item's.
static __device__ __forceinline__ void move_on(Plane& plane, u32 item, u32 halves) {
    if (plane.start != nullptr) plane.start += (u64)item * plane.item * halves;
}

static __device__ __forceinline__ void tile(const LayerStep& s, ClusterTeam& team, unsigned char* s_ring, u32 block) {
    if (s.kind == LAYER_UNIT) return unit(s, team, 1, block);
    if (s.kind != LAYER_CONV) return pointwise(s, team, 1, block);
    switch (s.tile) {
        case 3: return Tower64x32(s, team, s_ring, 1).run(block);
        case 4: return Tower32x32(s, team, s_ring, 1).run(block);
        case 5: return Tower16x64(s, team, s_ring, 1).run(block);
        case 6: return Tower16x32Shared(s, team, s_ring, 1).run(block);
        default: return Tower16x16Shared(s, team, s_ring, 1).run(block);
    }
}

KERNEL_BY_FEW(tower, TowerParams, TOWER_TEAMS * TEAM_THREADS, 1) {
    SHARED_BYTES(s_raw);
    let_next_begin();
    const u32 item = blockIdx.x / cluster_blocks(), teams = cluster_blocks() * (blockDim.x / TEAM_THREADS);
    if (p.count != nullptr && item >= *p.count) return wait_for_before();
    const u32 table_words = (p.n_steps * sizeof(LayerStep) + p.n_levels * 4 + 15) / 16;
    LayerStep* s_steps = (LayerStep*)s_raw;
    for (u32 i = threadIdx.x; i < table_words; i += blockDim.x) ((uint4*)s_raw)[i] = p.table[i];
    __syncthreads();
    for (u32 i = threadIdx.x; i < p.n_steps; i += blockDim.x) {
        LayerStep& s = s_steps[i];
        move_on(s.x, item, 1);
        move_on(s.second, item, 1);
        move_on(s.y, item, s.kind == LAYER_UNIT || s.floats ? 2 : 1);
    }
    __syncthreads();
    const u32* s_ends = (const u32*)(s_steps + p.n_steps);
    ClusterTeam team = {OWED_LAUNCH};
    unsigned char* s_ring = s_raw + 16 * table_words + team.number() * TOWER_RING;
    // A level's neighbouring tiles are of different blocks, so that few tiles are shared by many.
    const u32 own = cluster_rank() + cluster_blocks() * team.number();
    u32 first = 0;
#pragma unroll 1
    for (u32 level = 0; level < p.n_levels; level++) {
        const u32 end = s_ends[level];
#pragma unroll 1
        for (u32 next = own;; next += teams) {
            u32 which = first, block = next;
            while (which < end && block >= s_steps[which].blocks) block -= s_steps[which++].blocks;
            if (which == end) break;
            // The ring may still be read for the tile before.
            team.sync();
            tile(s_steps[which], team, s_ring, block);
        }
        team.wait();
        if (level + 1 < p.n_levels) team.arrive();
        first = end;
    }
}
#else
KERNEL_BY_FEW(tower, TowerParams, TOWER_TEAMS * TEAM_THREADS, 1) { never_launched(); }
#endif
