// computes  what each face is like: light, sharpness, pose, texture, how much of it the frame has
// shapes    faces Found [n], n the grid; out Measured [n], of which the first status.detections are written
// params    QualityParams
// launch    grid n, block ONE_BLOCK, shared QUALITY_SHARED
// work      a block: one face's luma at 64 x 64, a cell from 16 entries of the picture however large the face is, then sums;
//           a warp a landmark; one thread the rest
// cost      512 KB read from L2, 48 bytes written a face; latency-bound
// numerics  the bits of models::quality::measure, whose sums are of integers; angles but for the last places of atanf
#include "picture.cuh"
#include "status.cuh"
#include "suppress.cuh"

// Mirrors `launch::Measured`; the fields are those of `models::quality::Measures`.
struct Measured {
    float face_px, visible;
    float brightness, dark, bright;
    float sharpness;
    float yaw_deg, pitch_deg, roll_deg;
    float texture, band;
    float score;
};
static_assert(sizeof(Measured) == 48, "as launch::Measured");

struct QualityParams {
    PictureView picture;
    const Found* faces;
    const Status* status;
    Measured* out;
};
static_assert(sizeof(QualityParams) == 48, "as launch::quality::Params");

// The face's side, and its inner part on it, without hair and background.
constexpr u32 FACE = 64, INNER_X = 12, INNER_Y = 10, INNER_WIDTH = 40, INNER_HEIGHT = 48;
constexpr u32 INNER = INNER_WIDTH * INNER_HEIGHT;
static_assert(INNER_X >= 1 && INNER_X + INNER_WIDTH < FACE && INNER_Y >= 1 && INNER_Y + INNER_HEIGHT < FACE,
              "a Laplacian has neighbours");
// Half the side of the patch around a landmark.
constexpr i32 PATCH = 5;
constexpr u32 LANDMARKS = 5;
// Rows of a band across the inner face, and how many bands there are.
constexpr u32 BAND = 4, BANDS = INNER_HEIGHT - BAND + 1;
// Units of luma to a grey level.
constexpr u32 PER_GREY = 256;

// Sums over values in these units: n squares of Laplacians fit n times.
struct Moments {
    u32 n;
    i32 sum;
    u64 squares;
};

constexpr u32 QUALITY_WARPS = ONE_BLOCK / 32;
// What a warp has of the inner face: `values` of luma, `edges` of the Laplacian.
struct Inner {
    Moments values, edges;
    u32 dark, bright;
};

// Luma, each warp's part of the inner face and the least variance of its bands, the deviation around each landmark.
constexpr u32 LUMA_BYTES = FACE * FACE * 2;
constexpr u32 QUALITY_SHARED = LUMA_BYTES + QUALITY_WARPS * (sizeof(Inner) + 4) + LANDMARKS * 4 + 12;
static_assert(sizeof(Inner) == 40 && QUALITY_SHARED == 8928 && LANDMARKS < QUALITY_WARPS, "as launch::quality::SHARED_BYTES");

static __device__ __forceinline__ void add(Moments& sum, i32 value) {
    sum.n++;
    sum.sum += value;
    sum.squares += (u64)((long long)value * value);
}
static __device__ __forceinline__ void add(Moments& sum, const Moments& other) {
    sum.n += other.n;
    sum.sum += other.sum;
    sum.squares += other.squares;
}
// Over the lanes of a warp; the first has it.
static __device__ __forceinline__ void add_lanes(Moments& sum) {
    for (u32 by = 16; by > 0; by /= 2) {
        const Moments other = {__shfl_down_sync(0xffffffffu, sum.n, by), __shfl_down_sync(0xffffffffu, sum.sum, by),
                               __shfl_down_sync(0xffffffffu, sum.squares, by)};
        add(sum, other);
    }
}
static __device__ __forceinline__ float variance(const Moments& of) {
    if (of.n == 0) return 0.0f;
    const u64 spread = of.n * of.squares - (u64)((long long)of.sum * of.sum);
    return (float)spread / (float)((u64)of.n * of.n) / (float)(PER_GREY * PER_GREY);
}

// `clamp` of Rust, which keeps what is no number.
static __device__ __forceinline__ float clamped(float value, float low, float high) {
    return value < low ? low : value > high ? high : value;
}
// Of a value from 0 to a side of the frame; what is no number becomes 0.
static __device__ __forceinline__ u32 whole(float value) { return (u32)fmaxf(value, 0.0f); }

// A face's box within the frame, and the whole pixels that it touches; `empty` if there are none.
struct Edges {
    float4 within;
    Window window;
    bool empty;
};
static __device__ __forceinline__ Edges edges_of(const Found& face, const PictureView& picture) {
    const float width = (float)picture.width, height = (float)picture.height;
    const float4 in = make_float4(clamped(face.box[0], 0.0f, width), clamped(face.box[1], 0.0f, height),
                                  clamped(face.box[2], 0.0f, width), clamped(face.box[3], 0.0f, height));
    const u32 x1 = whole(in.x), y1 = whole(in.y), x2 = whole(ceilf(in.z)), y2 = whole(ceilf(in.w));
    return {in, {x1, y1, x2 - x1, y2 - y1}, !(x1 < x2 && y1 < y2)};
}

// The pixels of n under cell i of FACE: the first, those between, the last; and how many 64ths of the outer ones lie there.
// A cell within one pixel has only the first.
struct Parts {
    u32 at[4];
    u32 part[3];
};
static __device__ __forceinline__ Parts parts_of(u32 i, u32 n) {
    const u32 low = i * n, high = low + n, first = low / FACE, end = (high + FACE - 1) / FACE;
    const u32 second = first + 1, last = max(end - 1, second);
    return {{first, second, last, end}, {min(second * FACE, high) - low, FACE, high - min(last * FACE, high)}};
}

// In thousandths; fits, since a window's sums are below 2^21.
static __device__ __forceinline__ u32 luma(Rgb sum) { return 299 * sum.r + 587 * sum.g + 114 * sum.b; }

// The mean luma of a cell of the face.
static __device__ __forceinline__ u32 cell_of(const PictureView& picture, const Window& face, u32 x, u32 y, float scale) {
    const Parts across = parts_of(x, face.width), down = parts_of(y, face.height);
    u64 r_sums[4][4];
#pragma unroll
    for (u32 row = 0; row < 4; row++) {
        const u64* g_row = picture.sums + (face.y + down.at[row]) * picture.pitch + face.x;
#pragma unroll
        for (u32 column = 0; column < 4; column++) r_sums[row][column] = g_row[across.at[column]];
    }
    u64 sum = 0;
#pragma unroll
    for (u32 row = 0; row < 3; row++) {
        u64 of_row = 0;
#pragma unroll
        for (u32 column = 0; column < 3; column++) {
            const u64 part = r_sums[row + 1][column + 1] - r_sums[row + 1][column] - (r_sums[row][column + 1] - r_sums[row][column]);
            of_row += (u64)across.part[column] * luma(unpacked(part));
        }
        sum += down.part[row] * of_row;
    }
    const Window between = {face.x + across.at[1], face.y + down.at[1], across.at[2] - across.at[1], down.at[2] - down.at[1]};
    if (between.width * between.height > MOST_SUMMED) {
        // Of a face of more than 5,700 pixels: what was added ran over.
        const u64 part = r_sums[2][2] - r_sums[2][1] - (r_sums[1][2] - r_sums[1][1]);
        const Rgb all = sum_of_many(picture, between);
        sum -= (u64)(FACE * FACE) * luma(unpacked(part));
        sum += (u64)(FACE * FACE) * (299ull * all.r + 587ull * all.g + 114ull * all.b);
    }
    return (u32)((float)sum * scale + 0.5f);
}

static __device__ __forceinline__ Inner inner_of(const unsigned short* s_luma) {
    Inner inner = {};
    for (u32 i = threadIdx.x; i < INNER; i += ONE_BLOCK) {
        const unsigned short* s_at = s_luma + (INNER_Y + i / INNER_WIDTH) * FACE + INNER_X + i % INNER_WIDTH;
        const i32 value = *s_at;
        add(inner.values, value);
        add(inner.edges, s_at[-1] + s_at[1] + *(s_at - FACE) + s_at[FACE] - 4 * value);
        inner.dark += value < 20 * (i32)PER_GREY;
        inner.bright += value > 245 * (i32)PER_GREY;
    }
    add_lanes(inner.values);
    add_lanes(inner.edges);
    for (u32 by = 16; by > 0; by /= 2) {
        inner.dark += __shfl_down_sync(0xffffffffu, inner.dark, by);
        inner.bright += __shfl_down_sync(0xffffffffu, inner.bright, by);
    }
    return inner;
}

// The cell along an axis in which a point of the frame lies; far outside, any that is outside. What is no number is 0.
static __device__ __forceinline__ i32 cell_at(float value, u32 low, u32 extent) {
    const float cell = (value - (float)low) * (float)FACE / (float)extent;
    return cell == cell ? (i32)fminf(fmaxf(cell, -1e6f), 1e6f) : 0;
}

// The luma around a landmark, a warp's lanes together; the first has it.
static __device__ __forceinline__ Moments around(const unsigned short* s_luma, const Window& face, const float* point) {
    const i32 x = cell_at(point[0], face.x, face.width), y = cell_at(point[1], face.y, face.height);
    const i32 x1 = max(x - PATCH, 0), x2 = min(x + PATCH + 1, (i32)FACE);
    const i32 y1 = max(y - PATCH, 0), y2 = min(y + PATCH + 1, (i32)FACE);
    Moments patch = {};
    if (x1 < x2 && y1 < y2) {
        const u32 width = (u32)(x2 - x1), n = width * (u32)(y2 - y1);
        for (u32 i = threadIdx.x % 32; i < n; i += 32) add(patch, s_luma[((u32)y1 + i / width) * FACE + (u32)x1 + i % width]);
    }
    add_lanes(patch);
    return patch;
}

// The least variance of a warp's bands across the inner face, its lanes together; the first has it.
static __device__ __forceinline__ float plainest_of(const unsigned short* s_luma, u32 warp) {
    float least = 1e30f;
    for (u32 top = warp; top < BANDS; top += QUALITY_WARPS) {
        Moments band = {};
        for (u32 i = threadIdx.x % 32; i < BAND * INNER_WIDTH; i += 32) {
            add(band, s_luma[(INNER_Y + top + i / INNER_WIDTH) * FACE + INNER_X + i % INNER_WIDTH]);
        }
        add_lanes(band);
        least = fminf(least, variance(band));
    }
    return least;
}

// `models::quality::Pose`, whose constants these are.
constexpr float EYES_TO_NOSE_DEPTH = 2.0f, HEIGHT_TO_NOSE_DEPTH = 2.2f, NOSE_LEVEL = 0.54f, DEGREES = 57.2957795130823208768f;

static __device__ __forceinline__ void measure_pose(const float (&l)[10], Measured& measured) {
    const float eyes_x = (l[0] + l[2]) / 2.0f, eyes_y = (l[1] + l[3]) / 2.0f;
    const float mouth_x = (l[6] + l[8]) / 2.0f, mouth_y = (l[7] + l[9]) / 2.0f;
    const float along_x = l[2] - l[0], along_y = l[3] - l[1];
    const float distance = sqrtf(along_x * along_x + along_y * along_y);
    const float cos = along_x / distance, sin = along_y / distance;
    const float nose_dx = l[4] - eyes_x, nose_dy = l[5] - eyes_y;
    const float mouth_dx = mouth_x - eyes_x, mouth_dy = mouth_y - eyes_y;
    const float nose_along = nose_dx * cos + nose_dy * sin, nose_across = nose_dy * cos - nose_dx * sin;
    const float mouth_along = mouth_dx * cos + mouth_dy * sin, mouth_across = mouth_dy * cos - mouth_dx * sin;
    const float share = nose_across / mouth_across;
    const float aside = nose_along - mouth_along * share;
    measured.yaw_deg = atanf(EYES_TO_NOSE_DEPTH * aside / distance) * DEGREES;
    measured.pitch_deg = atanf(HEIGHT_TO_NOSE_DEPTH * (NOSE_LEVEL - share)) * DEGREES;
    measured.roll_deg = atan2f(sin, cos) * DEGREES;
}

KERNEL(quality, QualityParams, ONE_BLOCK) {
    SHARED_BYTES(s_raw);
    let_next_begin();
    wait_for_before();
    if (blockIdx.x >= p.status->detections) return;
    Inner* s_inner = (Inner*)s_raw;
    float* s_deviations = (float*)(s_inner + QUALITY_WARPS);
    float* s_bands = s_deviations + LANDMARKS;
    unsigned short* s_luma = (unsigned short*)(s_raw + QUALITY_SHARED - LUMA_BYTES);
    const Found& face = p.faces[blockIdx.x];
    const Edges edges = edges_of(face, p.picture);
    const u32 warp = threadIdx.x / 32;
    if (!edges.empty) {
        // As `Luma::of` has it: 1000 weights and every pixel once.
        const float scale = (float)PER_GREY / (float)(1000ull * edges.window.width * edges.window.height);
        for (u32 i = threadIdx.x; i < FACE * FACE; i += ONE_BLOCK) {
            s_luma[i] = (unsigned short)cell_of(p.picture, edges.window, i % FACE, i / FACE, scale);
        }
        __syncthreads();
        const Inner inner = inner_of(s_luma);
        const float plainest = plainest_of(s_luma, warp);
        if (threadIdx.x % 32 == 0) {
            s_inner[warp] = inner;
            s_bands[warp] = plainest;
        }
        if (warp < LANDMARKS) {
            const Moments patch = around(s_luma, edges.window, face.landmarks + 2 * warp);
            if (threadIdx.x % 32 == 0) s_deviations[warp] = sqrtf(variance(patch));
        }
        __syncthreads();
    }
    if (threadIdx.x != 0) return;

    const float width = face.box[2] - face.box[0], height = face.box[3] - face.box[1];
    Measured measured = {};
    measured.face_px = fminf(width, height);
    const float within = (edges.within.z - edges.within.x) * (edges.within.w - edges.within.y);
    measured.visible = clamped(within / (width * height), 0.0f, 1.0f);
    measured.score = face.score;
    measure_pose(face.landmarks, measured);
    if (!edges.empty) {
        Inner inner = s_inner[0];
        for (u32 i = 1; i < QUALITY_WARPS; i++) {
            add(inner.values, s_inner[i].values);
            add(inner.edges, s_inner[i].edges);
            inner.dark += s_inner[i].dark;
            inner.bright += s_inner[i].bright;
        }
        measured.brightness = (float)inner.values.sum / (float)(INNER * PER_GREY);
        measured.dark = (float)inner.dark / (float)INNER;
        measured.bright = (float)inner.bright / (float)INNER;
        const float spread = variance(inner.values) + 1.0f;
        measured.sharpness = variance(inner.edges) / spread;
        float least = s_deviations[0];
        for (u32 i = 1; i < LANDMARKS; i++) least = fminf(least, s_deviations[i]);
        measured.texture = least / sqrtf(spread);
        float plainest = s_bands[0];
        for (u32 i = 1; i < QUALITY_WARPS; i++) plainest = fminf(plainest, s_bands[i]);
        measured.band = sqrtf(plainest) / sqrtf(spread);
    }
    p.out[blockIdx.x] = measured;
}
