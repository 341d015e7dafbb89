/* show.h - showing bills: what the files that do it share.  Private to this room. */
#ifndef FARTHING_INSPECT_SHOW_H
#define FARTHING_INSPECT_SHOW_H

#include "engine/folder.h"
#include "engine/handle.h"
#include "render/table.h"

enum { NEAREST = 3, NAME_MAX_BYTES = 1024 };

/* A payer whose id is near to what was asked for. */
struct nearest {
    char payer[ATTRIBUTE_MAX_BYTES + 1];
    size_t distance;
};

struct show {
    struct farthing *farthing;
    struct folder folder;
    yyjson_val *run;         /* the folder's run.json */
    const struct zone *zone; /* of the days that were billed; NULL: UTC */
    struct table table;
    struct sink_text sink;
    const char *name;
    enum farthing_form form;
    bool is_terminal;
    struct arena scratch; /* rewound for each row */
    struct error *err;
    /* what looking for the name has found */
    struct text found; /* the bill's id; empty: none or several */
    uint64_t bill_count;
    struct text payer; /* who pays for the account that was asked for; empty: no bill has it */
    struct nearest nearest[NEAREST];
    int nearest_count;
    bool has_bills;
};

/* Cells of tables.  A day of the bill's zone, or a time in it. */
struct text show_time(struct show *show, instant at);
struct text show_count(struct arena *arena, uint64_t count);
struct text show_decimal(struct arena *arena, struct dec value, int digits);
/* Of a sum that may have more digits than a decimal. */
struct text show_sum(struct arena *arena, const struct dec_sum *sum, int digits);
enum status show_put(struct show *show, struct text text);

/* Writes the bill whose id is show->found (show_bill.c). */
enum status show_bill(struct show *show);

#endif
