// The switch, by hand: what a call must preserve is pushed on the old stack and popped from the new one.

#include "fiber.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

extern "C" void emulator_switch(void** from_sp, void* to_sp);

#if defined(__x86_64__)
// System V ABI for x86-64, figure 3.4: rbx, rbp, r12 to r15 belong to the caller.
asm(R"(
    .text
    .globl emulator_switch
    .hidden emulator_switch
    .type emulator_switch, @function
emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size emulator_switch, .-emulator_switch
)");
// Six registers, where to return to, and one word so that the stack lies as after a call.
constexpr size_t FRAME_WORDS = 8, RETURN_WORD = 6;
#elif defined(__aarch64__)
// AAPCS64, sections 6.1.1 and 6.1.2: x19 to x30 and the lower halves of v8 to v15.
asm(R"(
    .text
    .globl emulator_switch
    .hidden emulator_switch
    .type emulator_switch, %function
emulator_switch:
    sub sp, sp, #160
    stp x19, x20, [sp]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
    .size emulator_switch, .-emulator_switch
)");
constexpr size_t FRAME_WORDS = 20, RETURN_WORD = 11;
#else
#error "the emulator's fibers are written for x86-64 and aarch64"
#endif

namespace emulator {

void prepare(Fiber& fiber, void (*start)()) {
    if (fiber.stack == nullptr) fiber.stack = (char*)aligned_alloc(64, STACK_BYTES);
#ifdef __SANITIZE_ADDRESS__
    // What the last kernel left poisoned is free again.
    __asan_unpoison_memory_region(fiber.stack, STACK_BYTES);
#endif
    uint64_t* words = (uint64_t*)(fiber.stack + STACK_BYTES) - FRAME_WORDS;
    memset(words, 0, FRAME_WORDS * sizeof *words);
    words[RETURN_WORD] = (uint64_t)start;
    fiber.sp = words;
    fiber.fake = nullptr;
}

void switch_to(Fiber& from, Fiber& to, bool from_ends) {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(from_ends ? nullptr : &from.fake, to.stack, STACK_BYTES);
#else
    (void)from_ends;
#endif
    emulator_switch(&from.sp, to.sp);
    arrived(from);
}

void arrived(Fiber& self) {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(self.fake, nullptr, nullptr);
#else
    (void)self;
#endif
}

void release(Fiber& fiber) {
    free(fiber.stack);
    fiber.stack = nullptr;
}

}   // namespace emulator
