// computes  level[y][x][c] = (mean of the frame over the pixel's window - 127.5) / 128, every level in one launch
// shapes    frame as its format says; levels NHWC4 half, one after the other, the fourth channel zero
// params    PyramidParams
// launch    grid: blocks of all levels (Level::pyramid_block), block 256, shared 0
// work      a pixel per 1, 8 or 32 lanes, by the size of its window; a block makes 256, 32 or 8 pixels
// cost      reads the frame about once a level (from L2 after the first), writes 8 bytes a level pixel;
//           1280x720, min face 40: 9 levels, 1.3 MB written
// numerics  exact integer sums, f32 mean, rounded once to half; models::cascade::pyramid::AreaResize
#include "frame.cuh"
#include "pyramid.cuh"

struct PyramidParams {
    FrameView frame;
    const Level* levels;
    uint2* pixels;
    u32 n_levels;
    u32 unused;
};
static_assert(sizeof(PyramidParams) == 80, "as launch::pyramid::Params");

KERNEL_BY_FEW(pyramid, PyramidParams, 256, 4) {
    const u32 level_idx = level_of_block<&Level::pyramid_block>(p.levels, p.n_levels);
    const Level level = p.levels[level_idx];
    const u32 lane = threadIdx.x % level.lanes;
    const u32 pixel_idx = (blockIdx.x - level.pyramid_block) * (256 / level.lanes) + threadIdx.x / level.lanes;
    const u32 n_pixels = level.width * level.height;
    // Lanes beyond the last pixel make it once more, since all of a warp meet in the shuffles.
    const u32 at = min(pixel_idx, n_pixels - 1);
    const Window whole = {0, 0, p.frame.width, p.frame.height};
    const uint2 value = area_pixel(p.frame, whole, at % level.width, at / level.width, level.width, level.height, lane,
                                   level.lanes);
    if (lane == 0 && pixel_idx < n_pixels) p.pixels[level.pixel_offset + pixel_idx] = value;
}
