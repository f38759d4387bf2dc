// The frame as the camera gave it: its formats, and eight neighbouring pixels of a row at a time.
//
// Owns the pixel formats and the way from YUV to RGB; `models::raw` says the same in Rust. Only `ingest.cu` reads frames:
// everyone after it reads the picture (`picture.cuh`).
#pragma once
#include "picture.cuh"

enum PixelFormat : u32 { RGB24 = 0, GREY = 1, YUYV = 2, UYVY = 3, NV12 = 4 };

// Mirrors `launch::ingest::FrameView`.
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
static_assert(sizeof(FrameView) == 56, "as launch::ingest::FrameView");

// Bytes that a pixel takes in a row of its first plane.
static __device__ constexpr u32 pixel_bytes(PixelFormat format) {
    return format == RGB24 ? 3 : format == YUYV || format == UYVY ? 2 : 1;
}

static __device__ __forceinline__ u32 clamp_u8(i32 value) { return (u32)min(max(value, 0), 255); }

static __device__ __forceinline__ Rgb from_yuv(const FrameView& f, u32 y, u32 u, u32 v) {
    const i32 luma = ((i32)y - f.y_offset) * f.y_gain + 32768;
    const i32 cu = (i32)u - 128, cv = (i32)v - 128;
    return {clamp_u8((luma + cv * f.v_to_red) >> 16),
            clamp_u8((luma + cu * f.u_to_green + cv * f.v_to_green) >> 16),
            clamp_u8((luma + cu * f.u_to_blue) >> 16)};
}

// N words of bytes that begin anywhere; whole words are read, one more than they fill.
template <u32 N>
static __device__ __forceinline__ void words_at(u32 (&words)[N], const u8* s_from) {
    const u32 beside = (u32)((u64)s_from % 4);
    const u32* s_word = (const u32*)(s_from - beside);
    u32 low = s_word[0];
#pragma unroll
    for (u32 i = 0; i < N; i++) {
        const u32 high = s_word[i + 1];
        words[i] = (u32)(((u64)high << 32 | low) >> 8 * beside);
        low = high;
    }
}

static __device__ __forceinline__ u32 byte_of(u32 word, u32 which) { return word >> 8 * which & 255; }

// Eight pixels in a row, of which the first has an even place. `s_chroma` is NV12's.
template <PixelFormat FORMAT>
static __device__ __forceinline__ void eight_pixels(Rgb (&pixels)[8], const FrameView& f, const u8* s_row, const u8* s_chroma) {
    u32 words[2 * pixel_bytes(FORMAT)], pairs[2] = {};
    words_at(words, s_row);
    if (FORMAT == NV12) words_at(pairs, s_chroma);
#pragma unroll
    for (u32 i = 0; i < 8; i++) {
        if constexpr (FORMAT == RGB24) {
            u32 parts[3];
#pragma unroll
            for (u32 c = 0; c < 3; c++) parts[c] = byte_of(words[(3 * i + c) / 4], (3 * i + c) % 4);
            pixels[i] = {parts[0], parts[1], parts[2]};
        } else if constexpr (FORMAT == GREY) {
            const u32 level = byte_of(words[i / 4], i % 4);
            pixels[i] = {level, level, level};
        } else if constexpr (FORMAT == YUYV) {
            const u32 pair = words[i / 2];
            pixels[i] = from_yuv(f, byte_of(pair, 2 * (i % 2)), byte_of(pair, 1), byte_of(pair, 3));
        } else if constexpr (FORMAT == UYVY) {
            const u32 pair = words[i / 2];
            pixels[i] = from_yuv(f, byte_of(pair, 2 * (i % 2) + 1), byte_of(pair, 0), byte_of(pair, 2));
        } else {
            const u32 pair = pairs[i / 4] >> 16 * (i / 2 % 2);
            pixels[i] = from_yuv(f, byte_of(words[i / 4], i % 4), byte_of(pair, 0), byte_of(pair, 1));
        }
    }
}
