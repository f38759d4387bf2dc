// The pyramid's levels as the kernels see them.
#pragma once
#include "portable.h"

// Mirrors `launch::Level`. Offsets count from the first level.
struct Level {
    float scale;          // level pixels for one frame pixel
    u32 width, height;    // pixels
    u32 pixel_offset;     // its pixels among those of all levels
    u32 cells_w, cells_h; // P-Net's map
    u32 cell_offset;      // its cells among those of all levels
    u32 pyramid_block;    // the first block of the pyramid's launch that makes it
    u32 pnet_block;       // the first block of P-Net's launch that runs it
};
static_assert(sizeof(Level) == 36, "as launch::Level");

// The last level whose first cell is not above this one. Levels are few and their table is cached: a plain walk.
static __device__ __forceinline__ u32 level_of_cell(const Level* g_levels, u32 n_levels, u32 cell) {
    u32 level_idx = 0;
    while (level_idx + 1 < n_levels && g_levels[level_idx + 1].cell_offset <= cell) level_idx++;
    return level_idx;
}

// The level that a block of a launch belongs to: the lanes of a warp look at 32 levels at once, since a walk would wait for
// memory once a level before the block's work begins. All lanes call it.
template <u32 Level::*FIRST_BLOCK>
static __device__ __forceinline__ u32 level_of_block(const Level* g_levels, u32 n_levels) {
    u32 begun = 0;
    for (u32 first = 0; first < n_levels; first += 32) {
        const u32 level_idx = first + threadIdx.x % 32;
        const bool has_begun = level_idx < n_levels && g_levels[level_idx].*FIRST_BLOCK <= blockIdx.x;
        begun += __popc(__ballot_sync(0xffffffffu, has_begun));
    }
    return begun - 1;
}
