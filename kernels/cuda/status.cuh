// What a frame's kernels tell each other and, at the end, the host.
#pragma once
#include "portable.h"

// Most proposals of each stage; beyond, the best by score are kept and the rest is counted as lost.
constexpr u32 PNET_MAX = 8192, RNET_MAX = 2048, ONET_MAX = 512;

// A network gave a value that is not finite.
enum Fault : u32 { FAULT_PNET = 1, FAULT_RNET = 2, FAULT_ONET = 4 };

// Mirrors `launch::Status`; all zero at a frame's start.
struct Status {
    u32 pnet_found;   // cells at or above P-Net's threshold
    u32 pnet_kept;    // of these, at most PNET_MAX
    u32 rnet_found;   // left by the suppression, with a pixel in the frame
    u32 rnet_kept;    // of these, at most RNET_MAX: R-Net's crops
    u32 onet_found;   // left by R-Net and the suppression
    u32 onet_kept;    // of these, at most ONET_MAX: O-Net's crops
    u32 detections;
    u32 faults;       // bits of Fault
};
static_assert(sizeof(Status) == 32, "as launch::Status");

// Mirrors `launch::Found`: a detection as the host reads it.
struct Found {
    float box[4];
    float landmarks[10];   // x and y of each point
    float score;
    u32 unused;
};
static_assert(sizeof(Found) == 64, "as launch::Found");
