/* Rounding to the nearest whole number, half to even, without an instruction for it: a float32 of at most
 * 2^22 on either side that is added to FG_ROUND_FLOAT lies where neighbours are 1 apart, and the bits of the
 * sum are FG_ROUND_BITS plus the whole number.
 *
 * Errors: none; these are constants. Owner: nobody. Thread: any. NULL: never. */
#ifndef FG_KERNELS_CPU_GEMM_ROUND_H
#define FG_KERNELS_CPU_GEMM_ROUND_H

#define FG_ROUND_FLOAT 12582912.0f /* 1.5 * 2^23 */
#define FG_ROUND_BITS 0x4b400000   /* its bits */

#endif
