// Two groups of copies are under way and one of them is not waited for.
#include "planted.h"

KERNEL(wait_off_by_one, PlantedParams, 32) {
    SHARED_BYTES(s_raw);
    __half* s_x = (__half*)s_raw;
    for (u32 group = 0; group < 2; group++) {
        const u32 at = 8 * (32 * group + threadIdx.x);
        cp_async_16(s_x + at, p.a + at, at + 8 <= p.n);
        cp_async_commit();
    }
    if (p.wrong) cp_async_wait<1>();
    else cp_async_wait<0>();
    __syncthreads();
    for (u32 i = threadIdx.x; i < 512; i += 32) p.out[i] = __half2float(s_x[i]);
}
