// computes  P-Net's proposals after suppression (0.5 within a level, then 0.7 over all), regressed and squared: R-Net's boxes
// shapes    sorted u64, boxes float4 [pnet_kept], regs float4 [cells], masks u32; out float4 [RNET_MAX], score descending
// params    ProposeParams
// launch    grid 1, block ONE_BLOCK, shared PROPOSE_SHARED
// work      both suppressions, ONE_BLOCK proposals at a time, then the boxes of those that stay, in order; a box without a
//           pixel in the frame goes
// cost      reads the masks once, n^2 / 8 bytes for both; latency-bound: a barrier for each 32 proposals, twice
// numerics  the same bits as models::cascade::Cascade::propose
#include "boxes.cuh"
#include "status.cuh"
#include "suppress.cuh"

struct ProposeParams {
    const u64* sorted;
    const Box* boxes;
    const float4* regs;
    const u32* level_masks;
    const u32* all_masks;
    Box* out;
    Status* status;
    u32 frame_width, frame_height;
};
static_assert(sizeof(ProposeParams) == 64, "as launch::propose::Params");

constexpr u32 PROPOSE_WORDS = PNET_MAX / 32;
constexpr u32 PROPOSE_SHARED = 2 * PROPOSE_WORDS * 4 + 36 * 4 + PNET_MAX * 2;
static_assert(PROPOSE_SHARED == 18576, "as launch::propose::SHARED_BYTES");

KERNEL_BY_FEW(propose, ProposeParams, ONE_BLOCK, 1) {
    SHARED_BYTES(s_raw);
    let_next_begin();
    wait_for_before();
    u32* s_open = (u32*)s_raw;
    u32* s_kept = s_open + PROPOSE_WORDS;
    u32* s_warps = s_kept + PROPOSE_WORDS;
    unsigned short* s_staying = (unsigned short*)(s_warps + 36);

    const u32 n = p.status->pnet_kept;
    for (u32 w = threadIdx.x; w < PROPOSE_WORDS; w += ONE_BLOCK) {
        const u32 rest = n > 32 * w ? n - 32 * w : 0;
        s_open[w] = rest >= 32 ? 0xffffffffu : (1u << rest) - 1;
        s_kept[w] = 0;
    }
    __syncthreads();
    resolve(p.level_masks, PNET_MAX, n, s_open, s_kept);
    for (u32 w = threadIdx.x; w < PROPOSE_WORDS; w += ONE_BLOCK) {
        s_open[w] = s_kept[w];
        s_kept[w] = 0;
    }
    __syncthreads();
    resolve(p.all_masks, PNET_MAX, n, s_open, s_kept);

    // Those that stay, in order: few of many, so that the boxes take one round more often than not. A word a thread.
    static_assert(PROPOSE_WORDS <= ONE_BLOCK && PNET_MAX <= 65536, "one round of the block's threads, and a half a number");
    u32 word = threadIdx.x < PROPOSE_WORDS ? s_kept[threadIdx.x] : 0, staying;
    u32 to = rank_of_counts(__popc(word), s_warps, &staying);
    for (; word != 0; word &= word - 1) s_staying[to++] = (unsigned short)(32 * threadIdx.x + __ffs((int)word) - 1);
    __syncthreads();

    u32 found = 0;
    for (u32 first = 0; first < staying; first += ONE_BLOCK) {
        bool stays = first + threadIdx.x < staying;
        Box box = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (stays) {
            const u32 i = s_staying[first + threadIdx.x];
            box = squared(regress_plain(p.boxes[i], p.regs[(u32)p.sorted[i]]));
            Window window;
            stays = crop_window(box, p.frame_width, p.frame_height, &window);
        }
        u32 total;
        const u32 at = found + rank_in_block(stays, s_warps, &total);
        if (stays && at < RNET_MAX) p.out[at] = box;
        found += total;
    }
    if (threadIdx.x == 0) {
        p.status->rnet_found = found;
        p.status->rnet_kept = min(found, RNET_MAX);
    }
}
