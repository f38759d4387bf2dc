// Lanes end before a shuffle that names them.
#include "planted.h"

KERNEL(ended_lanes, PlantedParams, 32) {
    const bool beyond = threadIdx.x >= p.n;
    if (p.wrong && beyond) return;
    const float sum = (float)threadIdx.x + __shfl_xor_sync(0xffffffffu, (float)threadIdx.x, 1);
    if (!beyond) p.out[threadIdx.x] = sum;
}
