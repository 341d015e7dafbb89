/* parquet.h - Parquet files, read and written by DuckDB's library.
 *
 * It is loaded when it is first needed, from FARTHING_DUCKDB or as libduckdb.so; nothing else needs
 * it.
 */
#ifndef FARTHING_EXCHANGE_PARQUET_H
#define FARTHING_EXCHANGE_PARQUET_H

#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"

struct parquet;

/* ERR_NOT_FOUND, with a hint, when there is no library.  *parquet is to be closed. */
enum status parquet_open(struct arena *arena, int threads, size_t memory_bytes,
                         struct parquet **parquet, struct error *err);
/* NULL is fine. */
void parquet_close(struct parquet *parquet);

/* Each row of a file as a line of JSON: columns id, source, type, subject and time are attributes,
 * `data` of text is JSON, any other column x (or data.x) is data.x: a number, a text, true or
 * false; what is null is not there. */
enum status parquet_read(struct parquet *parquet, const char *path,
                         enum status (*take)(void *context, struct text line, struct error *err),
                         void *context, struct error *err);
/* A CSV of id, source, type, subject, time (ns), data to Parquet. */
enum status parquet_write(struct parquet *parquet, const char *csv_path, const char *path,
                          struct error *err);

#endif
