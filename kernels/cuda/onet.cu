// computes  O-Net's convolutions over each proposal's crop: the 1152 values that its dense layers take
// shapes    picture (`picture.cuh`); boxes float4 [onet_kept]; features half [ONET_MAX][3][3][128]
// params    CropsParams
// launch    grid: a few blocks for each multiprocessor, block CROP_BLOCK, shared ONET_SHARED
// work      a block: one proposal at a time, crop and resize to 48 x 48 included; conv1 and conv2 in strips with their pools
// cost      12.9 MMAC and 2.3 KB written a proposal; weights (0.2 MB) come from L2, a few steps ahead
// numerics  half activations, f32 sums; models::net::onet
#include "boxes.cuh"
#include "conv.cuh"
#include "crops.cuh"
#include "status.cuh"

// Sixteen warps: conv3 and conv4 have as many items.
constexpr u32 CROP_BLOCK = 512, CROP_WARPS = CROP_BLOCK / 32;
constexpr u32 ONET_SIDE = 48;
// Rows of a pool that one strip of the convolution before it gives.
constexpr u32 STRIP1 = 4, STRIP2 = 5;
constexpr u32 STRIP1_ROWS = 2 * STRIP1 + 1, STRIP2_ROWS = 2 * STRIP2 + 1;
constexpr u32 ONET_X_BYTES = (ONET_SIDE * ONET_SIDE + 2) * 8, ONET_STRIP1_BYTES = STRIP1_ROWS * 46 * row_of(32) * 2;
constexpr u32 ONET_POOL1_BYTES = 23 * 23 * row_of(32) * 2;
constexpr u32 ONET_SHARED = ONET_X_BYTES + ONET_STRIP1_BYTES + ONET_POOL1_BYTES;
constexpr u32 ONET_POOL2_BYTES = 10 * 10 * row_of(64) * 2, ONET_STRIP2_BYTES = STRIP2_ROWS * 21 * row_of(64) * 2;
static_assert(ONET_X_BYTES % 16 == 0 && ONET_STRIP1_BYTES % 16 == 0 && ONET_POOL2_BYTES % 16 == 0, "aligned for ldmatrix");
static_assert(ONET_POOL2_BYTES + ONET_STRIP2_BYTES <= ONET_X_BYTES + ONET_STRIP1_BYTES, "conv2 takes the crop's place");
static_assert(8 * 8 * row_of(64) * 2 + 4 * 4 * row_of(64) * 2 <= ONET_POOL1_BYTES, "conv3 takes pool1's place");
static_assert(ONET_SHARED <= 99 * 1024, "fits sm_86, which lends a block the least");
static_assert(ONET_SHARED == 93888, "as launch::onet::SHARED_BYTES");

KERNEL_BY_FEW(onet, CropsParams, CROP_BLOCK, 1) {
    SHARED_BYTES(s_raw);
    uint2* s_x = (uint2*)s_raw;
    __half* s_strip1 = (__half*)(s_raw + ONET_X_BYTES);
    __half* s_pool1 = (__half*)(s_raw + ONET_X_BYTES + ONET_STRIP1_BYTES);
    __half* s_pool2 = (__half*)s_raw;
    __half* s_strip2 = (__half*)(s_raw + ONET_POOL2_BYTES);
    __half* s_conv3 = s_pool1;
    __half* s_pool3 = s_pool1 + 8 * 8 * row_of(64);
    for (u32 i = blockIdx.x; i < p.status->onet_kept; i += gridDim.x) {
        crop_resized<ONET_SIDE, CROP_BLOCK>(s_x, p.picture, p.boxes[i]);
        __syncthreads();
        for (u32 y = 0; y < 23; y += STRIP1) {
            const u32 n_rows = min(STRIP1_ROWS, 46 - 2 * y);
            conv_first<46, 4, CROP_WARPS>(s_strip1, s_x, ONET_SIDE, p.convs[0], 2 * y, n_rows);
            __syncthreads();
            max_pool<3, 46, 23, 32, CROP_BLOCK>(s_pool1 + y * 23 * row_of(32), s_strip1, n_rows, min(STRIP1, 23 - y));
            __syncthreads();
        }
        for (u32 y = 0; y < 10; y += STRIP2) {
            conv_rows<3, 23, 32, 8, 4, CROP_WARPS>(s_strip2, row_of(64), s_pool1 + 2 * y * 23 * row_of(32), p.convs[1], STRIP2_ROWS);
            __syncthreads();
            max_pool<3, 21, 10, 64, CROP_BLOCK>(s_pool2 + y * 10 * row_of(64), s_strip2, STRIP2_ROWS, STRIP2);
            __syncthreads();
        }
        conv_rows<3, 10, 64, 8, 2, CROP_WARPS>(s_conv3, row_of(64), s_pool2, p.convs[2], 8);
        __syncthreads();
        max_pool<2, 8, 4, 64, CROP_BLOCK>(s_pool3, s_conv3, 8, 4);
        __syncthreads();
        conv_rows<2, 4, 64, 16, 1, CROP_WARPS>(p.features + (u64)i * 1152, 128, s_pool3, p.convs[3], 3);
        // The next crop lies apart from what conv4 may still read, and its pools come two barriers on.
    }
}
