/* nodes.c - where rows meet: the steps of all prices, numbered.
 *
 *     price a   allowance ---> use: pool ---> rate          one node for each step, one for all
 *     price b   convert -----> use: pool ---> tier          that use a shared one
 *
 * Every price passes its steps in order, so the steps of all prices must have one common order, or
 * a shared step would wait for itself.  A node's number follows from the longest way to it, then
 * its name: it grows along every price, and depends on no order of files.
 */
#include "catalog/load.h"

#include <stdlib.h>

#include "base/nofloat.h"

/* ---- the graph ---- */

struct node {
    struct text name;
    struct place place;
    uint32_t first_edge; /* in edges, sorted by from */
    uint32_t waiting;    /* nodes before it that have no depth yet */
    uint32_t depth;
    uint32_t number;
    bool counts_usage; /* for steps that ask for it; nobody has written it */
};
struct edge {
    uint32_t from, to;
};
struct graph {
    struct loader *loader;
    struct map by_name;
    struct node *nodes;
    uint32_t node_count, node_capacity;
    struct edge *edges;
    uint32_t edge_count, edge_capacity;
};

static uint32_t add_node(struct graph *graph, struct text name, struct place place)
{
    uint32_t index = map_put(&graph->by_name, name, graph->node_count);
    if (index == graph->node_count) {
        graph->nodes = grow_array(graph->loader, graph->nodes, graph->node_count,
                                  &graph->node_capacity, sizeof *graph->nodes);
        graph->nodes[graph->node_count++] = (struct node){.name = name, .place = place};
    }
    return index;
}

static void add_edge(struct graph *graph, uint32_t from, uint32_t to)
{
    graph->edges = grow_array(graph->loader, graph->edges, graph->edge_count, &graph->edge_capacity,
                              sizeof *graph->edges);
    graph->edges[graph->edge_count++] = (struct edge){from, to};
}

static int compare_edges(const void *a, const void *b)
{
    const struct edge *left = a, *right = b;
    if (left->from != right->from) {
        return left->from < right->from ? -1 : 1;
    }
    return (left->to > right->to) - (left->to < right->to);
}

static void sort_edges(struct graph *graph)
{
    if (graph->edge_count > 0) {
        qsort(graph->edges, graph->edge_count, sizeof *graph->edges, compare_edges);
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < graph->edge_count; i++) {
        if (kept == 0 || compare_edges(&graph->edges[kept - 1], &graph->edges[i]) != 0) {
            graph->edges[kept++] = graph->edges[i];
        }
    }
    graph->edge_count = kept;
    for (uint32_t i = 0, at = 0; i < graph->node_count; i++) {
        graph->nodes[i].first_edge = at;
        while (at < kept && graph->edges[at].from == i) {
            graph->nodes[graph->edges[at++].to].waiting++;
        }
    }
}

static uint32_t edges_end(const struct graph *graph, uint32_t node)
{
    return node + 1 < graph->node_count ? graph->nodes[node + 1].first_edge : graph->edge_count;
}

/* From a node that waits there is a way back to itself or to another one that waits: walk against
 * the edges until a node repeats. */
static void complain_of_cycle(struct graph *graph)
{
    struct loader *loader = graph->loader;
    uint32_t *before = arena_calloc(loader->arena, graph->node_count, sizeof *before);
    uint32_t *seen = arena_calloc(loader->arena, graph->node_count, sizeof *seen);
    uint32_t start = NONE;
    for (uint32_t i = 0; i < graph->edge_count; i++) {
        const struct edge *edge = &graph->edges[i];
        if (graph->nodes[edge->from].waiting > 0 && graph->nodes[edge->to].waiting > 0) {
            before[edge->to] = edge->from;
            start = edge->to;
        }
    }
    uint32_t at = start, steps = 1;
    while (seen[at] == 0) {
        seen[at] = steps++;
        at = before[at];
    }
    /* at lies on the cycle; before[] leads around it backwards. */
    uint32_t *cycle = arena_calloc(loader->arena, graph->node_count, sizeof *cycle);
    uint32_t length = 0, least = 0;
    uint32_t walk = at;
    bool asks_usage = false;
    do {
        bool is_hidden = graph->nodes[walk].counts_usage;
        asks_usage = asks_usage || is_hidden;
        if (!is_hidden) {
            cycle[length++] = walk;
        }
        walk = before[walk];
    } while (walk != at);
    for (uint32_t i = 0; i < length; i++) {
        if (text_compare(graph->nodes[cycle[i]].name, graph->nodes[cycle[least]].name) < 0) {
            least = i;
        }
    }
    struct buffer out;
    buffer_init(&out, loader->arena, 128);
    for (uint32_t i = 0; i <= length; i++) {
        struct text name = graph->nodes[cycle[(least + length - i % length) % length]].name;
        if (out.size > 200) {
            buffer_add_text(&out, TEXT(" -> ..."));
            break;
        }
        buffer_format(&out, "%s%.*s", i == 0 ? "" : " -> ", TEXT_ARG(name));
    }
    complain(loader->complaints, graph->nodes[cycle[least]].place, "STEP_CYCLE",
             asks_usage ? TEXT("usage() is known behind the steps that change it: one of these "
                               "must not ask for it")
                        : TEXT("write the shared steps in the same order in every price"),
             "steps wait for each other: %.*s", TEXT_ARG(buffer_text(&out)));
}

/* Depths by Kahn's algorithm; false when there is a cycle. */
static bool find_depths(struct graph *graph)
{
    struct loader *loader = graph->loader;
    uint32_t *queue = arena_calloc(loader->arena, graph->node_count, sizeof *queue);
    uint32_t head = 0, tail = 0;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        if (graph->nodes[i].waiting == 0) {
            queue[tail++] = i;
        }
    }
    while (head < tail) {
        uint32_t index = queue[head++];
        uint32_t depth = graph->nodes[index].depth;
        for (uint32_t e = graph->nodes[index].first_edge; e < edges_end(graph, index); e++) {
            struct node *next = &graph->nodes[graph->edges[e].to];
            next->depth = next->depth > depth + 1 ? next->depth : depth + 1;
            if (--next->waiting == 0) {
                queue[tail++] = graph->edges[e].to;
            }
        }
    }
    return tail == graph->node_count;
}

/* ---- prices and tallies ---- */

/* A step over charges adds up money, unless it says units; and what several prices share pools
 * whatever they bring. */
static bool adds_units(const struct step *step)
{
    if (step->shared != NONE) {
        return false;
    }
    switch (step->kind) {
    case STEP_CONVERT:
    case STEP_AGGREGATE:
    case STEP_ALLOWANCE:
    case STEP_TIER:
        return true;
    case STEP_DISCOUNT:
    case STEP_MARKUP:
        return step->adjust.worth == WORTH_QUANTITY;
    case STEP_COMMIT:
        return step->commit.is_quantity;
    case STEP_CREDIT:
        return step->credit.is_units;
    default:
        return false;
    }
}

/* The unit that the SKUs of a price have; empty where they have several, or any. */
static struct text unit_of_skus(const struct catalog *catalog, const struct price *price)
{
    if (!price->skus || price->sku_count == 0) {
        return TEXT("");
    }
    struct text unit = catalog->skus[price->skus[0]].unit;
    for (uint32_t i = 1; i < price->sku_count; i++) {
        if (!text_equal(catalog->skus[price->skus[i]].unit, unit)) {
            return TEXT("");
        }
    }
    return unit;
}

/* Versions share buckets where they count in one unit (doc/pricing.md, Versions).  Behind
 * components a row may have come in several. */
static void name_units(const struct catalog *catalog, const struct price *price)
{
    struct step *steps = (struct step *)price->steps; /* of this loader */
    struct text own = unit_of_skus(catalog, price), unit = own;
    uint32_t component = 0;
    for (uint32_t i = 0; i < price->step_count; i++) {
        while (component < price->component_count &&
               i >= price->components[component].first + price->components[component].count) {
            component++;
        }
        if (price->component_count > 0) {
            unit = component == price->component_count       ? TEXT("")
                   : i == price->components[component].first ? own
                                                             : unit;
        }
        steps[i].unit = adds_units(&steps[i]) ? unit : TEXT("");
        bool says_unit = steps[i].kind == STEP_CONVERT && steps[i].convert.to.size > 0;
        unit = says_unit ? steps[i].convert.to : unit;
    }
}

/* Shared steps and those of all prices, and the ways between them. */
static void add_prices(struct graph *graph)
{
    struct loader *loader = graph->loader;
    const struct catalog *catalog = loader->catalog;
    for (uint32_t i = 0; i < catalog->shared_count; i++) {
        add_node(graph, catalog->shared[i].name, catalog->shared[i].place);
    }
    for (uint32_t p = 0; p < catalog->price_count; p++) {
        const struct price *price = &catalog->prices[p];
        struct step *steps = (struct step *)price->steps; /* of this loader */
        name_units(catalog, price);
        for (uint32_t i = 0; i < price->step_count; i++) {
            steps[i].node = add_node(graph, step_node_name(loader, p, &steps[i]), steps[i].place);
            graph->nodes[steps[i].node].counts_usage = steps[i].kind == STEP_TALLY;
        }
        for (uint32_t i = 0; i < price->step_count; i++) {
            uint32_t next = price_step_after(price, i);
            if (next < price->step_count && steps[next].node != steps[i].node) {
                add_edge(graph, steps[i].node, steps[next].node);
            }
        }
    }
}

/* The ways from where a price counts its usage to the tallies that it is counted for. */
static void add_counted(struct graph *graph, const struct price *price, uint32_t node)
{
    const struct catalog *catalog = graph->loader->catalog;
    for (uint32_t t = 0; t < catalog->tally_count; t++) {
        const struct step *step = &catalog->tallies[t].step;
        if (tally_fits(&catalog->tallies[t], price)) {
            add_edge(graph, node, add_node(graph, step->name, step->place));
        }
    }
}

/* Who asks for usage waits until it is counted: in all prices, then its own tally's node. */
static void add_tallies(struct graph *graph)
{
    const struct catalog *catalog = graph->loader->catalog;
    for (uint32_t p = 0; p < catalog->price_count; p++) {
        const struct price *price = &catalog->prices[p];
        for (uint32_t i = 0; i < price->step_count; i++) {
            if (price->steps[i].kind == STEP_TALLY) {
                add_counted(graph, price, price->steps[i].node);
            }
        }
    }
    for (uint32_t i = 0; i < catalog->tally_count; i++) {
        const struct tally *tally = &catalog->tallies[i];
        uint32_t from = add_node(graph, tally->step.name, tally->step.place);
        graph->nodes[from].counts_usage = true;
        if (!tally->of_term) { /* which comes behind all prices */
            add_edge(graph, from, add_node(graph, tally->asker, tally->step.place));
        }
    }
}

/* ---- numbers ---- */

static int compare_nodes(const void *a, const void *b)
{
    const struct node *const *left = a, *const *right = b;
    if ((*left)->depth != (*right)->depth) {
        return (*left)->depth < (*right)->depth ? -1 : 1;
    }
    return text_compare((*left)->name, (*right)->name);
}

/* Gives nodes their numbers, and names by number. */
static void sort_nodes(struct graph *graph, struct text *names)
{
    const struct node **sorted =
        arena_calloc(graph->loader->arena, graph->node_count, sizeof *sorted);
    for (uint32_t i = 0; i < graph->node_count; i++) {
        sorted[i] = &graph->nodes[i];
    }
    if (graph->node_count > 0) {
        qsort(sorted, graph->node_count, sizeof *sorted, compare_nodes);
    }
    for (uint32_t i = 0; i < graph->node_count; i++) {
        graph->nodes[sorted[i] - graph->nodes].number = i;
        names[i] = sorted[i]->name;
    }
}

static uint32_t number_of(const struct graph *graph, struct text name)
{
    return graph->nodes[map_find(&graph->by_name, name)].number;
}

/* Steps have had the graph's own indices until now. */
static void number_steps(const struct graph *graph)
{
    const struct catalog *catalog = graph->loader->catalog;
    for (uint32_t i = 0; i < catalog->shared_count; i++) {
        struct step *step = (struct step *)&catalog->shared[i];
        step->node = number_of(graph, step->name);
    }
    for (uint32_t i = 0; i < catalog->tally_count; i++) {
        struct step *step = (struct step *)&catalog->tallies[i].step;
        step->node = number_of(graph, step->name);
    }
    for (uint32_t p = 0; p < catalog->price_count; p++) {
        struct step *steps = (struct step *)catalog->prices[p].steps;
        for (uint32_t i = 0; i < catalog->prices[p].step_count; i++) {
            steps[i].node = graph->nodes[steps[i].node].number;
        }
    }
}

/* Nodes by name, and the first price that passes each: by the names of levels, since plans and
 * contracts have the order of the files. */
static void index_nodes(struct loader *loader)
{
    struct catalog *catalog = loader->catalog;
    uint32_t *first = arena_calloc(loader->arena, catalog->node_count + 1, sizeof *first);
    map_init(&catalog->node_by_name, loader->arena, catalog->node_count);
    for (uint32_t i = 0; i < catalog->node_count; i++) {
        (void)map_put(&catalog->node_by_name, catalog->node_names[i], i);
        first[i] = NONE;
    }
    for (uint32_t p = 0; p < catalog->price_count; p++) {
        struct text level = loader->level_names[loader->drafts[p].level];
        for (uint32_t i = 0; i < catalog->prices[p].step_count; i++) {
            uint32_t *node = &first[catalog->prices[p].steps[i].node];
            if (*node == NONE ||
                text_compare(level, loader->level_names[loader->drafts[*node].level]) < 0) {
                *node = p;
            }
        }
    }
    catalog->node_price = first;
}

static bool is_prorated(const struct step *step)
{
    enum prorate prorate = step->kind == STEP_ALLOWANCE ? step->allowance.proration.rule
                           : step->kind == STEP_BOUND   ? step->bound.proration.rule
                           : step->kind == STEP_COMMIT  ? step->commit.proration.rule
                           : step_adjusts(step)         ? step->adjust.proration.rule
                                                        : PRORATE_NONE;
    return prorate != PRORATE_NONE;
}

static void index_step(void *context, const struct step *step, bool)
{
    struct catalog *catalog = context;
    if ((step->scope == SCOPE_ORGANIZATION || step->scope == SCOPE_CONTRACT) && is_prorated(step)) {
        catalog->has_shared_limits = true;
    }
    if (step->kind == STEP_CREDIT && credit_goes_along(step)) {
        catalog->node_moves[step->node] = catalog->has_moves = true;
    }
    if ((step->kind == STEP_ALLOWANCE && step->allowance.has_rollover) ||
        (step->kind == STEP_COMMIT && step->commit.has_rollover)) {
        catalog->node_rolls[step->node] = step;
    }
}

/* What a turn leaves stays in closings until a later turn asks for it. */
static void index_steps(struct loader *loader)
{
    struct catalog *catalog = loader->catalog;
    catalog->node_rolls =
        arena_calloc(loader->arena, catalog->node_count + 1, sizeof *catalog->node_rolls);
    catalog->node_moves =
        arena_calloc(loader->arena, catalog->node_count + 1, sizeof *catalog->node_moves);
    for (uint32_t p = 0; p < catalog->price_count; p++) {
        for (uint32_t i = 0; i < catalog->prices[p].step_count; i++) {
            index_step(catalog, &catalog->prices[p].steps[i], false);
        }
    }
    terms_visit(catalog, index_step, catalog);
}

bool number_nodes(struct loader *loader)
{
    struct catalog *catalog = loader->catalog;
    struct graph graph = {.loader = loader};
    map_init(&graph.by_name, loader->arena, catalog->price_count);
    add_prices(&graph);
    add_tallies(&graph);
    sort_edges(&graph);
    if (!find_depths(&graph)) {
        complain_of_cycle(&graph);
        return false;
    }
    uint32_t terms_end = graph.node_count + terms_count(catalog);
    uint32_t count = terms_end + catalog->charge_tally_count;
    struct text *names = arena_calloc(loader->arena, count, sizeof *names);
    sort_nodes(&graph, names);
    number_steps(&graph);
    terms_number(loader, names, graph.node_count);
    for (uint32_t i = 0; i < catalog->charge_tally_count; i++) {
        struct step *step = (struct step *)&catalog->charge_tallies[i].step;
        step->node = terms_end + i;
        names[step->node] = step->name;
    }
    catalog->node_count = count;
    catalog->node_names = names;
    index_nodes(loader);
    index_steps(loader);
    return true;
}
