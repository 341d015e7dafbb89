/* replay.c - runs a fuzz target over the inputs that were kept, without a fuzzer.
 *
 * Arguments are files and folders; a folder stands for all files directly in it.  An input that
 * breaks the target ends the process, as it does under the fuzzer.  To have run on nothing
 * is a failure: a corpus that was lost must not look like a corpus that passed.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void stop(const char *path, const char *what)
{
    fprintf(stderr, "%s: %s\n", path, what);
    exit(1);
}

static void replay_file(const char *path, size_t size_bytes)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        stop(path, "cannot open");
    }
    /* A block of exactly the size lets AddressSanitizer see a read past the end. */
    uint8_t *data = malloc(size_bytes == 0 ? 1 : size_bytes);
    if (data == NULL || fread(data, 1, size_bytes, file) != size_bytes) {
        stop(path, "cannot read");
    }
    fclose(file);
    fprintf(stderr, "%s\n", path); /* the last name printed is the input that broke it */
    LLVMFuzzerTestOneInput(data, size_bytes);
    free(data);
}

static unsigned replay(const char *path)
{
    struct stat about;
    if (stat(path, &about) != 0) {
        stop(path, "not found");
    }
    if (!S_ISDIR(about.st_mode)) {
        replay_file(path, (size_t)about.st_size);
        return 1;
    }
    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort);
    if (count < 0) {
        stop(path, "cannot list");
    }
    unsigned replayed = 0;
    for (int i = 0; i < count; i++) {
        char inner[4096];
        if (names[i]->d_name[0] != '.') {
            snprintf(inner, sizeof inner, "%s/%s", path, names[i]->d_name);
            replayed += replay(inner);
        }
        free(names[i]);
    }
    free(names);
    return replayed;
}

int main(int argc, char **argv)
{
    unsigned replayed = 0;
    for (int i = 1; i < argc; i++) {
        replayed += replay(argv[i]);
    }
    printf("%u inputs replayed\n", replayed);
    return replayed == 0;
}
