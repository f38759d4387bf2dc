// computes  R-Net's convolutions over each proposal's crop: the 576 values that its dense layers take
// shapes    picture (`picture.cuh`); boxes float4 [rnet_kept]; features half [RNET_MAX][3][3][64]
// params    RNetParams
// launch    grid: a few blocks for each multiprocessor, block CROP_BLOCK, shared RNET_SHARED
// work      a block: one proposal at a time, crop and resize to 24 x 24 included
// cost      1.53 MMAC and 1.2 KB written a proposal; weights (0.06 MB) come from L2, conv2's before the proposals are there
// numerics  half activations and weights as `kernels::rounding` makes them, f32 sums; models::net::rnet
#include "boxes.cuh"
#include "conv.cuh"
#include "crops.cuh"
#include "status.cuh"

// Mirrors `launch::crops::RNetParams`.
struct RNetParams {
    PictureView picture;
    const Box* boxes;
    __half* features;
    const Status* status;
    Layer convs[3];
};
static_assert(sizeof(RNetParams) == 120, "as launch::crops::RNetParams");

// Twelve warps: conv2 has as many items, of 16 pixels and 24 channels.
constexpr u32 CROP_BLOCK = 384, CROP_WARPS = CROP_BLOCK / 32;
constexpr u32 RNET_SIDE = 24;
constexpr u32 CONV2_STEPS = 9 * 32 / 16, CONV2_BYTES = 6 * CONV2_STEPS * 32 * 8, CONV3_STEPS = 4 * 48 / 16;
constexpr u32 RNET_X_BYTES = RNET_SIDE * RNET_SIDE * 8, RNET_CONV1_BYTES = 22 * 22 * row_of(32) * 2;
constexpr u32 RNET_POOL1_BYTES = 11 * 11 * row_of(32) * 2, RNET_CONV2_BYTES = 9 * 9 * row_of(48) * 2;
constexpr u32 RNET_SHARED = CONV2_BYTES + RNET_X_BYTES + RNET_CONV1_BYTES + RNET_POOL1_BYTES;
static_assert(RNET_X_BYTES % 16 == 0 && RNET_CONV1_BYTES % 16 == 0 && RNET_CONV2_BYTES % 16 == 0, "aligned for ldmatrix");
static_assert(RNET_CONV2_BYTES + 4 * 4 * row_of(48) * 2 <= RNET_CONV1_BYTES, "conv2 and its pool take conv1's place");
static_assert(2 * (RNET_SHARED + 1024) <= 164 * 1024, "two blocks on a multiprocessor of sm_87");
static_assert(RNET_SHARED == 80656, "as launch::crops::RNET_SHARED_BYTES");

KERNEL_BY_FEW(rnet, RNetParams, CROP_BLOCK, 2) {
    SHARED_BYTES(s_raw);
    let_next_begin();
    uint2* s_weights = (uint2*)s_raw;
    uint2* s_x = (uint2*)(s_raw + CONV2_BYTES);
    __half* s_conv = (__half*)(s_raw + CONV2_BYTES + RNET_X_BYTES);
    __half* s_pool1 = (__half*)(s_raw + CONV2_BYTES + RNET_X_BYTES + RNET_CONV1_BYTES);
    __half* s_pool2 = (__half*)(s_raw + CONV2_BYTES + RNET_X_BYTES + RNET_CONV2_BYTES);
    const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    copy_weights<CONV2_BYTES, CROP_BLOCK>(s_weights, p.convs[1].weights);
    wait_for_before();
    for (u32 i = blockIdx.x; i < p.status->rnet_kept; i += gridDim.x) {
        crop_resized<RNET_SIDE, RNET_SIDE, CROP_BLOCK>(s_x, p.picture, p.boxes[i], 0, RNET_SIDE);
        // What a layer takes from L2 is on its way while the warps wait for each other.
        const First<4> conv1(p.convs[0], lane);
        __syncthreads();
        conv_first<22, 4, CROP_WARPS>(s_conv, s_x, RNET_SIDE, conv1, 0, 22);
        __syncthreads();
        const u32 n_first = 3 * (warp % 2);
        const Ends<3> ends2(p.convs[1], n_first, lane);
        max_pool<3, 22, 11, 32, CROP_BLOCK>(s_pool1, row_of(32), s_conv, 22, 11);
        cp_async_wait<0>();
        __syncthreads();
        const uint2* s_tiles = s_weights + n_first * CONV2_STEPS * 32;
        const Ring<3, CONV2_STEPS, 2> conv2(s_tiles, lane);
        conv_tile<3, 11, 32>(s_conv, row_of(48), s_pool1, s_tiles, conv2, ends2, n_first, 16 * (warp / 2), 81, lane);
        __syncthreads();
        // conv3 has eight items; the other warps have nothing to do.
        const u32 tile = warp % 8;
        const uint2* g_weights = p.convs[2].weights + tile * CONV3_STEPS * 32;
        const Ring<1, CONV3_STEPS, CONV3_STEPS> conv3(g_weights, lane);
        const Ends<1> ends3(p.convs[2], tile, lane);
        max_pool<3, 9, 4, 48, CROP_BLOCK>(s_pool2, row_of(48), s_conv, 9, 4);
        __syncthreads();
        if (warp < 8) {
            conv_tile<2, 4, 48>(p.features + (u64)i * 576, 64, s_pool2, g_weights, conv3, ends3, tile, 0, 9, lane);
        }
        // The next crop lies apart from what conv3 may still read, and its conv1 comes a barrier on.
    }
    cp_async_wait<0>();
}
