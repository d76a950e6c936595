/*
 * launcher: the head of dist/kannon. It unpacks the program behind it once, and replaces itself by that program.
 *
 * In:      the executable itself: this program, an index, one gzip stream, a trailer (tools/pack.py writes them).
 * Out:     execve() of the unpacked program. There is no second process: signals, exit codes, systemd's main pid and
 *          the parent-death signal of the child servers are the program's own, and a kill -9 leaves no process behind.
 * Errors:  a damaged file; folders that are another user's, writable by others, or mounted noexec. One line, exit 1.
 *
 * It unpacks beside <folder>/<id>, where <id> identifies the content, and renames to it once everything is on disk.
 * <folder> is KANNON_RUNTIME_DIR if that is set; otherwise the first usable one of CACHE_DIRECTORY (systemd),
 * /var/cache/kannon for root, XDG_CACHE_HOME/kannon, HOME/.cache/kannon, and /var/tmp/kannon-<uid>. Root does not use a
 * user's folders. A running program holds a shared lock on its folder; unpacking a new version removes the folders of
 * other versions that are not locked.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <zlib.h>

#define TRAILER 128
#define PROGRAM "kannon"

/* The trailer's fields: the positions of index and stream in the executable, and the id of their content. */
static struct {
    int fd;
    long index_at, index_size, stream_at, stream_size;
    unsigned long index_crc;
    char id[65];
    char *index; /* lines "<kind> <mode> <size> <path>": d a folder, f a file, l a link whose target is in the stream */
} self;

static char why[4 * PATH_MAX]; /* the reasons why no folder was usable so far */

static void die(const char *format, ...)
{
    va_list words;
    va_start(words, format);
    fputs("kannon: ", stderr);
    vfprintf(stderr, format, words);
    fputs("\n", stderr);
    va_end(words);
    exit(1);
}

static int unusable(const char *folder, const char *reason)
{
    size_t used = strlen(why);
    snprintf(why + used, sizeof why - used, "%s%s: %s", used ? "; " : "", folder, reason);
    return -1;
}

static void read_self(void)
{
    char trailer[TRAILER + 1] = {0};
    off_t size;
    self.fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (self.fd < 0)
        die("cannot open its own executable, /proc/self/exe: %s", strerror(errno));
    size = lseek(self.fd, 0, SEEK_END);
    if (size < TRAILER || pread(self.fd, trailer, TRAILER, size - TRAILER) != TRAILER ||
        sscanf(trailer, "kannon-payload %ld %ld %lx %ld %ld %64[0-9A-Za-z.+~-]", &self.index_at, &self.index_size,
               &self.index_crc, &self.stream_at, &self.stream_size, self.id) != 6 ||
        self.stream_at + self.stream_size + TRAILER != size || self.index_at + self.index_size != self.stream_at)
        die("this executable is incomplete: copy or download it again");
    self.index = calloc(1, self.index_size + 1);
    if (!self.index || pread(self.fd, self.index, self.index_size, self.index_at) != self.index_size ||
        crc32(0, (unsigned char *)self.index, self.index_size) != self.index_crc)
        die("this executable is damaged: copy or download it again");
}

/* The next line of the index, or 0 after the last. `at` starts as self.index. */
static int next_entry(char **at, char *kind, unsigned *mode, long *size, char path[PATH_MAX])
{
    int length = 0;
    if (!**at)
        return 0;
    if (sscanf(*at, "%c %o %ld %4095[^\n]\n%n", kind, mode, size, path, &length) != 4)
        die("this executable is damaged: copy or download it again");
    *at += length;
    return 1;
}

/* One inflate() call, with more input where it needs some; EBADMSG: the stream is damaged. */
static int step(z_stream *stream)
{
    static unsigned char in[1 << 16];
    int state;
    if (stream->avail_in == 0) {
        ssize_t got = read(self.fd, in, sizeof in);
        stream->next_in = in;
        stream->avail_in = got > 0 ? got : 0;
    }
    state = inflate(stream, Z_NO_FLUSH);
    if (state != Z_OK && state != Z_STREAM_END)
        errno = EBADMSG;
    return state;
}

/* Inflates the next `size` bytes of the stream into the file `out`, or into `memory`; -1 and errno. */
static int inflate_to(z_stream *stream, long size, int out, char *memory)
{
    static unsigned char piece[1 << 17];
    while (size > 0) {
        long wanted = size < (long)sizeof piece ? size : (long)sizeof piece;
        stream->next_out = piece;
        stream->avail_out = wanted;
        while (stream->avail_out > 0)
            if (step(stream) != Z_OK && stream->avail_out > 0) {
                errno = EBADMSG;
                return -1;
            }
        if (memory)
            memory = (char *)memcpy(memory, piece, wanted) + wanted;
        for (long done = 0; out >= 0 && done < wanted;) {
            ssize_t written = write(out, piece + done, wanted - done);
            if (written < 0)
                return -1;
            done += written;
        }
        size -= wanted;
    }
    return 0;
}

static int make_entry(z_stream *stream, int folder, char kind, unsigned mode, long size, const char *path)
{
    char target[PATH_MAX] = {0};
    int out, result;
    if (kind == 'd')
        return mkdirat(folder, path, mode);
    if (kind == 'l')
        return size < PATH_MAX && inflate_to(stream, size, -1, target) == 0 ? symlinkat(target, folder, path) : -1;
    out = openat(folder, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (out < 0)
        return -1;
    result = inflate_to(stream, size, out, NULL);
    return close(out) != 0 || result != 0 ? -1 : 0;
}

/* Unpacks everything into `folder`, which is empty, and syncs it; -1 and errno. */
static int unpack_into(int folder)
{
    z_stream stream = {0};
    char *at = self.index, kind, path[PATH_MAX];
    unsigned char beyond;
    unsigned mode;
    long size;
    int state;
    if (lseek(self.fd, self.stream_at, SEEK_SET) < 0 || inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
        return -1;
    while (next_entry(&at, &kind, &mode, &size, path))
        if (make_entry(&stream, folder, kind, mode, size, path) != 0)
            return -1;
    /* The stream must end here, with the right CRC. */
    stream.next_out = &beyond;
    stream.avail_out = 1;
    do
        state = step(&stream);
    while (state == Z_OK && stream.avail_out == 1);
    if (state != Z_STREAM_END) {
        errno = EBADMSG;
        return -1;
    }
    inflateEnd(&stream);
    return syncfs(folder);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status, (void)type, (void)place;
    return remove(path);
}

static int remove_tree(const char *path)
{
    return nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Whether every file exists with its size: a clean-up of temporary files may have removed some. */
static int is_complete(int folder)
{
    char *at = self.index, kind, path[PATH_MAX];
    unsigned mode;
    long size;
    struct stat status;
    while (next_entry(&at, &kind, &mode, &size, path))
        if (fstatat(folder, path, &status, AT_SYMLINK_NOFOLLOW) != 0 || (kind != 'd' && status.st_size != size))
            return 0;
    return 1;
}

/* Opens <base>/<id> with a shared lock that lasts as long as the program; -1 where it is missing or incomplete. */
static int hold(int base)
{
    struct stat locked, named;
    int folder = openat(base, self.id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW); /* inherited by the program */
    if (folder < 0)
        return -1;
    if (flock(folder, LOCK_SH) == 0 && fstat(folder, &locked) == 0 && fstatat(base, self.id, &named, 0) == 0 &&
        locked.st_ino == named.st_ino && is_complete(folder))
        return folder;
    close(folder);
    return -1;
}

/* Whether this launcher created `folder`: no other may be removed from a folder that an operator chose. */
static int is_ours(const char *name, int folder)
{
    const char *suffix = strrchr(name, '.');
    if (strncmp(name, PROGRAM "-", strlen(PROGRAM "-")) != 0)
        return 0;
    return (suffix && (!strcmp(suffix, ".new") || !strcmp(suffix, ".old"))) ||
           (faccessat(folder, PROGRAM, X_OK, 0) == 0 && faccessat(folder, "_internal", X_OK, 0) == 0);
}

/* Removes the folders that no running program has locked: other versions, and interrupted unpackings. */
static void remove_others(int base, const char *path)
{
    char place[PATH_MAX];
    DIR *entries = fdopendir(dup(base));
    struct dirent *entry;
    while (entries && (entry = readdir(entries))) {
        int folder;
        if (strcmp(entry->d_name, self.id) == 0)
            continue;
        folder = openat(base, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (folder < 0)
            continue;
        if (is_ours(entry->d_name, folder) && flock(folder, LOCK_EX | LOCK_NB) == 0 &&
            snprintf(place, sizeof place, "%s/%s", path, entry->d_name) < (int)sizeof place)
            remove_tree(place);
        close(folder);
    }
    if (entries)
        closedir(entries);
}

static int make_folders(const char *path)
{
    char part[PATH_MAX];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = part + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        if (mkdir(part, 0755) != 0 && errno != EEXIST && access(part, F_OK) != 0)
            return -1;
    }
    return mkdir(part, 0700) != 0 && errno != EEXIST ? -1 : 0;
}

/* Unpacks under a lock, so that two concurrent starts unpack once. */
static int unpack(int base, const char *path)
{
    char fresh[PATH_MAX], old[PATH_MAX];
    int lock = openat(base, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), folder, held;
    if (lock < 0 || flock(lock, LOCK_EX) != 0)
        return unusable(path, strerror(errno));
    if ((held = hold(base)) >= 0) {
        close(lock);
        return held;
    }
    snprintf(fresh, sizeof fresh, "%s/%s.new", path, self.id);
    snprintf(old, sizeof old, "%s/%s.old", path, self.id);
    remove_tree(fresh);
    folder = mkdir(fresh, 0755) == 0 ? open(fresh, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (folder < 0 || unpack_into(folder) != 0) {
        int problem = errno;
        remove_tree(fresh);
        if (problem == EBADMSG)
            die("this executable is damaged: copy or download it again");
        return unusable(path, strerror(problem));
    }
    close(folder);
    remove_tree(old);
    renameat(base, self.id, AT_FDCWD, old); /* an incomplete one, where it exists */
    if (renameat(AT_FDCWD, fresh, base, self.id) != 0)
        return unusable(path, strerror(errno));
    fsync(base);
    remove_others(base, path);
    held = hold(base);
    close(lock);
    return held >= 0 ? held : unusable(path, "another process removed the unpacked program");
}

/* Executes the program below `path`; returns -1, with the reason in `why`, where this folder is not usable. */
static int run_from(const char *path, char **argv, char **environ_)
{
    char program[PATH_MAX];
    struct stat status;
    struct statvfs system;
    int base, folder;
    if (path[0] != '/' || strlen(path) + strlen(self.id) + 16 > PATH_MAX)
        return unusable(path, "is no absolute path, or is too long");
    if (make_folders(path) != 0 || (base = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
        return unusable(path, strerror(errno));
    if (fstat(base, &status) != 0 || status.st_uid != geteuid() || (status.st_mode & 022))
        return unusable(path, "belongs to another user, or other users can write to it");
    if (fstatvfs(base, &system) == 0 && (system.f_flag & ST_NOEXEC))
        return unusable(path, "is mounted noexec");
    folder = hold(base);
    if (folder < 0)
        folder = unpack(base, path);
    if (folder < 0)
        return -1;
    snprintf(program, sizeof program, "%s/%s/%s", path, self.id, PROGRAM);
    execve(program, argv, environ_);
    if (errno == ENOENT)
        die("this system has no glibc, which Kannon needs: use the container image");
    die("cannot execute %s: %s", program, strerror(errno));
    return -1;
}

int main(int argc, char **argv, char **environ_)
{
    char path[PATH_MAX];
    const char *named = getenv("KANNON_RUNTIME_DIR"), *cache;
    (void)argc;
    read_self();
    if (named && *named) {
        run_from(named, argv, environ_);
        die("cannot unpack the program: %s: correct KANNON_RUNTIME_DIR", why);
    }
    if ((cache = getenv("CACHE_DIRECTORY")) && *cache && !strchr(cache, ':'))
        run_from(cache, argv, environ_);
    if (geteuid() == 0) {
        run_from("/var/cache/kannon", argv, environ_);
    } else {
        if ((cache = getenv("XDG_CACHE_HOME")) && *cache == '/' && snprintf(path, sizeof path, "%s/kannon", cache) > 0)
            run_from(path, argv, environ_);
        if ((cache = getenv("HOME")) && *cache == '/' && snprintf(path, sizeof path, "%s/.cache/kannon", cache) > 0)
            run_from(path, argv, environ_);
    }
    snprintf(path, sizeof path, "/var/tmp/kannon-%u", (unsigned)geteuid());
    run_from(path, argv, environ_);
    die("cannot unpack the program: %s: set KANNON_RUNTIME_DIR to another folder", why);
}
