/* explain_json.c - an explanation for programs: one JSON object; decimals are texts. */
#include "inspect/explain_write.h"

struct period explain_slot(const struct explain *x, const struct usage_row *row)
{
    return (struct period){x->pricing.base + (instant)row->slot_s * NS_PER_SECOND, row->to};
}

const struct place *explain_place(const struct explain *x, const struct step *step)
{
    return step->place.line > 0 || !x->charge ? &step->place : &x->charge->price->place;
}

const struct grant *explain_grant(const struct explained_step *done)
{
    const struct step_credit *credit = &done->step->credit;
    for (uint32_t i = 0; i < credit->grant_count && done->grant; i++) {
        if (text_equal(credit->grants[i].id, *done->grant)) {
            return &credit->grants[i];
        }
    }
    return NULL;
}

void say_every(struct buffer *out, const struct clock *clock)
{
    const char *name = clock_every_name(clock->every);
    if (clock->count == 1) {
        buffer_add_text(out, text_of(name));
    } else {
        buffer_format(out, "%d %ss", clock->count, name);
    }
}

bool explain_has_beside(const struct explain *x)
{
    return !dec_is_zero(x->beside_taken) || !dec_is_zero(x->beside_amount);
}

static void add_at(struct buffer *out, const char *key, instant at)
{
    if (at > INSTANT_MIN && at < INSTANT_MAX) {
        add_json_time(out, key, at);
    }
}

static void add_hash(struct buffer *out, const char *key, struct hash128 hash)
{
    char hex[33];
    hash128_format(hash, hex);
    add_json_text(out, key, (struct text){hex, 32});
}

static void add_place(struct buffer *out, const struct place *place)
{
    add_json_text(out, "file", place->file);
    add_json_count(out, "line", place->line);
}

static void begin_item(struct buffer *out)
{
    buffer_add_text(out, out->at[out->size - 1] == '[' ? TEXT("\n{") : TEXT(",\n{"));
}

static void add_told(struct buffer *out, const char *key, const char *others,
                     const struct told_lines *told)
{
    add_json_key(out, key);
    buffer_add_char(out, '[');
    for (uint32_t i = 0; i < told->count; i++) {
        char hex[33];
        hash128_format(told->ids[i], hex);
        buffer_format(out, "%s\"%s\"", i == 0 ? "" : ",", hex);
    }
    buffer_add_char(out, ']');
    add_json_key(out, others);
    buffer_add_text(out, told->has_more ? TEXT("true") : TEXT("false"));
}

static void add_line(const struct explain *x, struct buffer *out)
{
    const struct line *line = &x->line;
    add_hash(out, "line", line->id);
    add_json_text(out, "bill", x->head.bill);
    add_json_text(out, "account", line->account);
    add_json_text(out, "product", line->product);
    add_json_text(out, "sku", line->sku);
    add_json_text(out, "dimensions", line->dimensions);
    add_json_text(out, "resource", line->resource);
    add_json_text(out, "kind", line->kind);
    add_at(out, "from", line->from);
    add_at(out, "to", line->to);
    add_json_decimal(out, "quantity", line->quantity);
    add_json_text(out, "unit", line->unit);
    if (line->has_rate) {
        add_json_decimal(out, "rate", line->rate);
    }
    if (line->tier > 0) {
        add_json_count(out, "tier", (uint64_t)line->tier);
    }
    if (line->grant.size > 0) {
        add_json_text(out, "grant", line->grant);
    }
    add_json_decimal(out, "exact", line->exact);
    add_json_decimal(out, "amount", line->amount);
    if (line->effective) {
        add_json_decimal(out, "effective", *line->effective);
    }
    add_json_text(out, "currency", x->head.currency);
    if (x->adjusted.count > 0) {
        add_told(out, "adjusts", "adjusts_others", &x->adjusted);
    }
    if (x->held_against.count > 0) {
        add_told(out, "of_lines", "of_others", &x->held_against);
    }
}

static void add_correction(const struct explain *x, struct buffer *out)
{
    add_json_key(out, "correction");
    buffer_add_char(out, '{');
    add_json_key(out, "now");
    buffer_add_char(out, '{');
    add_json_decimal(out, "quantity", x->present.quantity);
    add_json_decimal(out, "exact", x->present.exact);
    add_json_decimal(out, "amount", x->present.amount);
    buffer_add_char(out, '}');
    add_json_key(out, "before");
    buffer_add_char(out, '{');
    add_json_decimal(out, "quantity", x->issued.quantity);
    add_json_decimal(out, "exact", x->issued.exact);
    add_json_decimal(out, "amount", x->issued.amount);
    buffer_add_text(out, TEXT("}}"));
}

static void add_price(const struct explain *x, struct buffer *out)
{
    const struct price *price = x->charge->price;
    add_json_key(out, "price");
    buffer_add_char(out, '{');
    add_json_text(out, "name", price->name);
    add_place(out, &price->place);
    add_at(out, "from", price->from);
    add_at(out, "to", price->to);
    add_json_text(out, "level", text_of(price_level_name(x->charge->level)));
    if (x->charge->level >= LEVEL_TERMS) {
        add_json_text(out, "term", x->charge->step->name);
    }
    if (x->charge->contract) {
        add_json_text(out, "contract", x->charge->contract->id);
    }
    add_json_key(out, "narrower");
    buffer_add_char(out, '[');
    for (int i = 0; i < x->level_count; i++) {
        begin_item(out);
        add_json_text(out, "level", text_of(x->levels[i].level));
        add_json_text(out, "why", x->levels[i].why);
        buffer_add_char(out, '}');
    }
    buffer_add_text(out, TEXT("]}"));
}

static void add_granted(const struct explain *x, struct buffer *out, const struct grant *grant)
{
    add_json_decimal(out, "granted", grant->amount);
    add_at(out, "grant_from", grant->from);
    add_at(out, "grant_to", grant->to);
    if (grant->recurs) {
        struct buffer every;
        buffer_init(&every, &x->run->arena, 16);
        say_every(&every, &grant->every);
        add_json_text(out, "grant_every", buffer_text(&every));
    }
}

static void add_step(const struct explain *x, struct buffer *out, const struct explained_step *done)
{
    begin_item(out);
    add_json_text(out, "step", done->step->name);
    add_json_text(out, "kind", text_of(step_kind_name(done->step->kind)));
    add_place(out, explain_place(x, done->step));
    if (done->bucket.size > 0) {
        add_json_text(out, "bucket", done->bucket);
    }
    if (done->turn.from < done->turn.to) {
        add_at(out, "turn_from", done->turn.from);
        add_at(out, "turn_to", done->turn.to);
    }
    add_json_key(out, "whole_bucket");
    buffer_add_text(out, done->is_whole ? TEXT("true") : TEXT("false"));
    if (done->grant) {
        add_json_text(out, "grant", *done->grant);
    }
    if (done->step->kind == STEP_CREDIT && explain_grant(done)) {
        add_granted(x, out, explain_grant(done));
    }
    if (done->tier != NONE) {
        add_json_count(out, "tier", done->tier + 1);
    }
    add_json_count(out, "count", done->count);
    add_json_decimal(out, "before", done->before);
    add_json_decimal(out, "after", done->after);
    add_json_decimal(out, "f_before", done->f_before);
    add_json_decimal(out, "f_after", done->f_after);
    add_json_decimal(out, "in", done->in);
    add_json_decimal(out, "out", done->out);
    if (done->has_pieces) {
        const bool is_by_line = rounding_is_of_lines(x->bill.rounding);
        add_json_text(out, "together", is_by_line ? TEXT("line") : TEXT("account"));
    }
    if (!dec_is_zero(done->lost)) {
        add_json_decimal(out, "lost", done->lost);
    }
    if (done->has_worth) {
        add_json_decimal(out, "worth", done->worth);
    }
    if (done->step->measure) {
        struct buffer measure;
        buffer_init(&measure, &x->run->arena, 64);
        expr_format(done->step->measure, NULL, &measure);
        add_json_text(out, "measure", buffer_text(&measure));
    }
    if (done->step->kind == STEP_FIXED) {
        add_json_decimal(out, "factor", done->limit);
    } else if (done->step->kind == STEP_ALLOWANCE || done->step->kind == STEP_BOUND ||
               done->step->kind == STEP_TAX) {
        add_json_decimal(out, "limit", done->limit);
        if (done->step->kind == STEP_ALLOWANCE && done->step->allowance.has_rollover) {
            add_json_decimal(out, "rolled_over", done->tier_from);
        }
    } else if (done->row_place && !done->has_other_rates) {
        add_json_key(out, "table_row");
        buffer_add_char(out, '{');
        add_place(out, done->row_place);
        buffer_add_char(out, '}');
    } else if (done->formula.size > 0) {
        add_json_text(out, "formula", done->formula);
    }
    buffer_add_char(out, '}');
}

static void add_conversion(const struct explain *x, struct buffer *out)
{
    const struct conversion *rules = &x->run->catalog->conversion;
    const struct used_rate *used = charge_rate_used(x->charge);
    if (!x->present.conversion || !used || !rules->rates) {
        return;
    }
    add_json_key(out, "conversion");
    buffer_add_char(out, '{');
    add_json_text(out, "from", text_of(used->from->code));
    add_json_text(out, "into", text_of(used->to->code));
    add_json_decimal(out, "amount", x->present.conversion->amount);
    add_json_decimal(out, "rate", used->rate);
    add_at(out, "rate_date", used->at);
    add_at(out, "asked_at", used->asked);
    add_json_text(out, "table", rules->rates->name);
    add_place(out, used->place);
    add_json_count(out, "digits", (uint64_t)rules->digits);
    add_json_text(out, "mode", text_of(rounding_name(rules->mode)));
    buffer_add_char(out, '}');
}

static void add_rounding(const struct explain *x, struct buffer *out)
{
    const struct line_rounding *rounding = x->bill.rounding;
    add_json_key(out, "rounding");
    buffer_add_char(out, '{');
    add_json_decimal(out, "exact", x->present.exact);
    add_json_decimal(out, "amount", x->present.amount);
    if (!rounding->exact) {
        add_json_count(out, "digits", (uint64_t)bill_digits(&x->bill));
        add_json_text(out, "mode", text_of(rounding_name(line_mode(&x->line, rounding->mode))));
        add_json_text(out, "at", rounding->at_total ? TEXT("total") : TEXT("line"));
    }
    buffer_add_char(out, '}');
}

static void add_row(const struct explain *x, struct buffer *out, const struct explained_row *row)
{
    const struct usage_row *usage = &x->usage[row->row];
    const struct series *series = series_at(&x->run->series, usage->series);
    const struct meter *meter = &x->run->catalog->meters[series->meter];
    struct period slot = explain_slot(x, usage);
    begin_item(out);
    add_at(out, "from", slot.from);
    add_at(out, "to", slot.to);
    if (usage->event) {
        add_at(out, "time", usage->event->at);
        add_json_text(out, "source", usage->event->source);
        add_json_text(out, "id", usage->event->id);
    }
    add_json_text(out, "account", x->run->accounts->items[usage->account].id);
    add_json_text(out, "meter", meter->name);
    add_json_text(out, "resource", bill_encode(out->arena, series->resource));
    add_json_text(out, "dimensions", bill_dimensions(out->arena, x->run->catalog, series));
    add_json_decimal(out, "quantity", usage->quantity);
    add_json_text(out, "unit", meter->unit);
    add_json_count(out, "events", usage->total.count);
    char print[17];
    hash64_format(usage->total.print, print);
    add_json_text(out, "fingerprint", text_of(print));
    add_json_decimal(out, "taken", row->taken);
    add_json_decimal(out, "amount", row->amount);
    buffer_add_char(out, '}');
}

static void add_event(const struct explain *x, struct buffer *out,
                      const struct explained_event *event)
{
    begin_item(out);
    add_json_text(out, "source", event->source);
    add_json_text(out, "id", event->id);
    add_at(out, "time", event->at);
    add_json_decimal(out, "value", event->value);
    add_json_count(out, "row", event->row);
    add_json_text(out, "file", text_of(feed_file_path(x->run->feed, event->file)));
    add_json_count(out, "line", event->line);
    buffer_add_char(out, '}');
}

/* Items of any number go out in pieces. */
static enum status flush(struct explain *x, struct buffer *out, size_t most)
{
    if (out->size <= most) {
        return OK;
    }
    TRY(sink_write(&x->sink, (struct text){out->at, out->size - 1}, x->err));
    out->at[0] = out->at[out->size - 1]; /* the last byte says whether a comma is due */
    out->size = 1;
    return OK;
}

static enum status write_json(struct explain *x)
{
    enum { PIECE_BYTES = 64 * 1024 };
    struct buffer out;
    buffer_init(&out, &x->run->arena, PIECE_BYTES);
    buffer_add_char(&out, '{');
    add_line(x, &out);
    if (x->is_correction) {
        add_correction(x, &out);
    }
    if (x->charge) {
        add_price(x, &out);
        add_json_key(&out, "steps");
        buffer_add_char(&out, '[');
        for (uint32_t i = 0; i < x->step_count; i++) {
            add_step(x, &out, &x->steps[i]);
            TRY(flush(x, &out, PIECE_BYTES / 2));
        }
        buffer_add_char(&out, ']');
        add_conversion(x, &out);
        add_rounding(x, &out);
    }
    add_json_key(&out, "rows");
    buffer_add_char(&out, '[');
    for (uint32_t i = 0; i < x->row_count; i++) {
        add_row(x, &out, &x->rows[i]);
        TRY(flush(x, &out, PIECE_BYTES / 2));
    }
    buffer_add_char(&out, ']');
    if (explain_has_beside(x)) {
        add_json_key(&out, "beside_rows");
        buffer_add_char(&out, '{');
        add_json_decimal(&out, "taken", x->beside_taken);
        add_json_decimal(&out, "amount", x->beside_amount);
        buffer_add_char(&out, '}');
    }
    if (x->has_events) {
        add_json_key(&out, "events");
        buffer_add_char(&out, '[');
        for (uint64_t i = 0; i < x->event_count; i++) {
            add_event(x, &out, &x->events[i]);
            TRY(flush(x, &out, PIECE_BYTES / 2));
        }
        buffer_format(&out, "],\"adds_up\":%s", x->adds_up ? "true" : "false");
        for (uint64_t i = 0; i < x->late_count; i++) {
            buffer_add_text(&out, i == 0 ? TEXT(",\"late\":[") : TEXT(""));
            add_event(x, &out, &x->late[i]);
            TRY(flush(x, &out, PIECE_BYTES / 2));
        }
        buffer_add_text(&out, x->late_count > 0 ? TEXT("]") : TEXT(""));
    }
    buffer_add_text(&out, TEXT("}\n"));
    return sink_write(&x->sink, buffer_text(&out), x->err);
}

enum status explain_write(struct explain *x, enum farthing_form form)
{
    return form == FARTHING_JSON ? write_json(x) : explain_write_text(x);
}
