// A barrier that only a part of the block reaches.
#include "planted.h"

KERNEL(divergent_barrier, PlantedParams, 64) {
    SHARED_BYTES(s_raw);
    float* s_x = (float*)s_raw;
    s_x[threadIdx.x] = (float)threadIdx.x;
    if (!p.wrong || threadIdx.x < 32) __syncthreads();
    else __shfl_xor_sync(0xffffffffu, 0u, 1);
    if (p.wrong && threadIdx.x >= 32) __syncwarp();
    p.out[threadIdx.x] = s_x[63 - threadIdx.x];
}
