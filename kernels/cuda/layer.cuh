// A layer of an embedder as the device sees it: where its values lie and what is done with them.
//
// Activations are halves, NHWC, channels in eights (16 bytes); a value may lie among another's channels, so that a
// concatenation costs nothing. Mirrors `launch::layers`.
#pragma once
#include "portable.h"

// A value of n items: channel c of pixel (y, x) of item i stands at start + i * item + (y * w + x) * stride + c.
struct Plane {
    __half* start;
    u32 item, stride;   // halves
    u32 h, w, c;
    u32 unused;
};
static_assert(sizeof(Plane) == 32, "as launch::layers::Plane");

enum LayerKind : u32 {
    LAYER_CONV = 0,     // y = act(second + scale * (conv(x) + bias)); without a second input 0 for it
    LAYER_MAX = 1,      // the largest value of a window
    LAYER_AVERAGE = 2,  // the mean of a window's values that lie in the input
    LAYER_ADD = 3,      // act(x + second), each extended with zeros; without a second input a copy
    LAYER_NORM = 4,     // local response normalisation over `size` channels
    LAYER_MAXOUT = 5,   // the largest of each `size` neighbouring channels
    LAYER_UNIT = 6,     // unit length over channels, written as f32
};

struct LayerStep {
    Plane x, second, y;         // `second.start` null: there is none
    const uint2* weights;       // LAYER_CONV: fragments, bias and slope as `conv.cuh` has them
    const float* bias;
    const float* slope;
    const uint4* chunks;        // the weights once more, as `direct.cuh` takes them: for each 8 channels, for each 32 terms, 32 lanes
                                // of 8 terms in a row
    float2* partial;            // LAYER_CONV in more than one split: sums of each, [tile][split][pair][thread]
    u32* arrived;               // and how many of a tile's splits are done: 0 before and after
    u32 kind;
    u32 tile[2], splits[2];     // LAYER_CONV: which of the tiles of `layers.cu`, and into how many parts its sum is split; for
                                // many items, and for few
    u32 unused;
    u32 kernel_h, kernel_w, stride, pad_h, pad_w;
    u32 floats;                 // LAYER_CONV: y is written as f32
    u32 size;                   // LAYER_NORM, LAYER_MAXOUT
    float scale;
    float negative;             // LAYER_ADD: factor of negative values
    float alpha, beta, k;       // LAYER_NORM
};
static_assert(sizeof(LayerStep) == 216, "as launch::layers::LayerStep");
