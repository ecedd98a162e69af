/* What computes, in the words that a command line and a configuration have for it.
 *
 * Errors: none. Owner: nobody; these are only names. Thread: any. NULL: never. */
#ifndef FG_RUNTIME_BASE_COMPUTE_H
#define FG_RUNTIME_BASE_COMPUTE_H

/* AUTO: an NVIDIA GPU where there is one, else the CPU. */
enum fg_compute { FG_COMPUTE_AUTO, FG_COMPUTE_CUDA, FG_COMPUTE_CPU };
#define FG_COMPUTE_WORDS "auto|cuda|cpu"

#define FG_COMPUTE_THREADS 64 /* most processors that are used */

#endif
