// computes  P-Net on every cell of every level; cells at or above the threshold are proposals
// shapes    levels NHWC4 half (pyramid.cu); keys u64 [cells], regs float4 [cells], both for all levels' cells in order
// params    PnetParams
// launch    grid: blocks of all levels (Level::pnet_block), 16 x 16 cells each; block PNET_THREADS; shared PNET_SHARED
// work      a block: 42 x 42 pixels -> conv1 and pool in registers -> conv2 -> conv3 and both heads in registers
// cost      reads 14 KB a block (1.7 x the levels), writes 24 bytes a proposal; 1280x720, min face 40: 281 MMAC; 1,650 products
//           of tensor cores a block, 64 of them for the second halves of the heads
// numerics  half activations, before the heads in two halves each, f32 sums; scores within 0.01 of models::cpu::pnet
#include "pnet.cuh"
#include "pyramid.cuh"
#include "status.cuh"
#include "suppress.cuh"

struct PnetParams {
    const Level* levels;
    const uint2* pixels;
    Layer conv1, conv2, conv3, heads;
    u64* keys;
    float4* regs;
    Status* status;
    u32 n_levels;
    float threshold;
};
static_assert(sizeof(PnetParams) == 144, "as launch::pnet::Params");

KERNEL_BY_FEW(pnet, PnetParams, PNET_THREADS, 2) {
    SHARED_BYTES(s_raw);
    let_next_begin();
    uint2* s_x = (uint2*)s_raw;
    __half* s_pool = (__half*)(s_raw + IN_BYTES);
    __half* s_conv2 = (__half*)(s_raw + IN_BYTES + POOL_BYTES);

    const u32 level_idx = level_of_block<&Level::pnet_block>(p.levels, p.n_levels);
    const Level level = p.levels[level_idx];
    const u32 block = blockIdx.x - level.pnet_block, blocks_x = (level.cells_w + TILE - 1) / TILE;
    const u32 cell_x = TILE * (block % blocks_x), cell_y = TILE * (block / blocks_x);
    uint2 r_b[3][2];
#pragma unroll
    for (u32 step = 0; step < 3; step++) {
#pragma unroll
        for (u32 n = 0; n < 2; n++) r_b[step][n] = p.conv1.weights[(n * 3 + step) * 32 + threadIdx.x % 32];
    }
    wait_for_before();

    // Pixels outside the level are zeros: finite, and no cell of the map sees them but through the pool, which leaves
    // them out.
#pragma unroll 4
    for (u32 i = threadIdx.x; i < IN_SIDE * IN_SIDE; i += PNET_THREADS) {
        const u32 x = 2 * cell_x + i % IN_SIDE, y = 2 * cell_y + i / IN_SIDE;
        const bool inside = x < level.width && y < level.height;
        s_x[i] = inside ? p.pixels[level.pixel_offset + y * level.width + x] : make_uint2(0, 0);
    }
    __syncthreads();
    // conv1's map, counted from this tile's corner.
    conv1_pool(s_pool, s_x, p.conv1, r_b, level.width - 2 - 2 * cell_x, level.height - 2 - 2 * cell_y);
    __syncthreads();
    conv_rows<3, POOL_SIDE, 16, 2, 2, PNET_WARPS>(s_conv2, row_of(16), s_pool, p.conv2, CONV2_SIDE);
    __syncthreads();

    const u32 y = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4;
    float r_heads[1][4] = {};
    conv3_heads(r_heads, s_conv2, p.conv3, p.heads, y);
#pragma unroll
    for (u32 half_tile = 0; half_tile < 2; half_tile++) {
        const float first = r_heads[0][2 * half_tile], second = r_heads[0][2 * half_tile + 1];
        // The first lane of four has the logits, the next two the regressions.
        const float4 reg = make_float4(__shfl_down_sync(0xffffffffu, first, 1), __shfl_down_sync(0xffffffffu, second, 1),
                                       __shfl_down_sync(0xffffffffu, first, 2), __shfl_down_sync(0xffffffffu, second, 2));
        const float score = 1.0f / (1.0f + expf(first - second));
        const u32 at_x = cell_x + group + 8 * half_tile, at_y = cell_y + y;
        const bool mine = lane % 4 == 0 && at_x < level.cells_w && at_y < level.cells_h;
        // A score that is no number is not below the threshold either.
        const bool passes = mine && !(score < p.threshold);
        const u32 passing = __ballot_sync(0xffffffffu, passes);
        u32 base = 0;
        if (lane == 0 && passing != 0) base = atomicAdd(&p.status->pnet_found, (u32)__popc(passing));
        base = __shfl_sync(0xffffffffu, base, 0);
        if (passes) {
            const float sum = reg.x + reg.y + reg.z + reg.w + score;
            if (!(fabsf(sum) <= 65504.0f)) atomicOr(&p.status->faults, (u32)FAULT_PNET);
            const u32 cell = level.cell_offset + at_y * level.cells_w + at_x;
            p.keys[base + __popc(passing & ((1u << lane) - 1))] = key_of(score, cell);
            p.regs[cell] = reg;
        }
    }
}
