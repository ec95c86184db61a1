/* seeds.c - with FUZZ_SEEDS=directory a target writes its seeds there and ends, instead of fuzzing. */
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

#define SEED_BYTES 65536

int LLVMFuzzerInitialize(int *count, char ***arguments);

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
	static uint8_t seed[SEED_BYTES];
	const char *directory = getenv("FUZZ_SEEDS");
	size_t size;

	(void)count, (void)arguments;
	if (!directory)
		return 0;
	for (unsigned i = 0; (size = fuzz_seed(i, seed, sizeof seed)) > 0; i++) {
		char path[4096];
		FILE *file;

		snprintf(path, sizeof path, "%s/seed-%u", directory, i);
		file = fopen(path, "wb");
		CHECK(file && fwrite(seed, 1, size, file) == size && fclose(file) == 0, "%s cannot be written", path);
	}
	exit(0);
}
