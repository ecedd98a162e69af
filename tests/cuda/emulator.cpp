/* Runs a kernel's blocks one after the other, its threads as fibers. */
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <ucontext.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#else /* it alone wants to know when the stack changes */
#define __sanitizer_start_switch_fiber(fake_stack, bottom, size)                                             \
    ((void)(fake_stack), (void)(bottom), (void)(size))
#define __sanitizer_finish_switch_fiber(fake_stack, bottom, size)                                            \
    ((void)(fake_stack), (void)(bottom), (void)(size))
#endif

#define MOST_THREADS 1024
#define WARP 32
#define STACK ((size_t)64 * 1024)

namespace {

/* A place to jump to. These are the compiler's own jumps, and it is not told that going there never comes
 * back: before each call that it knows does not, the address sanitizer cleans the stack, and here the stack
 * is only left for a while. */
typedef void *jump[5];

__attribute__((noipa, no_sanitize_address)) void go(jump &to) {
    __builtin_longjmp(to, 1);
}

enum state { READY, AT_BARRIER, AT_EXCHANGE, ENDED };

struct stack;

struct fiber {
    jump self; /* where it has left */
    struct fg_emulator::place place;
    enum state state;
    uint64_t value;      /* given to and got from the warp */
    int lane;            /* whose value is wanted */
    struct stack *stack; /* NULL: has not begun */
};

/* A stack goes from thread to thread: one that has ended leaves it where the next one begins. */
struct stack {
    char *memory;
    bool started;
    jump idle;
    void *fake_stack;
};

struct fiber fibers[MOST_THREADS];
struct stack stacks[MOST_THREADS], *idle[MOST_THREADS];
unsigned idles;
jump scheduler;
const void *scheduler_stack;
size_t scheduler_stack_size;
struct fiber *running;
unsigned ready[MOST_THREADS], readies; /* threads that may run */
unsigned threads;
void (*body)(void *);
void *body_context;
uint64_t order = 1;

[[noreturn]] void refuse(const char *what) {
    fprintf(stderr, "emulator: %s\n", what);
    abort();
}

/* xorshift64*, Vigna 2016. */
uint32_t draw() {
    order ^= order >> 12;
    order ^= order << 25;
    order ^= order >> 27;
    return (uint32_t)(order * 2685821657736338717u >> 32);
}

/* Stacks are changed by jumps, which unlike swapcontext ask nothing of the kernel; only where a stack is
 * entered for the first time that cannot be. */
void leave(struct stack *stack) {
    __sanitizer_start_switch_fiber(&stack->fake_stack, scheduler_stack, scheduler_stack_size);
    go(scheduler);
}

/* Ends a switch to a stack. */
void arrive(struct stack *stack) {
    __sanitizer_finish_switch_fiber(stack->fake_stack, &scheduler_stack, &scheduler_stack_size);
}

/* Leaves the thread in a state; comes back when it is READY again. */
void wait(enum state state) {
    struct fiber *self = running;
    self->state = state;
    if (!__builtin_setjmp(self->self))
        leave(self->stack);
    arrive(self->stack);
}

/* The place in ready of the next thread to run. */
unsigned pick() {
    return draw() % readies;
}

struct fiber *take(unsigned place) {
    struct fiber *fiber = &fibers[ready[place]];
    ready[place] = ready[--readies];
    return fiber;
}

/* Runs threads, one behind the other as long as the drawn one has not begun elsewhere. */
void begin() {
    struct stack *stack = running->stack;
    stack->fake_stack = nullptr;
    arrive(stack);
    for (;;) {
        body(body_context);
        running->state = ENDED;
        const unsigned next = readies ? pick() : 0;
        if (readies && !fibers[ready[next]].stack) {
            running = take(next);
            running->stack = stack;
            continue;
        }
        idle[idles++] = stack;
        if (!__builtin_setjmp(stack->idle))
            leave(stack);
        arrive(stack);
    }
}

void prepare(struct stack *stack) {
    stack->memory = static_cast<char *>(
        mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (stack->memory == MAP_FAILED)
        refuse("no memory for a stack");
}

void start(struct stack *stack) {
    static ucontext_t context;
    stack->started = true;
    getcontext(&context);
    context.uc_stack.ss_sp = stack->memory;
    context.uc_stack.ss_size = STACK;
    context.uc_link = nullptr;
    makecontext(&context, begin, 0);
    setcontext(&context);
}

void enter(struct fiber *fiber) {
    running = fiber;
    void *fake_stack = nullptr;
    const bool begun = fiber->stack;
    if (!begun)
        fiber->stack = idle[--idles];
    struct stack *stack = fiber->stack;
    if (!__builtin_setjmp(scheduler)) {
        if (!stack->memory)
            prepare(stack);
        __sanitizer_start_switch_fiber(&fake_stack, stack->memory, STACK);
        if (begun)
            go(fiber->self);
        if (stack->started)
            go(stack->idle);
        start(stack);
    }
    __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
    running = nullptr;
}

void make(struct fiber *fiber, unsigned number, dim3 block, dim3 block_size, dim3 grid_size) {
    fiber->place = {dim3(number % block_size.x, number / block_size.x % block_size.y,
                         number / block_size.x / block_size.y),
                    block, block_size, grid_size};
    fiber->state = READY;
    fiber->stack = nullptr;
}

/* Runs every READY thread until it waits or ends, each next one drawn. */
void run_ready() {
    readies = 0;
    for (unsigned i = 0; i < threads; i++)
        if (fibers[i].state == READY)
            ready[readies++] = i;
    while (readies)
        enter(take(pick()));
}

/* Lets the warps go on all of whose lanes have come to the exchange; false when there is none. */
bool exchange_warps() {
    bool any = false;
    for (unsigned first = 0; first < threads; first += WARP) {
        unsigned waiting = 0;
        for (unsigned i = first; i < first + WARP; i++)
            waiting += i < threads && fibers[i].state == AT_EXCHANGE;
        if (waiting == 0)
            continue;
        if (waiting < WARP)
            refuse("a lane of the warp does not reach the shuffle");
        uint64_t values[WARP];
        for (unsigned i = 0; i < WARP; i++)
            values[i] = fibers[first + i].value;
        for (unsigned i = 0; i < WARP; i++) {
            struct fiber *fiber = &fibers[first + i];
            fiber->value = values[fiber->lane];
            fiber->state = READY;
        }
        any = true;
    }
    return any;
}

/* Lets the block go on when all its threads have come to the barrier; false when all have ended. */
bool pass_barrier() {
    unsigned waiting = 0;
    for (unsigned i = 0; i < threads; i++)
        waiting += fibers[i].state == AT_BARRIER;
    if (waiting && waiting < threads)
        refuse("a thread of the block does not reach the barrier");
    for (unsigned i = 0; i < threads && waiting; i++)
        fibers[i].state = READY;
    return waiting > 0;
}

} // namespace

const struct fg_emulator::device *fg_emulator::device;

const struct fg_emulator::place *fg_emulator::current() {
    if (!running)
        refuse("a thread's place is asked for outside of a kernel");
    return &running->place;
}

void fg_emulator::seed(uint64_t value) {
    order = value * 2 + 1;
}

void fg_emulator::run(dim3 grid, dim3 block, void (*kernel)(void *), void *context) {
    static bool opened;
    for (; !opened && idles < MOST_THREADS; idles++)
        idle[idles] = &stacks[idles];
    opened = true;
    threads = block.x * block.y * block.z;
    body = kernel;
    body_context = context;
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                for (unsigned i = 0; i < threads; i++)
                    make(&fibers[i], i, dim3(x, y, z), block, grid);
                do
                    run_ready();
                while (exchange_warps() || pass_barrier());
            }
}

void fg_emulator::barrier() {
    wait(AT_BARRIER);
}

uint64_t fg_emulator::exchange(unsigned mask, uint64_t value, int lane) {
    if (mask != 0xffffffffu)
        refuse("a shuffle must name all 32 lanes");
    if (lane < 0 || lane >= WARP)
        refuse("a shuffle asks for a lane that is not in the warp");
    running->value = value;
    running->lane = lane;
    struct fiber *self = running;
    wait(AT_EXCHANGE);
    return self->value;
}
