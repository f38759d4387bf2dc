// computes  the embedder's input: each face cut out of the frame by the pack's crop rule, normalised
// shapes    faces Found [n], crops half [n][size][size][8]: r, g, b and five zeros
// params    CutParams
// launch    grid: n * ceil(size * size / 128), block 128, shared 0
// work      a thread: one pixel of a crop, read from the picture (`picture.cuh`)
// cost      a squared box reads each of its pixels of the frame once or twice; 16 bytes written a pixel; latency-bound
// numerics  the same bits as models::crop::crop before the rounding to half (but for a grid of samples chosen by hypot)
#include "picture.cuh"
#include "status.cuh"

enum CropRule : u32 { CROP_SQUARED_BOX = 0, CROP_SIMILARITY = 1 };

struct CutParams {
    PictureView picture;
    const Found* faces;
    uint4* crops;
    const u32* count;     // of the faces those that there are, or null
    u32 size;             // pixels of a crop's side
    u32 rule;             // CropRule
    float margin;         // CROP_SQUARED_BOX: pixels of the crop, both sides together
    float points[5][2];   // CROP_SIMILARITY: where the landmarks go, in pixels of the crop
    float weights[5];     // and how much each counts
    float mean[3];        // subtracted from a grey level 0..255
    float scale;          // then multiplied
};
static_assert(sizeof(CutParams) == 136, "as launch::cut::Params");

struct Grey3 { float r, g, b; };

static __device__ __forceinline__ Grey3 grey(u64 sum) {
    const Rgb one = unpacked(sum);
    return {(float)one.r, (float)one.g, (float)one.b};
}

static __device__ __forceinline__ void add(Grey3& sum, float weight, Grey3 one) {
    sum.r += weight * one.r;
    sum.g += weight * one.g;
    sum.b += weight * one.b;
}

// `models::crop::with_margin` along an axis: the first pixel and the one behind the last.
static __device__ __forceinline__ uint2 grown(float low, float high, float size, float margin_px, u32 limit) {
    const float margin = margin_px * (high - low) / (size - margin_px) / 2.0f;
    const u32 first = min((u32)fminf(fmaxf(low - margin, 0.0f), 1e9f), limit - 1);
    const u32 end = (u32)fmaxf(fminf(high + margin, (float)limit), 0.0f);
    return make_uint2(first, max(end, first + 1));
}

// `models::crop::Span`: the pixels under one of the crop's along an axis, and their weights.
struct Span {
    u32 first, end;
    float first_weight, inner_weight, last_weight;
};

static __device__ __forceinline__ Span span_of(u32 i, u32 n_in, u32 n_out) {
    const u32 low = i * n_in, high = (i + 1) * n_in, first = low / n_out, end = (high + n_out - 1) / n_out;
    const bool single = end - first == 1;
    const float whole = (float)n_in;
    return {first, end, (float)(single ? high - low : (first + 1) * n_out - low) / whole, (float)n_out / whole,
            (float)(single ? high - low : high - (end - 1) * n_out) / whole};
}

static __device__ __forceinline__ float weight_of(const Span& span, u32 cell) {
    return cell == span.first ? span.first_weight : cell + 1 == span.end ? span.last_weight : span.inner_weight;
}

static __device__ __forceinline__ Grey3 squared_box(const CutParams& p, const Found& face, u32 x, u32 y) {
    const float(&box)[4] = face.box;
    const float half = fmaxf(box[2] - box[0], box[3] - box[1]) / 2.0f;
    const float centre_x = (box[0] + box[2]) / 2.0f, centre_y = (box[1] + box[3]) / 2.0f, size = (float)p.size;
    const uint2 columns = grown(centre_x - half, centre_x + half, size, p.margin, p.picture.width);
    const uint2 rows = grown(centre_y - half, centre_y + half, size, p.margin, p.picture.height);
    const Span across = span_of(x, columns.y - columns.x, p.size), down = span_of(y, rows.y - rows.x, p.size);
    Grey3 mean = {};
    for (u32 column = across.first; column < across.end; column++) {
        // The sums left of the column and right of it, down the rows: two loads a pixel.
        const u64* g_left = p.picture.sums + (rows.x + down.first) * p.picture.pitch + columns.x + column;
        u64 above = g_left[1] - g_left[0];
        Grey3 of_column = {};
#pragma unroll 4
        for (u32 row = down.first; row < down.end; row++) {
            g_left += p.picture.pitch;
            const u64 upto = g_left[1] - g_left[0];
            add(of_column, weight_of(down, row), grey(upto - above));
            above = upto;
        }
        add(mean, weight_of(across, column), of_column);
    }
    return mean;
}

// `models::crop::Similarity`: z -> turn z + shift over complex numbers, from the crop to the frame.
struct Similarity {
    float2 turn, shift;
    bool usable;
};

static __device__ __forceinline__ float2 rotated(float2 turn, float2 point) {
    return make_float2(turn.x * point.x - turn.y * point.y, turn.x * point.y + turn.y * point.x);
}

static __device__ __forceinline__ bool is_finite(float value) { return fabsf(value) <= 3.402823466e+38f; }

static __device__ __forceinline__ Similarity similarity_of(const CutParams& p, const Found& face) {
    float total = 0.0f, from_x = 0.0f, from_y = 0.0f, to_x = 0.0f, to_y = 0.0f;
    for (u32 i = 0; i < 5; i++) {
        const float weight = p.weights[i];
        total += weight;
        from_x += p.points[i][0] * weight, from_y += p.points[i][1] * weight;
        to_x += face.landmarks[2 * i] * weight, to_y += face.landmarks[2 * i + 1] * weight;
    }
    from_x /= total, from_y /= total, to_x /= total, to_y /= total;
    float real = 0.0f, imaginary = 0.0f, spread = 0.0f;
    for (u32 i = 0; i < 5; i++) {
        const float weight = p.weights[i], px = p.points[i][0] - from_x, py = p.points[i][1] - from_y;
        const float qx = face.landmarks[2 * i] - to_x, qy = face.landmarks[2 * i + 1] - to_y;
        real += weight * (px * qx + py * qy);
        imaginary += weight * (px * qy - py * qx);
        spread += weight * (qx * qx + qy * qy);
    }
    const float stretch = spread / (real * real + imaginary * imaginary);
    const float2 turn = make_float2(real * stretch, imaginary * stretch);
    const float2 moved = rotated(turn, make_float2(from_x, from_y));
    const float2 shift = make_float2(to_x - moved.x, to_y - moved.y);
    const float scale = hypotf(turn.x, turn.y);
    return {turn, shift, scale > 1e-6f && is_finite(scale) && is_finite(shift.x) && is_finite(shift.y)};
}

// The frame's value between pixels; black outside.
static __device__ __forceinline__ Grey3 bilinear(const PictureView& f, float x, float y) {
    const float left = floorf(x), top = floorf(y), right_part = x - left, lower_part = y - top;
    Grey3 corners[4];
    // All four are loaded, at the frame's edge for those outside, so that none waits for another.
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
        const float column = fminf(fmaxf(left + (float)(i % 2), 0.0f), (float)(f.width - 1));
        const float row = fminf(fmaxf(top + (float)(i / 2), 0.0f), (float)(f.height - 1));
        const Rgb one = pixel(f, (u32)column, (u32)row);
        corners[i] = {(float)one.r, (float)one.g, (float)one.b};
    }
    Grey3 value = {};
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
        const float column = left + (float)(i % 2), row = top + (float)(i / 2);
        if (!(column >= 0.0f && column < (float)f.width && row >= 0.0f && row < (float)f.height)) continue;
        add(value, (i / 2 ? lower_part : 1.0f - lower_part) * (i % 2 ? right_part : 1.0f - right_part), corners[i]);
    }
    return value;
}

static __device__ __forceinline__ Grey3 aligned(const CutParams& p, const Found& face, u32 x, u32 y) {
    const Similarity map = similarity_of(p, face);
    Grey3 mean = {};
    if (!map.usable) return mean;
    const u32 n_grid = (u32)fminf(fmaxf(roundf(hypotf(map.turn.x, map.turn.y)), 1.0f), 64.0f);
    const float part = 1.0f / (float)(n_grid * n_grid);
    for (u32 cell = 0; cell < n_grid * n_grid; cell++) {
        const float down = ((float)(cell / n_grid) + 0.5f) / (float)n_grid - 0.5f;
        const float across = ((float)(cell % n_grid) + 0.5f) / (float)n_grid - 0.5f;
        const float2 at = rotated(map.turn, make_float2((float)x + across, (float)y + down));
        const Grey3 one = bilinear(p.picture, at.x + map.shift.x, at.y + map.shift.y);
        mean.r += one.r * part;
        mean.g += one.g * part;
        mean.b += one.b * part;
    }
    return mean;
}

KERNEL(cut, CutParams, 128) {
    const u32 pixels = p.size * p.size, blocks = (pixels + 127) / 128;
    const u32 face = blockIdx.x / blocks, at = blockIdx.x % blocks * 128 + threadIdx.x;
    if (at >= pixels || (p.count != nullptr && face >= *p.count)) return;
    const Found& found = p.faces[face];
    const u32 x = at % p.size, y = at / p.size;
    const Grey3 value = p.rule == CROP_SQUARED_BOX ? squared_box(p, found, x, y) : aligned(p, found, x, y);
    const float red = (value.r - p.mean[0]) * p.scale, green = (value.g - p.mean[1]) * p.scale;
    const float blue = (value.b - p.mean[2]) * p.scale;
    p.crops[(u64)face * pixels + at] = make_uint4(pack_halves(red, green), pack_halves(blue, 0.0f), 0, 0);
}
