// One 16 x 16 by 16 x 8 product; the upper lanes of ldmatrix read the lower half of each row again.
#include "planted.h"

KERNEL(wrong_half, PlantedParams, 32) {
    SHARED_BYTES(s_raw);
    __half* s_a = (__half*)s_raw;
    for (u32 i = threadIdx.x; i < 256; i += 32) s_a[i / 16 * 24 + i % 16] = p.a[i];
    __syncwarp();
    const u32 lane = threadIdx.x, right = p.wrong ? 0 : 8 * (lane / 16);
    u32 r_a[4], r_b[2];
    ldmatrix_x4(r_a, s_a + lane % 16 * 24 + right);
    // B's columns are the 8 rows of 16 values behind A.
    const u32* g_b = (const u32*)(p.a + 256 + 16 * (lane / 4)) + lane % 4;
    r_b[0] = g_b[0];
    r_b[1] = g_b[4];
    float r_d[4] = {};
    mma_m16n8k16(r_d, r_a, r_b);
    float* g_row = p.out + lane / 4 * 8 + 2 * (lane % 4);
    g_row[0] = r_d[0], g_row[1] = r_d[1], g_row[64] = r_d[2], g_row[65] = r_d[3];
}
