// computes  P-Net's own layers alone, as its kernel calls them: for tests, which compare them with f64
// shapes    pixels NHWC4 half [42][42]; pool half [20][20][16]; conv2 half [18][18][16]; answers float [16][16][8]: two logits,
//           four regressions and two zeros
// params    PnetAloneParams; conv1's map is `conv_size` wide and high, counted from the tile's corner
// launch    grid 1, block PNET_THREADS, shared PNET_SHARED
// work      a block: a tile's conv1 and pool, then conv3 and heads over another tile's conv2
// cost      of no matter
// numerics  half in, pool rounded to half, answers f32: 2 units of half's last place from f64
#include "pnet.cuh"

struct PnetAloneParams {
    const uint2* pixels;
    __half* pool;
    const __half* conv2;
    float* answers;
    Layer conv1, conv3, heads;
    u32 conv_size[2];
};
static_assert(sizeof(PnetAloneParams) == 112, "as launch::pnet::AloneParams");

KERNEL(pnet_alone, PnetAloneParams, PNET_THREADS) {
    SHARED_BYTES(s_raw);
    uint2* s_x = (uint2*)s_raw;
    __half* s_pool = (__half*)(s_raw + IN_BYTES);
    __half* s_conv2 = (__half*)(s_raw + IN_BYTES + POOL_BYTES);
    const u32 y = threadIdx.x / 32, lane = threadIdx.x % 32;
    uint2 r_b[3][2];
    for (u32 step = 0; step < 3; step++) {
        for (u32 n = 0; n < 2; n++) r_b[step][n] = p.conv1.weights[(n * 3 + step) * 32 + lane];
    }
    for (u32 i = threadIdx.x; i < IN_SIDE * IN_SIDE; i += PNET_THREADS) s_x[i] = p.pixels[i];
    for (u32 i = threadIdx.x; i < CONV2_SIDE * CONV2_SIDE * 16; i += PNET_THREADS) {
        s_conv2[i / 16 * row_of(16) + i % 16] = p.conv2[i];
    }
    __syncthreads();
    conv1_pool(s_pool, s_x, p.conv1, r_b, p.conv_size[0], p.conv_size[1]);
    __syncthreads();
    for (u32 i = threadIdx.x; i < POOL_SIDE * POOL_SIDE * 16; i += PNET_THREADS) {
        p.pool[i] = s_pool[i / 16 * row_of(16) + i % 16];
    }
    float r_heads[1][4] = {};
    conv3_heads(r_heads, s_conv2, p.conv3, p.heads, y);
    for (u32 i = 0; i < 4; i++) {
        const u32 x = lane / 4 + 8 * (i / 2);
        p.answers[(y * TILE + x) * 8 + 2 * (lane % 4) + i % 2] = r_heads[0][i];
    }
}
