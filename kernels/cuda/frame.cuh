// The frame as the camera gave it, read pixel by pixel, and its area resize.
//
// Owns the pixel formats, the way from YUV to RGB, and the mean over an integer window; `models::frame` and
// `models::cascade::pyramid` say the same in Rust. Sums are integers, so lanes may share a window in any order.
#pragma once
#include "portable.h"

enum PixelFormat : u32 { RGB24 = 0, GREY = 1, YUYV = 2, UYVY = 3, NV12 = 4 };

// Mirrors `launch::FrameView`.
struct FrameView {
    const u8* bytes;
    u32 width, height;    // pixels
    u32 stride;           // bytes from row to row; NV12's chroma rows have the same
    u32 chroma;           // NV12: bytes from the frame's start to its chroma
    u32 format;           // PixelFormat
    i32 y_offset;         // 16 of limited range, else 0
    i32 y_gain;           // the rest in 1/65536
    i32 v_to_red, u_to_green, v_to_green, u_to_blue;
    u32 unused;
};
static_assert(sizeof(FrameView) == 56, "as launch::FrameView");

struct Rgb { u32 r, g, b; };

static __device__ __forceinline__ u32 clamp_u8(i32 value) { return (u32)min(max(value, 0), 255); }

static __device__ __forceinline__ Rgb from_yuv(const FrameView& f, u32 y, u32 u, u32 v) {
    const i32 luma = ((i32)y - f.y_offset) * f.y_gain + 32768;
    const i32 cu = (i32)u - 128, cv = (i32)v - 128;
    return {clamp_u8((luma + cv * f.v_to_red) >> 16),
            clamp_u8((luma + cu * f.u_to_green + cv * f.v_to_green) >> 16),
            clamp_u8((luma + cu * f.u_to_blue) >> 16)};
}

template <PixelFormat FORMAT>
static __device__ __forceinline__ Rgb pixel(const FrameView& f, u32 x, u32 y) {
    const u8* g_row = f.bytes + (u64)y * f.stride;
    if (FORMAT == RGB24) return {g_row[3 * x], g_row[3 * x + 1], g_row[3 * x + 2]};
    if (FORMAT == GREY) return {g_row[x], g_row[x], g_row[x]};
    const u8* g_pair = g_row + 4 * (x / 2);
    if (FORMAT == YUYV) return from_yuv(f, g_pair[2 * (x % 2)], g_pair[1], g_pair[3]);
    if (FORMAT == UYVY) return from_yuv(f, g_pair[2 * (x % 2) + 1], g_pair[0], g_pair[2]);
    const u8* g_uv = f.bytes + f.chroma + (u64)(y / 2) * f.stride + 2 * (x / 2);
    return from_yuv(f, g_row[x], g_uv[0], g_uv[1]);
}

// Pixels of a frame: columns x .. x + width, rows y .. y + height.
struct Window { u32 x, y, width, height; };

// Lanes of a warp that share one window of so many pixels; mirrored by `launch::pyramid`.
static __device__ __forceinline__ u32 lanes_for(u32 pixels) { return pixels <= 16 ? 1 : pixels <= 256 ? 8 : 32; }

// A lane's part of a window's sum: every `lanes`-th pixel, row by row. Nothing of a pixel depends on the one before, so that
// several are on their way from memory at once.
template <PixelFormat FORMAT>
static __device__ __forceinline__ Rgb sum_of(const FrameView& f, Window of, u32 lane, u32 lanes) {
    const u32 rows_on = lanes / of.width, columns_on = lanes % of.width;
    u32 row = lane / of.width, column = lane % of.width;
    Rgb sum = {0, 0, 0};
#pragma unroll 4
    for (u32 i = lane; i < of.width * of.height; i += lanes) {
        const Rgb one = pixel<FORMAT>(f, of.x + column, of.y + row);
        sum.r += one.r;
        sum.g += one.g;
        sum.b += one.b;
        row += rows_on;
        column += columns_on;
        if (column >= of.width) {
            column -= of.width;
            row++;
        }
    }
    return sum;
}

// One pixel (x, y) of `from` resized to `out_width` x `out_height`: the mean over
// floor(i in / out) .. ceil((i + 1) in / out), then (mean - 127.5) / 128, as four halves (r, g, b, 0).
// All lanes of the warp call it; `lanes` (a power of two) neighbours share a pixel and get the same answer.
static __device__ __forceinline__ uint2 area_pixel(const FrameView& f, Window from, u32 x, u32 y, u32 out_width,
                                                   u32 out_height, u32 lane, u32 lanes) {
    const u32 x0 = x * from.width / out_width, x1 = ((x + 1) * from.width + out_width - 1) / out_width;
    const u32 y0 = y * from.height / out_height, y1 = ((y + 1) * from.height + out_height - 1) / out_height;
    const Window of = {from.x + x0, from.y + y0, x1 - x0, y1 - y0};
    Rgb sum;
    switch (f.format) {
        case RGB24: sum = sum_of<RGB24>(f, of, lane, lanes); break;
        case GREY: sum = sum_of<GREY>(f, of, lane, lanes); break;
        case YUYV: sum = sum_of<YUYV>(f, of, lane, lanes); break;
        case UYVY: sum = sum_of<UYVY>(f, of, lane, lanes); break;
        default: sum = sum_of<NV12>(f, of, lane, lanes);
    }
    for (u32 apart = lanes / 2; apart > 0; apart /= 2) {
        sum.r += __shfl_xor_sync(0xffffffffu, sum.r, apart);
        sum.g += __shfl_xor_sync(0xffffffffu, sum.g, apart);
        sum.b += __shfl_xor_sync(0xffffffffu, sum.b, apart);
    }
    // First by the rows and then by the columns, as torch does.
    const float rows = (float)of.height, columns = (float)of.width;
    const float red = ((float)sum.r / rows / columns - 127.5f) * 0.0078125f;
    const float green = ((float)sum.g / rows / columns - 127.5f) * 0.0078125f;
    const float blue = ((float)sum.b / rows / columns - 127.5f) * 0.0078125f;
    return make_uint2(pack_halves(red, green), pack_halves(blue, 0.0f));
}
