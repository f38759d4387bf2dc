// The picture: the frame as sums, so that the mean of any window takes four loads, however large the window is.
//
// Entry (y, x) is the sum of all pixels above row y and left of column x. Red, green and blue lie in one word as
// red + green 2^21 + blue 2^42, modulo 2^64. The sums run over, and it does not matter: the way from a picture to its sums is
// linear, so that the difference of four entries is the window's own sum, and that one fits as long as the window has at
// most MOST_SUMMED pixels. Sums are integers: the bits are those of `models::cascade::pyramid`.
#pragma once
#include "portable.h"

struct Rgb { u32 r, g, b; };

// Mirrors `launch::PictureView`.
struct PictureView {
    const u64* sums;      // [height + 1][pitch], the first row and the first column zero
    u32 width, height;    // pixels
    u32 pitch;            // entries from row to row
    u32 unused;
};
static_assert(sizeof(PictureView) == 24, "as launch::PictureView");

// Pixels whose sum fits: 255 of each is less than 2^21.
constexpr u32 MOST_SUMMED = ((1u << 21) - 1) / 255;

static __device__ __forceinline__ u64 packed(Rgb one) { return (u64)one.b << 42 | (u64)one.g << 21 | one.r; }
static __device__ __forceinline__ Rgb unpacked(u64 sum) {
    return {(u32)sum & 0x1fffff, (u32)(sum >> 21) & 0x1fffff, (u32)(sum >> 42)};
}

// Pixels of a frame: columns x .. x + width, rows y .. y + height.
struct Window { u32 x, y, width, height; };

// The sum of a window that has at most MOST_SUMMED pixels.
static __device__ __forceinline__ Rgb sum_of_few(const PictureView& picture, Window of) {
    const u64* g_top = picture.sums + of.y * picture.pitch + of.x;
    const u64* g_bottom = g_top + of.height * picture.pitch;
    return unpacked(g_bottom[of.width] - g_bottom[0] - (g_top[of.width] - g_top[0]));
}

// The same of any window; a row fits always (`MOST_SIDE` of engine.rs).
static __device__ __forceinline__ Rgb sum_of_many(const PictureView& picture, Window of) {
    const u32 rows = MOST_SUMMED / of.width;
    Rgb sum = {0, 0, 0};
    for (u32 row = 0; row < of.height; row += rows) {
        const Rgb part = sum_of_few(picture, {of.x, of.y + row, of.width, min(rows, of.height - row)});
        sum.r += part.r;
        sum.g += part.g;
        sum.b += part.b;
    }
    return sum;
}

static __device__ __forceinline__ Rgb pixel(const PictureView& picture, u32 x, u32 y) {
    return sum_of_few(picture, {x, y, 1, 1});
}

// What pixel (x, y) of `from` resized to `out_width` x `out_height` is the mean of: floor(i in / out) .. ceil((i + 1) in / out).
static __device__ __forceinline__ Window area_window(Window from, u32 x, u32 y, u32 out_width, u32 out_height) {
    const u32 x0 = x * from.width / out_width, x1 = ((x + 1) * from.width + out_width - 1) / out_width;
    const u32 y0 = y * from.height / out_height, y1 = ((y + 1) * from.height + out_height - 1) / out_height;
    return {from.x + x0, from.y + y0, x1 - x0, y1 - y0};
}

// The mean of a window with that sum, as a network takes it: (mean - 127.5) / 128, in four halves: green, what rounding took
// from green, red - green, blue - green. The first layers' weights are turned to match (`kernels::rounding`). So brightness has
// 22 bits, and what is rounded is colour, which is less than brightness and so has finer steps.
static __device__ __forceinline__ uint2 area_mean(Rgb sum, Window of) {
    // First by the rows and then by the columns, as torch does.
    const float rows = (float)of.height, columns = (float)of.width;
    const float green = ((float)sum.g / rows / columns - 127.5f) * 0.0078125f;
    const float red = ((float)sum.r / rows / columns - 127.5f) * 0.0078125f;
    const float blue = ((float)sum.b / rows / columns - 127.5f) * 0.0078125f;
    return make_uint2(pack_halves(green, green - __half2float(__float2half_rn(green))), pack_halves(red - green, blue - green));
}
