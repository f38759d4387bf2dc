// A store one value behind the shared memory that was asked for.
#include "planted.h"

KERNEL(behind_shared, PlantedParams, 32) {
    SHARED_BYTES(s_raw);
    float* s_values = (float*)s_raw;
    const u32 end = p.wrong ? p.n + 1 : p.n;
    for (u32 i = threadIdx.x; i < end; i += 32) {
        s_values[i] = 1.0f;   // the line that AddressSanitizer names
    }
    __syncthreads();
    for (u32 i = threadIdx.x; i < 64; i += 32) p.out[i] = s_values[i];
}
