// computes  O-Net's convolutions over each proposal's crop: the 1152 values that its dense layers take
// shapes    picture (`picture.cuh`); boxes float4 [onet_kept]; half: pool1 [ONET_MAX][23][23][32], pool2 [ONET_MAX][10][10][64],
//           features [ONET_MAX][3][3][128]
// params    ONetParams, the same of all three
// launch    grid: a few blocks for each multiprocessor; onet_pool1 block POOL1_BLOCK, shared POOL1_SHARED; onet_pool2 and
//           onet_features likewise
// work      onet_pool1: a strip of pool1's rows a block, its part of the crop included; onet_pool2: a strip of pool2's rows;
//           onet_features: conv3, its pool and conv4 of a crop. Blocks walk over crops and strips
// cost      12.9 MMAC, and a seventh of it again where strips share rows; 49 KB written a proposal. Few crops are the rule, so
//           the way through each kernel is short, and weights (0.2 MB) are in registers or shared memory before it begins
// numerics  half activations and weights as `kernels::rounding` makes them, f32 sums; models::net::onet
#include "boxes.cuh"
#include "conv.cuh"
#include "crops.cuh"
#include "status.cuh"

// Mirrors `launch::crops::ONetParams`.
struct ONetParams {
    PictureView picture;
    const Box* boxes;
    __half* pool1;
    __half* pool2;
    __half* features;
    const Status* status;
    Layer convs[4];
};
static_assert(sizeof(ONetParams) == 160, "as launch::crops::ONetParams");

constexpr u32 ONET_SIDE = 48, CONV1_SIDE = 46, POOL1_SIDE = 23, CONV2_SIDE = 21, POOL2_SIDE = 10;
constexpr u32 POOL1_HALVES = POOL1_SIDE * POOL1_SIDE * 32, POOL2_HALVES = POOL2_SIDE * POOL2_SIDE * 64;

// Rows of a pool that one strip of the convolution before it gives, rows of that one, and strips.
constexpr u32 STRIP1 = 3, STRIP1_ROWS = 2 * STRIP1 + 1, STRIPS1 = (POOL1_SIDE + STRIP1 - 1) / STRIP1;
constexpr u32 STRIP2 = 2, STRIP2_ROWS = 2 * STRIP2 + 1, STRIPS2 = POOL2_SIDE / STRIP2;
static_assert(POOL2_SIDE % STRIP2 == 0, "whole strips");

// Eleven warps: two rounds of the crop's pixels and of conv1's tiles, one of the pool's, and registers for two blocks.
constexpr u32 POOL1_BLOCK = 352;
constexpr u32 STRIP1_X_BYTES = (STRIP1_ROWS + 2) * ONET_SIDE * 8, STRIP1_BYTES = STRIP1_ROWS * CONV1_SIDE * row_of(32) * 2;
constexpr u32 POOL1_SHARED = STRIP1_X_BYTES + STRIP1_BYTES;
static_assert(STRIP1_X_BYTES % 16 == 0, "aligned for chunks");
static_assert(POOL1_SHARED == 29216, "as launch::crops::POOL1_SHARED_BYTES");

KERNEL_BY_FEW(onet_pool1, ONetParams, POOL1_BLOCK, 2) {
    SHARED_BYTES(s_raw);
    let_next_begin();
    uint2* s_x = (uint2*)s_raw;
    __half* s_strip = (__half*)(s_raw + STRIP1_X_BYTES);
    const First<4> conv1(p.convs[0], threadIdx.x % 32);
    wait_for_before();
    const u32 n = p.status->onet_kept * STRIPS1;
    for (u32 item = blockIdx.x; item < n; item += gridDim.x) {
        const u32 i = item / STRIPS1, y = item % STRIPS1 * STRIP1;
        const u32 n_rows = min(STRIP1_ROWS, CONV1_SIDE - 2 * y);
        crop_resized<ONET_SIDE, STRIP1_ROWS + 2, POOL1_BLOCK>(s_x, p.picture, p.boxes[i], 2 * y, n_rows + 2);
        __syncthreads();
        conv_first<CONV1_SIDE, 4, POOL1_BLOCK / 32>(s_strip, s_x, ONET_SIDE, conv1, 0, n_rows);
        __syncthreads();
        __half* g_pool = p.pool1 + i * POOL1_HALVES + y * POOL1_SIDE * 32;
        max_pool<3, CONV1_SIDE, POOL1_SIDE, 32, POOL1_BLOCK>(g_pool, 32, s_strip, n_rows, min(STRIP1, POOL1_SIDE - y));
        // The next crop lies apart from what the pool may still read, and its conv1 comes a barrier on.
    }
}

// A warp for each tile of 16 pixels and 32 channels.
constexpr u32 CONV2_PIXELS = STRIP2_ROWS * CONV2_SIDE, POOL2_BLOCK = (CONV2_PIXELS + 15) / 16 * 2 * 32;
constexpr u32 CONV2_STEPS = 9 * 32 / 16, CONV2_BYTES = 8 * CONV2_STEPS * 32 * 8;
constexpr u32 STRIP2_X_BYTES = (STRIP2_ROWS + 2) * POOL1_SIDE * row_of(32) * 2;
constexpr u32 POOL2_SHARED = CONV2_BYTES + STRIP2_X_BYTES + CONV2_PIXELS * row_of(64) * 2;
static_assert(STRIP2_X_BYTES % 16 == 0, "aligned for ldmatrix");
static_assert(POOL2_BLOCK == 448 && POOL2_SHARED == 64864, "as launch::crops::POOL2_BLOCK and POOL2_SHARED_BYTES");

KERNEL_BY_FEW(onet_pool2, ONetParams, POOL2_BLOCK, 2) {
    SHARED_BYTES(s_raw);
    let_next_begin();
    uint2* s_weights = (uint2*)s_raw;
    __half* s_x = (__half*)(s_raw + CONV2_BYTES);
    __half* s_strip = (__half*)(s_raw + CONV2_BYTES + STRIP2_X_BYTES);
    const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const u32 n_first = 4 * (warp % 2);
    copy_weights<CONV2_BYTES, POOL2_BLOCK>(s_weights, p.convs[1].weights);
    const Ends<4> ends(p.convs[1], n_first, lane);
    wait_for_before();
    const u32 n = p.status->onet_kept * STRIPS2;
    for (u32 item = blockIdx.x; item < n; item += gridDim.x) {
        const u32 i = item / STRIPS2, y = item % STRIPS2 * STRIP2;
        const __half* g_x = p.pool1 + i * POOL1_HALVES + 2 * y * POOL1_SIDE * 32;
        copy_rows<(STRIP2_ROWS + 2) * POOL1_SIDE, 32, POOL2_BLOCK>(s_x, g_x);
        cp_async_wait<0>();
        __syncthreads();
        const uint2* s_tiles = s_weights + n_first * CONV2_STEPS * 32;
        const Ring<4, CONV2_STEPS, 2> ring(s_tiles, lane);
        conv_tile<3, POOL1_SIDE, 32>(s_strip, row_of(64), s_x, s_tiles, ring, ends, n_first, 16 * (warp / 2), CONV2_PIXELS, lane);
        __syncthreads();
        __half* g_pool = p.pool2 + i * POOL2_HALVES + y * POOL2_SIDE * 64;
        max_pool<3, CONV2_SIDE, POOL2_SIDE, 64, POOL2_BLOCK>(g_pool, 64, s_strip, STRIP2_ROWS, STRIP2);
        // The next strip lies apart from what the pool may still read, and its conv2 comes a barrier on.
    }
    cp_async_wait<0>();
}

// A warp for each of conv3's tiles of 16 pixels and 16 channels, and for each 8 channels of conv4.
constexpr u32 FEATURES_BLOCK = 512;
constexpr u32 CONV3_STEPS = 9 * 64 / 16, CONV3_BYTES = 8 * CONV3_STEPS * 32 * 8, CONV4_STEPS = 4 * 64 / 16;
constexpr u32 FEATURES_X_BYTES = POOL2_SIDE * POOL2_SIDE * row_of(64) * 2, CONV3_OUT_BYTES = 8 * 8 * row_of(64) * 2;
constexpr u32 FEATURES_SHARED = CONV3_BYTES + FEATURES_X_BYTES + CONV3_OUT_BYTES + 4 * 4 * row_of(64) * 2;
static_assert(FEATURES_X_BYTES % 16 == 0 && CONV3_OUT_BYTES % 16 == 0, "aligned for ldmatrix");
static_assert(FEATURES_SHARED <= 99 * 1024, "fits sm_86, which lends a block the least");
static_assert(FEATURES_SHARED == 99648, "as launch::crops::FEATURES_SHARED_BYTES");

KERNEL_BY_FEW(onet_features, ONetParams, FEATURES_BLOCK, 1) {
    SHARED_BYTES(s_raw);
    let_next_begin();
    uint2* s_weights = (uint2*)s_raw;
    __half* s_x = (__half*)(s_raw + CONV3_BYTES);
    __half* s_conv3 = (__half*)(s_raw + CONV3_BYTES + FEATURES_X_BYTES);
    __half* s_pool3 = (__half*)(s_raw + CONV3_BYTES + FEATURES_X_BYTES + CONV3_OUT_BYTES);
    const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const u32 n_first = 2 * (warp % 4);
    copy_weights<CONV3_BYTES, FEATURES_BLOCK>(s_weights, p.convs[2].weights);
    const Ends<2> ends3(p.convs[2], n_first, lane);
    const uint2* g_weights4 = p.convs[3].weights + warp * CONV4_STEPS * 32;
    const Ring<1, CONV4_STEPS, CONV4_STEPS> conv4(g_weights4, lane);
    const Ends<1> ends4(p.convs[3], warp, lane);
    wait_for_before();
    const u32 n = p.status->onet_kept;
    for (u32 i = blockIdx.x; i < n; i += gridDim.x) {
        copy_rows<POOL2_SIDE * POOL2_SIDE, 64, FEATURES_BLOCK>(s_x, p.pool2 + i * POOL2_HALVES);
        cp_async_wait<0>();
        __syncthreads();
        const uint2* s_tiles = s_weights + n_first * CONV3_STEPS * 32;
        const Ring<2, CONV3_STEPS, 4> ring(s_tiles, lane);
        conv_tile<3, POOL2_SIDE, 64>(s_conv3, row_of(64), s_x, s_tiles, ring, ends3, n_first, 16 * (warp / 4), 64, lane);
        __syncthreads();
        max_pool<2, 8, 4, 64, FEATURES_BLOCK>(s_pool3, row_of(64), s_conv3, 8, 4);
        __syncthreads();
        conv_tile<2, 4, 64>(p.features + i * 1152, 128, s_pool3, g_weights4, conv4, ends4, warp, 0, 9, lane);
        // The next crop lies apart from what conv4 may still read, and its pool comes two barriers on.
    }
    cp_async_wait<0>();
}
