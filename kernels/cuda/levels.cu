// computes  for reports, what a row of levels costs at least: each reads everywhere what the one before wrote, adds and writes.
//           `level` is one of them, a launch each; `levels` is all of them in one launch, whose blocks wait for counters
// shapes    values uint4 [2][blocks][128]: level l reads the first half if it is even, and writes the other
// params    LevelsParams
// launch    level: grid `blocks`, block 128, shared LEVEL_SHARED, overlaps; levels: any grid, block 128, shared LEVEL_SHARED
// work      a block of a level: 128 times 4 values in by asynchronous copies, 128 out. `levels` gives out a level's blocks by a
//           ticket, in order, so that whoever waits does so for blocks that run: no number of them must be there at once
// cost      10 KB a block and level
// numerics  exact, modulo 2^32
#include "portable.h"

struct LevelsParams {
    uint4* values[2];
    u32* tickets;      // given out, and blocks that have ended: 0 before and after
    u32* done;         // [levels][32], the first of each: blocks of the level that have ended; 0 before and after
    u32 level, levels, blocks, unused;
};
static_assert(sizeof(LevelsParams) == 48, "as launch::levels::Params");

constexpr u32 LEVEL_READ = 4, LEVEL_SHARED = 128 * 16 * LEVEL_READ + 16;
static_assert(LEVEL_SHARED == 8208, "as launch::levels::SHARED_BYTES");

static __device__ __forceinline__ void add_level(const LevelsParams& p, u32 level, u32 block, uint4* s_values) {
    const uint4* from = level % 2 == 0 ? p.values[0] : p.values[1];
    uint4* to = level % 2 == 0 ? p.values[1] : p.values[0];
    for (u32 i = 0; i < LEVEL_READ; i++) {
        const u32 other = (block * 37 + i * 41) % p.blocks;
        cp_async_16(s_values + 128 * i + threadIdx.x, from + other * 128 + threadIdx.x, true);
    }
    cp_async_commit();
    cp_async_wait<0>();
    __syncthreads();
    uint4 sum = make_uint4(level, 0, 0, 0);
    for (u32 i = 0; i < LEVEL_READ; i++) {
        const uint4 one = s_values[(7 * threadIdx.x + 129 * i) % (128 * LEVEL_READ)];
        sum = make_uint4(sum.x + one.x, sum.y + one.y, sum.z + one.z, sum.w + one.w);
    }
    to[block * 128 + threadIdx.x] = sum;
}

KERNEL(level, LevelsParams, 128) {
    SHARED_BYTES(s_raw);
    let_next_begin();
    wait_for_before();
    add_level(p, p.level, blockIdx.x, (uint4*)s_raw);
}

KERNEL(levels, LevelsParams, 128) {
    SHARED_BYTES(s_raw);
    u32* s_ticket = (u32*)(s_raw + LEVEL_SHARED - 16);
    // The next ticket is asked for before there is time for it.
    u32 next = threadIdx.x == 0 ? atomicAdd(p.tickets, 1) : 0;
    while (true) {
        if (threadIdx.x == 0) *s_ticket = next;
        __syncthreads();
        const u32 ticket = *s_ticket, level = ticket / p.blocks;
        if (level >= p.levels) break;
        if (threadIdx.x == 0) {
            next = atomicAdd(p.tickets, 1);
            while (level > 0 && load_acquired(p.done + 32 * (level - 1)) < p.blocks) spin_yield();
        }
        __syncthreads();
        add_level(p, level, ticket % p.blocks, (uint4*)s_raw);
        __syncthreads();
        if (threadIdx.x == 0) add_released(p.done + 32 * level, 1);
    }
    if (threadIdx.x != 0) return;
    __threadfence();
    if (atomicAdd(p.tickets + 1, 1) + 1 != gridDim.x) return;
    for (u32 i = 0; i < p.levels; i++) p.done[32 * i] = 0;
    p.tickets[0] = p.tickets[1] = 0;
}
