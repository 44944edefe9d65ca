/* What a test does to the disk and the clock of a program: LD_PRELOAD, for files whose path holds FAULT_DIR. The file
 * FAULT_FILE says what, in a word and a number, and is read at every call:
 *   slow MS      fsync takes longer     full 0     no space left
 *   readonly 0   nothing can be opened for writing
 *   clock S      the time of day is off by S seconds */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int fault(const char *name, long *number) {
    char text[64] = {0}, word[32] = {0};
    long value = 0;
    const char *path = getenv("FAULT_FILE");
    int file = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY) : -1;
    if (file < 0) return 0;
    if (syscall(SYS_read, file, text, sizeof text - 1) < 0) text[0] = 0;
    syscall(SYS_close, file);
    sscanf(text, "%31s %ld", word, &value);
    if (number) *number = value;
    return strcmp(word, name) == 0;
}

static int concerns_path(const char *path) {
    const char *dir = getenv("FAULT_DIR");
    return dir && path && strstr(path, dir) != NULL;
}

static int concerns(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return concerns_path(path);
}

static int no_space(int file) {
    if (!fault("full", NULL) || !concerns(file)) return 0;
    errno = ENOSPC;
    return 1;
}

static void sync_slowly(int file) {
    long ms = 0;
    if (fault("slow", &ms) && concerns(file)) usleep((useconds_t)ms * 1000);
}

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

int fsync(int file) { sync_slowly(file); return REAL(fsync)(file); }
int fdatasync(int file) { sync_slowly(file); return REAL(fdatasync)(file); }
ssize_t write(int file, const void *bytes, size_t count) { return no_space(file) ? -1 : REAL(write)(file, bytes, count); }
ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) { return no_space(file) ? -1 : REAL(pwrite)(file, bytes, count, at); }
ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) { return no_space(file) ? -1 : REAL(pwrite64)(file, bytes, count, at); }

static int open_any(const char *path, int flags, mode_t mode, int (*real)(const char *, int, ...)) {
    if ((flags & O_ACCMODE) != O_RDONLY && concerns_path(path) && fault("readonly", NULL)) {
        errno = EROFS;
        return -1;
    }
    return real(path, flags, mode);
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        return open_any(path, flags, mode, REAL(name)); \
    }
OPEN(open)
OPEN(open64)

int clock_gettime(clockid_t clock, struct timespec *now) {
    long seconds = 0;
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME && fault("clock", &seconds)) now->tv_sec += seconds;
    return result;
}
