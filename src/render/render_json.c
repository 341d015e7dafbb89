/* render_json.c - bills and closing states as NDJSON; members in a fixed order, decimals as texts.
 */
#include "render/render.h"

static void add_key(struct buffer *out, const char *key)
{
    if (out->size > 0 && out->at[out->size - 1] != '{') {
        buffer_add_char(out, ',');
    }
    buffer_add_char(out, '"');
    buffer_add(out, key, strlen(key));
    buffer_add_text(out, TEXT("\":"));
}

static void add_text_member(struct buffer *out, const char *key, struct text value)
{
    add_key(out, key);
    buffer_add_json(out, value);
}

static void add_decimal_member(struct buffer *out, const char *key, struct dec value)
{
    add_key(out, key);
    buffer_add_char(out, '"');
    add_decimal(out, value);
    buffer_add_char(out, '"');
}

static void add_count_member(struct buffer *out, const char *key, uint64_t value)
{
    add_key(out, key);
    buffer_add_u64(out, value);
}

static void add_time_member(struct buffer *out, const char *key, instant at)
{
    add_key(out, key);
    buffer_add_char(out, '"');
    char *to = buffer_reserve(out, TIME_FORMAT_MAX);
    out->size += (size_t)time_format(at, to);
    buffer_add_char(out, '"');
}

static void add_print_member(struct buffer *out, const char *key, uint64_t print)
{
    add_key(out, key);
    buffer_add_char(out, '"');
    add_print(out, print);
    buffer_add_char(out, '"');
}

static void add_money_member(struct buffer *out, const char *key, const struct bill *bill,
                             struct dec value)
{
    add_key(out, key);
    buffer_add_char(out, '"');
    char *at = buffer_reserve(out, DEC_FORMAT_MAX);
    out->size += (size_t)dec_format_digits(value, bill->minor_digits, at);
    buffer_add_char(out, '"');
}

static void add_proof(struct buffer *out, const struct catalog *catalog,
                      const struct accounts *accounts, const struct bill *bill)
{
    add_key(out, "proof");
    buffer_add_char(out, '{');
    add_count_member(out, "usage_rows", bill->row_count);
    add_count_member(out, "events", bill->event_count);
    add_print_member(out, "fingerprint", bill->print);
    add_key(out, "exclusions");
    buffer_add_char(out, '[');
    for (uint32_t i = 0; i < bill->excluded_count; i++) {
        const struct excluded *item = &bill->excluded[i];
        buffer_add_text(out, i > 0 ? TEXT(",{") : TEXT("{"));
        add_text_member(out, "reason", text_of(exclusion_name(item->reason)));
        if (item->account != NONE) {
            add_text_member(out, "account", accounts->items[item->account].id);
        }
        if (item->meter != NONE) {
            add_text_member(out, "meter", catalog->meters[item->meter].name);
        }
        add_count_member(out, "events", item->total.count);
        add_key(out, "quantity");
        buffer_add_char(out, '"');
        char *sum = buffer_reserve(out, 96);
        out->size += (size_t)wide_format(&item->total.sum, sum);
        buffer_add_char(out, '"');
        add_print_member(out, "fingerprint", item->total.print);
        buffer_add_char(out, '}');
    }
    buffer_add_text(out, TEXT("]}"));
}

void render_bill_json(struct buffer *out, const struct catalog *catalog,
                      const struct accounts *accounts, const struct bill *bill,
                      const struct inputs *inputs)
{
    buffer_add_char(out, '{');
    add_text_member(out, "bill", bill->id);
    add_text_member(out, "kind", bill->kind == BILL_CORRECTION ? TEXT("correction") : TEXT("bill"));
    add_text_member(out, "provider", bill->provider);
    add_text_member(out, "payer", bill->payer);
    add_time_member(out, "from", bill->period.from);
    add_time_member(out, "to", bill->period.to);
    add_text_member(out, "currency", bill->currency);
    add_money_member(out, "total", bill, bill->total);
    add_decimal_member(out, "exact", bill->exact);
    add_count_member(out, "lines", bill->line_count);
    add_key(out, "sections");
    buffer_add_char(out, '[');
    for (uint32_t i = 0; i < bill->section_count; i++) {
        const struct section *section = &bill->sections[i];
        buffer_add_text(out, i > 0 ? TEXT(",{") : TEXT("{"));
        add_text_member(out, "account", section->account);
        add_count_member(out, "lines", section->line_count);
        add_decimal_member(out, "amount", section->amount);
        buffer_add_char(out, '}');
    }
    buffer_add_char(out, ']');
    add_proof(out, catalog, accounts, bill);
    add_key(out, "inputs");
    buffer_add_char(out, '{');
    add_text_member(out, "catalog", inputs->catalog_digest);
    add_text_member(out, "accounts", inputs->accounts_digest);
    add_text_member(out, "zones", inputs->zones_digest);
    add_text_member(out, "opening", inputs->opening_digest);
    add_text_member(out, "rules", inputs->rules);
    buffer_add_text(out, TEXT("}}\n"));
}

/* ---- closing --------------------------------------------------------------------------------- */

/* The edge of a turn; one that is all time has none. */
static void add_edge_member(struct buffer *out, const char *key, instant at)
{
    if (at == INSTANT_MIN || at == INSTANT_MAX) {
        add_text_member(out, key, TEXT(""));
    } else {
        add_time_member(out, key, at);
    }
}

static void add_bucket(struct buffer *out, struct text payer, instant end,
                       const struct bucket_state *state)
{
    buffer_add_char(out, '{');
    add_text_member(out, "payer", payer);
    add_time_member(out, "at", end);
    add_text_member(out, "bucket", state->key);
    add_edge_member(out, "from", state->turn.from);
    add_edge_member(out, "to", state->turn.to);
    add_decimal_member(out, "x", state->x);
    add_decimal_member(out, "y", state->y);
    add_decimal_member(out, "events", state->events);
    add_decimal_member(out, "high", state->high);
    buffer_add_text(out, TEXT("}\n"));
}

static void add_meter_state(struct buffer *out, const struct pricing *pricing, struct text payer,
                            const struct meter_state *state)
{
    const struct catalog *catalog = pricing->catalog;
    const struct series *series = series_at(pricing->series, state->series);
    const struct meter *meter = &catalog->meters[series->meter];
    buffer_add_char(out, '{');
    add_text_member(out, "payer", payer);
    add_time_member(out, "at", pricing->cut.to);
    add_text_member(out, "meter", meter->name);
    add_text_member(out, "account", pricing->accounts->items[state->account].id);
    add_text_member(out, "sku", catalog->skus[series->sku].name);
    add_text_member(out, "resource", series->resource);
    add_key(out, "dimensions");
    buffer_add_char(out, '{');
    for (uint32_t i = 0; i < meter->dimension_count; i++) {
        buffer_add_text(out, i > 0 ? TEXT(",") : TEXT(""));
        buffer_add_json(out, catalog->dimensions[meter->dimensions[i].name]);
        buffer_add_char(out, ':');
        buffer_add_json(out, series->dimensions[i]);
    }
    buffer_add_char(out, '}');
    add_decimal_member(out, "value", state->value);
    add_time_member(out, "time", state->at);
    add_text_member(out, "source", state->source);
    add_text_member(out, "id", state->id);
    if (state->is_open) {
        add_key(out, "open");
        buffer_add_text(out, TEXT("true"));
    }
    buffer_add_text(out, TEXT("}\n"));
}

void render_closing(struct buffer *out, const struct pricing *pricing, struct text payer,
                    const struct priced *priced, const struct meter_state *states,
                    uint32_t state_count)
{
    for (uint32_t i = 0; i < priced->closing_count; i++) {
        add_bucket(out, payer, pricing->cut.to, &priced->closing[i]);
    }
    for (uint32_t i = 0; i < state_count; i++) {
        add_meter_state(out, pricing, payer, &states[i]);
    }
}
