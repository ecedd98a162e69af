/* flawgated-hanging: the real daemon, linked with a clock that a test moves and a CPU backend that it makes
 * hang. */
#include "tests/runtime/daemon/hanging.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "kernels/backend.h"
#include "runtime/base/log.h"

/* The linker's names for what is put in the place of a function, and for the function itself. */
int64_t __wrap_fg_clock_ns(void);
enum fg_status __wrap_fg_cpu_open(uint32_t threads, uint32_t lanes, struct fg_backend **backend,
                                  struct fg_message *message);
enum fg_status __real_fg_cpu_open(uint32_t threads, uint32_t lanes, struct fg_backend **backend,
                                  struct fg_message *message);

static struct hanging *hanging;
static struct fg_backend real;
static _Atomic bool gone; /* a call has hung, or failed */

__attribute__((constructor)) static void map_hanging(void) {
    const char *path = getenv("FG_HANGING");
    const int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        abort();
    hanging = mmap(NULL, sizeof *hanging, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (hanging == MAP_FAILED)
        abort();
}

int64_t __wrap_fg_clock_ns(void) {
    return atomic_load(&hanging->now_ns);
}

static void hang_call(const char *call) {
    fg_log(FG_LOG_INFO, "test: %s hangs", call);
    while (sem_wait(&hanging->go))
        ;
}

/* Before a call: it may hang, or fail. */
static enum fg_status enter_call(enum hanging_call call, const char *name, struct fg_message *message) {
    if (atomic_load(&hanging->call) == (int)call) {
        atomic_store(&gone, true);
        hang_call(name);
    }
    if (atomic_load(&hanging->lost) != (int)call)
        return FG_OK;
    atomic_store(&gone, true);
    return fg_fail(message, FG_DEVICE_LOST, "test: %s fails", name);
}

static enum fg_status prepare(struct fg_backend *backend, const struct fg_program *program,
                              const struct fg_memory *memory, struct fg_message *message) {
    const enum fg_status status = enter_call(HANG_PREPARE, "prepare", message);
    return status == FG_OK ? real.prepare(backend, program, memory, message) : status;
}

static enum fg_status submit(struct fg_backend *backend, const struct fg_program *program,
                             const struct fg_memory *memory, struct fg_message *message) {
    const enum fg_status status = enter_call(HANG_SUBMIT, "submit", message);
    return status == FG_OK ? real.submit(backend, program, memory, message) : status;
}

static enum fg_status poll_run(struct fg_backend *backend, int64_t deadline_ns, struct fg_message *message) {
    const enum fg_status status = enter_call(HANG_POLL, "poll", message);
    return status == FG_OK ? real.poll(backend, deadline_ns, message) : status;
}

/* A device that is gone gives nothing back. */
static void give_back(const char *name) {
    if (atomic_load(&gone) && (atomic_load(&hanging->call) || atomic_load(&hanging->lost)))
        hang_call(name);
}

static void forget(struct fg_backend *backend, const struct fg_program *program) {
    give_back("forget");
    real.forget(backend, program);
}

static void release(struct fg_backend *backend, void *block) {
    give_back("release");
    real.release(backend, block);
}

static void close_device(struct fg_backend *backend) {
    give_back("close");
    real.close(backend);
}

enum fg_status __wrap_fg_cpu_open(uint32_t threads, uint32_t lanes, struct fg_backend **backend,
                                  struct fg_message *message) {
    const enum fg_status status = __real_fg_cpu_open(threads, lanes, backend, message);
    if (status != FG_OK)
        return status;
    struct fg_backend *b = *backend;
    real = *b;
    b->prepare = prepare;
    b->submit = submit;
    b->poll = poll_run;
    b->forget = forget;
    b->release = release;
    b->close = close_device;
    return FG_OK;
}
