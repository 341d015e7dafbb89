/* peer.c - runs statements on another engine's library and says what each took.
 *
 *     peer duckdb|chdb LIBRARY < statements      each ends with a zero byte
 *
 * One line a statement on standard output, fields separated by tabs: CPU seconds (user and
 * system, all threads), wall seconds, then the first row of the result, if there is one.  A
 * statement that is empty opens a new database: what comes behind it is a warm run.  Only what is
 * called is looked up in a library, which is opened when it runs: building this needs the header
 * of DuckDB alone; chDB's few calls are declared here, as its header has them.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "duckdb.h"

static void *library;

static void *find(const char *name)
{
    void *symbol = dlsym(library, name);
    if (!symbol) {
        fprintf(stderr, "peer: %s\n", dlerror());
        exit(1);
    }
    return symbol;
}

/* A pointer to the library's function of this name, with the type the header gives it. */
#define FIND(name) ((__typeof__(&(name)))find(#name))

struct chdb_result;
void **chdb_connect(int argc, char **argv);
void chdb_close_conn(void **connection);
struct chdb_result *chdb_query(void *connection, const char *query, const char *format);
char *chdb_result_buffer(struct chdb_result *result);
size_t chdb_result_length(struct chdb_result *result);
const char *chdb_result_error(struct chdb_result *result);
void chdb_destroy_query_result(struct chdb_result *result);

static double wall_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

static double cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/* ---- DuckDB ---------------------------------------------------------------------------------- */

static duckdb_database database;
static duckdb_connection connection;

static int open_duckdb(void)
{
    if (database) {
        FIND(duckdb_disconnect)(&connection);
        FIND(duckdb_close)(&database);
    }
    return FIND(duckdb_open)(NULL, &database) != DuckDBSuccess ||
           FIND(duckdb_connect)(database, &connection) != DuckDBSuccess;
}

static void print_row(duckdb_result *result)
{
    if (FIND(duckdb_row_count)(result) == 0) {
        return;
    }
    idx_t columns = FIND(duckdb_column_count)(result);
    for (idx_t i = 0; i < columns; i++) {
        char *value = FIND(duckdb_value_varchar)(result, i, 0);
        printf("\t%s", value ? value : "");
        FIND(duckdb_free)(value);
    }
}

static int run_duckdb(const char *statement, double cpu, double wall)
{
    duckdb_result result;
    if (FIND(duckdb_query)(connection, statement, &result) != DuckDBSuccess) {
        fprintf(stderr, "peer: %s\nin: %s\n", FIND(duckdb_result_error)(&result), statement);
        return 1;
    }
    printf("%.6f\t%.6f", cpu_s() - cpu, wall_s() - wall);
    print_row(&result);
    FIND(duckdb_destroy_result)(&result);
    return 0;
}

/* ---- chDB: ClickHouse in a library ----------------------------------------------------------- */

static void **server;

static int open_chdb(void)
{
    char name[] = "chdb", *arguments[] = {name, NULL};
    if (server) { /* a process has one; what was made goes, in its time */
        FIND(chdb_destroy_query_result)
        (FIND(chdb_query)(*server, "DROP DATABASE IF EXISTS b", "TSV"));
        return 0;
    }
    server = FIND(chdb_connect)(1, arguments);
    return server == NULL;
}

static int run_chdb(const char *statement, double cpu, double wall)
{
    struct chdb_result *result = FIND(chdb_query)(*server, statement, "TSV");
    const char *error = FIND(chdb_result_error)(result);
    if (error) {
        fprintf(stderr, "peer: %s\nin: %s\n", error, statement);
        return 1;
    }
    printf("%.6f\t%.6f", cpu_s() - cpu, wall_s() - wall);
    size_t size = FIND(chdb_result_length)(result);
    const char *row = FIND(chdb_result_buffer)(result);
    if (size > 0) {
        printf("\t%.*s", (int)strcspn(row, "\n"), row);
    }
    FIND(chdb_destroy_query_result)(result);
    return 0;
}

int main(int argc, char **argv)
{
    int is_duckdb = argc == 3 && strcmp(argv[1], "duckdb") == 0;
    library = argc == 3 ? dlopen(argv[2], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!library) {
        fprintf(stderr, "usage: peer duckdb|chdb LIBRARY < statements\n%s\n",
                argc == 3 ? dlerror() : "");
        return 2;
    }
    char *statement = NULL;
    size_t capacity = 0;
    int is_open = 0;
    while (getdelim(&statement, &capacity, '\0', stdin) > 0) {
        if (!is_open || *statement == '\0') {
            if ((is_duckdb ? open_duckdb : open_chdb)() != 0) {
                fprintf(stderr, "peer: the database does not open\n");
                return 1;
            }
            is_open = 1;
        }
        if (*statement != '\0') {
            if ((is_duckdb ? run_duckdb : run_chdb)(statement, cpu_s(), wall_s()) != 0) {
                return 1;
            }
        }
        putchar('\n');
    }
    fflush(stdout);
    _Exit(0); /* chDB's threads do not end by themselves */
}
