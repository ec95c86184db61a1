/* x11_shm.c - see x11_shm.h. */
#include "x11_shm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <unistd.h>

#include "error.h"

/* A sealed memfd: the server gets write access to the pixels, but a server that truncated the file would otherwise kill the
 * engine with SIGBUS. */
static int sealed_memory(size_t size, int *out)
{
	int fd = memfd_create("stripeengine-x11", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		close(fd);
		return -1;
	}
	*out = fd;
	return 0;
}

/* 1 attached, 0 this way does not work here, negative: the connection is gone. */
static int attach_memory(struct se_x11_shm *self, struct se_x11 *x11, size_t size)
{
	xcb_generic_error_t *error;
	void *pixels;
	int fd = -1;

	if (sealed_memory(size, &fd) < 0)
		return 0;
	pixels = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (pixels == MAP_FAILED) {
		close(fd);
		return 0;
	}
	self->segment = xcb_generate_id(x11->connection);
	/* XCB sends the descriptor and closes it. */
	error = se_x11_check(x11, xcb_shm_attach_fd_checked(x11->connection, self->segment, fd, 0));
	if (error == NULL && se_x11_alive(x11) == 0) {
		self->pixels = pixels;
		self->size = size;
		self->passed = true;
		return 1;
	}
	munmap(pixels, size);
	free(error);
	return se_x11_alive(x11);
}

static int attach_sysv(struct se_x11_shm *self, struct se_x11 *x11, size_t size)
{
	xcb_generic_error_t *error;
	void *pixels;
	int id = shmget(IPC_PRIVATE, size, IPC_CREAT | 0600);
	int code;

	if (id < 0)
		return se_error_set(SE_E_SOURCE, "no shared memory of %zu bytes: %s", size, strerror(errno));
	pixels = shmat(id, NULL, 0);
	if (pixels == (void *)-1) {
		code = se_error_set(SE_E_SOURCE, "shared memory of %zu bytes cannot be mapped: %s", size, strerror(errno));
		shmctl(id, IPC_RMID, NULL);
		return code;
	}
	self->segment = xcb_generate_id(x11->connection);
	error = se_x11_check(x11, xcb_shm_attach_checked(x11->connection, self->segment, (uint32_t)id, 0));
	/* Both sides hold it now, or never will: removed at once, it cannot outlive a crash. */
	shmctl(id, IPC_RMID, NULL);
	if (error == NULL && se_x11_alive(x11) == 0) {
		self->pixels = pixels;
		self->size = size;
		self->passed = false;
		return 0;
	}
	shmdt(pixels);
	code = se_x11_alive(x11);
	if (code == 0)
		code = se_error_set(SE_E_SOURCE,
			       "the X server cannot share memory (error %d): it needs MIT-SHM 1.2 and a Unix socket, or the engine's "
			       "uid and IPC namespace",
			       error != NULL ? error->error_code : 0);
	free(error);
	return code;
}

/* Descriptors travel over Unix sockets only; XCB closes the connection when asked to send one over TCP. */
static bool local_socket(const struct se_x11 *x11)
{
	struct sockaddr_storage name = {0};
	socklen_t length = sizeof name;

	return getsockname(xcb_get_file_descriptor(x11->connection), (struct sockaddr *)&name, &length) == 0 &&
	       name.ss_family == AF_UNIX;
}

struct abilities {
	bool descriptors, pixmaps;
};

static struct abilities ask_abilities(struct se_x11 *x11)
{
	xcb_shm_query_version_reply_t *reply =
		se_x11_reply(x11, xcb_shm_query_version(x11->connection).sequence, NULL);
	struct abilities able = {false, false};

	if (reply == NULL)
		return able;
	able.descriptors = reply->major_version > 1 || (reply->major_version == 1 && reply->minor_version >= 2);
	able.pixmaps = reply->shared_pixmaps && reply->pixmap_format == XCB_IMAGE_FORMAT_Z_PIXMAP;
	free(reply);
	return able;
}

int se_x11_shm_create(struct se_x11_shm *self, struct se_x11 *x11, size_t size)
{
	struct abilities able;
	int code = 0;

	memset(self, 0, sizeof *self);
	if (size == 0)
		return se_error_set(SE_E_INVALID, "shared memory of 0 bytes");
	able = ask_abilities(x11);
	if (able.descriptors && local_socket(x11))
		code = attach_memory(self, x11, size);
	if (code == 0)
		code = attach_sysv(self, x11, size);
	if (code < 0)
		return code;
	self->pixmaps = able.pixmaps;
	return 0;
}

bool se_x11_shm_empty(struct se_x11_shm *self)
{
	return self->passed && madvise(self->pixels, self->size, MADV_REMOVE) == 0;
}

void se_x11_shm_destroy(struct se_x11_shm *self, const struct se_x11 *x11)
{
	if (self->pixels == NULL)
		return;
	if (x11->connection != NULL)
		xcb_shm_detach(x11->connection, self->segment);
	if (self->passed)
		munmap(self->pixels, self->size);
	else
		shmdt(self->pixels);
	memset(self, 0, sizeof *self);
}
