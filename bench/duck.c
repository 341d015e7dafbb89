/* duck.c - runs statements on DuckDB's C library and says what each took.
 *
 *     duck LIBRARY < statements      each ends with a zero byte
 *
 * One line a statement on standard output, fields separated by tabs: CPU seconds (user and
 * system, all threads), wall seconds, then the first row of the result, if there is one.  Only
 * what is called is looked up in the library, which is opened when it runs: building this needs
 * the header alone.
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
        fprintf(stderr, "duck: %s\n", dlerror());
        exit(1);
    }
    return symbol;
}

/* A pointer to the library's function of this name, with the type the header gives it. */
#define FIND(name) ((__typeof__(&(name)))find(#name))

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

static int run(duckdb_connection connection, const char *statement)
{
    duckdb_result result;
    double cpu = cpu_s(), wall = wall_s();
    if (FIND(duckdb_query)(connection, statement, &result) != DuckDBSuccess) {
        fprintf(stderr, "duck: %s\nin: %s\n", FIND(duckdb_result_error)(&result), statement);
        return 1;
    }
    printf("%.6f\t%.6f", cpu_s() - cpu, wall_s() - wall);
    print_row(&result);
    putchar('\n');
    FIND(duckdb_destroy_result)(&result);
    return 0;
}

int main(int argc, char **argv)
{
    library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!library) {
        fprintf(stderr, "usage: duck LIBRARY < statements\n%s\n", argc == 2 ? dlerror() : "");
        return 2;
    }
    duckdb_database database;
    duckdb_connection connection;
    if (FIND(duckdb_open)(NULL, &database) != DuckDBSuccess ||
        FIND(duckdb_connect)(database, &connection) != DuckDBSuccess) {
        fprintf(stderr, "duck: the database does not open\n");
        return 1;
    }
    char *statement = NULL;
    size_t capacity = 0;
    while (getdelim(&statement, &capacity, '\0', stdin) > 0) {
        if (run(connection, statement) != 0) {
            return 1;
        }
    }
    free(statement);
    FIND(duckdb_disconnect)(&connection);
    FIND(duckdb_close)(&database);
    return 0;
}
