// computes  the dense layers behind R-Net's and O-Net's convolutions: hidden = prelu(W x + b), answers = V hidden + c
// shapes    features half [n][K], answers float [n][COLUMNS]: two logits, four regressions, and O-Net's ten landmarks
// params    HeadsParams
// launch    grid: (most proposals) / 16, block HEADS_BLOCK, shared HEADS_SHARED of the network; blocks beyond the last proposal end
// work      a block: 16 proposals, each of 16 warps a sixteenth of the hidden values
// cost      weights (R-Net 0.15 MB, O-Net 0.6 MB) read by each block from L2, eight steps ahead; 0.08 and 0.3 MMAC a proposal
// numerics  half features and hidden values, f32 sums; models::net::{rnet, onet}
#include "conv.cuh"
#include "status.cuh"

struct HeadsParams {
    const __half* features;
    float* answers;
    const Status* status;
    Layer hidden;
    Layer heads;
};
static_assert(sizeof(HeadsParams) == 72, "as launch::heads::Params");

constexpr u32 HEADS_ROWS = 16, HEADS_BLOCK = 512;

static_assert(HEADS_ROWS * (row_of(576) + row_of(128)) * 2 == 23040, "as launch::heads::RNET_SHARED_BYTES");
static_assert(HEADS_ROWS * (row_of(1152) + row_of(256)) * 2 == 45568, "as launch::heads::ONET_SHARED_BYTES");

template <u32 K, u32 HIDDEN, u32 COLUMNS>
static __device__ __forceinline__ void dense_heads(unsigned char* s_raw, const HeadsParams& p, u32 n) {
    const u32 first = HEADS_ROWS * blockIdx.x;
    if (first >= n) return;
    __half* s_x = (__half*)s_raw;
    __half* s_hidden = s_x + HEADS_ROWS * row_of(K);
    const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    for (u32 i = threadIdx.x; i < HEADS_ROWS * (K / 8); i += HEADS_BLOCK) {
        const u32 row = i / (K / 8), chunk = i % (K / 8);
        const bool there = first + row < n;
        const __half* g_from = p.features + (u64)(there ? first + row : first) * K + 8 * chunk;
        cp_async_16(s_x + row * row_of(K) + 8 * chunk, g_from, there);
    }
    cp_async_commit();
    cp_async_wait<0>();
    __syncthreads();

    constexpr u32 N = HIDDEN / 8 / (HEADS_BLOCK / 32), K_STEPS = K / 16, H_STEPS = HIDDEN / 16;
    const Ends<N> ends(p.hidden, warp * N, lane);
    float r_hidden[N][4] = {};
    const __half* s_row = s_x + lane % 16 * row_of(K) + 8 * (lane / 16);
    accumulate<N, K_STEPS>(r_hidden, p.hidden.weights + warp * N * K_STEPS * 32, lane,
                           [&](u32 step) { return s_row + 16 * step; });
    store<N>(r_hidden, ends, warp * N, s_hidden, row_of(HIDDEN), 0, HEADS_ROWS, lane);
    __syncthreads();

    if (warp >= COLUMNS / 8) return;
    float r_heads[1][4] = {};
    const __half* s_hidden_row = s_hidden + lane % 16 * row_of(HIDDEN) + 8 * (lane / 16);
    accumulate<1, H_STEPS>(r_heads, p.heads.weights + warp * H_STEPS * 32, lane,
                           [&](u32 step) { return s_hidden_row + 16 * step; });
    const u32 column = 8 * warp + 2 * (lane % 4);
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
        const u32 row = first + lane / 4 + 8 * (i / 2);
        if (row < n) p.answers[row * COLUMNS + column + i % 2] = r_heads[0][i] + p.heads.bias[column + i % 2];
    }
}

KERNEL_BY_FEW(rnet_heads, HeadsParams, HEADS_BLOCK, 1) {
    SHARED_BYTES(s_raw);
    dense_heads<576, 128, 8>(s_raw, p, p.status->rnet_kept);
}

KERNEL_BY_FEW(onet_heads, HeadsParams, HEADS_BLOCK, 1) {
    SHARED_BYTES(s_raw);
    dense_heads<1152, 256, 16>(s_raw, p, p.status->onet_kept);
}
