// SPDX-License-Identifier: Apache-2.0
// A library for LD_PRELOAD that lets the k-th call of a family fail: faults.py builds and drives
// it.
//
// Calls count when they are about something below one folder, so that those of the loader and of an
// interpreter do not. Environment:
//   QSTORE_FAULT_UNDER  that folder, absolute and without links
//   QSTORE_FAULT        FAMILY:K:MODE; K from 1; "+" behind K: this call and all later ones
//   QSTORE_FAULT_LOG    a file that gets "FAMILY CALL PATH" for every counted call, "w" behind
//   FAMILY
//                       when what is closed was open for writing, and "!" before it where one
//                       failed; at the end "memory COUNT"
// A process can also drive itself: qstore_fault_set, qstore_fault_count.
// A sync does nothing: the tests need no disk.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum family { OPEN, READ, WRITE, SYNC, RENAME, MKDIR, CLOSE, UNLINK, STAT, LIST, MEMORY, FAMILIES };
enum { ANY = FAMILIES };  // Counts them all but MEMORY.
static const char* const kNames[] = {"open",  "read",   "write", "sync", "rename", "mkdir",
                                     "close", "unlink", "stat",  "list", "memory", "any"};

enum mode { NONE, ERROR, SHORT, ZERO, KILL };
static const struct {
  const char* name;
  enum mode mode;
  int error;
} kModes[] = {{"eio", ERROR, EIO},       {"enospc", ERROR, ENOSPC}, {"eintr", ERROR, EINTR},
              {"enomem", ERROR, ENOMEM}, {"emfile", ERROR, EMFILE}, {"short", SHORT, 0},
              {"zero", ZERO, 0},         {"kill", KILL, 0}};

static char under[PATH_MAX];
static int log_file = -1;
static atomic_long counts[FAMILIES + 1];
static atomic_int touched;  // Memory counts from the first call below the folder.
static int fault_family = -1;
static long fault_at;
static int fault_stays;
static enum mode fault_mode;
static int fault_error;

#define REAL(name) ((__typeof__(&name))real(#name))
static void* real(const char* name) { return dlsym(RTLD_NEXT, name); }

static void set_up(void);
static void raw_write(const char* text, size_t size) {
  static long (*raw)(long, ...);
  if (raw == NULL) raw = (long (*)(long, ...))real("syscall");
  raw(SYS_write, log_file, text, size);
}

// Counts from 1 again; "" for no fault. 0 when that is understood.
int qstore_fault_set(const char* fault) {
  fault_family = -1;
  for (int i = 0; i <= FAMILIES; ++i) counts[i] = 0;
  touched = 0;
  char family[16], mode[16], stays = 0;
  long at;
  if (fault[0] == 0) return 0;
  if (sscanf(fault, "%15[a-z]:%ld+:%15[a-z]", family, &at, mode) == 3) {
    stays = 1;
  } else if (sscanf(fault, "%15[a-z]:%ld:%15[a-z]", family, &at, mode) != 3) {
    return -1;
  }
  for (size_t m = 0; m < sizeof kModes / sizeof *kModes; ++m) {
    for (int f = 0; f <= FAMILIES; ++f) {
      if (strcmp(kModes[m].name, mode) != 0 || strcmp(kNames[f], family) != 0) continue;
      fault_mode = kModes[m].mode;
      fault_error = kModes[m].error;
      fault_at = at;
      fault_stays = stays;
      fault_family = f;
      return 0;
    }
  }
  return -1;
}

long qstore_fault_count(const char* family) {
  for (int f = 0; f <= FAMILIES; ++f) {
    if (strcmp(kNames[f], family) == 0) return counts[f];
  }
  return -1;
}

__attribute__((constructor)) static void set_up(void) {
  const char* folder = getenv("QSTORE_FAULT_UNDER");
  const char* log = getenv("QSTORE_FAULT_LOG");
  const char* fault = getenv("QSTORE_FAULT");
  if (log != NULL) log_file = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fault != NULL && qstore_fault_set(fault) != 0) abort();
  if (folder != NULL && strlen(folder) < sizeof under) strcpy(under, folder);
}

__attribute__((destructor)) static void say_memory(void) {
  char line[64];
  if (log_file < 0) return;
  raw_write(line, (size_t)snprintf(line, sizeof line, "memory %ld\n", (long)counts[MEMORY]));
}

static enum mode due(int family) {
  const long k = atomic_fetch_add(&counts[family], 1) + 1;
  if (family != fault_family) return NONE;
  return k == fault_at || (fault_stays && k > fault_at) ? fault_mode : NONE;
}

// What is to become of a call about `path`; errno is set for an ERROR.
static enum mode strike(int family, const char* writing, const char* call, const char* path) {
  touched = 1;
  enum mode mode = due(family);
  const enum mode any = due(ANY);
  if (mode == NONE) mode = any;
  if (log_file >= 0) {
    char line[PATH_MAX + 64];
    const int size = snprintf(line, sizeof line, "%s%s%s %s %s\n", mode == NONE ? "" : "!",
                              kNames[family], writing, call, path);
    raw_write(line, size < (int)sizeof line ? (size_t)size : sizeof line - 1);
  }
  if (mode == KILL) {
    kill(getpid(), SIGKILL);
    while (1) pause();
  }
  if (mode == ERROR) errno = fault_error;
  return mode;
}

static int is_under(const char* path) {
  const size_t length = strlen(under);
  return length > 0 && strncmp(path, under, length) == 0 &&
         (path[length] == '/' || path[length] == 0);
}

static void path_of(int fd, char* out) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, out, PATH_MAX - 1);
  out[length < 0 ? 0 : length] = 0;
}

static enum mode strike_fd(int family, const char* call, int fd) {
  char path[PATH_MAX];
  const int kept = errno;
  path_of(fd, path);
  const int flags = family == CLOSE ? fcntl(fd, F_GETFL) : 0;
  errno = kept;
  if (!is_under(path)) return NONE;
  const int writing = flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
  const enum mode mode = strike(family, writing ? "w" : "", call, path);
  if (mode != ERROR) errno = kept;
  return mode;
}

static enum mode strike_at(int family, const char* call, int folder, const char* name) {
  char path[2 * PATH_MAX];
  const int kept = errno;
  path[0] = 0;
  if (name[0] != '/') {
    if (folder != AT_FDCWD) {
      path_of(folder, path);
    } else if (getcwd(path, PATH_MAX) == NULL) {
      path[0] = 0;
    }
    strcat(path, "/");
  }
  strncat(path, name, PATH_MAX - 1);
  errno = kept;
  if (!is_under(path)) return NONE;
  const enum mode mode = strike(family, "", call, path);
  if (mode != ERROR) errno = kept;
  return mode;
}

// Open. The mode is read where the caller may have given none; it is not used then.
#define OPEN_AT(name, parameters, folder, path, ...)             \
  int name parameters {                                          \
    va_list list;                                                \
    va_start(list, flags);                                       \
    const mode_t mode = va_arg(list, mode_t);                    \
    va_end(list);                                                \
    if (strike_at(OPEN, #name, folder, path) != NONE) return -1; \
    return REAL(name)(__VA_ARGS__, flags, mode);                 \
  }
OPEN_AT(open, (const char* path, int flags, ...), AT_FDCWD, path, path)
OPEN_AT(open64, (const char* path, int flags, ...), AT_FDCWD, path, path)
OPEN_AT(openat, (int folder, const char* path, int flags, ...), folder, path, folder, path)
OPEN_AT(openat64, (int folder, const char* path, int flags, ...), folder, path, folder, path)

int creat(const char* path, mode_t mode) {
  if (strike_at(OPEN, "creat", AT_FDCWD, path) != NONE) return -1;
  return REAL(creat)(path, mode);
}

FILE* fopen(const char* path, const char* how) {
  if (strike_at(OPEN, "fopen", AT_FDCWD, path) != NONE) return NULL;
  return REAL(fopen)(path, how);
}

FILE* fopen64(const char* path, const char* how) {
  if (strike_at(OPEN, "fopen64", AT_FDCWD, path) != NONE) return NULL;
  return REAL(fopen64)(path, how);
}

DIR* opendir(const char* path) {
  if (strike_at(OPEN, "opendir", AT_FDCWD, path) != NONE) return NULL;
  return REAL(opendir)(path);
}

// Calls that the C library has no function for.
long syscall(long number, ...) {
  va_list list;
  long a[6];
  va_start(list, number);
  for (int i = 0; i < 6; ++i) a[i] = va_arg(list, long);
  va_end(list);
  enum mode mode = NONE;
  if (number == SYS_openat2) mode = strike_at(OPEN, "openat2", (int)a[0], (const char*)a[1]);
  if (number == SYS_renameat2) mode = strike_at(RENAME, "renameat2", (int)a[2], (const char*)a[3]);
  if (mode != NONE) return -1;
  return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

// Read and write.
#define TRANSFER(family, name, parameters, ...)          \
  ssize_t name parameters {                              \
    const enum mode mode = strike_fd(family, #name, fd); \
    if (mode == ERROR) return -1;                        \
    if (mode == ZERO) return 0;                          \
    if (mode == SHORT && size > 1) size /= 2;            \
    return REAL(name)(__VA_ARGS__);                      \
  }
TRANSFER(READ, read, (int fd, void* to, size_t size), fd, to, size)
TRANSFER(READ, pread, (int fd, void* to, size_t size, off_t at), fd, to, size, at)
TRANSFER(READ, pread64, (int fd, void* to, size_t size, off64_t at), fd, to, size, at)
TRANSFER(WRITE, write, (int fd, const void* from, size_t size), fd, from, size)
TRANSFER(WRITE, pwrite, (int fd, const void* from, size_t size, off_t at), fd, from, size, at)
TRANSFER(WRITE, pwrite64, (int fd, const void* from, size_t size, off64_t at), fd, from, size, at)

// Of several pieces a short call does the first half, the last of them by half.
#define TRANSFER_PIECES(family, name, parameters, ...)               \
  ssize_t name parameters {                                          \
    const enum mode mode = strike_fd(family, #name, fd);             \
    if (mode == ERROR) return -1;                                    \
    if (mode == ZERO) return 0;                                      \
    struct iovec half[IOV_MAX];                                      \
    if (mode == SHORT && count > 0 && count <= IOV_MAX) {            \
      count = (count + 1) / 2;                                       \
      memcpy(half, pieces, (size_t)count * sizeof *pieces);          \
      if (half[count - 1].iov_len > 1) half[count - 1].iov_len /= 2; \
      pieces = half;                                                 \
    }                                                                \
    return REAL(name)(__VA_ARGS__);                                  \
  }
#define PIECES int fd, const struct iovec *pieces, int count
TRANSFER_PIECES(READ, readv, (PIECES), fd, pieces, count)
TRANSFER_PIECES(READ, preadv, (PIECES, off_t at), fd, pieces, count, at)
TRANSFER_PIECES(READ, preadv64, (PIECES, off64_t at), fd, pieces, count, at)
TRANSFER_PIECES(WRITE, writev, (PIECES), fd, pieces, count)
TRANSFER_PIECES(WRITE, pwritev, (PIECES, off_t at), fd, pieces, count, at)
TRANSFER_PIECES(WRITE, pwritev64, (PIECES, off64_t at), fd, pieces, count, at)

int ftruncate(int fd, off_t size) {
  return strike_fd(WRITE, "ftruncate", fd) == ERROR ? -1 : REAL(ftruncate)(fd, size);
}

int ftruncate64(int fd, off64_t size) {
  return strike_fd(WRITE, "ftruncate64", fd) == ERROR ? -1 : REAL(ftruncate64)(fd, size);
}

int fsync(int fd) { return strike_fd(SYNC, "fsync", fd) == NONE ? 0 : -1; }
int fdatasync(int fd) { return strike_fd(SYNC, "fdatasync", fd) == NONE ? 0 : -1; }

// The descriptor is gone also when this fails, as on Linux.
int close(int fd) {
  const enum mode mode = strike_fd(CLOSE, "close", fd);
  const int error = errno;
  const int done = REAL(close)(fd);
  if (mode != ERROR) return done;
  errno = error;
  return -1;
}

// Names.
#define AT(family, name, parameters, folder, path, ...)            \
  int name parameters {                                            \
    if (strike_at(family, #name, folder, path) != NONE) return -1; \
    return REAL(name)(__VA_ARGS__);                                \
  }
AT(RENAME, rename, (const char* a, const char* b), AT_FDCWD, b, a, b)
AT(RENAME, renameat, (int c, const char* a, int d, const char* b), d, b, c, a, d, b)
AT(RENAME, renameat2, (int c, const char* a, int d, const char* b, unsigned flags), d, b, c, a, d,
   b, flags)
AT(RENAME, link, (const char* a, const char* b), AT_FDCWD, b, a, b)
AT(RENAME, linkat, (int c, const char* a, int d, const char* b, int flags), d, b, c, a, d, b, flags)
AT(MKDIR, mkdir, (const char* path, mode_t mode), AT_FDCWD, path, path, mode)
AT(MKDIR, mkdirat, (int folder, const char* path, mode_t mode), folder, path, folder, path, mode)
AT(UNLINK, unlink, (const char* path), AT_FDCWD, path, path)
AT(UNLINK, unlinkat, (int folder, const char* path, int flags), folder, path, folder, path, flags)
AT(UNLINK, rmdir, (const char* path), AT_FDCWD, path, path)
AT(UNLINK, remove, (const char* path), AT_FDCWD, path, path)
AT(STAT, stat, (const char* path, struct stat* to), AT_FDCWD, path, path, to)
AT(STAT, stat64, (const char* path, struct stat64* to), AT_FDCWD, path, path, to)
AT(STAT, lstat, (const char* path, struct stat* to), AT_FDCWD, path, path, to)
AT(STAT, lstat64, (const char* path, struct stat64* to), AT_FDCWD, path, path, to)
AT(STAT, fstatat, (int folder, const char* path, struct stat* to, int flags), folder, path, folder,
   path, to, flags)
AT(STAT, fstatat64, (int folder, const char* path, struct stat64* to, int flags), folder, path,
   folder, path, to, flags)
AT(STAT, statx, (int folder, const char* path, int flags, unsigned mask, struct statx* to), folder,
   path, folder, path, flags, mask, to)
AT(STAT, access, (const char* path, int how), AT_FDCWD, path, path, how)
AT(STAT, faccessat, (int folder, const char* path, int how, int flags), folder, path, folder, path,
   how, flags)

int fstat(int fd, struct stat* to) {
  return strike_fd(STAT, "fstat", fd) == NONE ? REAL(fstat)(fd, to) : -1;
}

int fstat64(int fd, struct stat64* to) {
  return strike_fd(STAT, "fstat64", fd) == NONE ? REAL(fstat64)(fd, to) : -1;
}

struct dirent* readdir(DIR* folder) {
  return strike_fd(LIST, "readdir", dirfd(folder)) == NONE ? REAL(readdir)(folder) : NULL;
}

struct dirent64* readdir64(DIR* folder) {
  return strike_fd(LIST, "readdir64", dirfd(folder)) == NONE ? REAL(readdir64)(folder) : NULL;
}

ssize_t getdents64(int fd, void* to, size_t size) {
  return strike_fd(LIST, "getdents64", fd) == NONE ? REAL(getdents64)(fd, to, size) : -1;
}

// Memory. The C library's own names, since dlsym allocates.
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

static int refused(void) {
  if (!touched || due(MEMORY) == NONE) return 0;
  if (log_file >= 0) raw_write("!memory\n", 8);
  errno = ENOMEM;
  return 1;
}

void* malloc(size_t size) { return refused() ? NULL : __libc_malloc(size); }
void* calloc(size_t n, size_t size) { return refused() ? NULL : __libc_calloc(n, size); }
void* realloc(void* p, size_t size) { return refused() ? NULL : __libc_realloc(p, size); }
void* memalign(size_t unit, size_t size) { return refused() ? NULL : __libc_memalign(unit, size); }
void* aligned_alloc(size_t unit, size_t size) { return memalign(unit, size); }
int posix_memalign(void** to, size_t unit, size_t size) {
  void* const memory = memalign(unit, size);
  if (memory != NULL) *to = memory;
  return memory != NULL ? 0 : ENOMEM;
}

void* mmap(void* at, size_t size, int protection, int flags, int fd, off_t offset) {
  if ((flags & MAP_ANONYMOUS) != 0 && refused()) return MAP_FAILED;
  return REAL(mmap)(at, size, protection, flags, fd, offset);
}
