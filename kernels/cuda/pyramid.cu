// computes  level[y][x][c] = (mean of the frame over the pixel's window - 127.5) / 128, every level in one launch
// shapes    picture (`picture.cuh`); levels NHWC4 half (`area_mean`), one after the other
// params    PyramidParams
// launch    grid: blocks of all levels (Level::pyramid_block), block 256, shared 0
// work      a thread: one pixel of a level
// cost      reads four sums of 8 bytes and writes 8 bytes a level pixel; 1280x720, min face 40: 9 levels, 1.3 MB written
// numerics  exact integer sums, f32 mean, green in two halves and red and blue less green in one; models::cascade::pyramid::AreaResize
#include "picture.cuh"
#include "pyramid.cuh"

struct PyramidParams {
    PictureView picture;
    const Level* levels;
    uint2* pixels;
    u32 n_levels;
    u32 unused;
};
static_assert(sizeof(PyramidParams) == 48, "as launch::pyramid::Params");

KERNEL_BY_FEW(pyramid, PyramidParams, 256, 4) {
    let_next_begin();
    // The table of levels stands from the beginning.
    const u32 level_idx = level_of_block<&Level::pyramid_block>(p.levels, p.n_levels);
    const Level level = p.levels[level_idx];
    wait_for_before();
    const u32 at = (blockIdx.x - level.pyramid_block) * 256 + threadIdx.x;
    if (at >= level.width * level.height) return;
    const Window whole = {0, 0, p.picture.width, p.picture.height};
    const Window of = area_window(whole, at % level.width, at / level.width, level.width, level.height);
    const Rgb sum = of.width * of.height <= MOST_SUMMED ? sum_of_few(p.picture, of) : sum_of_many(p.picture, of);
    p.pixels[level.pixel_offset + at] = area_mean(sum, of);
}
