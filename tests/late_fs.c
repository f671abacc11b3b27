/* A file system of several machines, over a folder: no flock, and what was renamed is seen by others eight seconds late. */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define LATE 8.0  /* longer than a worker takes to end: whoever waits for it looks before */
#define MOST 4096
static int root;
static struct { char path[512]; double at; int by; } seen[MOST];
static int next;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static const char *at(const char *path) { return path[1] ? path + 1 : "."; }
static int process(void) {
    char name[64], line[256]; int tgid = 0; snprintf(name, sizeof name, "/proc/%d/status", fuse_get_context()->pid);
    FILE *file = fopen(name, "r"); if (!file) return 0;
    while (fgets(line, sizeof line, file)) if (sscanf(line, "Tgid: %d", &tgid) == 1) break;
    fclose(file); return tgid;
}
static void told(const char *what) {
    FILE *file = fopen(getenv("LATE_TOLD"), "a"); if (file) { fprintf(file, "%s\n", what); fclose(file); }
}
static int late(const char *path) {
    size_t n = strlen(path); int found = 0, by = 0;
    if (n < 5 || strcmp(path + n - 5, ".json")) return 0;
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < MOST; i++) if (!strcmp(seen[i].path, path) && now() - seen[i].at < LATE) { found = 1; by = seen[i].by; }
    pthread_mutex_unlock(&mutex);
    if (found && by != process()) { told("late"); return 1; }
    return 0;
}
#define R(call) return (call) == -1 ? -errno : 0
static int l_getattr(const char *p, struct stat *s, struct fuse_file_info *f) { if (f) R(fstat(f->fh, s)); if (late(p)) return -ENOENT; R(fstatat(root, at(p), s, AT_SYMLINK_NOFOLLOW)); }
static int l_readlink(const char *p, char *b, size_t n) { ssize_t k = readlinkat(root, at(p), b, n - 1); if (k < 0) return -errno; b[k] = 0; return 0; }
static int l_mkdir(const char *p, mode_t m) { R(mkdirat(root, at(p), m)); }
static int l_unlink(const char *p) { R(unlinkat(root, at(p), 0)); }
static int l_rmdir(const char *p) { R(unlinkat(root, at(p), AT_REMOVEDIR)); }
static int l_symlink(const char *t, const char *p) { R(symlinkat(t, root, at(p))); }
static int l_link(const char *a, const char *b) { R(linkat(root, at(a), root, at(b), 0)); }
static int l_rename(const char *a, const char *b, unsigned f) {
    if (f) return -EINVAL;
    if (renameat(root, at(a), root, at(b)) == -1) return -errno;
    pthread_mutex_lock(&mutex);
    snprintf(seen[next].path, sizeof seen[next].path, "%s", b); seen[next].at = now(); seen[next].by = process(); next = (next + 1) % MOST;
    pthread_mutex_unlock(&mutex);
    return 0;
}
static int l_chmod(const char *p, mode_t m, struct fuse_file_info *f) { R(fchmodat(root, at(p), m, 0)); }
static int l_chown(const char *p, uid_t u, gid_t g, struct fuse_file_info *f) { R(fchownat(root, at(p), u, g, AT_SYMLINK_NOFOLLOW)); }
static int l_truncate(const char *p, off_t n, struct fuse_file_info *f) { if (f) R(ftruncate(f->fh, n)); int d = openat(root, at(p), O_WRONLY); if (d < 0) return -errno; int k = ftruncate(d, n); close(d); return k ? -errno : 0; }
static int l_open(const char *p, struct fuse_file_info *f) { if (late(p)) return -ENOENT; int d = openat(root, at(p), f->flags); if (d < 0) return -errno; f->fh = d; return 0; }
static int l_create(const char *p, mode_t m, struct fuse_file_info *f) { int d = openat(root, at(p), f->flags | O_CREAT, m); if (d < 0) return -errno; f->fh = d; return 0; }
static int l_read(const char *p, char *b, size_t n, off_t o, struct fuse_file_info *f) { ssize_t k = pread(f->fh, b, n, o); return k < 0 ? -errno : k; }
static int l_write(const char *p, const char *b, size_t n, off_t o, struct fuse_file_info *f) { ssize_t k = pwrite(f->fh, b, n, o); return k < 0 ? -errno : k; }
static int l_statfs(const char *p, struct statvfs *s) { R(fstatvfs(root, s)); }
static int l_flush(const char *p, struct fuse_file_info *f) { R(close(dup(f->fh))); }
static int l_release(const char *p, struct fuse_file_info *f) { close(f->fh); return 0; }
static int l_fsync(const char *p, int d, struct fuse_file_info *f) { R(fsync(f->fh)); }
static int l_flock(const char *p, struct fuse_file_info *f, int op) { told("flock"); return -ENOTSUP; }
static int l_utimens(const char *p, const struct timespec t[2], struct fuse_file_info *f) { R(utimensat(root, at(p), t, AT_SYMLINK_NOFOLLOW)); }
static int l_readdir(const char *p, void *b, fuse_fill_dir_t fill, off_t o, struct fuse_file_info *f, enum fuse_readdir_flags x) {
    int d = openat(root, at(p), O_RDONLY | O_DIRECTORY); if (d < 0) return -errno;
    DIR *dir = fdopendir(d); struct dirent *e; while ((e = readdir(dir))) if (fill(b, e->d_name, NULL, 0, 0)) break;
    closedir(dir); return 0;
}
static void *l_init(struct fuse_conn_info *c, struct fuse_config *k) { c->want |= c->capable & FUSE_CAP_FLOCK_LOCKS; k->entry_timeout = k->attr_timeout = k->negative_timeout = 0; k->use_ino = 0; return NULL; }
static const struct fuse_operations ops = { .init = l_init, .getattr = l_getattr, .readlink = l_readlink, .mkdir = l_mkdir, .unlink = l_unlink, .rmdir = l_rmdir, .symlink = l_symlink, .link = l_link, .rename = l_rename, .chmod = l_chmod, .chown = l_chown, .truncate = l_truncate, .open = l_open, .create = l_create, .read = l_read, .write = l_write, .statfs = l_statfs, .flush = l_flush, .release = l_release, .fsync = l_fsync, .flock = l_flock, .utimens = l_utimens, .readdir = l_readdir };
int main(int argc, char **argv) { root = open(getenv("LATE_ROOT"), O_RDONLY | O_DIRECTORY); if (root < 0) return 2; return fuse_main(argc, argv, &ops, NULL); }
