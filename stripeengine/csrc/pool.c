/* pool.c - the process' fixed pool of encoder threads.
 *
 * One mutex guards everything; jobs are tens of microseconds long, so claiming them one by one under it is cheap. A batch lives on its
 * caller's stack and is in the list from its start until its last job has been claimed; the caller leaves only when
 * no helper is inside. A forked child starts without pool: the fork handlers reset it.
 */
#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "clock.h"

#define POOL_MAX_AUTOMATIC 8
#define POOL_MAX 64

struct batch {
	se_job_fn *job;
	void *context;
	size_t next, count;
	int helpers, helpers_max;
	uint64_t cpu_ns;
	pthread_cond_t left; /* signalled when the last helper leaves */
	struct batch *link;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static struct batch *batches; /* oldest first */
static int threads_started;
static pthread_once_t prepared = PTHREAD_ONCE_INIT;
static int pool_size = 1;

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void after_fork_parent(void)
{
	pthread_mutex_unlock(&lock);
}

static void after_fork_child(void)
{
	/* The helpers do not exist here, and the batches belong to threads that do not exist either. */
	pthread_mutex_init(&lock, NULL);
	pthread_cond_init(&work, NULL);
	batches = NULL;
	threads_started = 0;
}

static void prepare(void)
{
	const char *text = getenv("STRIPEENGINE_THREADS");
	cpu_set_t allowed;
	long wanted = 0;

	if (text) {
		char *end;

		wanted = strtol(text, &end, 10);
		if (*end != '\0' || wanted < 1 || wanted > POOL_MAX)
			wanted = 0; /* nonsense counts as unset */
	}
	if (wanted == 0) {
		wanted = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
		if (wanted > POOL_MAX_AUTOMATIC)
			wanted = POOL_MAX_AUTOMATIC;
	}
	pool_size = (int)wanted;
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

int se_pool_size(void)
{
	pthread_once(&prepared, prepare);
	return pool_size;
}

/* With the lock held, which it lets go during the job. */
static void work_once(struct batch *batch)
{
	size_t index = batch->next++;

	pthread_mutex_unlock(&lock);
	batch->job(batch->context, index);
	pthread_mutex_lock(&lock);
}

/* The batch with the fewest helpers, the oldest of several: engines share the helpers evenly, and one with much to do keeps none
 * from another. */
static struct batch *find_batch(void)
{
	struct batch *found = NULL;

	for (struct batch *batch = batches; batch; batch = batch->link)
		if (batch->next < batch->count && batch->helpers < batch->helpers_max &&
		    (!found || batch->helpers < found->helpers))
			found = batch;
	return found;
}

/* With the lock held: until no job of the batch is left to claim, or another batch has fewer helpers. Returns what to help next,
 * or NULL: a single helper takes turns. */
static struct batch *help(struct batch *batch)
{
	struct batch *other = NULL;
	uint64_t begin = se_thread_cpu_ns();

	batch->helpers++;
	while (batch->next < batch->count) {
		work_once(batch);
		other = find_batch();
		if (other && other->helpers < batch->helpers)
			break;
		other = NULL;
	}
	batch->cpu_ns += se_thread_cpu_ns() - begin;
	if (--batch->helpers == 0)
		pthread_cond_signal(&batch->left);
	return other ? other : find_batch();
}

static void *helper(void *unused)
{
	(void)unused;
	pthread_setname_np(pthread_self(), "stripe-pool");
	pthread_mutex_lock(&lock);
	for (;;) {
		struct batch *batch = find_batch();

		if (!batch)
			pthread_cond_wait(&work, &lock);
		while (batch)
			batch = help(batch);
	}
	return NULL;
}

/* With the lock held. A thread that cannot be started is no failure: the callers do all work themselves. */
static void start_threads(void)
{
	sigset_t all, before;
	pthread_attr_t attributes;

	if (pthread_attr_init(&attributes) != 0)
		return;
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the application's threads */
	while (threads_started < pool_size - 1) {
		pthread_t thread;

		if (pthread_create(&thread, &attributes, helper, NULL) != 0)
			break;
		threads_started++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
}

static void run_parallel(se_job_fn *job, void *context, size_t count, int size, uint64_t *helper_cpu_ns)
{
	struct batch batch = { job, context, 0, count, 0, size - 1, 0, PTHREAD_COND_INITIALIZER, NULL };
	struct batch **end;

	pthread_mutex_lock(&lock);
	if (threads_started < size - 1)
		start_threads();
	for (end = &batches; *end; end = &(*end)->link)
		;
	*end = &batch;
	for (size_t i = 1; i < count && i < (size_t)size; i++)
		pthread_cond_signal(&work);
	while (batch.next < batch.count)
		work_once(&batch);
	for (end = &batches; *end != &batch; end = &(*end)->link)
		;
	*end = batch.link;
	while (batch.helpers > 0)
		pthread_cond_wait(&batch.left, &lock);
	*helper_cpu_ns += batch.cpu_ns;
	pthread_mutex_unlock(&lock);
	pthread_cond_destroy(&batch.left);
}

void se_pool_run(se_job_fn *job, void *context, size_t count, bool parallel, uint64_t *helper_cpu_ns)
{
	int size = se_pool_size();

	if (parallel && count > 1 && size > 1) {
		run_parallel(job, context, count, size, helper_cpu_ns);
		return;
	}
	for (size_t i = 0; i < count; i++)
		job(context, i);
}
