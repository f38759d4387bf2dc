// computes  for P-Net's proposals in order, which of the better ones overlap each: within its level, and among all
// shapes    boxes float4, levels u32 [n]; masks u32 [PNET_MAX / 32][PNET_MAX], of item i only words up to its own
// params    OverlapParams
// launch    grid: a few blocks for each multiprocessor, block 256, shared OVERLAP_SHARED
// work      a warp: 32 x 32 pairs at a time, a row for each lane; the 32 columns in shared memory
// cost      n^2 / 2 pairs, 8 bytes written for 32 of them; n = 1,300: 0.8 M pairs
// numerics  models::cascade::nms, Overlap::Union
#include "boxes.cuh"
#include "status.cuh"

struct OverlapParams {
    const Box* boxes;
    const u32* level_of_box;
    u32* level_masks;
    u32* all_masks;
    const Status* status;
    float level_threshold;
    float all_threshold;
};
static_assert(sizeof(OverlapParams) == 48, "as launch::overlap::Params");

constexpr u32 OVERLAP_SHARED = 256 * (16 + 4);
static_assert(OVERLAP_SHARED == 5120, "as launch::overlap::SHARED_BYTES");

KERNEL(overlap, OverlapParams, 256) {
    SHARED_BYTES(s_raw);
    let_next_begin();
    wait_for_before();
    const u32 n = p.status->pnet_kept, rows = (n + 31) / 32;
    const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    // This warp's.
    Box* s_boxes = (Box*)s_raw + 32 * warp;
    u32* s_levels = (u32*)((Box*)s_raw + 256) + 32 * warp;
    for (u32 tile = 8 * blockIdx.x + warp; tile < rows * rows; tile += gridDim.x * 8) {
        const u32 row = tile / rows, column = tile % rows;
        if (column > row) continue;
        // Beyond the last, the last once more: nobody asks for what it overlaps.
        const u32 i = 32 * row + lane, there = min(i, n - 1), j = min(32 * column + lane, n - 1);
        const Box own = p.boxes[there];
        const u32 own_level = p.level_of_box[there];
        s_boxes[lane] = p.boxes[j];
        s_levels[lane] = p.level_of_box[j];
        __syncwarp();
        u32 level_mask = 0, all_mask = 0;
#pragma unroll 4
        for (u32 k = 0; k < 32; k++) {
            const float part = overlap_of<OVERLAP_UNION>(s_boxes[k], own);
            if (part > p.level_threshold && s_levels[k] == own_level) level_mask |= 1u << k;
            if (part > p.all_threshold) all_mask |= 1u << k;
        }
        __syncwarp();
        if (i >= n) continue;
        // In its own word only the better ones.
        const u32 better = column < row ? 0xffffffffu : (1u << lane) - 1;
        p.level_masks[column * PNET_MAX + i] = level_mask & better;
        p.all_masks[column * PNET_MAX + i] = all_mask & better;
    }
}
