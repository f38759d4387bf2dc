// computes  for P-Net's proposals in order, which of the better ones overlap each: within its level, and among all
// shapes    boxes float4, levels u32 [n]; masks u32 [PNET_MAX / 32][PNET_MAX], of item i only words up to its own
// params    OverlapParams
// launch    grid: a few blocks for each multiprocessor, block 256, shared 0
// work      a warp: 32 x 32 pairs at a time, a row for each lane
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

KERNEL(overlap, OverlapParams, 256) {
    const u32 n = p.status->pnet_kept, rows = (n + 31) / 32;
    const u32 lane = threadIdx.x % 32;
    for (u32 tile = (blockIdx.x * 256 + threadIdx.x) / 32; tile < rows * rows; tile += gridDim.x * 8) {
        const u32 row = tile / rows, column = tile % rows, i = 32 * row + lane;
        if (column > row || i >= n) continue;
        const Box own = p.boxes[i];
        const u32 own_level = p.level_of_box[i];
        u32 level_mask = 0, all_mask = 0;
        for (u32 k = 0; k < 32; k++) {
            const u32 j = 32 * column + k;
            if (j >= i) break;
            const Box other = p.boxes[j];
            const float part = overlap_of<OVERLAP_UNION>(other, own);
            if (part > p.level_threshold && p.level_of_box[j] == own_level) level_mask |= 1u << k;
            if (part > p.all_threshold) all_mask |= 1u << k;
        }
        p.level_masks[column * PNET_MAX + i] = level_mask;
        p.all_masks[column * PNET_MAX + i] = all_mask;
    }
}
