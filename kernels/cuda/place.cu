// computes  the detections: O-Net's proposals above its threshold, regressed, with landmarks, suppressed (0.7 of the smaller
//           area), by box area descending, then score, then index
// shapes    boxes float4, answers float [onet_kept][16]; masks u32 [ONET_MAX / 32][ONET_MAX]; result: Status, Found [ONET_MAX],
//           where the host reads them, and the detections once more where the device does
// params    PlaceParams
// launch    grid 1, block ONE_BLOCK, shared PLACE_SHARED
// work      threshold, sort, masks, suppression ONE_BLOCK at a time, sort by area
// cost      64 bytes a detection written, over the bus where the result lies in the host's memory; latency-bound
// numerics  the same bits as models::cascade::Cascade::place, given the scores (expf may differ in its last place)
#include "boxes.cuh"
#include "stage.cuh"
#include "status.cuh"
#include "suppress.cuh"

// Mirrors what `room` reads.
struct Result {
    Status status;
    Found found[ONET_MAX];
};

struct PlaceParams {
    const Box* boxes;
    const float* answers;
    u32* masks;
    Result* result;
    Found* found;
    Status* status;
    float threshold;
    float overlap;
};
static_assert(sizeof(PlaceParams) == 56, "as launch::place::Params");

// Behind the stage: the keys of the second sort.
constexpr u32 PLACE_SHARED = Stage<ONET_MAX>::BYTES + ONET_MAX * 8;
static_assert(PLACE_SHARED == 16672 && Stage<ONET_MAX>::BYTES % 8 == 0, "as launch::place::SHARED_BYTES");

// Turns a float's bits so that unsigned order is that of the numbers, greatest first.
static __device__ __forceinline__ u32 descending(float value) {
    const u32 bits = __float_as_uint(value);
    return ~(bits >> 31 ? ~bits : bits | 0x80000000u);
}

static __device__ __forceinline__ float4 reg_of(const float* g_answer) {
    return make_float4(g_answer[2], g_answer[3], g_answer[4], g_answer[5]);
}

KERNEL_BY_FEW(place, PlaceParams, ONE_BLOCK, 1) {
    SHARED_BYTES(s_raw);
    let_next_begin();
    wait_for_before();
    const Stage<ONET_MAX> stage(s_raw);
    u64* s_areas = (u64*)(s_raw + Stage<ONET_MAX>::BYTES);
    const u32 n = p.status->onet_kept;
    // The reference takes from the end of an ascending sort: of equal scores the last comes first.
    const u32 m = stage.pass<16>(p.answers, n, p.threshold, p.status, FAULT_ONET, true);
    for (u32 k = threadIdx.x; k < m; k += ONE_BLOCK) {
        const u32 i = ~(u32)stage.s_keys[k];
        stage.s_boxes[k] = regress_inclusive(p.boxes[i], reg_of(p.answers + 16 * i));
    }
    __syncthreads();
    stage.suppress<OVERLAP_SMALLER>(p.masks, m, p.overlap);

    static_assert(ONET_MAX <= ONE_BLOCK, "one round of the block's threads");
    const u32 k = threadIdx.x;
    const bool stays = k < m && stage.stays(k);
    u32 detections;
    const u32 at = rank_in_block(stays, stage.s_warps, &detections);
    if (stays) {
        const Box box = stage.s_boxes[k];
        s_areas[at] = (u64)descending((box.z - box.x) * (box.w - box.y)) << 32 | k;
    }
    __syncthreads();
    sort_keys(s_areas, detections);
    if (threadIdx.x < detections) {
        const u32 which = (u32)s_areas[threadIdx.x];
        const u64 key = stage.s_keys[which];
        const u32 i = ~(u32)key;
        const Box box = stage.s_boxes[which], before = p.boxes[i];
        const float* g_answer = p.answers + 16 * i;
        Found found = {};
        found.box[0] = box.x, found.box[1] = box.y, found.box[2] = box.z, found.box[3] = box.w;
        const float width = before.z - before.x + 1.0f, height = before.w - before.y + 1.0f;
        for (u32 point = 0; point < 5; point++) {
            found.landmarks[2 * point] = width * g_answer[6 + point] + before.x - 1.0f;
            found.landmarks[2 * point + 1] = height * g_answer[11 + point] + before.y - 1.0f;
        }
        found.score = __uint_as_float(~(u32)(key >> 32));
        p.result->found[threadIdx.x] = found;
        p.found[threadIdx.x] = found;
    }
    if (threadIdx.x == 0) {
        p.status->detections = detections;
        p.result->status = *p.status;
    }
}
