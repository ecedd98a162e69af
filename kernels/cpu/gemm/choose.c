/* Chooses the set of micro-kernels, once, by what the processor says it has. */
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/gemm/set.h"

#define VARIABLE "FLAWGATE_CPU"

extern const struct fg_gemm_set fg_gemm_sse2, fg_gemm_avx2, fg_gemm_avx512, fg_gemm_neon;

struct candidate {
    const struct fg_gemm_set *set;
    bool there;
};

/* Finds the sets that this program has, the best one first; the last one is on every processor. */
#if defined(__x86_64__)
#define SETS 3
static void list_sets(struct candidate list[SETS]) {
    list[0] = (struct candidate){&fg_gemm_avx512, __builtin_cpu_supports("avx512f")};
    list[1] =
        (struct candidate){&fg_gemm_avx2, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")};
    list[2] = (struct candidate){&fg_gemm_sse2, true};
}
#elif defined(__aarch64__)
#define SETS 1
static void list_sets(struct candidate list[SETS]) {
    list[0] = (struct candidate){&fg_gemm_neon, true};
}
#else
#error "there are no micro-kernels for this processor"
#endif

/* The set that the environment names; NULL: none. */
static const char *find_wish(void) {
    const char *wish = getenv(VARIABLE);
    return wish && *wish ? wish : NULL;
}

const struct fg_gemm_set *fg_gemm_set(void) {
    static const struct fg_gemm_set *chosen;
    const struct fg_gemm_set *set = __atomic_load_n(&chosen, __ATOMIC_RELAXED);
    if (set)
        return set;
    struct candidate list[SETS];
    list_sets(list);
    const char *wished = find_wish();
    for (int i = SETS - 1; i >= 0; i--)
        if (list[i].there && (!wished || i == SETS - 1 || !strcmp(wished, list[i].set->name)))
            set = list[i].set;
    __atomic_store_n(&chosen, set, __ATOMIC_RELAXED);
    return set;
}

enum fg_status fg_gemm_check(struct fg_message *message) {
    struct candidate list[SETS];
    list_sets(list);
    const char *wished = find_wish();
    if (!wished)
        return FG_OK;
    char names[64] = "";
    for (int i = 0; i < SETS; i++) {
        if (list[i].there && !strcmp(wished, list[i].set->name))
            return FG_OK;
        if (list[i].there) {
            strcat(names, *names ? ", " : "");
            strcat(names, list[i].set->name);
        }
    }
    return fg_fail(message, FG_ENVIRONMENT, VARIABLE "=%.40s: this processor does not have it; it has %s",
                   wished, names);
}
