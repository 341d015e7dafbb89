/* profile.c - defaults of options, as another system has them: files that set options and nothing
 * else, so that no system needs a rule of its own.
 *
 * A step's key that its price does not say is looked for in the profile, under the step's
 * primitive; there it is read as if it stood in the step.  So each option means in a profile what
 * it means in a step, and the readers of steps know of no profile.
 */
#include "catalog/load.h"
#include "catalog/step.h"

#include "base/nofloat.h"

enum option_kind { OPTION_CHOICE, OPTION_DIGITS, OPTION_MODE, OPTION_FLAG, OPTION_ROUND };

/* What a profile may set. */
static const struct {
    const char *section, *name;
    enum option_kind kind;
    const char *choices[6];
} options[] = {
    {"tier", "at_zero", OPTION_CHOICE, {"skip", "charge"}},
    {"tier", "past_last", OPTION_CHOICE, {"refuse", "last", "free"}},
    {"tier", "package_round", OPTION_CHOICE, {"up", "down", "nearest"}},
    {"tier", "settle", OPTION_CHOICE, {"now", "at_end"}},
    {"fixed", "prorate", OPTION_CHOICE, {"none", "day", "day_inclusive", "second", "30_day"}},
    {"fixed", "when", OPTION_CHOICE, {"in_arrears", "in_advance", "once"}},
    {"fixed", "stub", OPTION_CHOICE, {"turn", "back"}},
    {"fixed", "digits", OPTION_DIGITS, {NULL}},
    {"fixed", "mode", OPTION_MODE, {NULL}},
    {"allowance", "prorate", OPTION_CHOICE, {"none", "day", "day_inclusive", "second", "30_day"}},
    {"allowance", "digits", OPTION_DIGITS, {NULL}},
    {"allowance", "mode", OPTION_MODE, {NULL}},
    {"allowance", "emit", OPTION_CHOICE, {"none", "free"}},
    {"aggregate", "method", OPTION_CHOICE, {"drop_top", "nearest_rank"}},
    {"bound", "prorate", OPTION_CHOICE, {"none", "day", "day_inclusive", "second", "30_day"}},
    {"bound", "settle", OPTION_CHOICE, {"now", "at_end"}},
    {"bound", "digits", OPTION_DIGITS, {NULL}},
    {"bound", "mode", OPTION_MODE, {NULL}},
    {"round", "at", OPTION_CHOICE, {"row", "line", "bucket"}},
    {"round", "mode", OPTION_MODE, {NULL}},
    {"round", "small", OPTION_CHOICE, {"none", "up"}},
    {"discount", "base", OPTION_CHOICE, {"net", "gross"}},
    {"markup", "base", OPTION_CHOICE, {"net", "gross"}},
    {"fee", "base", OPTION_CHOICE, {"net", "gross"}},
    {"commit", "prorate", OPTION_CHOICE, {"none", "day", "day_inclusive", "second", "30_day"}},
    {"commit", "digits", OPTION_DIGITS, {NULL}},
    {"commit", "mode", OPTION_MODE, {NULL}},
    {"commit", "shortfall", OPTION_CHOICE, {"charge", "none"}},
    {"credit", "overage", OPTION_CHOICE, {"bill", "carry"}},
    {"tax", "at", OPTION_CHOICE, {"line", "rate", "total"}},
    {"tax", "round", OPTION_ROUND, {NULL}},
    {"tax", "inclusive", OPTION_FLAG, {NULL}},
    {"proration", "digits", OPTION_DIGITS, {NULL}},
    {"proration", "mode", OPTION_MODE, {NULL}},
    {"rounding", "digits", OPTION_DIGITS, {NULL}},
    {"rounding", "mode", OPTION_MODE, {NULL}},
    {"rounding", "at", OPTION_CHOICE, {"line", "total"}},
    {"currencies", "settings_at", OPTION_CHOICE, {"row", "turn_start", "turn_end", "invoice"}},
    {"currencies", "digits", OPTION_DIGITS, {NULL}},
    {"currencies", "mode", OPTION_MODE, {NULL}},
};
enum { OPTION_COUNT = sizeof options / sizeof *options };

const struct yaml_node *profile_option(const struct loader *loader, const char *section,
                                       const char *name)
{
    for (uint32_t i = 0; i < loader->profile_count; i++) {
        const struct yaml_node *of_section = yaml_member(loader->profiles[i], section);
        const struct yaml_node *node = of_section ? yaml_member(of_section, name) : NULL;
        if (node != NULL) {
            return node;
        }
    }
    return NULL;
}

/* ---- reading ---- */

static void check_value(struct loader *loader, const struct yaml_node *node, int option)
{
    struct work work = {.loader = loader};
    int number;
    bool flag;
    enum rounding mode;
    switch (options[option].kind) {
    case OPTION_CHOICE:
        read_choice(loader, node, options[option].choices, &number);
        break;
    case OPTION_DIGITS:
        if (strcmp(options[option].section, "rounding") != 0 || !digits_are_currency(node)) {
            read_int(loader, node, 0, DEC_SCALE, &number);
        }
        break;
    case OPTION_MODE:
        read_rounding_mode(loader, node, &mode);
        break;
    case OPTION_FLAG:
        read_bool(loader, node, &flag);
        break;
    case OPTION_ROUND:
        read_round_part(&work, node, &number, &mode);
        break;
    }
}

static void check_section(struct loader *loader, const struct yaml_node *node)
{
    const char *names[OPTION_COUNT + 1] = {0};
    int count = 0;
    for (int i = 0; i < OPTION_COUNT; i++) {
        if (text_equal(node->key, text_of(options[i].section))) {
            names[count++] = options[i].name;
        }
    }
    if (count == 0 || !want_kind(loader, node, YAML_MAP)) { /* no section: a complaint says so */
        return;
    }
    check_keys(loader, node, "a profile", names);
    for (uint32_t k = 0; k < node->count; k++) {
        for (int i = 0; i < OPTION_COUNT; i++) {
            if (text_equal(node->key, text_of(options[i].section)) &&
                text_equal(node->items[k].key, text_of(options[i].name))) {
                check_value(loader, &node->items[k], i);
            }
        }
    }
}

static void add_profile(struct loader *loader, const struct yaml_node *root);

static void add_built_in(struct loader *loader, const struct yaml_node *node)
{
    const char *names[PROFILES_KNOWN_MAX + 1] = {0};
    for (size_t i = 0; i < profile_file_count; i++) {
        names[i] = profile_files[i].name;
    }
    int choice;
    if (!read_choice(loader, node, names, &choice)) {
        return;
    }
    struct yaml_file *file = arena_alloc(loader->arena, sizeof *file);
    *file = (struct yaml_file){
        .name = text_format(loader->arena, "profile %s", names[choice]),
        .bytes = {(const char *)profile_files[choice].bytes, profile_files[choice].size},
        .is_built_in = true};
    struct yaml_node *root = yaml_read(loader->arena, file, loader->complaints);
    if (root != NULL && root->kind != YAML_NONE) {
        add_profile(loader, root);
    }
}

bool profile_is_file(const struct yaml_node *node)
{
    static const char *const ends[] = {".yaml", ".yml", ".json"};
    for (size_t i = 0; node->kind == YAML_TEXT && i < sizeof ends / sizeof *ends; i++) {
        size_t size = strlen(ends[i]);
        if (node->text.size > size &&
            memcmp(node->text.at + node->text.size - size, ends[i], size) == 0) {
            return true;
        }
    }
    return false;
}

struct text profile_path(struct loader *loader, const struct yaml_node *node)
{
    struct yaml_node plain = *node;
    if (plain.text.size > 2 && memcmp(plain.text.at, "./", 2) == 0) {
        plain.text = (struct text){plain.text.at + 2, plain.text.size - 2};
    }
    return path_beside(loader, &plain);
}

static void add_file(struct loader *loader, const struct yaml_node *node)
{
    struct text path = profile_path(loader, node), bytes = TEXT("");
    struct text reason = TEXT("there is none");
    bool is_found = false;
    for (uint32_t i = 0; i < loader->profile_path_count; i++) {
        if (text_equal(loader->profile_paths[i], path)) {
            COMPLAIN(loader, node, "PROFILE_FILE", TEXT("like: a profile that stands on others"),
                     "the profile %.*s stands on itself", TEXT_ARG(node->text));
            return;
        }
    }
    loader->profile_paths[loader->profile_path_count++] = path; /* profiles_read is at most that */
    for (uint32_t i = 0; i < loader->input->file_count && !is_found; i++) {
        is_found = text_equal(loader->input->files[i].name, path);
        bytes = is_found ? loader->input->files[i].bytes : bytes;
    }
    const struct table_source *source = loader->input->tables;
    is_found = is_found || (source != NULL && path_is_inside(path, node) &&
                            source->find(source->context, path, &bytes, &reason));
    if (!is_found) {
        COMPLAIN(loader, node, "PROFILE_FILE",
                 TEXT("./mine.yaml: a profile of your own stands beside the file that names it"),
                 "the profile %.*s cannot be read: %.*s", TEXT_ARG(node->text), TEXT_ARG(reason));
        return;
    }
    struct yaml_file *file = arena_alloc(loader->arena, sizeof *file);
    *file = (struct yaml_file){.name = path, .bytes = bytes};
    struct yaml_node *root = yaml_read(loader->arena, file, loader->complaints);
    if (root != NULL && root->kind != YAML_NONE) {
        add_profile(loader, root);
    }
}

static void add_named(struct loader *loader, const struct yaml_node *node)
{
    if (loader->profiles_read++ == PROFILES_MAX) {
        COMPLAIN(loader, node, "LIMIT", NO_HINT, "profiles stand on each other more than %d deep",
                 PROFILES_MAX);
    } else if (profile_is_file(node)) {
        add_file(loader, node);
    } else {
        add_built_in(loader, node);
    }
}

static void add_profile(struct loader *loader, const struct yaml_node *root)
{
    const char *names[OPTION_COUNT + 2] = {"like"};
    int count = 1;
    for (int i = 0; i < OPTION_COUNT; i++) {
        if (i == 0 || strcmp(options[i].section, options[i - 1].section) != 0) {
            names[count++] = options[i].section;
        }
    }
    if (!want_kind(loader, root, YAML_MAP)) {
        return;
    }
    check_keys(loader, root, "a profile", names);
    uint32_t errors = loader->complaints->errors;
    for (uint32_t i = 0; i < root->count; i++) {
        if (!text_equal(root->items[i].key, TEXT("like"))) {
            check_section(loader, &root->items[i]);
        }
    }
    if (loader->complaints->errors == errors &&
        loader->profile_count < PROFILES_MAX) { /* else every step would say it again */
        loader->profiles[loader->profile_count++] = root;
    }
    const struct yaml_node *like = yaml_member(root, "like");
    if (like != NULL) {
        add_named(loader, like);
    }
}

void load_profile(struct loader *loader, const struct yaml_node *node)
{
    if (node == NULL) {
        return;
    }
    if (node->kind == YAML_MAP) {
        add_profile(loader, node);
    } else {
        add_named(loader, node);
    }
}
