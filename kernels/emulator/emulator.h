// What a kernel's source sees of the machine when g++ compiles it: the names of `portable.h`'s CUDA side, lane by lane.
//
// Every operation of a warp checks that all named lanes meet. Asynchronous copies are poisoned when they are issued and done
// as late as is legal. Refuses to be quick where that would hide a mistake.
#pragma once
#include "block.h"
#include "half.h"
#include "registry.h"

#include <algorithm>
#include <cmath>
#include <cstring>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
// As CUDA's compilers have it; uint64_t is another type to g++.
typedef unsigned long long u64;
typedef int32_t i32;

#define __host__
#define __device__
#define __forceinline__ inline __attribute__((always_inline))

#define KERNEL(name, Params, THREADS)                                                                       \
    static void name##_body(const Params& p);                                                               \
    static void name##_start(const void* p) { name##_body(*(const Params*)p); }                             \
    static const ::emulator::Registration name##_registration{#name, name##_start, sizeof(Params), THREADS}; \
    static void name##_body(const Params& p)

#define KERNEL_BY_FEW(name, Params, THREADS, BLOCKS) KERNEL(name, Params, THREADS)

#define SHARED_BYTES(name) unsigned char* const name = ::emulator::block->shared

#define threadIdx (::emulator::block->self->index)
#define blockIdx (::emulator::block->index)
#define blockDim (::emulator::block->dim)
#define gridDim (::emulator::block->grid)

struct uint2 {
    u32 x, y;
};
struct alignas(16) uint4 {
    u32 x, y, z, w;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
static inline uint2 make_uint2(u32 x, u32 y) { return {x, y}; }
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline uint4 make_uint4(u32 x, u32 y, u32 z, u32 w) { return {x, y, z, w}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

using std::max;
using std::min;

static inline u32 __float_as_uint(float value) {
    u32 bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
static inline float __uint_as_float(u32 bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static inline float add_exact_product(float sum, float a, float b) { return sum + a * b; }
static inline float rsqrtf(float value) { return 1.0f / sqrtf(value); }
static inline int __dp4a(int a, int b, int sum) {
    for (u32 byte = 0; byte < 4; byte++) sum += (int8_t)(a >> 8 * byte) * (int8_t)(b >> 8 * byte);
    return sum;
}
static inline int __popc(u32 value) { return __builtin_popcount(value); }
static inline int __ffs(int value) { return __builtin_ffs(value); }
static inline int __clz(int value) { return value == 0 ? 32 : __builtin_clz((u32)value); }

static inline void __syncthreads() { ::emulator::block->barrier(); }
static inline void __syncwarp(u32 mask = 0xffffffffu) {
    ::emulator::block->meet(mask, ::emulator::Meeting::SYNC, nullptr, [](void**, u32) {});
}
static inline u32 computed_here(u32 value) { return value; }
static inline void spin_yield() { ::emulator::block->yield(); }

// One value of each lane, and which lane's it wants.
template <typename T>
struct Shuffled {
    T value, result;
    u32 from;
};

template <typename T>
static inline T emulated_shuffle(u32 mask, T value, u32 from) {
    Shuffled<T> mine = {value, value, from};
    ::emulator::block->meet(mask, ::emulator::Meeting::SHUFFLE, &mine, [](void** slots, u32 named) {
        for (u32 lane = 0; lane < 32; lane++) {
            if (!(named >> lane & 1)) continue;
            Shuffled<T>& one = *(Shuffled<T>*)slots[lane];
            // What an unnamed lane holds is undefined: bits that no test takes for an answer.
            if (named >> one.from & 1) one.result = ((Shuffled<T>*)slots[one.from])->value;
            else memset(&one.result, 0xff, sizeof one.result);
        }
    });
    return mine.result;
}
static inline u32 emulated_lane() { return ::emulator::block->self->number % 32; }
template <typename T>
static inline T __shfl_sync(u32 mask, T value, u32 from) { return emulated_shuffle(mask, value, from % 32); }
template <typename T>
static inline T __shfl_xor_sync(u32 mask, T value, u32 bits) { return emulated_shuffle(mask, value, (emulated_lane() ^ bits) % 32); }
template <typename T>
static inline T __shfl_down_sync(u32 mask, T value, u32 by) {
    const u32 lane = emulated_lane();
    return emulated_shuffle(mask, value, lane + by < 32 ? lane + by : lane);
}

struct Balloted {
    bool vote;
    u32 result;
};
static inline u32 __ballot_sync(u32 mask, bool vote) {
    Balloted mine = {vote, 0};
    ::emulator::block->meet(mask, ::emulator::Meeting::BALLOT, &mine, [](void** slots, u32 named) {
        u32 votes = 0;
        for (u32 lane = 0; lane < 32; lane++) {
            if (named >> lane & 1 && ((Balloted*)slots[lane])->vote) votes |= 1u << lane;
        }
        for (u32 lane = 0; lane < 32; lane++) {
            if (named >> lane & 1) ((Balloted*)slots[lane])->result = votes;
        }
    });
    return mine.result;
}

static inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
static inline float2 load_shared_by_blocks(const float2* g_from) { return *g_from; }
// A launch begins here when the one before has ended: what is read too early is not seen.
static inline void let_next_begin() {}
static inline void wait_for_before() {}

static inline u32 load_acquired(const u32* g_at) { return __atomic_load_n(g_at, __ATOMIC_ACQUIRE); }
static inline void add_released(u32* g_at, u32 value) { __atomic_fetch_add(g_at, value, __ATOMIC_RELEASE); }

static inline u32 atomicAdd(u32* at, u32 value) { return __atomic_fetch_add(at, value, __ATOMIC_RELAXED); }
static inline u32 atomicOr(u32* at, u32 value) { return __atomic_fetch_or(at, value, __ATOMIC_RELAXED); }
static inline u32 atomicAnd(u32* at, u32 value) { return __atomic_fetch_and(at, value, __ATOMIC_RELAXED); }
static inline u32 atomicMax(u32* at, u32 value) {
    u32 found = __atomic_load_n(at, __ATOMIC_RELAXED);
    while (found < value && !__atomic_compare_exchange_n(at, &found, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
    return found;
}

struct Multiplied {
    float* d;
    const u32 *a, *b;
};
void emulated_mma(void** slots);
static inline void mma_m16n8k16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    Multiplied mine = {d, a, b};
    ::emulator::block->meet(0xffffffffu, ::emulator::Meeting::MMA, &mine, [](void** slots, u32) { emulated_mma(slots); });
}

struct Loaded {
    const void* row;
    u32* r;
};
static inline void ldmatrix_x4(u32 (&r)[4], const void* s_row) {
    if ((uintptr_t)s_row % 16 != 0) ::emulator::block->fail("ldmatrix of a row that is not on a boundary of 16 bytes");
    Loaded mine = {s_row, r};
    ::emulator::block->meet(0xffffffffu, ::emulator::Meeting::LDMATRIX, &mine, [](void** slots, u32) {
        for (u32 matrix = 0; matrix < 4; matrix++) {
            for (u32 lane = 0; lane < 32; lane++) {
                const Loaded& row = *(Loaded*)slots[8 * matrix + lane / 4];
                memcpy(&((Loaded*)slots[lane])->r[matrix], (const char*)row.row + 4 * (lane % 4), 4);
            }
        }
    });
}

static inline void cp_async_16(void* s_to, const void* g_from, bool valid) {
    if (((uintptr_t)s_to | (uintptr_t)g_from) % 16 != 0) {
        ::emulator::block->fail("cp.async of 16 bytes that are not on a boundary of 16 bytes");
    }
    memset(s_to, 0xff, 16);
    ::emulator::Thread& self = *::emulator::block->self;
    self.copies.push_back({s_to, g_from, 16, valid, self.group});
}
static inline void cp_async_commit() { ::emulator::block->self->group++; }
template <int N>
static inline void cp_async_wait() {
    ::emulator::finish_copies(*::emulator::block->self, N);
}
