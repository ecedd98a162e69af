/* Chooses the sets of micro-kernels, once, by what the processor says it has. */
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/gemm/set8.h"

#define VARIABLE "FLAWGATE_CPU"

extern const struct fg_gemm_set fg_gemm_sse2, fg_gemm_avx2, fg_gemm_avx512, fg_gemm_neon;
extern const struct fg_gemm8_set fg_gemm8_sse2, fg_gemm8_avx2, fg_gemm8_avx2_vnni, fg_gemm8_avx512_vnni,
    fg_gemm8_neon, fg_gemm8_neon_dotprod;

struct candidate {
    const struct fg_gemm_set *set;
    const struct fg_gemm8_set *set8; /* the best one that is no wider */
    bool there;
};

/* Finds the sets that this program has, the best one first; the last one is on every processor. */
#if defined(__x86_64__)
#include <cpuid.h>

#define SETS 3

/* Not every compiler's builtin knows this one. Where AVX2 can be used, it can. */
static bool has_avx_vnni(void) {
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}

static void list_sets(struct candidate list[SETS]) {
    const struct fg_gemm8_set *avx2 = has_avx_vnni() ? &fg_gemm8_avx2_vnni : &fg_gemm8_avx2;
    list[0] = (struct candidate){&fg_gemm_avx512,
                                 __builtin_cpu_supports("avx512vnni") ? &fg_gemm8_avx512_vnni : avx2,
                                 __builtin_cpu_supports("avx512f")};
    list[1] = (struct candidate){&fg_gemm_avx2, avx2,
                                 __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")};
    list[2] = (struct candidate){&fg_gemm_sse2, &fg_gemm8_sse2, true};
}
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>

#define SETS 1
static void list_sets(struct candidate list[SETS]) {
    list[0] = (struct candidate){
        &fg_gemm_neon, getauxval(AT_HWCAP) & HWCAP_ASIMDDP ? &fg_gemm8_neon_dotprod : &fg_gemm8_neon, true};
}
#else
#error "there are no micro-kernels for this processor"
#endif

/* The set that the environment names; NULL: none. */
static const char *find_wish(void) {
    const char *wish = getenv(VARIABLE);
    return wish && *wish ? wish : NULL;
}

static struct candidate choose_set(void) {
    struct candidate list[SETS], chosen = {.there = false};
    list_sets(list);
    const char *wished = find_wish();
    for (int i = SETS - 1; i >= 0; i--)
        if (list[i].there && (!wished || i == SETS - 1 || !strcmp(wished, list[i].set->name)))
            chosen = list[i];
    return chosen;
}

const struct fg_gemm_set *fg_gemm_set(void) {
    static const struct fg_gemm_set *chosen;
    const struct fg_gemm_set *set = __atomic_load_n(&chosen, __ATOMIC_RELAXED);
    if (!set) {
        set = choose_set().set;
        __atomic_store_n(&chosen, set, __ATOMIC_RELAXED);
    }
    return set;
}

const struct fg_gemm8_set *fg_gemm8_set(void) {
    static const struct fg_gemm8_set *chosen;
    const struct fg_gemm8_set *set = __atomic_load_n(&chosen, __ATOMIC_RELAXED);
    if (!set) {
        set = choose_set().set8;
        __atomic_store_n(&chosen, set, __ATOMIC_RELAXED);
    }
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
