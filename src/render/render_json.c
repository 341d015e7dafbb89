/* render_json.c - bills and closing states as NDJSON; members in a fixed order, decimals as texts.
 */
#include <assert.h>
#include <stdio.h>

#include "render/render.h"
#include "render/writer.h"

static void add_exclusions(struct buffer *out, const struct catalog *catalog,
                           const struct accounts *accounts, const struct bill *bill)
{
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

static void add_parts(struct buffer *out, const struct bill *bill)
{
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
}

static void add_settlement(struct buffer *out, const struct bill *bill)
{
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

/* ---- what every bill has: by a pen, with room for all up to the next name ---- */

enum { JSON_ROOM = 512 };

static inline void put(struct pen *pen, struct text literal)
{
    memcpy(pen->at, literal.at, literal.size);
    pen->at += literal.size;
}

/* A text with its quotes; mostly there is nothing to escape. */
static void put_name(struct buffer *out, struct pen *pen, struct text name)
{
    pen_end(pen, out);
    *pen = pen_begin(out, name.size + 2 + JSON_ROOM);
    if (writer_copy_plain(pen->at + 1, name, writer_special_json)) {
        pen->at[0] = pen->at[name.size + 1] = '"';
        pen->at += name.size + 2;
    } else {
        buffer_add_json(out, name);
        *pen = pen_begin(out, JSON_ROOM);
    }
}

static void put_decimal(struct pen *pen, struct dec value, int digits)
{
    pen_char(pen, '"');
    pen->at += dec_format_digits(value, digits, pen->at);
    pen_char(pen, '"');
}

/* The period of a bill, which most have: as it was written last. */
static void put_edges(struct writer *writer, struct pen *pen, struct period period)
{
    if (writer->edges.size == 0 || writer->edges.period.from != period.from ||
        writer->edges.period.to != period.to) {
        char from[TIME_FORMAT_MAX], to[TIME_FORMAT_MAX];
        (void)time_format(period.from, from);
        (void)time_format(period.to, to);
        int size = snprintf(writer->edges.text, sizeof writer->edges.text,
                            ",\"from\":\"%s\",\"to\":\"%s\"", from, to);
        assert(size > 0 && (size_t)size < sizeof writer->edges.text);
        writer->edges.period = period;
        writer->edges.size = (size_t)size;
    }
    memcpy(pen->at, writer->edges.text, sizeof writer->edges.text);
    pen->at += writer->edges.size;
}

static void put_sections(struct buffer *out, struct pen *pen, const struct bill *bill)
{
    put(pen, TEXT(",\"sections\":["));
    for (uint32_t i = 0; i < bill->section_count; i++) {
        const struct section *section = &bill->sections[i];
        if (i > 0) {
            *pen->at++ = ',';
        }
        put(pen, TEXT("{\"account\":"));
        put_name(out, pen, section->account);
        put(pen, TEXT(",\"lines\":"));
        pen_u64(pen, section->line_count);
        put(pen, TEXT(",\"amount\":"));
        put_decimal(pen, section->amount, 0);
        *pen->at++ = '}';
    }
    *pen->at++ = ']';
}

static void put_proof(struct buffer *out, struct pen *pen, const struct catalog *catalog,
                      const struct accounts *accounts, const struct bill *bill)
{
    put(pen, TEXT(",\"proof\":{\"usage_rows\":"));
    pen_u64(pen, bill->row_count);
    put(pen, TEXT(",\"events\":"));
    pen_u64(pen, bill->event_count);
    put(pen, TEXT(",\"fingerprint\":\""));
    pen_print(pen, bill->print);
    put(pen, TEXT("\",\"exclusions\":["));
    if (bill->excluded_count > 0) {
        pen_end(pen, out);
        add_exclusions(out, catalog, accounts, bill);
        *pen = pen_begin(out, JSON_ROOM);
    }
    put(pen, TEXT("]}"));
}

void render_bill_json(struct writer *writer, struct buffer *out, const struct catalog *catalog,
                      const struct accounts *accounts, const struct bill *bill, struct text inputs)
{
    struct pen pen = pen_begin(out, JSON_ROOM);
    put(&pen, TEXT("{\"bill\":"));
    put_name(out, &pen, bill->id);
    put(&pen, TEXT(",\"kind\":"));
    put(&pen, bill->kind == BILL_CORRECTION ? TEXT("\"correction\"") : TEXT("\"bill\""));
    put(&pen, TEXT(",\"provider\":"));
    put_name(out, &pen, bill->provider);
    put(&pen, TEXT(",\"payer\":"));
    put_name(out, &pen, bill->payer);
    if (bill->contract.size > 0) {
        put(&pen, TEXT(",\"contract\":"));
        put_name(out, &pen, bill->contract);
    }
    if (bill->source.size > 0) {
        put(&pen, TEXT(",\"source\":"));
        put_name(out, &pen, bill->source);
    }
    if (bill->seller.size > 0) {
        put(&pen, TEXT(",\"seller\":"));
        put_name(out, &pen, bill->seller);
    }
    put_edges(writer, &pen, bill->period);
    if (bill->part_count > 0) {
        pen_end(&pen, out);
        add_parts(out, bill);
        pen = pen_begin(out, JSON_ROOM);
    }
    put(&pen, TEXT(",\"currency\":"));
    put_name(out, &pen, bill->currency);
    put(&pen, TEXT(",\"total\":"));
    put_decimal(&pen, bill->total, bill->minor_digits);
    put(&pen, TEXT(",\"exact\":\""));
    pen.at += dec_sum_format(&bill->exact, pen.at);
    *pen.at++ = '"';
    if (bill->has_settlement) {
        pen_end(&pen, out);
        add_settlement(out, bill);
        pen = pen_begin(out, JSON_ROOM);
    }
    put(&pen, TEXT(",\"lines\":"));
    pen_u64(&pen, bill->line_count);
    if (bill->pending_count > 0) {
        pen_end(&pen, out);
        add_pending(out, bill);
        pen = pen_begin(out, JSON_ROOM);
    }
    put_sections(out, &pen, bill);
    put_proof(out, &pen, catalog, accounts, bill);
    put(&pen, TEXT(",\"inputs\":"));
    pen_end(&pen, out);
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
static void add_state_head(struct buffer *out, const struct pricing *pricing, instant told,
                           uint32_t account, uint32_t series_number)
{
    const struct catalog *catalog = pricing->catalog;
    const struct series *series = series_at(pricing->series, series_number);
    const struct meter *meter = &catalog->meters[series->meter];
    add_payer(out, pricing->accounts, catalog, pricing->payer, told);
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
    add_state_head(out, pricing, state->told, state->account, state->series);
    add_json_decimal(out, "value", state->value);
    add_json_time(out, "time", state->at);
    add_json_text(out, "source", state->source);
    add_json_text(out, "id", state->id);
    if (state->is_open) {
        add_json_key(out, "open");
        buffer_add_text(out, TEXT("true"));
    }
    if (state->is_lent) {
        add_json_key(out, "lent");
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

void render_closing_waits(struct buffer *out, const struct catalog *catalog,
                          const struct accounts *accounts, uint32_t payer, instant at)
{
    add_payer(out, accounts, catalog, payer, at);
    add_json_key(out, "waits");
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
    add_state_head(out, pricing, pricing->cut.to, row->account, row->series);
    add_json_decimal(out, "sum", sum);
    add_json_count(out, "count", count);
    add_open(out);
    buffer_add_text(out, TEXT("}\n"));
}

void render_samples_begin(struct buffer *out, const struct pricing *pricing,
                          const struct usage_row *row)
{
    add_state_head(out, pricing, pricing->cut.to, row->account, row->series);
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
