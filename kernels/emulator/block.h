// A block of CUDA threads: who runs, who waits, and where they meet.
//
// Terms: threads *meet* when all that are named have come to the same call; the last to come does the work for all. A
// *failure* ends the launch with a sentence that names kernel, block and thread: a kernel that no GPU would run as meant.
#pragma once
#include "fiber.h"

#include <cstdint>
#include <vector>

namespace emulator {

struct Index {
    uint32_t x = 0, y = 0, z = 0;
};

// A copy that is under way.
struct Copy {
    void* to;
    const void* from;
    uint32_t bytes;
    bool valid;
    uint32_t group;
};

struct Thread {
    Fiber fiber;
    Index index;
    uint32_t number = 0;   // within the block
    bool ended = false;
    uint32_t group = 0;    // of its next copies
    std::vector<Copy> copies;
};

// What threads of a warp meet for; only equal ones meet.
enum class Meeting : uint32_t { NONE, SYNC, SHUFFLE, BALLOT, MMA, LDMATRIX };

struct Warp {
    uint32_t mask = 0;      // named by those that have come
    uint32_t come = 0;
    uint32_t ended = 0;
    Meeting meeting = Meeting::NONE;
    void* slots[32] = {};   // what each brought
};

// The block that this thread of the system runs, and its current CUDA thread.
struct Block {
    Index index, dim, grid;
    unsigned char* shared = nullptr;
    uint32_t n_threads = 0;
    Thread* self = nullptr;
    std::vector<Warp> warps;
    uint32_t at_barrier = 0, n_ended = 0;

    // Ends the launch; does not return.
    [[noreturn]] void fail(const char* what);
    // Lets others run until the calling thread is made ready again.
    void wait();
    // Lets others run.
    void yield();
    // All threads of the block.
    void barrier();
    // Lanes of a warp: `work` runs once, with what each named lane brought.
    template <typename Work>
    void meet(uint32_t mask, Meeting meeting, void* mine, Work work);
    void ready_lanes(uint32_t lanes);
};

extern thread_local Block* block;

template <typename Work>
void Block::meet(uint32_t mask, Meeting meeting, void* mine, Work work) {
    const uint32_t lane = self->number % 32;
    Warp& warp = warps[self->number / 32];
    if (!(mask >> lane & 1)) fail("calls a warp's operation without naming itself");
    if (mask & warp.ended) fail("calls a warp's operation that names a thread which has ended");
    if (warp.come == 0) {
        warp.mask = mask;
        warp.meeting = meeting;
    } else if (warp.mask != mask || warp.meeting != meeting) {
        fail("calls another operation than the other threads of its warp, or names others");
    }
    warp.slots[lane] = mine;
    warp.come |= 1u << lane;
    if (warp.come != mask) return wait();
    work(warp.slots, mask);
    warp.come = 0;
    ready_lanes(mask & ~(1u << lane));
}

// Does copies of groups up to all but the last `pending`.
void finish_copies(Thread& thread, uint32_t pending);

}   // namespace emulator
