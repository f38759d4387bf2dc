// What a search's three kernels share: sides, scores, keys, and the pair that a search is after.
//
// Terms: a *side* is what a score needs of one vector besides the product of both. A *key* sorts templates, the best one
// greatest: the score's bits turned over in the upper half, below it the template's place turned over. Templates lie in the
// order of person and slot, so that of equal scores the lower person comes first, then the lower slot. Keys are never equal,
// so the best of any set is the same in whatever order its parts are merged. 0 is no key.
#pragma once
#include "portable.h"

// Most probes of a batch, and threads of a block that scans or ranks.
constexpr u32 PROBES_MAX = 32, SEARCH_BLOCK = 256, SEARCH_WARPS = SEARCH_BLOCK / 32;

// `threshold_models::search::LOWEST`: the score of vectors that cannot be compared.
constexpr float LOWEST = -2.0f;

// Mirrors `launch::Metric`.
enum Metric : u32 { METRIC_COSINE = 0, METRIC_L2 = 1 };

// The size of one step of a vector's components, 0 if it cannot be compared, and the sum of their squares. That sum and the
// products are integers below 2^24 for int8, so f32 holds them exactly.
struct alignas(8) Side {
    float scale;
    float norm;
};
static_assert(sizeof(Side) == 8, "as launch::Side");

// The best template, and the best of another person.
struct Pair {
    u64 best;
    u64 runner_up;
    u32 person;   // of the best
    u32 unused;
};
static_assert(sizeof(Pair) == 24, "as launch::scan::PAIR_BYTES");

// A float's bits, turned so that unsigned order is `total_cmp`'s; and back.
static __device__ __forceinline__ u32 ascending(float value) {
    const u32 bits = __float_as_uint(value);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}
static __device__ __forceinline__ float from_ascending(u32 turned) {
    return __uint_as_float(turned >> 31 ? turned & 0x7fffffffu : ~turned);
}

static __device__ __forceinline__ bool is_usable(Side side) {
    return side.norm > 0.0f && side.scale > 0.0f && side.scale <= 3.402823466e38f;
}

// As `threshold_models::search::score`, operation by operation in f64.
static __device__ __forceinline__ float score_of(u32 metric, float product, Side probe, Side other) {
    if (!is_usable(probe) || !is_usable(other)) return LOWEST;
    const double norm_a = probe.norm, norm_b = other.norm;
    if (metric == METRIC_COSINE) return (float)((double)product / sqrt(norm_a * norm_b));
    const double scale_a = probe.scale, scale_b = other.scale;
    const double squared =
        scale_a * scale_a * norm_a + scale_b * scale_b * norm_b - 2.0 * scale_a * scale_b * (double)product;
    return 1.0f - (float)sqrt(squared > 0.0 ? squared : 0.0);
}

// True only if the template's score lies below the floor, which is minus infinity or above LOWEST. In f32, since f64 is 64
// times slower on all cards but those of data centres. NaN excludes nothing.
//
// Cosine: two roots of at most 2 units in the last place (CUDA C Programming Guide, "Mathematical Functions"), a conversion
// and two products are within 12 x 2^-24 of a cosine that is at most 1 in size: 7e-7; the score's own rounding is 6e-8.
// L2: each of the three terms has 3 roundings and |z| <= x + y, so that their sum is within 9 x 2^-24 (x + y) of the square:
// 5.4e-7. The rest is as at `Floor::excludes`, with roundings of f32 (1.2e-7 below 4) in place of f64's.
static __device__ __forceinline__ bool is_below(float floor, u32 metric, float product, Side probe, Side other) {
    if (metric == METRIC_COSINE) return product * rsqrtf(probe.norm) * rsqrtf(other.norm) < floor - 2e-6f;
    const float x = probe.scale * probe.scale * probe.norm, y = other.scale * other.scale * other.norm;
    const float z = 2.0f * probe.scale * other.scale * product, most = 1.0f - floor + 4e-6f;
    return x + y - z - 1e-6f * (x + y) > most * most;
}

// Takes a template into account.
static __device__ __forceinline__ void offer(Pair& r_pair, u64 key, u32 person) {
    if (key > r_pair.best) {
        if (person != r_pair.person) r_pair.runner_up = r_pair.best;
        r_pair.best = key;
        r_pair.person = person;
    } else if (person != r_pair.person && key > r_pair.runner_up) {
        r_pair.runner_up = key;
    }
}

// Takes all that another pair stands for into account.
static __device__ __forceinline__ void merge(Pair& r_pair, const Pair& other) {
    if (other.best == 0) return;
    offer(r_pair, other.best, other.person);
    // Ours is the best of both now. If it is of the other's person, the other's runner-up is of another one; if not, our
    // runner-up is at least the other's best.
    r_pair.runner_up = max(r_pair.runner_up, other.runner_up);
}

// Merges the pairs of lanes whose numbers differ in the bits from FIRST on: each lane has that of all. All lanes of the warp.
template <u32 FIRST>
static __device__ __forceinline__ void merge_lanes(Pair& r_pair) {
#pragma unroll
    for (u32 bit = FIRST; bit < 32; bit *= 2) {
        Pair other;
        other.best = __shfl_xor_sync(0xffffffffu, r_pair.best, bit);
        other.runner_up = __shfl_xor_sync(0xffffffffu, r_pair.runner_up, bit);
        other.person = __shfl_xor_sync(0xffffffffu, r_pair.person, bit);
        merge(r_pair, other);
    }
}
