// A value of another warp is read without a barrier after it was written.
#include "planted.h"

KERNEL(missing_barrier, PlantedParams, 128) {
    SHARED_BYTES(s_raw);
    float* s_x = (float*)s_raw;
    s_x[threadIdx.x] = (float)threadIdx.x;
    if (!p.wrong) __syncthreads();
    p.out[threadIdx.x] = s_x[(threadIdx.x + 32) % 128];
}
