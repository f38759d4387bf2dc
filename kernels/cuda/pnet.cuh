// P-Net's layers that are its own: conv1 with its pool, and conv3 with both heads. `pnet.cu` has their order, `pnet_alone.cu` each
// alone; conv2 is `conv.cuh`'s.
#pragma once
#include "conv.cuh"

// A warp a row of cells.
constexpr u32 TILE = 16, PNET_WARPS = TILE, PNET_THREADS = 32 * PNET_WARPS;
constexpr u32 CONV2_SIDE = TILE + 2, POOL_SIDE = TILE + 4, IN_SIDE = 2 * POOL_SIDE + 2;
constexpr u32 IN_BYTES = IN_SIDE * IN_SIDE * 8, POOL_BYTES = POOL_SIDE * POOL_SIDE * row_of(16) * 2;
constexpr u32 CONV2_BYTES = CONV2_SIDE * CONV2_SIDE * row_of(16) * 2;
constexpr u32 PNET_SHARED = IN_BYTES + POOL_BYTES + CONV2_BYTES;
static_assert(IN_BYTES % 16 == 0 && POOL_BYTES % 16 == 0, "what follows is aligned for ldmatrix");
static_assert(PNET_SHARED == 48864, "as launch::pnet::SHARED_BYTES");

// conv1 (3 x 3, 10 channels of 16), PReLU and the 2 x 2 maximum. A tile's rows are 8 pixels of one row and the 8 beneath
// them, so that a window's four values lie in two neighbouring lanes.
static __device__ __forceinline__ void conv1_pool(__half* s_pool, const uint2* s_x, const Layer& layer,
                                                  const uint2 (&r_b)[3][2], u32 conv_width, u32 conv_height) {
    const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4, pair = 2 * (lane % 4);
    constexpr u32 TILES_X = POOL_SIDE / 4;
    for (u32 item = warp; item < POOL_SIDE * TILES_X; item += PNET_WARPS) {
        const u32 y = 2 * (item / TILES_X), x = 8 * (item % TILES_X) + group;
        float r_acc[2][4] = {};
        const u32* s_low = (const u32*)(s_x + y * IN_SIDE + x) + lane % 4;
#pragma unroll
        for (u32 step = 0; step < 3; step++) {
            const u32* s_row = s_low + 2 * step * IN_SIDE;
            const u32 r_a[4] = {s_row[0], s_row[2 * IN_SIDE], s_row[2], s_row[2 * IN_SIDE + 2]};
#pragma unroll
            for (u32 n = 0; n < 2; n++) {
                const u32 r_one[2] = {r_b[step][n].x, r_b[step][n].y};
                mma_m16n8k16(r_acc[n], r_a, r_one);
            }
        }
        // A window that sticks out of conv1's map is the maximum of what lies inside (ceil mode).
        const bool right = x < conv_width, low = y + 1 < conv_height;
#pragma unroll
        for (u32 n = 0; n < 2; n++) {
            float r_best[2];
#pragma unroll
            for (u32 i = 0; i < 2; i++) {
                const u32 channel = 8 * n + pair + i;
                const float upper = prelu(r_acc[n][i] + layer.bias[channel], layer.slope[channel]);
                const float lower = prelu(r_acc[n][2 + i] + layer.bias[channel], layer.slope[channel]);
                const float column = low && lower > upper ? lower : upper;
                const float beside = __shfl_xor_sync(0xffffffffu, right ? column : -65504.0f, 4);
                r_best[i] = beside > column ? beside : column;
            }
            if (group % 2 == 0) {
                __half* s_to = s_pool + (y / 2 * POOL_SIDE + x / 2) * row_of(16) + 8 * n + pair;
                *(u32*)s_to = pack_halves(r_best[0], r_best[1]);
            }
        }
    }
}

// conv3 (3 x 3, 32 channels), PReLU and both heads for 16 cells of one row of the tile: r_heads are two logits, four
// regressions and two zeros. The heads' values and weights are two halves each; the product of both second ones is below f32.
static __device__ __forceinline__ void conv3_heads(float (&r_heads)[1][4], const __half* s_conv2, const Layer& conv3,
                                                   const Layer& heads, u32 y) {
    const u32 lane = threadIdx.x % 32, pair = 2 * (lane % 4);
    const __half* s_row = s_conv2 + (y * CONV2_SIDE + lane % 16) * row_of(16) + 8 * (lane / 16);
    // A product's sums lie in the lanes as the next product takes its rows: two tiles of 8 channels are one step of 16. So
    // 16 channels at a time, and half the registers.
#pragma unroll 1
    for (u32 step = 0; step < 2; step++) {
        float r_acc[2][4] = {};
        accumulate<2, 9>(r_acc, conv3.weights + 2 * step * 9 * 32, lane, [&](u32 tap) {
            return s_row + (tap / 3 * CONV2_SIDE + tap % 3) * row_of(16);
        });
#pragma unroll
        for (u32 i = 0; i < 8; i++) {
            const u32 channel = 16 * step + 8 * (i / 4) + pair + i % 2;
            float& r_sum = r_acc[i / 4][i % 4];
            r_sum = prelu(r_sum + conv3.bias[channel], conv3.slope[channel]);
        }
        const float (&r_low)[4] = r_acc[0], (&r_high)[4] = r_acc[1];
        const u32 r_a[4] = {pack_halves(r_low[0], r_low[1]), pack_halves(r_low[2], r_low[3]),
                            pack_halves(r_high[0], r_high[1]), pack_halves(r_high[2], r_high[3])};
        const u32 r_rests[4] = {pack_rests(r_a[0], r_low[0], r_low[1]), pack_rests(r_a[1], r_low[2], r_low[3]),
                                pack_rests(r_a[2], r_high[0], r_high[1]), pack_rests(r_a[3], r_high[2], r_high[3])};
        const uint2 first = heads.weights[step * 32 + lane], second = heads.weights[(2 + step) * 32 + lane];
        const u32 r_b[2] = {first.x, first.y}, r_b_rests[2] = {second.x, second.y};
        mma_m16n8k16(r_heads[0], r_a, r_b);
        mma_m16n8k16(r_heads[0], r_rests, r_b);
        mma_m16n8k16(r_heads[0], r_a, r_b_rests);
    }
#pragma unroll
    for (u32 i = 0; i < 4; i++) r_heads[0][i] += heads.bias[pair + i % 2];
}
