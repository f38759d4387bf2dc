// A store one value behind the output.
#include "planted.h"

KERNEL(out_of_bounds, PlantedParams, 32) {
    const u32 end = p.wrong ? p.n + 1 : p.n;
    for (u32 i = threadIdx.x; i < end; i += 32) {
        p.out[i] = 1.0f;   // the line that AddressSanitizer names
    }
}
