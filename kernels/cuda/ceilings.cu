// computes  what a card can do at most, for reports: a copy of device memory, and products on tensor cores from registers
// shapes    copy: from, to uint4 [n]; multiply: out float4 [threads]
// params    CopyParams, MultiplyParams
// launch    copy: grid as wide as wanted, block 256, shared 0; multiply: blocks for every multiprocessor, block 256, shared 0
// work      copy: 16 bytes a thread at a time; multiply: 4 products of 16 x 8 x 16 a warp and round, which do not wait for
//           each other
// cost      copy: 32 bytes an item; multiply: 4 x 2048 multiply-adds a warp and round
// numerics  copy: the same bits; multiply: every product adds 16, exact in f32 up to 2^24
#include "portable.h"

struct CopyParams {
    const uint4* from;
    uint4* to;
    u64 n;
};
static_assert(sizeof(CopyParams) == 24, "as launch::ceilings::CopyParams");

KERNEL(copy, CopyParams, 256) {
    for (u64 i = (u64)blockIdx.x * 256 + threadIdx.x; i < p.n; i += (u64)gridDim.x * 256) p.to[i] = p.from[i];
}

struct MultiplyParams {
    float4* out;
    u32 rounds;
    u32 unused;
};
static_assert(sizeof(MultiplyParams) == 16, "as launch::ceilings::MultiplyParams");

KERNEL(multiply, MultiplyParams, 256) {
    // Ones, so that each product adds 16 to every sum.
    const u32 ones = pack_halves(1.0f, 1.0f);
    const u32 r_a[4] = {ones, ones, ones, ones}, r_b[2] = {ones, ones};
    float r_d[4][4] = {};
    for (u32 round = 0; round < p.rounds; round++) {
#pragma unroll
        for (u32 i = 0; i < 4; i++) mma_m16n8k16(r_d[i], r_a, r_b);
    }
    const float sum = r_d[0][0] + r_d[1][1] + r_d[2][2] + r_d[3][3];
    p.out[blockIdx.x * 256 + threadIdx.x] = make_float4(sum, r_d[0][1], r_d[1][2], r_d[2][3]);
}
