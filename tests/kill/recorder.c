/* Preloaded into the daemon: notes what is done to the journal's files, in the order it is done.
 *
 * XFER_RECORD names the file of notes, XFER_RECORD_OF what the paths of the journal's files begin
 * with. A note is a header (see struct note), the path's rest, the data. A sync is noted after it
 * has succeeded, everything else before it is done: so whoever was told of a commit was told after
 * the note of its sync. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct note {
    uint64_t nanoseconds; /* CLOCK_MONOTONIC */
    uint64_t offset;
    uint32_t length; /* of the data behind the path */
    uint16_t path;   /* length of the path's rest */
    uint8_t kind;    /* 'w' write, 's' sync, 't' truncate to offset, 'u' unlink, 'o' opened */
    uint8_t unused;
};

#define FILES 4096
static char *paths[FILES]; /* by descriptor: the rest of the path, NULL where it is not ours */
static const char *prefix;
static int out = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void)
{
    const char *file = getenv("XFER_RECORD");
    prefix = getenv("XFER_RECORD_OF");
    if (file && prefix)
        out = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void record(char kind, const char *rest, uint64_t offset, const void *data, size_t length)
{
    struct timespec now;
    struct note note = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    note.nanoseconds = (uint64_t)now.tv_sec * 1000000000u + now.tv_nsec;
    note.offset = offset;
    note.length = length;
    note.path = strlen(rest);
    note.kind = kind;
    struct iovec parts[3] = {
        {&note, sizeof note}, {(void *)rest, note.path}, {(void *)data, length}};
    if (writev(out, parts, 3) < 0)
        abort();
}

static const char *rest_of(const char *path)
{
    size_t length = out >= 0 && prefix ? strlen(prefix) : 0;
    return length && path && !strncmp(path, prefix, length) ? path + length : NULL;
}

static int opened(int fd, const char *path)
{
    const char *rest = rest_of(path);
    if (fd >= 0 && fd < FILES) {
        pthread_mutex_lock(&lock);
        free(paths[fd]);
        paths[fd] = rest ? strdup(rest) : NULL;
        if (rest)
            record('o', rest, 0, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return fd;
}

static const char *ours(int fd) { return fd >= 0 && fd < FILES ? paths[fd] : NULL; }

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define MODE                                                                                       \
    mode_t mode = 0;                                                                               \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                           \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode = va_arg(more, mode_t);                                                               \
        va_end(more);                                                                              \
    }

int open(const char *path, int flags, ...) { MODE return opened(NEXT(open)(path, flags, mode), path); }
int open64(const char *path, int flags, ...) { MODE return opened(NEXT(open64)(path, flags, mode), path); }

int close(int fd)
{
    if (ours(fd)) {
        pthread_mutex_lock(&lock);
        free(paths[fd]);
        paths[fd] = NULL;
        pthread_mutex_unlock(&lock);
    }
    return NEXT(close)(fd);
}

#define LOCKED(fd, kind, offset, data, length, call)                                               \
    if (!ours(fd))                                                                                 \
        return call;                                                                               \
    pthread_mutex_lock(&lock);                                                                     \
    record(kind, ours(fd), offset, data, length);                                                  \
    __typeof__(call) result = call;                                                                \
    pthread_mutex_unlock(&lock);                                                                   \
    return result

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset)
{
    LOCKED(fd, 'w', offset, data, length, NEXT(pwrite64)(fd, data, length, offset));
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
    LOCKED(fd, 'w', offset, data, length, NEXT(pwrite)(fd, data, length, offset));
}

ssize_t write(int fd, const void *data, size_t length)
{
    LOCKED(fd, 'w', lseek(fd, 0, SEEK_CUR), data, length, NEXT(write)(fd, data, length));
}

int ftruncate64(int fd, off64_t length)
{
    LOCKED(fd, 't', length, NULL, 0, NEXT(ftruncate64)(fd, length));
}

int ftruncate(int fd, off_t length)
{
    LOCKED(fd, 't', length, NULL, 0, NEXT(ftruncate)(fd, length));
}

int unlink(const char *path)
{
    const char *rest = rest_of(path);
    if (rest) {
        pthread_mutex_lock(&lock);
        record('u', rest, 0, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return NEXT(unlink)(path);
}

/* What other threads write to the file meanwhile may not count as synced: they wait. */
#define SYNC(name)                                                                                 \
    int name(int fd)                                                                               \
    {                                                                                              \
        if (!ours(fd))                                                                             \
            return NEXT(name)(fd);                                                                 \
        pthread_mutex_lock(&lock);                                                                 \
        int result = NEXT(name)(fd);                                                               \
        if (!result)                                                                               \
            record('s', ours(fd), 0, NULL, 0);                                                     \
        pthread_mutex_unlock(&lock);                                                               \
        return result;                                                                             \
    }
SYNC(fsync)
SYNC(fdatasync)
