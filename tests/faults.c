/* A library to preload (LD_PRELOAD): of the calls that concern files below a root, one fails once.

   Whoever has loaded it arms it with `faults_arm`. Until then, and for all other files, every call is the system's.
   Each call below the root is noted in a log, one a line: the call and the path, with "! " before the one that failed. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static char root[PATH_MAX], pattern[PATH_MAX], failing[16];
static int log_descriptor = -1, error_number;
static atomic_long left;

/* `nth` counts from 1; 0 lets every call pass. */
void faults_arm(const char *below, const char *log, const char *call, const char *paths, long nth, int error) {
    snprintf(root, sizeof root, "%s", below);
    snprintf(pattern, sizeof pattern, "%s", paths);
    snprintf(failing, sizeof failing, "%s", call);
    error_number = error;
    atomic_store(&left, nth);
    log_descriptor = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int fails(const char *call, const char *path) {
    if (log_descriptor < 0 || strncmp(path, root, strlen(root)) != 0) return 0;
    int due = strcmp(call, failing) == 0 && fnmatch(pattern, path + strlen(root), 0) == 0 && atomic_fetch_sub(&left, 1) == 1;
    char line[PATH_MAX + 32];
    int length = snprintf(line, sizeof line, "%s%s %s\n", due ? "! " : "", call, path);
    (void)!syscall(SYS_write, log_descriptor, line, (size_t)length);
    if (due) errno = error_number;
    return due;
}

static int fails_at(const char *call, int folder, const char *path) {
    char whole[2 * PATH_MAX], link[64];
    if (log_descriptor < 0) return 0;
    if (folder == AT_FDCWD || path[0] == '/') return fails(call, path);
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, whole, PATH_MAX);
    if (length < 0) return 0;
    snprintf(whole + length, sizeof whole - (size_t)length, "/%s", path);
    return fails(call, whole);
}

static int fails_on(const char *call, int descriptor) {
    char path[PATH_MAX], link[64];
    if (log_descriptor < 0) return 0;
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < 0) return 0;
    path[length] = 0;
    return fails(call, path);
}

#define SYSTEM(result, name, ...)                                                                                     \
    static result (*real)(__VA_ARGS__);                                                                               \
    if (!real) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define MODE(flags)                                                                                                   \
    mode_t mode = 0;                                                                                                  \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                                          \
        va_list rest;                                                                                                 \
        va_start(rest, flags);                                                                                        \
        mode = va_arg(rest, mode_t);                                                                                  \
        va_end(rest);                                                                                                 \
    }

#define OPEN(name)                                                                                                    \
    int name(const char *path, int flags, ...) {                                                                      \
        SYSTEM(int, #name, const char *, int, ...);                                                                   \
        MODE(flags)                                                                                                   \
        return fails("open", path) ? -1 : real(path, flags, mode);                                                    \
    }
#define OPENAT(name)                                                                                                  \
    int name(int folder, const char *path, int flags, ...) {                                                          \
        SYSTEM(int, #name, int, const char *, int, ...);                                                              \
        MODE(flags)                                                                                                   \
        return fails_at("open", folder, path) ? -1 : real(folder, path, flags, mode);                                 \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int descriptor, const void *data, size_t count) {
    SYSTEM(ssize_t, "write", int, const void *, size_t);
    return fails_on("write", descriptor) ? -1 : real(descriptor, data, count);
}

ssize_t writev(int descriptor, const struct iovec *data, int count) {
    SYSTEM(ssize_t, "writev", int, const struct iovec *, int);
    return fails_on("write", descriptor) ? -1 : real(descriptor, data, count);
}

#define PWRITE(name)                                                                                                  \
    ssize_t name(int descriptor, const void *data, size_t count, off_t place) {                                       \
        SYSTEM(ssize_t, #name, int, const void *, size_t, off_t);                                                     \
        return fails_on("write", descriptor) ? -1 : real(descriptor, data, count, place);                             \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

#define SYNC(name)                                                                                                    \
    int name(int descriptor) {                                                                                        \
        SYSTEM(int, #name, int);                                                                                      \
        return fails_on("fsync", descriptor) ? -1 : real(descriptor);                                                 \
    }
SYNC(fsync)
SYNC(fdatasync)

int rename(const char *from, const char *to) {
    SYSTEM(int, "rename", const char *, const char *);
    return fails("rename", to) ? -1 : real(from, to);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    SYSTEM(int, "renameat", int, const char *, int, const char *);
    return fails_at("rename", to_folder, to) ? -1 : real(from_folder, from, to_folder, to);
}

int link(const char *from, const char *to) {
    SYSTEM(int, "link", const char *, const char *);
    return fails("link", to) ? -1 : real(from, to);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    SYSTEM(int, "linkat", int, const char *, int, const char *, int);
    return fails_at("link", to_folder, to) ? -1 : real(from_folder, from, to_folder, to, flags);
}

int unlink(const char *path) {
    SYSTEM(int, "unlink", const char *);
    return fails("unlink", path) ? -1 : real(path);
}

int unlinkat(int folder, const char *path, int flags) {
    SYSTEM(int, "unlinkat", int, const char *, int);
    return fails_at("unlink", folder, path) ? -1 : real(folder, path, flags);
}

int mkdir(const char *path, mode_t mode) {
    SYSTEM(int, "mkdir", const char *, mode_t);
    return fails("mkdir", path) ? -1 : real(path, mode);
}

int mkdirat(int folder, const char *path, mode_t mode) {
    SYSTEM(int, "mkdirat", int, const char *, mode_t);
    return fails_at("mkdir", folder, path) ? -1 : real(folder, path, mode);
}
