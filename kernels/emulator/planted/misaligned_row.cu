// A row for ldmatrix that is not on a boundary of 16 bytes: rows of 20 halves.
#include "planted.h"

KERNEL(misaligned_row, PlantedParams, 32) {
    SHARED_BYTES(s_raw);
    __half* s_a = (__half*)s_raw;
    const u32 row = p.wrong ? 20 : 24;
    for (u32 i = threadIdx.x; i < 256; i += 32) s_a[i / 16 * row + i % 16] = p.a[i];
    __syncwarp();
    u32 r_a[4];
    ldmatrix_x4(r_a, s_a + threadIdx.x % 16 * row + 8 * (threadIdx.x / 16));
    p.out[threadIdx.x] = (float)(r_a[0] & 0xffff);
}
