/* warm.c - bills run after run in one process: what a server that stays pays for each.
 *
 *     warm THREADS MEMORY_BYTES TEMPORARY OUT PERIOD CATALOG ACCOUNTS OVERRIDES EVENTS...
 *
 * One run for each EVENTS, in order.  One line each on standard output: CPU seconds, wall seconds
 * and lines of bills.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "farthing.h"

static double wall_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

int main(int argc, char **argv)
{
    if (argc < 10) {
        fprintf(stderr, "usage: warm THREADS MEMORY_BYTES TEMPORARY OUT PERIOD CATALOG ACCOUNTS "
                        "OVERRIDES EVENTS...\n");
        return 2;
    }
    /* As the command line does: memory that was given back stays with the process. */
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
    (void)mallopt(M_TOP_PAD, 16 << 20);
    (void)mallopt(M_MMAP_THRESHOLD, 32 << 20); /* more is not taken */
    struct farthing_config config = {.threads = atoi(argv[1]),
                                     .memory_bytes = (size_t)atoll(argv[2]),
                                     .temporary_folder = argv[3]};
    const char *catalog = argv[6], *accounts[] = {argv[7], argv[8]};
    struct farthing *farthing = farthing_new(&config);
    for (int i = 9; i < argc; i++) {
        struct farthing_summary summary;
        struct farthing_bill bill = {.catalog = {&catalog, 1},
                                     .accounts = {accounts, 2},
                                     .events = {(const char *const *)&argv[i], 1},
                                     .period = argv[5],
                                     .out = argv[4],
                                     .replace = 1};
        double cpu = cpu_s(), wall = wall_s();
        if (!farthing || farthing_bill(farthing, &bill, &summary) != FARTHING_OK) {
            fprintf(stderr, "warm: %s\n", farthing ? farthing_message(farthing) : "no memory");
            return 1;
        }
        printf("%.6f\t%.6f\t%llu\n", cpu_s() - cpu, wall_s() - wall,
               (unsigned long long)summary.bill_lines);
        fflush(stdout);
    }
    farthing_free(farthing);
    return 0;
}
