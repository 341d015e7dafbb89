/* bill.c - what `farthing bill` does, in a program of yours.
 *
 *     cc bill.c $(pkg-config --cflags --libs --static farthing) -o bill
 *     ./bill CATALOG ACCOUNTS EVENTS PERIOD OUT
 */
#include <farthing.h>
#include <stdio.h>

static void show_progress(void *context, const char *phase, uint64_t done, uint64_t total)
{
    (void)context;
    fprintf(stderr, "%s: %llu of %llu\n", phase, (unsigned long long)done,
            (unsigned long long)total);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: bill CATALOG ACCOUNTS EVENTS PERIOD OUT\n");
        return FARTHING_USAGE;
    }
    const struct farthing_config config = {.threads = 2, .progress = show_progress};
    struct farthing *farthing = farthing_new(&config);
    if (!farthing) {
        return FARTHING_LIMIT;
    }
    const char *const *paths = (const char *const *)argv;
    const struct farthing_bill bill = {.catalog = {&paths[1], 1},
                                       .accounts = {&paths[2], 1},
                                       .events = {&paths[3], 1},
                                       .period = argv[4],
                                       .out = argv[5]};
    struct farthing_summary summary;
    enum farthing_status status = farthing_bill(farthing, &bill, &summary);
    if (status == FARTHING_OK || status == FARTHING_PARTIAL) {
        printf("%llu events, %llu bills, %s %s\n", (unsigned long long)summary.events_accepted,
               (unsigned long long)summary.bills, summary.total ? summary.total : "?",
               summary.currency);
        for (size_t i = 0; i < summary.failed_count; i++) {
            fprintf(stderr, "not billed: %s: %s\n", summary.failed[i].name,
                    summary.failed[i].amount);
        }
    } else {
        fprintf(stderr, "bill: %s\n%s\n", farthing_message(farthing), farthing_hint(farthing));
    }
    farthing_free(farthing);
    return (int)status;
}
