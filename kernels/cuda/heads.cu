// computes  the dense layers behind R-Net's and O-Net's convolutions: hidden = prelu(W x + b), answers = V hidden + c
// shapes    half: features [n][K], hidden [n][256] (O-Net's; R-Net's stay in a block); answers float [n][COLUMNS]: two logits,
//           four regressions, and O-Net's ten landmarks
// params    HeadsParams
// launch    rnet_heads: grid (most proposals) / 16, block HEADS_BLOCK, shared RNET_HEADS_SHARED; onet_hidden: grid
//           HIDDEN_PARTS x tiles at once, block HEADS_BLOCK, shared HIDDEN_SHARED; onet_heads: grid (most proposals) / 16,
//           block ANSWERS_BLOCK. Blocks beyond the last proposal end
// work      rnet_heads: 16 proposals a block, each of 16 warps a sixteenth of the hidden values; onet_hidden: 32 of the hidden
//           values of 16 proposals at a time, a warp a quarter of the sum of 8; onet_heads: 16 proposals, a warp 8 answers
// cost      weights (R-Net 0.15 MB, O-Net 0.6 MB) from L2, O-Net's once a block and before its features are there; 0.08 and
//           0.3 MMAC a proposal, and R-Net's answers three times
// numerics  half features and hidden values, R-Net's hidden values and its answers' weights in two halves each, f32 sums;
//           models::net::{rnet, onet}
#include "conv.cuh"
#include "status.cuh"

// Mirrors `launch::heads::Params`.
struct HeadsParams {
    const __half* features;
    __half* hidden_values;   // O-Net's
    float* answers;
    const Status* status;
    Layer hidden;
    Layer heads;
};
static_assert(sizeof(HeadsParams) == 80, "as launch::heads::Params");

constexpr u32 HEADS_ROWS = 16, HEADS_BLOCK = 512, HEADS_WARPS = HEADS_BLOCK / 32;

// The features of proposals first .. first + HEADS_ROWS into shared rows; those of proposals beyond the last are zeros.
template <u32 K>
static __device__ __forceinline__ void copy_features(__half* s_x, const __half* g_features, u32 first, u32 n) {
    for (u32 i = threadIdx.x; i < HEADS_ROWS * (K / 8); i += HEADS_BLOCK) {
        const u32 row = i / (K / 8), chunk = i % (K / 8);
        const bool there = first + row < n;
        const __half* g_from = g_features + (there ? first + row : first) * K + 8 * chunk;
        cp_async_16(s_x + row * row_of(K) + 8 * chunk, g_from, there);
    }
    cp_async_commit();
    cp_async_wait<0>();
    __syncthreads();
}

// A lane's four sums and the biases of their columns, as the answers of proposals `first` .. that there are.
template <u32 COLUMNS>
static __device__ __forceinline__ void answer(float* g_answers, const float (&r_sums)[4], float2 bias, u32 first, u32 n, u32 warp,
                                              u32 lane) {
    const u32 column = 8 * warp + 2 * (lane % 4);
#pragma unroll
    for (u32 half_tile = 0; half_tile < 2; half_tile++) {
        const u32 row = first + lane / 4 + 8 * half_tile;
        const float2 two = make_float2(r_sums[2 * half_tile] + bias.x, r_sums[2 * half_tile + 1] + bias.y);
        if (row < n) *(float2*)(g_answers + row * COLUMNS + column) = two;
    }
}

constexpr u32 RNET_K = 576, RNET_HIDDEN = 128;
constexpr u32 RNET_HEADS_SHARED = HEADS_ROWS * (row_of(RNET_K) + 2 * row_of(RNET_HIDDEN)) * 2;
static_assert(RNET_HEADS_SHARED == 27392, "as launch::heads::RNET_SHARED_BYTES");

KERNEL_BY_FEW(rnet_heads, HeadsParams, HEADS_BLOCK, 1) {
    SHARED_BYTES(s_raw);
    let_next_begin();
    __half* s_x = (__half*)s_raw;
    // Hidden values in two halves each.
    __half* s_hidden = s_x + HEADS_ROWS * row_of(RNET_K);
    __half* s_rests = s_hidden + HEADS_ROWS * row_of(RNET_HIDDEN);
    const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    constexpr u32 K_STEPS = RNET_K / 16, H_STEPS = RNET_HIDDEN / 16;
    static_assert(RNET_HIDDEN == 8 * HEADS_WARPS, "8 hidden values a warp");
    const Ends<1> ends(p.hidden, warp, lane);
    const uint2* g_weights = p.hidden.weights + warp * K_STEPS * 32;
    const Ring<1, K_STEPS, steps_ahead(1, K_STEPS)> ring(g_weights, lane);
    // What is nearest and what that leaves, a run each.
    const Ring<1, 2 * H_STEPS, 2 * H_STEPS> heads(p.heads.weights, lane);
    const float2 bias = *(const float2*)(p.heads.bias + 2 * (lane % 4));
    wait_for_before();
    const u32 n = p.status->rnet_kept, first = HEADS_ROWS * blockIdx.x;
    if (first >= n) return;
    copy_features<RNET_K>(s_x, p.features, first, n);
    float r_hidden[1][4] = {};
    const __half* s_row = s_x + lane % 16 * row_of(RNET_K) + 8 * (lane / 16);
    accumulate(r_hidden, ring, g_weights, lane, [&](u32 step) { return s_row + 16 * step; });
#pragma unroll
    for (u32 half_tile = 0; half_tile < 2; half_tile++) {
        const float2 values = ends.of(r_hidden, 0, half_tile);
        const u32 at = (lane / 4 + 8 * half_tile) * row_of(RNET_HIDDEN) + 8 * warp + 2 * (lane % 4);
        const u32 two = pack_halves(values.x, values.y);
        *(u32*)(s_hidden + at) = two;
        *(u32*)(s_rests + at) = pack_rests(two, values.x, values.y);
    }
    __syncthreads();

    if (warp > 0) return;
    // Three sums, none of which waits for another; the product of both second halves is below f32.
    float r_heads[4] = {}, r_of_rests[4] = {}, r_by_rests[4] = {};
    const u32 at = lane % 16 * row_of(RNET_HIDDEN) + 8 * (lane / 16);
#pragma unroll
    for (u32 step = 0; step < H_STEPS; step++) {
        u32 r_a[4], r_rests[4];
        ldmatrix_x4(r_a, s_hidden + at + 16 * step);
        ldmatrix_x4(r_rests, s_rests + at + 16 * step);
        const uint2 nearest = heads.r_b[step][0], left = heads.r_b[H_STEPS + step][0];
        const u32 r_b[2] = {nearest.x, nearest.y}, r_b_rests[2] = {left.x, left.y};
        mma_m16n8k16(r_heads, r_a, r_b);
        mma_m16n8k16(r_of_rests, r_rests, r_b);
        mma_m16n8k16(r_by_rests, r_a, r_b_rests);
    }
#pragma unroll
    for (u32 i = 0; i < 4; i++) r_heads[i] += r_of_rests[i] + r_by_rests[i];
    answer<8>(p.answers, r_heads, bias, first, n, 0, lane);
}

constexpr u32 ONET_K = 1152, ONET_HIDDEN = 256;
// A block has 4 of the 32 tiles of 8 hidden values, and a warp one of 4 parts of their sums, whose weights fit its registers.
constexpr u32 HIDDEN_PARTS = 8, HIDDEN_TILES = ONET_HIDDEN / 8 / HIDDEN_PARTS, SUM_PARTS = HEADS_WARPS / HIDDEN_TILES;
constexpr u32 HIDDEN_X_BYTES = HEADS_ROWS * row_of(ONET_K) * 2, HIDDEN_SHARED = HIDDEN_X_BYTES + HEADS_BLOCK * 16;
static_assert(HIDDEN_SHARED == 45312, "as launch::heads::HIDDEN_SHARED_BYTES");

KERNEL_BY_FEW(onet_hidden, HeadsParams, HEADS_BLOCK, 1) {
    SHARED_BYTES(s_raw);
    let_next_begin();
    __half* s_x = (__half*)s_raw;
    float4* s_sums = (float4*)(s_raw + HIDDEN_X_BYTES);
    const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const u32 tile = HIDDEN_TILES * (blockIdx.x % HIDDEN_PARTS) + warp % HIDDEN_TILES, part = warp / HIDDEN_TILES;
    constexpr u32 STEPS = ONET_K / 16 / SUM_PARTS;
    const uint2* g_weights = p.hidden.weights + (tile * SUM_PARTS + part) * STEPS * 32;
    const Ring<1, STEPS, STEPS> ring(g_weights, lane);
    const Ends<1> ends(p.hidden, tile, lane);
    wait_for_before();
    const u32 n = p.status->onet_kept;
    for (u32 first = HEADS_ROWS * (blockIdx.x / HIDDEN_PARTS); first < n; first += HEADS_ROWS * (gridDim.x / HIDDEN_PARTS)) {
        copy_features<ONET_K>(s_x, p.features, first, n);
        float r_sums[1][4] = {};
        const __half* s_row = s_x + lane % 16 * row_of(ONET_K) + 16 * STEPS * part + 8 * (lane / 16);
        accumulate(r_sums, ring, g_weights, lane, [&](u32 step) { return s_row + 16 * step; });
        s_sums[threadIdx.x] = make_float4(r_sums[0][0], r_sums[0][1], r_sums[0][2], r_sums[0][3]);
        __syncthreads();
        if (part == 0) {
#pragma unroll
            for (u32 other = 1; other < SUM_PARTS; other++) {
                const float4 more = s_sums[threadIdx.x + 32 * HIDDEN_TILES * other];
                r_sums[0][0] += more.x, r_sums[0][1] += more.y, r_sums[0][2] += more.z, r_sums[0][3] += more.w;
            }
            // Those of proposals beyond the last too: onet_heads reads all rows.
            store<1>(r_sums, ends, tile, p.hidden_values + first * ONET_HIDDEN, ONET_HIDDEN, 0, HEADS_ROWS, lane);
        }
        // The next sums come a barrier on.
    }
}

constexpr u32 ANSWERS_BLOCK = 64;

KERNEL_BY_FEW(onet_heads, HeadsParams, ANSWERS_BLOCK, 1) {
    let_next_begin();
    const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    constexpr u32 STEPS = ONET_HIDDEN / 16;
    const Ring<1, STEPS, STEPS> heads(p.heads.weights + warp * STEPS * 32, lane);
    const float2 bias = *(const float2*)(p.heads.bias + 8 * warp + 2 * (lane % 4));
    wait_for_before();
    const u32 n = p.status->onet_kept, first = HEADS_ROWS * blockIdx.x;
    if (first >= n) return;
    // The first factor straight from device memory: all of a lane's 64 words are under way at once.
    const u32* g_low = (const u32*)(p.hidden_values + (first + lane / 4) * ONET_HIDDEN) + lane % 4;
    const u32* g_high = g_low + 8 * ONET_HIDDEN / 2;
    u32 r_a[STEPS][4];
#pragma unroll
    for (u32 step = 0; step < STEPS; step++) {
        r_a[step][0] = g_low[8 * step], r_a[step][1] = g_high[8 * step];
        r_a[step][2] = g_low[8 * step + 4], r_a[step][3] = g_high[8 * step + 4];
    }
    float r_sums[4] = {};
#pragma unroll
    for (u32 step = 0; step < STEPS; step++) {
        const u32 r_one[2] = {heads.r_b[step][0].x, heads.r_b[step][0].y};
        mma_m16n8k16(r_sums, r_a[step], r_one);
    }
    answer<16>(p.answers, r_sums, bias, first, n, warp, lane);
}
