// computes  R-Net's proposals above its threshold, suppressed (0.7 over all), regressed and squared: O-Net's boxes
// shapes    boxes float4, answers float [rnet_kept][8]; masks u32 [RNET_MAX / 32][RNET_MAX]; out float4 [ONET_MAX]
// params    RefineParams
// launch    grid 1, block ONE_BLOCK, shared REFINE_SHARED
// work      threshold, sort, masks, suppression ONE_BLOCK at a time, boxes in order; one without a pixel in the frame goes
// cost      m^2 / 2 overlaps of the m above the threshold; latency-bound
// numerics  the same bits as models::cascade::Cascade::refine, given the scores (expf may differ in its last place)
#include "boxes.cuh"
#include "stage.cuh"
#include "status.cuh"
#include "suppress.cuh"

struct RefineParams {
    const Box* boxes;
    const float* answers;
    u32* masks;
    Box* out;
    Status* status;
    u32 frame_width, frame_height;
    float threshold;
    float overlap;
};
static_assert(sizeof(RefineParams) == 56, "as launch::refine::Params");

constexpr u32 REFINE_SHARED = Stage<RNET_MAX>::BYTES;
static_assert(REFINE_SHARED == 49824, "as launch::refine::SHARED_BYTES");

KERNEL_BY_FEW(refine, RefineParams, ONE_BLOCK, 1) {
    SHARED_BYTES(s_raw);
    let_next_begin();
    wait_for_before();
    const Stage<RNET_MAX> stage(s_raw);
    const u32 n = p.status->rnet_kept;
    const u32 m = stage.pass<8>(p.answers, n, p.threshold, p.status, FAULT_RNET, false);
    for (u32 k = threadIdx.x; k < m; k += ONE_BLOCK) stage.s_boxes[k] = p.boxes[(u32)stage.s_keys[k]];
    __syncthreads();
    stage.suppress<OVERLAP_UNION>(p.masks, m, p.overlap);

    u32 found = 0;
    for (u32 first = 0; first < m; first += ONE_BLOCK) {
        const u32 k = first + threadIdx.x;
        bool stays = k < m && stage.stays(k);
        Box box = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (stays) {
            const float* g_answer = p.answers + 8 * (u32)stage.s_keys[k];
            const float4 reg = make_float4(g_answer[2], g_answer[3], g_answer[4], g_answer[5]);
            box = squared(regress_inclusive(stage.s_boxes[k], reg));
            Window window;
            stays = crop_window(box, p.frame_width, p.frame_height, &window);
        }
        u32 total;
        const u32 at = found + rank_in_block(stays, stage.s_warps, &total);
        if (stays && at < ONET_MAX) p.out[at] = box;
        found += total;
    }
    if (threadIdx.x == 0) {
        p.status->onet_found = found;
        p.status->onet_kept = min(found, ONET_MAX);
    }
}
