/* cases.c - farthing_test: files of pricing cases, run one after the other, each with a verdict.
 *
 * A file holds YAML documents or JSON, each a case or a list of them; in .jsonl and .ndjson each
 * line is one.
 */
#include "cases/cases.h"

#include <stdlib.h>

#include "engine/env_posix.h"
#include "engine/handle.h"
#include "engine/load.h"

enum { CASES_FILE_MAX_BYTES = 64 * 1024 * 1024 };

struct session {
    struct farthing *farthing;
    struct env *env;
    struct farthing_config config; /* of the runs */
    struct arena *arena;
    bool verbose;
    enum farthing_form form;
    farthing_write *write;
    void *context;
    struct farthing_tests *tests;
    struct text folder; /* temporary; holds one folder a case */
    struct error *err;
};

/* ---- saying it ----------------------------------------------------------------------------- */

static enum status write_out(struct session *session, const struct buffer *out)
{
    if (session->write(session->context, out->at, out->size) != 0) {
        return fail(session->err, ERR_IO, "the report could not be written");
    }
    return OK;
}

static void add_notes(struct buffer *out, struct text notes, bool is_json)
{
    bool is_first = true;
    for (size_t at = 0; at < notes.size;) {
        const char *end = memchr(notes.at + at, '\n', notes.size - at);
        size_t size = end ? (size_t)(end - notes.at) - at : notes.size - at;
        struct text note = {notes.at + at, size};
        if (is_json) {
            buffer_add_text(out, is_first ? TEXT("") : TEXT(","));
            buffer_add_json(out, note);
        } else {
            buffer_format(out, "    %.*s\n", TEXT_ARG(note));
        }
        is_first = false;
        at += size + 1;
    }
}

static enum status report(struct session *session, struct text file, uint32_t line,
                          struct text name, const struct case_run *run)
{
    bool is_failed = run->finding_count > 0;
    *(is_failed ? &session->tests->failed : &session->tests->passed) += 1;
    if (!is_failed && !session->verbose) {
        return OK;
    }
    struct text notes = is_failed ? buffer_text(&run->findings) : TEXT("");
    const char *result = is_failed ? "failed" : "passed";
    struct buffer out;
    buffer_init(&out, session->arena, 256);
    if (session->form == FARTHING_JSON) {
        buffer_add_text(&out, TEXT("{\"case\":"));
        buffer_add_json(&out, name);
        buffer_add_text(&out, TEXT(",\"file\":"));
        buffer_add_json(&out, file);
        buffer_format(&out, ",\"line\":%u,\"result\":\"%s\",\"notes\":[", line, result);
        add_notes(&out, notes, true);
        buffer_add_text(&out, TEXT("]}\n"));
    } else {
        buffer_format(&out, "%s: %.*s (%.*s:%u)\n", result, TEXT_ARG(name), TEXT_ARG(file), line);
        add_notes(&out, notes, false);
    }
    return write_out(session, &out);
}

static enum status report_summary(struct session *session)
{
    struct buffer out;
    buffer_init(&out, session->arena, 128);
    const struct farthing_tests *tests = session->tests;
    buffer_format(&out,
                  session->form == FARTHING_JSON ? "{\"passed\":%llu,\"failed\":%llu}\n"
                                                 : "%llu passed, %llu failed\n",
                  (unsigned long long)tests->passed, (unsigned long long)tests->failed);
    return write_out(session, &out);
}

/* ---- temporary folders --------------------------------------------------------------------- */

/* Two levels deep; what cannot be removed stays, since the verdict is known by now. */
static void remove_folder(struct session *session, const char *path, int depth)
{
    struct env *env = session->env;
    struct text *names;
    size_t count;
    struct error ignored;
    if (env->folder_list(env, path, session->arena, &names, &count, &ignored) != OK) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const char *item = text_format(session->arena, "%s/%.*s", path, TEXT_ARG(names[i])).at;
        if (env->file_remove(env, item, &ignored) != OK && depth > 0) {
            remove_folder(session, item, depth - 1);
        }
    }
    enum status removed = env->file_remove(env, path, &ignored);
    (void)removed;
}

static enum status make_folder(struct session *session)
{
    const char *base = env_posix_temporary_folder(session->farthing->config.temporary_folder);
    uint64_t random;
    session->env->random_bytes(session->env, &random, sizeof random);
    session->folder =
        text_format(session->arena, "%s/farthing-test-%016llx", base, (unsigned long long)random);
    return session->env->folder_create(session->env, session->folder.at, session->err);
}

/* ---- cases of a file ----------------------------------------------------------------------- */

static struct text directory_of(struct text path)
{
    while (path.size > 0 && path.at[path.size - 1] != '/') {
        path.size--;
    }
    return path;
}

static bool is_before(struct place a, struct place b)
{
    return a.line != b.line ? a.line < b.line : a.column < b.column;
}

/* What is wrong with a case as a text (keys that stand twice): complaints that lie from it to the
 * next case. */
static bool check_text(struct case_run *run, const struct complaints *complaints,
                       const struct yaml_node *next)
{
    struct place from = yaml_place(run->node);
    bool is_good = true;
    for (uint32_t i = 0; i < complaints->count; i++) {
        const struct complaint *item = &complaints->items[i];
        if (!is_before(item->place, from) && (!next || is_before(item->place, yaml_place(next)))) {
            case_finding(run, "line %u: %s: %s; %s", item->place.line, item->code, item->message,
                         item->hint);
            is_good = false;
        }
    }
    return is_good;
}

/* next: the case behind it in a list, or NULL. */
static enum status run_case(struct session *session, const struct yaml_node *node,
                            const struct complaints *complaints, const struct yaml_node *next)
{
    struct arena_mark mark = arena_mark(session->arena);
    const struct yaml_node *name = yaml_member(node, "case");
    struct case_run run = {.env = session->env,
                           .config = &session->config,
                           .arena = session->arena,
                           .directory = directory_of(node->file->name),
                           .node = node};
    run.folder = text_format(session->arena, "%s/case", session->folder.at);
    if (!name || name->kind != YAML_TEXT) {
        case_finding(&run, "a case is a mapping that begins with `case: its name`");
    } else if (check_text(&run, complaints, next)) {
        TRY(case_run(&run, session->err));
    }
    TRY(report(session, node->file->name, node->line,
               name && name->kind == YAML_TEXT ? name->text : TEXT("?"), &run));
    remove_folder(session, run.folder.at, 1);
    arena_rewind(session->arena, mark);
    return OK;
}

/* One YAML or JSON document. line: the only one that it has, or 0. */
static enum status run_document(struct session *session, struct text name, struct text bytes,
                                uint32_t line)
{
    struct arena_mark mark = arena_mark(session->arena);
    struct yaml_file file = {.name = name, .bytes = bytes};
    struct complaints complaints = {.arena = session->arena};
    const struct yaml_node *root = yaml_read(session->arena, &file, &complaints);
    enum status status = OK;
    if (!root) {
        struct case_run none = {.arena = session->arena};
        for (uint32_t i = 0; i < complaints.count; i++) {
            case_finding(&none, "%s: %s", complaints.items[i].code, complaints.items[i].message);
        }
        if (none.finding_count > 0) {
            status = report(session, name, line > 0 ? line : complaints.items[0].place.line,
                            TEXT("?"), &none);
        }
    } else if (root->kind == YAML_LIST) {
        for (uint32_t i = 0; status == OK && i < root->count; i++) {
            const struct yaml_node *next = i + 1 < root->count ? &root->items[i + 1] : NULL;
            status = run_case(session, &root->items[i], &complaints, next);
        }
    } else {
        status = run_case(session, root, &complaints, NULL);
    }
    arena_rewind(session->arena, mark);
    return status;
}

static bool begins_document(struct text line)
{
    return text_starts_with(line, TEXT("---")) &&
           (line.size == 3 || line.at[3] == ' ' || line.at[3] == '\r');
}

/* Documents end at lines of three dashes; in files of lines each is a document.  A document is read
 * with newlines in front, so that its lines keep their numbers. */
static enum status run_documents(struct session *session, struct text name, struct text bytes,
                                 bool is_by_line)
{
    size_t start = 0;
    uint32_t line_number = 0, start_line = 0;
    for (size_t at = 0; at <= bytes.size;) {
        const char *end = at < bytes.size ? memchr(bytes.at + at, '\n', bytes.size - at) : NULL;
        size_t next = end ? (size_t)(end - bytes.at) + 1 : bytes.size + 1;
        struct text line = {bytes.at + at, at < bytes.size ? next - at - 1 : 0};
        bool is_cut = is_by_line || begins_document(line);
        size_t stop = is_by_line ? next - 1 : at;
        if ((is_cut || next > bytes.size) && (is_by_line ? line.size > 0 : true)) {
            stop = next > bytes.size && !is_cut ? bytes.size : stop;
            struct arena_mark mark = arena_mark(session->arena);
            struct buffer document;
            buffer_init(&document, session->arena, stop - start + start_line + 1);
            for (uint32_t i = 0; i < start_line; i++) {
                buffer_add_char(&document, '\n');
            }
            buffer_add(&document, bytes.at + start, stop - start);
            TRY(run_document(session, name, buffer_text(&document),
                             is_by_line ? start_line + 1 : 0));
            arena_rewind(session->arena, mark);
        }
        line_number++;
        if (is_cut) {
            start = next;
            start_line = line_number;
        }
        at = next;
    }
    return OK;
}

static bool ends_with(struct text name, const char *end)
{
    size_t size = strlen(end);
    return name.size >= size && memcmp(name.at + name.size - size, end, size) == 0;
}

static bool is_by_line(struct text name)
{
    return ends_with(name, ".jsonl") || ends_with(name, ".ndjson");
}

static enum status run_file(struct session *session, const char *path)
{
    struct arena_mark mark = arena_mark(session->arena);
    struct text bytes;
    TRY(load_bytes(session->env, session->arena, path, CASES_FILE_MAX_BYTES, &bytes, session->err));
    struct text name = text_copy(session->arena, text_of(path));
    TRY(run_documents(session, name, bytes, is_by_line(name)));
    arena_rewind(session->arena, mark);
    return OK;
}

static enum status run_path(struct session *session, const char *path)
{
    struct env *env = session->env;
    struct file_info info;
    TRY(env->file_stat(env, path, &info, session->err));
    if (info.kind != FILE_FOLDER) {
        return run_file(session, path);
    }
    struct text *names;
    size_t count;
    TRY(env->folder_list(env, path, session->arena, &names, &count, session->err));
    for (size_t i = 0; i < count; i++) {
        bool is_case = ends_with(names[i], ".yaml") || ends_with(names[i], ".yml") ||
                       ends_with(names[i], ".json") || is_by_line(names[i]);
        if (names[i].size > 0 && names[i].at[0] != '.' && is_case) {
            const char *file = text_format(session->arena, "%s/%.*s", path, TEXT_ARG(names[i])).at;
            TRY(run_file(session, file));
        }
    }
    return OK;
}

static enum status run_all(struct session *session, struct farthing_paths files)
{
    TRY(make_folder(session));
    for (size_t i = 0; i < files.count; i++) {
        TRY(run_path(session, files.items[i]));
    }
    const struct farthing_tests *tests = session->tests;
    if (tests->passed + tests->failed == 0) {
        (void)fail(session->err, ERR_INPUT, "%s: no case here", files.items[0]);
        return fail_hint(session->err, "cases are files of .yaml, .yml, .json, .jsonl or .ndjson; "
                                       "folders are not searched below");
    }
    return report_summary(session);
}

/* Nobody needs what a case wrote after a crash of the machine; waiting for the disk is most of the
 * time. */
static enum status skip_sync(struct env *, struct file *, struct error *)
{
    return OK;
}

enum farthing_status farthing_test(struct farthing *farthing, struct farthing_paths files,
                                   int verbose, enum farthing_form form, farthing_write *write,
                                   void *context, struct farthing_tests *tests)
{
    handle_clear(farthing);
    if (handle_lacks(farthing, "write", write != NULL) ||
        handle_lacks(farthing, "tests", tests != NULL)) {
        return FARTHING_USAGE;
    }
    *tests = (struct farthing_tests){0};
    if (files.count == 0) {
        (void)fail(&farthing->err, ERR_INPUT, "no file of cases given");
        return FARTHING_USAGE;
    }
    if (handle_lacks_path(farthing, "file of cases", &files)) {
        return FARTHING_USAGE;
    }
    struct session session = {.farthing = farthing,
                              .env = farthing->env,
                              .config = farthing->config,
                              .arena = &farthing->arena,
                              .verbose = verbose != 0,
                              .form = form,
                              .write = write,
                              .context = context,
                              .tests = tests,
                              .err = &farthing->err};
    session.config.threads = 1; /* a case is small */
    session.config.progress = NULL;
    struct session *volatile kept = &session; /* not in a register across the jump */
    enum status (*file_sync)(struct env *, struct file *, struct error *) =
        farthing->env->file_sync;
    farthing->env->file_sync = skip_sync;
    jmp_buf recover;
    if (ARENA_RECOVER(&farthing->arena, recover)) {
        farthing->env->file_sync = file_sync;
        farthing->arena.recover = NULL;
        arena_release(&farthing->arena);
        return handle_no_memory(farthing);
    }
    enum status status = run_all(kept, files);
    if (kept->folder.size > 0) {
        remove_folder(kept, kept->folder.at, 2);
    }
    farthing->env->file_sync = file_sync;
    farthing->arena.recover = NULL;
    if (status != OK) {
        return handle_status(farthing, status);
    }
    if (tests->failed > 0) {
        (void)fail(&farthing->err, ERR_INPUT, "%llu cases failed",
                   (unsigned long long)tests->failed);
        return FARTHING_PARTIAL;
    }
    return FARTHING_OK;
}
