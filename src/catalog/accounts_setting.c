/* accounts_setting.c - what records say of accounts for a time: where they are taxed.
 *
 * Of one account and name there is one value at a time; the same record twice is one.  An account
 * of which any setting holds is not its payer, whether an expression names that setting or none
 * does: what a catalog asks more than before changes no other answer.
 */
#include "base/sort.h"
#include "catalog/accounts_stage.h"

#include "base/nofloat.h"

static const struct staged_setting *setting_at(const struct accounts_builder *builder,
                                               uint32_t index)
{
    return chunks_at(&builder->settings, index);
}

static int compare_settings(const void *context, uint32_t a, uint32_t b)
{
    const struct finish *finish = context;
    const struct staged_setting *x = setting_at(finish->builder, a),
                                *y = setting_at(finish->builder, b);
    int order = compare_numbers(finish->rank[x->account], finish->rank[y->account]);
    order = order ? order : compare_numbers(x->name, y->name);
    order = order ? order : (x->from > y->from) - (x->from < y->from);
    order = order ? order : (x->to > y->to) - (x->to < y->to);
    order = order ? order : compare_numbers(x->value, y->value);
    return order ? order : compare_where(x->where, y->where);
}

static bool is_same(const struct staged_setting *a, const struct staged_setting *b)
{
    return a->account == b->account && a->name == b->name && a->from == b->from && a->to == b->to &&
           a->value == b->value;
}

static struct text shown_name(struct text name)
{
    return name.at[0] != '\x01' ? name
           : name.at[1] == 's'  ? TEXT("sharing")
                                : TEXT("sharing.group");
}

static void complain_of_overlap(struct finish *finish, const struct staged_setting *before,
                                const struct staged_setting *row)
{
    struct accounts_builder *builder = finish->builder;
    struct place first = where_unpack(builder, before->where);
    COMPLAIN(builder, where_unpack(builder, row->where), "SETTING_OVERLAP",
             "one value at a time: end the one with 'to'",
             "%s%.*s of account \"%.*s\" has another value at %.*s:%u",
             name_at(&builder->setting_names, row->name)->text.at[0] == '\x01' ? "" : "tax.",
             SHOWN(shown_name(name_at(&builder->setting_names, row->name)->text)),
             SHOWN(id_text(account_at(builder, row->account))), SHOWN(first.file), first.line);
}

/* A text as what expressions take it for; false with a complaint. */
static bool read_value(struct finish *finish, const struct staged_setting *row, enum expr_type type,
                       struct expr_value *value)
{
    struct accounts_builder *builder = finish->builder;
    struct text text = name_at(&builder->values, row->value)->text;
    struct dec number;
    bool is_truth = text_equal(text, TEXT("true")) || text_equal(text, TEXT("false"));
    bool is_number = dec_parse(text, &number) == NUMBER_OK;
    if (is_truth && (type == EXPR_BOOL || type == EXPR_DYNAMIC)) {
        *value = expr_bool(text.at[0] == 't');
        return true;
    }
    if (is_number && (type == EXPR_NUMBER || type == EXPR_DYNAMIC)) {
        *value = expr_number(number);
        return true;
    }
    *value = expr_text(text);
    if (type == EXPR_TEXT || type == EXPR_DYNAMIC) {
        return true;
    }
    COMPLAIN(builder, where_unpack(builder, row->where), "FIELD_TYPE", "",
             "tax.%.*s is %s elsewhere, and \"%.*s\" is not",
             SHOWN(name_at(&builder->setting_names, row->name)->text), expr_type_phrase(type),
             SHOWN(text));
    return false;
}

/* Index in the catalog's names, or one of the others. */
static uint32_t find_name(const struct catalog *catalog, struct text name)
{
    if (name.size > 0 && name.at[0] == '\x01') { /* which no name of a record has */
        return name.at[1] == 's' ? SETTING_SHARING : SETTING_GROUP;
    }
    for (uint32_t i = 0; i < catalog->customer_name_count; i++) {
        if (text_equal(catalog->customer_names[i], name)) {
            return i;
        }
    }
    return SETTING_UNASKED;
}

static bool is_odd(instant edge)
{
    return edge % NS_PER_HOUR != 0;
}

/* Usage is cut where what is asked of its customer changes, inside an hour if need be. */
static bool any_is_odd(const struct accounts *accounts, const struct catalog *catalog)
{
    bool is_any = false;
    for (uint32_t i = 0; i < accounts->setting_count; i++) {
        const struct setting *setting = &accounts->settings[i];
        is_any = is_any || (setting->name < SETTING_SHARING &&
                            (is_odd(setting->from) || is_odd(setting->to)));
    }
    for (uint32_t i = 0; i < catalog->customer_count; i++) {
        const struct customer *customer = &catalog->customers[i];
        is_any = is_any || is_odd(customer->from) || is_odd(customer->to);
    }
    return is_any;
}

static void take_settings(struct finish *finish)
{
    struct accounts_builder *builder = finish->builder;
    const struct catalog *catalog = finish->catalog;
    const uint32_t count = builder->settings.count;
    if (count == 0) {
        return;
    }
    uint32_t *order = indices_take(builder, count);
    uint32_t *names = indices_take(builder, builder->setting_names.items.count);
    struct setting *settings = arena_alloc(builder->arena, count * sizeof *settings);
    for (uint32_t i = 0; i < count; i++) {
        order[i] = i;
    }
    for (uint32_t i = 0; i < builder->setting_names.items.count; i++) {
        names[i] = find_name(catalog, name_at(&builder->setting_names, i)->text);
    }
    indices_sort(order, count, compare_settings, finish);
    finish->accounts->settings = settings;
    const struct staged_setting *before = NULL;
    for (uint32_t i = 0; i < count; i++) {
        const struct staged_setting *row = setting_at(builder, order[i]);
        if (before && is_same(before, row)) {
            continue;
        }
        if (before && before->account == row->account && before->name == row->name &&
            before->to > row->from) {
            complain_of_overlap(finish, before, row);
        }
        before = row;
        (void)finish_is_known(finish, row->account, row->where);
        finish_hash_setting(finish, row);
        struct setting *setting = &settings[finish->accounts->setting_count];
        uint32_t name = names[row->name];
        enum expr_type type = name < SETTING_UNASKED ? catalog->customer_types[name] : EXPR_TEXT;
        if (name_at(&builder->values, row->value)->text.size > 0 &&
            read_value(finish, row, type, &setting->value)) {
            setting->account = finish->rank[row->account];
            setting->name = name;
            setting->from = row->from;
            setting->to = row->to;
            finish->accounts->setting_count++;
        }
    }
}

void finish_settings(struct finish *finish)
{
    take_settings(finish);
    finish->accounts->has_odd_settings = any_is_odd(finish->accounts, finish->catalog);
}

uint32_t accounts_first_setting(const struct accounts *accounts, uint32_t account)
{
    return sort_first(accounts->settings, accounts->setting_count, sizeof *accounts->settings,
                      offsetof(struct setting, account), account);
}

/* What records say of an account at an instant under a name; false when nothing.  *is_there: they
 * say something of it then, under whatever name. */
static bool find_setting(const struct accounts *accounts, uint32_t account, uint32_t name,
                         instant at, struct expr_value *value, bool *is_there)
{
    uint32_t low = accounts_first_setting(accounts, account);
    bool found = false;
    *is_there = false;
    for (; low < accounts->setting_count && accounts->settings[low].account == account; low++) {
        const struct setting *setting = &accounts->settings[low];
        if (setting->from <= at && at < setting->to) {
            *is_there = *is_there || setting->name < SETTING_SHARING;
            if (setting->name == name) {
                *value = setting->value;
                found = true;
            }
        }
    }
    return found;
}

/* What is said of one account; *is_there: something is. */
static struct expr_value said_of(const struct accounts *accounts, const struct catalog *catalog,
                                 uint32_t account, uint32_t name, instant at, bool *is_there)
{
    struct expr_value value = {.type = EXPR_MISSING};
    account = accounts_own(accounts, account);
    *is_there = false;
    if (account == NONE /* nobody: see accounts_views.c */ ||
        find_setting(accounts, account, name, at, &value, is_there)) {
        return value;
    }
    uint32_t found = map_find(&catalog->customer_by_id, accounts->items[account].id);
    for (; found != MAP_NONE && found != NONE; found = catalog->customers[found].next) {
        const struct customer *customer = &catalog->customers[found];
        if (customer->from > at || at >= customer->to) {
            continue;
        }
        *is_there = true;
        for (uint32_t i = 0; i < customer->value_count; i++) {
            if (customer->values[i].name == name) {
                return customer->values[i].value;
            }
        }
    }
    return value;
}

struct expr_value accounts_customer(const struct accounts *accounts, const struct catalog *catalog,
                                    uint32_t account, uint32_t payer, uint32_t name, instant at)
{
    bool is_there;
    struct expr_value value = said_of(accounts, catalog, account, name, at, &is_there);
    return is_there ? value : said_of(accounts, catalog, payer, name, at, &is_there);
}

/* What records and the catalog say of an account; false: nothing. */
static bool find_sharing(const struct accounts *accounts, const struct catalog *catalog,
                         uint32_t account, instant at, enum sharing_mode *mode, struct text *group)
{
    struct expr_value value;
    bool is_there, is_said = false;
    *group = TEXT("");
    *mode = SHARING_ALL;
    if (accounts->setting_count > 0) {
        if (find_setting(accounts, account, SETTING_SHARING, at, &value, &is_there)) {
            is_said = true;
            *mode = text_equal(value.text, TEXT("none"))    ? SHARING_NONE
                    : text_equal(value.text, TEXT("group")) ? SHARING_GROUP
                                                            : SHARING_ALL;
        }
        if (find_setting(accounts, account, SETTING_GROUP, at, &value, &is_there)) {
            is_said = true;
            *group = value.text;
        }
    }
    uint32_t found = catalog->sharing_count == 0
                         ? MAP_NONE
                         : map_find(&catalog->sharing_by_id, accounts->items[account].id);
    for (; found != MAP_NONE && found != NONE; found = catalog->sharings[found].next) {
        const struct account_sharing *sharing = &catalog->sharings[found];
        if (sharing->from <= at && at < sharing->to) {
            is_said = true;
            *mode = *mode == SHARING_ALL ? sharing->mode : *mode;
            *group = group->size > 0 ? *group : sharing->group;
        }
    }
    return is_said;
}

enum sharing_mode accounts_sharing(const struct accounts *accounts, const struct catalog *catalog,
                                   uint32_t account, uint32_t payer, instant at, struct text *group)
{
    enum sharing_mode mode;
    if (!find_sharing(accounts, catalog, account, at, &mode, group)) {
        struct text of_payer; /* groups are of accounts, not of all below one */
        (void)find_sharing(accounts, catalog, payer, at, &mode, &of_payer);
    }
    return mode;
}
