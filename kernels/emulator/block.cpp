// Running a grid: threads of the system take blocks, and within a block fibers take turns.
//
// The order of blocks and of threads follows from a seed; a kernel's result must not. What is ready waits in a queue, so that
// a switch costs the same with 32 threads as with 1,024.

#include "block.h"
#include "registry.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>

namespace emulator {

thread_local Block* block = nullptr;

namespace {

// The seed's numbers: xorshift64* (Vigna, 2016).
struct Lots {
    uint64_t state;
    explicit Lots(uint64_t seed) : state(seed * 0x9e3779b97f4a7c15ull + 0x2545f4914f6cdd1dull) {}
    uint32_t below(uint32_t n) {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return (uint32_t)((state * 0x2545f4914f6cdd1dull >> 32) * n >> 32);
    }
    void shuffle(std::vector<uint32_t>& all) {
        for (uint32_t i = (uint32_t)all.size(); i > 1; i--) std::swap(all[i - 1], all[below(i)]);
    }
};

struct Runner : Block {
    const Kernel* kernel = nullptr;
    const void* params = nullptr;
    Lots lots{0};
    Fiber home;
    std::vector<Thread> threads;
    std::vector<uint32_t> order, queue;
    uint32_t head = 0, length = 0;
    std::string failure;

    void push(uint32_t thread) {
        queue[(head + length) % queue.size()] = thread;
        length++;
    }
    // Goes on with the next thread that is ready, or home if none is.
    void next(Fiber& from, bool from_ends) {
        if (length == 0) return switch_to(from, home, from_ends);
        self = &threads[queue[head]];
        head = (head + 1) % queue.size();
        length--;
        switch_to(from, self->fiber, from_ends);
    }
    void run(Index at);
    ~Runner() {
        for (Thread& thread : threads) release(thread.fiber);
    }
};

thread_local Runner* runner = nullptr;

void thread_start() {
    Thread& self = *runner->self;
    arrived(self.fiber);
    runner->kernel->body(runner->params);
    self.ended = true;
    runner->n_ended++;
    Warp& warp = runner->warps[self.number / 32];
    const uint32_t lane = 1u << self.number % 32;
    warp.ended |= lane;
    if (warp.come != 0 && warp.mask & lane) runner->fail("ends while its warp waits for it");
    if (runner->at_barrier != 0) runner->fail("ends while its block waits at a barrier");
    runner->next(self.fiber, true);
    // Nobody switches back to a fiber that has ended.
    abort();
}

void Runner::run(Index at) {
    index = at;
    at_barrier = n_ended = 0;
    warps.assign((n_threads + 31) / 32, Warp{});
    lots.shuffle(order);
    head = length = 0;
    for (Thread& thread : threads) {
        thread.ended = false;
        thread.group = 0;
        thread.copies.clear();
        prepare(thread.fiber, thread_start);
    }
    for (uint32_t thread : order) push(thread);
    next(home, false);
    if (failure.empty() && n_ended != n_threads) {
        for (Thread& thread : threads) {
            if (thread.ended) continue;
            self = &thread;
            const Warp& warp = warps[thread.number / 32];
            const bool lane = warp.come >> (thread.number % 32) & 1;
            // Written as `fail` would, but we are home already.
            char text[256];
            snprintf(text, sizeof text, "block (%u, %u, %u), thread (%u, %u, %u): waits for ever at %s", index.x, index.y,
                     index.z, thread.index.x, thread.index.y, thread.index.z,
                     lane ? "a warp's operation that not all named threads call" : "a barrier that not all threads reach");
            failure = text;
            break;
        }
    }
}

}   // namespace

void Block::fail(const char* what) {
    char text[512];
    snprintf(text, sizeof text, "block (%u, %u, %u), thread (%u, %u, %u): %s", index.x, index.y, index.z, self->index.x,
             self->index.y, self->index.z, what);
    runner->failure = text;
    // For good: the block is not run again.
    switch_to(self->fiber, runner->home, true);
    abort();
}

void Block::wait() { runner->next(self->fiber, false); }

void Block::yield() {
    runner->push(self->number);
    runner->next(self->fiber, false);
}

void Block::barrier() {
    if (n_ended != 0) fail("waits at a barrier that a thread which has ended will not reach");
    at_barrier++;
    if (at_barrier < n_threads) return wait();
    at_barrier = 0;
    const uint32_t own = self->number, first = runner->lots.below(n_threads);
    for (uint32_t i = 0; i < n_threads; i++) {
        const uint32_t other = runner->order[(first + i) % n_threads];
        if (other != own) runner->push(other);
    }
    // Whoever came last does not go on first.
    yield();
}

void Block::ready_lanes(uint32_t lanes) {
    const uint32_t warp = self->number / 32 * 32, first = runner->lots.below(32);
    for (uint32_t i = 0; i < 32; i++) {
        const uint32_t lane = (first + i) % 32;
        if (lanes >> lane & 1) runner->push(warp + lane);
    }
}

void finish_copies(Thread& thread, uint32_t pending) {
    const uint32_t end = thread.group > pending ? thread.group - pending : 0;
    size_t kept = 0;
    for (const Copy& copy : thread.copies) {
        if (copy.group >= end) thread.copies[kept++] = copy;
        else if (copy.valid) memcpy(copy.to, copy.from, copy.bytes);
        else memset(copy.to, 0, copy.bytes);
    }
    thread.copies.resize(kept);
}

std::string run_grid(const Kernel& kernel, Index grid, Index dim, uint32_t shared_bytes, const void* params, uint64_t seed,
                     uint32_t os_threads) {
    const uint32_t n_threads = dim.x * dim.y * dim.z;
    const uint64_t n_blocks = (uint64_t)grid.x * grid.y * grid.z;
    Lots lots(seed);
    std::vector<uint32_t> blocks(n_blocks);
    for (uint64_t i = 0; i < n_blocks; i++) blocks[i] = (uint32_t)i;
    lots.shuffle(blocks);
    std::atomic<uint64_t> taken{0};
    std::atomic<bool> failed{false};
    std::mutex mutex;
    std::string failure;
    auto work = [&] {
        Runner own;
        own.kernel = &kernel;
        own.params = params;
        own.dim = dim;
        own.grid = grid;
        own.n_threads = n_threads;
        own.threads.resize(n_threads);
        own.queue.resize(n_threads + 1);
        own.order.resize(n_threads);
        for (uint32_t i = 0; i < n_threads; i++) {
            own.order[i] = i;
            own.threads[i].number = i;
            own.threads[i].index = {i % dim.x, i / dim.x % dim.y, i / dim.x / dim.y};
        }
        runner = &own;
        block = &own;
        for (uint64_t i = taken++; i < n_blocks && !failed; i = taken++) {
            const uint32_t number = blocks[i];
            own.lots = Lots(seed ^ (uint64_t)number << 20);
            // Of its own and of this very length, so that a sanitizer sees who leaves it; no bit of it is a number.
            // What malloc gives lies on a boundary of 16 bytes.
            own.shared = (unsigned char*)malloc(shared_bytes > 0 ? shared_bytes : 1);
            memset(own.shared, 0xff, shared_bytes);
            own.run({number % grid.x, number / grid.x % grid.y, number / grid.x / grid.y});
            free(own.shared);
            if (!own.failure.empty()) {
                std::lock_guard<std::mutex> lock(mutex);
                if (!failed.exchange(true)) failure = own.failure;
            }
        }
        runner = nullptr;
        block = nullptr;
    };
    std::vector<std::thread> helpers;
    const uint64_t most = n_blocks < os_threads ? n_blocks : os_threads;
    for (uint64_t i = 1; i < most; i++) helpers.emplace_back(work);
    work();
    for (std::thread& helper : helpers) helper.join();
    return failure;
}

}   // namespace emulator
