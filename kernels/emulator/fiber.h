// Fibers: one for each CUDA thread of a block, all on one thread of the system.
//
// Owns stacks and the switch between them. Refuses to schedule: who runs next is `block.cpp`'s.
#pragma once
#include <cstddef>

namespace emulator {

// A stack with what runs on it. The stack is kept and used again.
struct Fiber {
    void* sp = nullptr;      // where it stopped
    char* stack = nullptr;   // its lowest byte
    void* fake = nullptr;    // AddressSanitizer's own
};

// A kernel's frames are small; AddressSanitizer makes them several times as large.
#ifdef __SANITIZE_ADDRESS__
constexpr size_t STACK_BYTES = 256 << 10;
#else
constexpr size_t STACK_BYTES = 32 << 10;
#endif

// Makes `fiber` begin with `start` when it is next switched to; `start` must never return.
void prepare(Fiber& fiber, void (*start)());

// Stops `from` and goes on with `to`; returns when somebody switches back.
void switch_to(Fiber& from, Fiber& to, bool from_ends = false);

// To be called first thing on a new fiber.
void arrived(Fiber& self);

void release(Fiber& fiber);

}   // namespace emulator
