// The one portability header: what a kernel may use, with a body for CUDA's compilers (NVRTC 12.6 and later, nvcc 13) and one
// for g++, where the emulator stands in for the machine.
//
// Owns the fixed-width names, the launch macros, and the tensor-core, asynchronous-copy and launch-overlap instructions, whose PTX
// stands here and nowhere else. Refuses everything else that differs: no <<<>>>, no cooperative groups, no static __shared__.
#pragma once

#ifdef __CUDACC__

#include <cuda_fp16.h>

// NVRTC has no <stdint.h>.
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int i32;

// A kernel's one parameter is a struct, `p`; THREADS the most threads of a block.
#define KERNEL(name, Params, THREADS) \
    extern "C" __global__ void __launch_bounds__(THREADS) name(const __grid_constant__ Params p)

// The same for a kernel of which BLOCKS blocks on a multiprocessor are enough: left to itself, ptxas makes room for more of
// them, and spills for want of registers.
#define KERNEL_BY_FEW(name, Params, THREADS, BLOCKS) \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) name(const __grid_constant__ Params p)

// The block's dynamic shared memory, on a boundary of 16 bytes.
#define SHARED_BYTES(name) extern __shared__ __align__(16) unsigned char name[]

static __device__ __forceinline__ u32 shared_address(const void* s_at) { return (u32)__cvta_generic_to_shared(s_at); }

// d += a b: 16 x 16 halves by 16 x 8 halves, f32 sums (PTX ISA, mma.m16n8k16). All lanes of the warp.
static __device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Four 8 x 8 matrices of halves; lanes 8 i .. 8 i + 7 give the addresses of matrix i's rows, each on a boundary of 16 bytes.
static __device__ __forceinline__ void ldmatrix_x4(u32 (&r)[4], const void* s_row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(s_row))
                 : "memory");
}

// sum + a b, where f32 holds a b, so that fused or not is the same.
static __device__ __forceinline__ float add_exact_product(float sum, float a, float b) { return __fmaf_rn(a, b, sum); }

// 16 bytes to shared memory while the thread goes on; not valid: zeros, and the source is not read.
static __device__ __forceinline__ void cp_async_16(void* s_to, const void* g_from, bool valid) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(s_to)), "l"(g_from),
                 "r"(valid ? 16 : 0)
                 : "memory");
}
// Ends a group of copies; then waits until at most N groups are under way. Other threads' copies need a barrier besides.
static __device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N>
static __device__ __forceinline__ void cp_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// What another block of this launch wrote, behind a __threadfence on both sides: past the first cache, which may be stale.
static __device__ __forceinline__ float2 load_shared_by_blocks(const float2* g_from) { return __ldcg(g_from); }

// A counter through which blocks of one launch wait for each other: what was written before it was added to, by a thread that
// met the adding one at a barrier, is there for whoever has loaded the sum, and for who meets that one at a barrier.
static __device__ __forceinline__ u32 load_acquired(const u32* g_at) {
    u32 value;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(g_at) : "memory");
    return value;
}
static __device__ __forceinline__ void add_released(u32* g_at, u32 value) {
    asm volatile("red.release.gpu.global.add.u32 [%0], %1;" ::"l"(g_at), "r"(value) : "memory");
}
// A number that the compiler takes for a new one: what follows from it is computed where it is used, and not before a loop around
// it and kept in registers.
static __device__ __forceinline__ u32 computed_here(u32 value) {
    asm volatile("" : "+r"(value));
    return value;
}
// In a loop that waits for another thread: nothing, the machine runs both.
static __device__ __forceinline__ void spin_yield() {}

// For launches that overlap (`launch::Launch::overlaps`; compute capability 9.0 and later, elsewhere nothing): the launch that
// follows may begin once every block of this one has said so or has ended.
static __device__ __forceinline__ void let_next_begin() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
// Until the launch before has ended and what it wrote is there. Before it a thread touches nothing that an earlier launch
// writes or reads and writes nothing; every thread comes here, so that a launch ends after all before it, not only the last.
static __device__ __forceinline__ void wait_for_before() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

#else

#include "../emulator/emulator.h"

#endif

// Two halves in a word, the first in its lower half.
static __device__ __forceinline__ u32 pack_halves(float low, float high) {
    return (u32)__half_as_ushort(__float2half_rn(low)) | (u32)__half_as_ushort(__float2half_rn(high)) << 16;
}
static __device__ __forceinline__ float2 unpack_halves(u32 two) {
    return make_float2(__half2float(__ushort_as_half((unsigned short)two)), __half2float(__ushort_as_half((unsigned short)(two >> 16))));
}
// What rounding took from two values that are halves in `two`.
static __device__ __forceinline__ u32 pack_rests(u32 two, float low, float high) {
    const float2 halves = unpack_halves(two);
    return pack_halves(low - halves.x, high - halves.y);
}
