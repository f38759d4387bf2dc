// Who makes a tile: 128 threads with a way to meet, and to wait for what they read.
//
// `WholeBlock` is a block of `layers`; `ClusterTeam` one of the teams of a block of `tower`, whose blocks wait for each other.
#pragma once
#include "portable.h"

constexpr u32 TEAM_THREADS = 128;

struct WholeBlock {
    // Whether several blocks may share a tile's sum.
    static constexpr bool SPLITS = true;
    __device__ __forceinline__ u32 thread() const { return threadIdx.x; }
    __device__ __forceinline__ void sync() const { __syncthreads(); }
    __device__ __forceinline__ void wait() const { wait_for_before(); }
};

// What a team waits for before it reads what others write.
enum Owed : u32 { OWED_NOTHING = 0, OWED_CLUSTER = 1, OWED_LAUNCH = 2 };

struct ClusterTeam {
    static constexpr bool SPLITS = false;
    u32 owed;
    __device__ __forceinline__ u32 number() const { return threadIdx.x / TEAM_THREADS; }
    __device__ __forceinline__ u32 thread() const { return threadIdx.x % TEAM_THREADS; }
    // Barrier 0 is the block's.
    __device__ __forceinline__ void sync() const { part_barrier(1 + number(), TEAM_THREADS); }
    __device__ __forceinline__ void wait() {
        if (owed == OWED_LAUNCH) wait_for_before();
        if (owed == OWED_CLUSTER) cluster_wait();
        owed = OWED_NOTHING;
    }
    // What this thread wrote is there for whoever waits.
    __device__ __forceinline__ void arrive() {
        cluster_arrive();
        owed = OWED_CLUSTER;
    }
};
