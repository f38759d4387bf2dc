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

static __device__ __forceinline__ Rgb pixel(const FrameView& f, u32 x, u32 y) {
    const u8* g_row = f.bytes + (u64)y * f.stride;
    switch (f.format) {
        case RGB24: return {g_row[3 * x], g_row[3 * x + 1], g_row[3 * x + 2]};
        case GREY: return {g_row[x], g_row[x], g_row[x]};
        case YUYV: {
            const u8* g_pair = g_row + 4 * (x / 2);
            return from_yuv(f, g_pair[2 * (x % 2)], g_pair[1], g_pair[3]);
        }
        case UYVY: {
            const u8* g_pair = g_row + 4 * (x / 2);
            return from_yuv(f, g_pair[2 * (x % 2) + 1], g_pair[0], g_pair[2]);
        }
        default: {
            const u8* g_uv = f.bytes + f.chroma + (u64)(y / 2) * f.stride + 2 * (x / 2);
            return from_yuv(f, g_row[x], g_uv[0], g_uv[1]);
        }
    }
}

// Pixels of a frame: columns x .. x + width, rows y .. y + height.
struct Window { u32 x, y, width, height; };

// Lanes of a warp that share one window: of wide windows each takes every so many columns.
static __device__ __forceinline__ u32 lanes_for(u32 columns) { return columns < 8 ? 1 : columns < 32 ? 8 : 32; }

// One pixel (x, y) of `from` resized to `out_width` x `out_height`: the mean over
// floor(i in / out) .. ceil((i + 1) in / out), then (mean - 127.5) / 128, as four halves (r, g, b, 0).
// All lanes of the warp call it; `lanes` (a power of two) neighbours share a pixel and get the same answer.
static __device__ __forceinline__ uint2 area_pixel(const FrameView& f, Window from, u32 x, u32 y, u32 out_width,
                                                   u32 out_height, u32 lane, u32 lanes) {
    const u32 x0 = x * from.width / out_width, x1 = ((x + 1) * from.width + out_width - 1) / out_width;
    const u32 y0 = y * from.height / out_height, y1 = ((y + 1) * from.height + out_height - 1) / out_height;
    u32 r = 0, g = 0, b = 0;
    for (u32 row = y0; row < y1; row++) {
        for (u32 column = x0 + lane; column < x1; column += lanes) {
            const Rgb one = pixel(f, from.x + column, from.y + row);
            r += one.r;
            g += one.g;
            b += one.b;
        }
    }
    for (u32 apart = lanes / 2; apart > 0; apart /= 2) {
        r += __shfl_xor_sync(0xffffffffu, r, apart);
        g += __shfl_xor_sync(0xffffffffu, g, apart);
        b += __shfl_xor_sync(0xffffffffu, b, apart);
    }
    // First by the rows and then by the columns, as torch does.
    const float rows = (float)(y1 - y0), columns = (float)(x1 - x0);
    const float red = ((float)r / rows / columns - 127.5f) * 0.0078125f;
    const float green = ((float)g / rows / columns - 127.5f) * 0.0078125f;
    const float blue = ((float)b / rows / columns - 127.5f) * 0.0078125f;
    return make_uint2(pack_halves(red, green), pack_halves(blue, 0.0f));
}
