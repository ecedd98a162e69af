/* Backends on several GPUs of one machine as a group.
 *
 * Errors: FG_ENVIRONMENT where NCCL is not there. Owner: each member leaves before it is closed. Thread: one
 * for the whole group. NULL: an argument may be NULL only where this says so; a message may. */
#ifndef FG_KERNELS_CUDA_HOST_GROUP_H
#define FG_KERNELS_CUDA_HOST_GROUP_H

#include "kernels/cuda/host/context.h"

/* Gives each member its `share`. FG_ENVIRONMENT where NCCL is not there. */
FG_MUST_USE enum fg_status fg_cuda_group_join(struct fg_backend *const *group, uint32_t members,
                                              struct fg_message *message);
/* Before a member is closed. */
void fg_cuda_group_leave(struct fg_cuda *cuda);

#endif
