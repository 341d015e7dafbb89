/* render_json.c - bills and closing states as NDJSON; members in a fixed order, decimals as texts.
 */
#include <assert.h>

#include "render/render.h"
#include "render/writer.h"

static void add_money_member(struct buffer *out, const char *key, const struct bill *bill,
                             struct dec value)
{
    add_json_key(out, key);
    buffer_add_char(out, '"');
    char *at = buffer_reserve(out, DEC_FORMAT_MAX);
    out->size += (size_t)dec_format_digits(value, bill->minor_digits, at);
    buffer_add_char(out, '"');
}

static void add_proof(struct buffer *out, const struct catalog *catalog,
                      const struct accounts *accounts, const struct bill *bill)
{
    add_json_key(out, "proof");
    buffer_add_char(out, '{');
    add_json_count(out, "usage_rows", bill->row_count);
    add_json_count(out, "events", bill->event_count);
    add_json_print(out, "fingerprint", bill->print);
    add_json_key(out, "exclusions");
    buffer_add_char(out, '[');
    for (uint32_t i = 0; i < bill->excluded_count; i++) {
        const struct excluded *item = &bill->excluded[i];
        buffer_add_text(out, i > 0 ? TEXT(",{") : TEXT("{"));
        add_json_text(out, "reason", text_of(exclusion_name(item->reason)));
        if (item->account != NONE) {
            add_json_text(out, "account", accounts->items[item->account].id);
        }
        if (item->meter != NONE) {
            add_json_text(out, "meter", catalog->meters[item->meter].name);
        }
        add_json_count(out, "events", item->total.count);
        add_json_key(out, "quantity");
        buffer_add_char(out, '"');
        char *sum = buffer_reserve(out, 96);
        out->size += (size_t)wide_format(&item->total.sum, sum);
        buffer_add_char(out, '"');
        add_json_print(out, "fingerprint", item->total.print);
        buffer_add_char(out, '}');
    }
    buffer_add_text(out, TEXT("]}"));
}

static void add_pending(struct buffer *out, const struct bill *bill)
{
    for (uint32_t i = 0; i < bill->pending_count; i++) {
        const struct pending_charge *item = &bill->pending[i];
        if (i == 0) {
            add_json_key(out, "pending");
        }
        buffer_add_text(out, i == 0 ? TEXT("[{") : TEXT(",{"));
        add_json_text(out, "account", item->account);
        add_json_text(out, "sku", item->sku);
        add_json_text(out, "price", item->price);
        add_json_text(out, "step", item->step);
        add_json_text(out, "kind", item->kind);
        add_json_text(out, "contract", item->contract);
        add_json_time(out, "due", item->due);
        add_json_decimal(out, "amount", item->amount);
        buffer_add_text(out, i + 1 == bill->pending_count ? TEXT("}]") : TEXT("}"));
    }
}

/* The period of a bill, which most have: as it was written last. */
static void add_edges(struct writer *writer, struct buffer *out, struct period period)
{
    if (writer->edges.size == 0 || writer->edges.period.from != period.from ||
        writer->edges.period.to != period.to) {
        size_t before = out->size;
        add_json_time(out, "from", period.from);
        add_json_time(out, "to", period.to);
        writer->edges.period = period;
        writer->edges.size = out->size - before;
        assert(writer->edges.size <= sizeof writer->edges.text);
        memcpy(writer->edges.text, out->at + before, writer->edges.size);
        return;
    }
    buffer_add(out, writer->edges.text, writer->edges.size);
}

void render_bill_json(struct writer *writer, struct buffer *out, const struct catalog *catalog,
                      const struct accounts *accounts, const struct bill *bill, struct text inputs)
{
    buffer_add_char(out, '{');
    add_json_text(out, "bill", bill->id);
    add_json_text(out, "kind", bill->kind == BILL_CORRECTION ? TEXT("correction") : TEXT("bill"));
    add_json_text(out, "provider", bill->provider);
    add_json_text(out, "payer", bill->payer);
    if (bill->contract.size > 0) {
        add_json_text(out, "contract", bill->contract);
    }
    if (bill->source.size > 0) {
        add_json_text(out, "source", bill->source);
    }
    if (bill->seller.size > 0) {
        add_json_text(out, "seller", bill->seller);
    }
    add_edges(writer, out, bill->period);
    for (uint32_t i = 0; i < bill->part_count; i++) {
        if (i == 0) {
            add_json_key(out, "parts");
        }
        buffer_add_char(out, i == 0 ? '[' : ',');
        char end[TIME_FORMAT_MAX];
        int size = time_format(bill->parts[i].to, end);
        buffer_add_json(out, (struct text){end, (size_t)size});
        buffer_add_text(out, i + 1 == bill->part_count ? TEXT("]") : TEXT(""));
    }
    add_json_text(out, "currency", bill->currency);
    add_money_member(out, "total", bill, bill->total);
    char exact[WIDE_FORMAT_MAX];
    add_json_text(out, "exact", (struct text){exact, (size_t)dec_sum_format(&bill->exact, exact)});
    if (bill->has_settlement) {
        const struct used_rate *settled = &bill->settled;
        add_json_key(out, "settlement");
        buffer_add_char(out, '{');
        add_json_text(out, "currency", text_of(settled->to->code));
        add_json_key(out, "total");
        buffer_add_char(out, '"');
        char *at = buffer_reserve(out, DEC_FORMAT_MAX);
        out->size += (size_t)dec_format_digits(bill->settlement, settled->to->digits, at);
        buffer_add_char(out, '"');
        add_json_decimal(out, "rate", settled->rate);
        if (settled->at > INSTANT_MIN) {
            add_json_time(out, "rate_date", settled->at);
        }
        buffer_add_char(out, '}');
    }
    add_json_count(out, "lines", bill->line_count);
    add_pending(out, bill);
    add_json_key(out, "sections");
    buffer_add_char(out, '[');
    for (uint32_t i = 0; i < bill->section_count; i++) {
        const struct section *section = &bill->sections[i];
        buffer_add_text(out, i > 0 ? TEXT(",{") : TEXT("{"));
        add_json_text(out, "account", section->account);
        add_json_count(out, "lines", section->line_count);
        add_json_decimal(out, "amount", section->amount);
        buffer_add_char(out, '}');
    }
    buffer_add_char(out, ']');
    add_proof(out, catalog, accounts, bill);
    add_json_key(out, "inputs");
    buffer_add_text(out, inputs);
    buffer_add_text(out, TEXT("}\n"));
}

struct text render_inputs(struct arena *arena, const struct inputs *inputs)
{
    struct buffer out;
    buffer_init(&out, arena, 512);
    buffer_add_char(&out, '{');
    add_json_text(&out, "catalog", inputs->catalog_digest);
    add_json_text(&out, "accounts", inputs->accounts_digest);
    add_json_text(&out, "zones", inputs->zones_digest);
    add_json_text(&out, "opening", inputs->opening_digest);
    add_json_text(&out, "rules", inputs->rules);
    buffer_add_char(&out, '}');
    return buffer_text(&out);
}

/* ---- closing --------------------------------------------------------------------------------- */

/* The edge of a turn; one that is all time has none. */
static void add_edge_member(struct buffer *out, const char *key, instant at)
{
    if (at == INSTANT_MIN || at == INSTANT_MAX) {
        add_json_text(out, key, TEXT(""));
    } else {
        add_json_time(out, key, at);
    }
}

/* Whose it is, and when. */
static void add_payer(struct buffer *out, const struct accounts *accounts,
                      const struct catalog *catalog, uint32_t payer, instant at)
{
    uint32_t view = accounts_view(accounts, payer);
    buffer_add_char(out, '{');
    add_json_text(out, "payer", accounts->items[payer].id);
    if (view != NONE) {
        add_json_text(out, "contract", catalog->contracts[accounts->views[view].contract].id);
    }
    add_json_time(out, "at", at);
}

static void add_bucket(struct buffer *out, const struct pricing *pricing,
                       const struct bucket_state *state)
{
    add_payer(out, pricing->accounts, pricing->catalog, pricing->payer, pricing->cut.to);
    add_json_text(out, "bucket", state->key);
    add_edge_member(out, "from", state->turn.from);
    add_edge_member(out, "to", state->turn.to);
    add_json_decimal(out, "x", state->x);
    add_json_decimal(out, "y", state->y);
    add_json_decimal(out, "events", state->events);
    add_json_decimal(out, "high", state->high);
    if (state->sample_count > 0) {
        add_json_key(out, "samples");
    }
    for (uint32_t i = 0; i < state->sample_count; i++) {
        char number[DEC_FORMAT_MAX];
        (void)dec_format(state->samples[i], number);
        buffer_format(out, "%c\"%s\"", i == 0 ? '[' : ',', number);
    }
    buffer_add_text(out, state->sample_count > 0 ? TEXT("]}\n") : TEXT("}\n"));
}

/* Whose state it is: the beginning of a line. */
static void add_state_head(struct buffer *out, const struct pricing *pricing, uint32_t account,
                           uint32_t series_number)
{
    const struct catalog *catalog = pricing->catalog;
    const struct series *series = series_at(pricing->series, series_number);
    const struct meter *meter = &catalog->meters[series->meter];
    add_payer(out, pricing->accounts, catalog, pricing->payer, pricing->cut.to);
    add_json_text(out, "meter", meter->name);
    add_json_text(out, "account", pricing->accounts->items[account].id);
    add_json_text(out, "sku", catalog->skus[series->sku].name);
    add_json_text(out, "resource", series->resource);
    add_json_key(out, "dimensions");
    buffer_add_char(out, '{');
    for (uint32_t i = 0; i < meter->dimension_count; i++) {
        buffer_add_text(out, i > 0 ? TEXT(",") : TEXT(""));
        buffer_add_json(out, catalog->dimensions[meter->dimensions[i].name]);
        buffer_add_char(out, ':');
        buffer_add_json(out, series->dimensions[i]);
    }
    buffer_add_char(out, '}');
}

static void add_meter_state(struct buffer *out, const struct pricing *pricing,
                            const struct meter_state *state)
{
    add_state_head(out, pricing, state->account, state->series);
    add_json_decimal(out, "value", state->value);
    add_json_time(out, "time", state->at);
    add_json_text(out, "source", state->source);
    add_json_text(out, "id", state->id);
    if (state->is_open) {
        add_json_key(out, "open");
        buffer_add_text(out, TEXT("true"));
    }
    buffer_add_text(out, TEXT("}\n"));
}

void render_closing(struct buffer *out, const struct pricing *pricing, const struct priced *priced,
                    const struct meter_state *states, uint32_t state_count)
{
    for (uint32_t i = 0; i < priced->closing_count; i++) {
        add_bucket(out, pricing, &priced->closing[i]);
    }
    for (uint32_t i = 0; i < state_count; i++) {
        add_meter_state(out, pricing, &states[i]);
    }
}

void render_closing_failed(struct buffer *out, const struct catalog *catalog,
                           const struct accounts *accounts, uint32_t payer, struct period failed)
{
    add_payer(out, accounts, catalog, payer, failed.to);
    add_json_time(out, "from", failed.from);
    add_json_key(out, "failed");
    buffer_add_text(out, TEXT("true}\n"));
}

static void add_open(struct buffer *out)
{
    add_json_key(out, "open");
    buffer_add_text(out, TEXT("true"));
}

void render_average_state(struct buffer *out, const struct pricing *pricing,
                          const struct usage_row *row, uint64_t count, struct dec sum)
{
    add_state_head(out, pricing, row->account, row->series);
    add_json_decimal(out, "sum", sum);
    add_json_count(out, "count", count);
    add_open(out);
    buffer_add_text(out, TEXT("}\n"));
}

void render_samples_begin(struct buffer *out, const struct pricing *pricing,
                          const struct usage_row *row)
{
    add_state_head(out, pricing, row->account, row->series);
    add_open(out);
    add_json_key(out, "samples");
    buffer_add_char(out, '[');
}

static void separate_samples(struct buffer *out)
{
    if (out->at[out->size - 1] != '[') {
        buffer_add_char(out, ',');
    }
}

void render_sample_key(struct buffer *out, struct text key)
{
    separate_samples(out);
    buffer_add_json(out, key);
}

void render_sample_value(struct buffer *out, struct dec value, uint64_t count)
{
    char number[DEC_FORMAT_MAX];
    (void)dec_format(value, number);
    separate_samples(out);
    buffer_format(out, "[\"%s\",%llu]", number, (unsigned long long)count);
}

void render_samples_end(struct buffer *out)
{
    buffer_add_text(out, TEXT("]}\n"));
}
