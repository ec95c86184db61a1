/* pool.h - the process' fixed pool of encoder threads, shared by all engines.
 *
 * It starts with its first parallel batch and lives as long as the process. Its size is the number of processors this
 * process may use, at most 8; STRIPEENGINE_THREADS=1..64 overrides it. A batch is worked on by the calling thread and
 * by as many helpers as make up that size; a size of 1 never starts a thread.
 * Helpers are shared evenly among the batches of several engines.
 */
#ifndef SE_POOL_H
#define SE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void se_job_fn(void *context, size_t index);

/* Calls job(context, i) for every i below count, in any order, and returns when all have returned. Without `parallel`
 * the calling thread does everything: waking a helper costs more than a small rectangle. *helper_cpu_ns grows by
 * the processor time that the helpers spent. */
void se_pool_run(se_job_fn *job, void *context, size_t count, bool parallel, uint64_t *helper_cpu_ns);

/* Threads that may work on one batch, the caller's included. */
int se_pool_size(void);

#endif
