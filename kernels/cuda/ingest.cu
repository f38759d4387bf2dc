// computes  the picture (`picture.cuh`) of a frame: `ingest` the sums along rows, `columns` those down the columns, in place
// shapes    frame as its format says, in memory of the host or the device; sums u64 [height + 1][pitch], row 0 zero before
// params    IngestParams, ColumnsParams
// launch    ingest: grid height, block 32 INGEST_WARPS, shared INGEST_SHARED
//           columns: grid pitch / 8, block 512, shared COLUMNS_SHARED
// work      ingest: a row a block, 256 pixels a warp, all of them on their way at once; columns: 8 columns a block, 64 strips of rows
// cost      ingest reads each byte of the frame once, over the bus where it lies in the host's memory, and writes 8 bytes a
//           pixel; columns reads and writes those once; 1280 x 720 YUYV: 1.8 MB over the bus, 7.4 MB three times
// numerics  exact integers
#include "frame.cuh"
#include "status.cuh"

struct IngestParams {
    FrameView frame;
    u64* sums;
    Status* status;   // set to zero, where there is one
    u32 pitch;
    u32 unused;
};
static_assert(sizeof(IngestParams) == 80, "as launch::ingest::IngestParams");

struct ColumnsParams {
    u64* sums;
    u32 pitch, height;
};
static_assert(sizeof(ColumnsParams) == 16, "as launch::ingest::ColumnsParams");

// Of the widest row (`MOST_SIDE` of engine.rs) a warp has ROUNDS segments.
constexpr u32 INGEST_WARPS = 8, SEGMENT = 256, ROUNDS = 4;
// A segment of the longest pixels, and 16 bytes more where a row begins beside a boundary.
constexpr u32 SLOT_BYTES = 3 * SEGMENT + 16, TOTALS_AT = INGEST_WARPS * ROUNDS * SLOT_BYTES;
constexpr u32 INGEST_SHARED = TOTALS_AT + 2 * INGEST_WARPS * 8;
static_assert(INGEST_SHARED == 25216, "as launch::ingest::INGEST_SHARED_BYTES");
// NV12's chroma lies behind its luma.
constexpr u32 CHROMA_AT = SEGMENT + 16;
static_assert(2 * CHROMA_AT <= SLOT_BYTES && CHROMA_AT % 16 == 0, "both planes of NV12 fit");

// A row of a plane, from the boundary of 16 bytes before it to the one behind it.
struct PlaneRow {
    const u8* g_start;
    u32 beside;   // bytes before the row
    u32 chunks;   // of 16 bytes

    __device__ PlaneRow(const u8* g_row, u32 bytes) {
        beside = (u32)((u64)g_row % 16);
        g_start = g_row - beside;
        chunks = (beside + bytes + 15) / 16;
    }
    // Begins to copy BYTES of the row, the `segment`th such.
    template <u32 BYTES>
    __device__ __forceinline__ void fetch(unsigned char* s_to, u32 segment, u32 lane) const {
        const u32 first = segment * (BYTES / 16), end = min(first + BYTES / 16 + (beside != 0), chunks);
        for (u32 i = first + lane; i < end; i += 32) cp_async_16(s_to + 16 * (i - first), g_start + 16 * i, true);
    }
};

// A row: in each round a warp takes the segment of its number; each segment is asked for before any is looked at.
// Measured over an H200's bus, 1280 x 720 YUYV, launch and wait included: 48 us; where a warp walks along a row of its own, or a
// block has just the 5 warps that the row's segments need, 68 us. Why is not known; copying alone takes 45. The programs that measured these are not kept.
template <PixelFormat FORMAT>
static __device__ __forceinline__ void ingest_row(const IngestParams& p, unsigned char* s_raw, u32 y) {
    constexpr u32 BYTES = SEGMENT * pixel_bytes(FORMAT);
    const FrameView& f = p.frame;
    const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32, even_width = f.width + f.width % 2;
    const u32 row_bytes = FORMAT == RGB24 ? 3 * f.width : FORMAT == GREY ? f.width : even_width * pixel_bytes(FORMAT);
    const PlaneRow row(f.bytes + (u64)y * f.stride, row_bytes);
    const PlaneRow chroma(f.bytes + f.chroma + (u64)(y / 2) * f.stride, even_width);
    unsigned char* s_slots = s_raw + warp * ROUNDS * SLOT_BYTES;
    // The warps' sums, of this round and of the one before, which some may still read.
    u64* s_totals = (u64*)(s_raw + TOTALS_AT);
    const u32 rounds = (f.width + INGEST_WARPS * SEGMENT - 1) / (INGEST_WARPS * SEGMENT);
#pragma unroll
    for (u32 round = 0; round < ROUNDS; round++) {
        const u32 segment = round * INGEST_WARPS + warp;
        if (segment * SEGMENT < f.width) {
            unsigned char* s_slot = s_slots + round * SLOT_BYTES;
            row.template fetch<BYTES>(s_slot, segment, lane);
            if (FORMAT == NV12) chroma.template fetch<SEGMENT>(s_slot + CHROMA_AT, segment, lane);
        }
    }
    cp_async_commit();
    cp_async_wait<0>();
    __syncwarp();
    u64* g_sums = p.sums + (u64)(y + 1) * p.pitch;
    u64 before = 0;
    for (u32 round = 0; round < rounds; round++) {
        const u32 x = (round * INGEST_WARPS + warp) * SEGMENT + lane * 8;
        u64 own = 0, sums[8];
        if (x < f.width) {
            const unsigned char* s_slot = s_slots + round * SLOT_BYTES;
            Rgb pixels[8];
            eight_pixels<FORMAT>(pixels, f, s_slot + row.beside + lane * 8 * pixel_bytes(FORMAT),
                                 s_slot + CHROMA_AT + chroma.beside + lane * 8);
#pragma unroll
            for (u32 i = 0; i < 8; i++) {
                sums[i] = own;
                own += x + i < f.width ? packed(pixels[i]) : 0;
            }
        }
        u64 up_to = own;
#pragma unroll
        for (u32 apart = 1; apart < 32; apart *= 2) {
            const u64 other = __shfl_sync(0xffffffffu, up_to, (lane - apart) % 32);
            if (lane >= apart) up_to += other;
        }
        u64* s_round = s_totals + round % 2 * INGEST_WARPS;
        if (lane == 31) s_round[warp] = up_to;
        __syncthreads();
        u64 left = before + up_to - own;
#pragma unroll
        for (u32 other = 0; other < INGEST_WARPS; other++) {
            const u64 total = s_round[other];
            if (other < warp) left += total;
            before += total;
        }
        if (x >= f.width) continue;
        uint4* g_to = (uint4*)(g_sums + x);
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
            const u64 first = left + sums[2 * i], second = left + sums[2 * i + 1];
            g_to[i] = make_uint4((u32)first, (u32)(first >> 32), (u32)second, (u32)(second >> 32));
        }
        if (x + 8 == f.width) g_sums[f.width] = left + own;
    }
}

KERNEL(ingest, IngestParams, 32 * INGEST_WARPS) {
    SHARED_BYTES(s_raw);
    let_next_begin();
    wait_for_before();
    if (p.status && blockIdx.x == 0 && threadIdx.x < sizeof(Status) / 4) ((u32*)p.status)[threadIdx.x] = 0;
    const u32 y = blockIdx.x;
    switch (p.frame.format) {
        case RGB24: return ingest_row<RGB24>(p, s_raw, y);
        case GREY: return ingest_row<GREY>(p, s_raw, y);
        case YUYV: return ingest_row<YUYV>(p, s_raw, y);
        case UYVY: return ingest_row<UYVY>(p, s_raw, y);
        default: return ingest_row<NV12>(p, s_raw, y);
    }
}

constexpr u32 COLUMNS = 8, COLUMNS_THREADS = 512, STRIPS = COLUMNS_THREADS / COLUMNS, COLUMNS_WARPS = COLUMNS_THREADS / 32;
constexpr u32 COLUMNS_SHARED = COLUMNS_WARPS * COLUMNS * 8;
static_assert(COLUMNS_SHARED == 1024, "as launch::ingest::COLUMNS_SHARED_BYTES");
// Rows of a strip that a thread holds at once: all of them up to 768 rows of a frame.
constexpr u32 HELD = 12;

KERNEL_BY_FEW(columns, ColumnsParams, COLUMNS_THREADS, 2) {
    SHARED_BYTES(s_raw);
    let_next_begin();
    wait_for_before();
    u64* s_totals = (u64*)s_raw;
    const u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, column = threadIdx.x % COLUMNS;
    const u32 each = (p.height + STRIPS - 1) / STRIPS, strip = threadIdx.x / COLUMNS;
    const u32 first = min(strip * each, p.height), end = min(first + each, p.height);
    // Row 0 of the sums is that above the picture.
    u64* g_sums = p.sums + p.pitch + blockIdx.x * COLUMNS + column;
    u64 held[HELD], own = 0;
    auto load = [&](u32 row) {
#pragma unroll
        for (u32 i = 0; i < HELD; i++) held[i] = row + i < end ? g_sums[(row + i) * p.pitch] : 0;
    };
    for (u32 row = first; row < first + each; row += HELD) {
        load(row);
#pragma unroll
        for (u32 i = 0; i < HELD; i++) own += held[i];
    }
    // The strips above: first those of this warp, then those of the warps before.
    u64 up_to = own;
#pragma unroll
    for (u32 apart = COLUMNS; apart < 32; apart *= 2) {
        const u64 other = __shfl_sync(0xffffffffu, up_to, (lane - apart) % 32);
        if (lane >= apart) up_to += other;
    }
    if (lane >= 32 - COLUMNS) s_totals[warp * COLUMNS + column] = up_to;
    __syncthreads();
    u64 sum = up_to - own;
    for (u32 other = 0; other < warp; other++) sum += s_totals[other * COLUMNS + column];
    for (u32 row = first; row < end; row += HELD) {
        if (each > HELD) load(row);
#pragma unroll
        for (u32 i = 0; i < HELD; i++) {
            sum += held[i];
            if (row + i < end) g_sums[(row + i) * p.pitch] = sum;
        }
    }
}
