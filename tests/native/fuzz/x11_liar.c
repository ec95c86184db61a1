/* x11_liar.c - an X server for fuzzing. */
#include "x11_liar.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MOST 65536
#define PATIENCE_US 30000 /* without a request, the client waits for what will not come */

enum { SHM = 130, DAMAGE = 131, XFIXES = 132, RANDR = 133, XTEST = 134 };
enum { DAMAGE_EVENT = 91, XFIXES_EVENT = 92, RANDR_EVENT = 94 };

static char path[64];
static int listener = -1;
static pthread_t thread;
static struct fuzz_input *script;

struct answer {
	uint8_t bytes[ANSWER_MOST];
	size_t size; /* 0: the request has none */
};

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value & 0xffff);
	put16(at + 2, value >> 16);
}

static uint32_t get(const uint8_t *at, int bytes)
{
	uint32_t value = 0;

	for (int i = bytes - 1; i >= 0; i--)
		value = value << 8 | at[i];
	return value;
}

static void remove_socket(void)
{
	unlink(path);
}

const char *x11_liar_socket(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (listener >= 0)
		return path;
	snprintf(path, sizeof path, "/tmp/x11-liar-%d", (int)getpid());
	memcpy(address.sun_path, path, strlen(path) + 1);
	unlink(path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 4) == 0,
	      "no socket");
	atexit(remove_socket);
	return path;
}

static bool read_all(int fd, uint8_t *out, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t got = recv(fd, out + done, size - done, 0); /* a descriptor that comes along is dropped */

		if (got <= 0)
			return false;
		done += (size_t)got;
	}
	return true;
}

static bool send_all(int fd, const uint8_t *bytes, size_t size)
{
	return size == 0 || send(fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* Screen of 64 x 48, depth 24, one TrueColor visual. */
static void make_setup(struct answer *out)
{
	static const char vendor[8] = "the liar";
	uint8_t *b = out->bytes, *screen;

	memset(b, 0, 256);
	b[0] = 1;
	put16(b + 2, 11);
	put32(b + 12, 0x00200000); /* ids */
	put32(b + 16, 0x001fffff);
	put16(b + 24, sizeof vendor);
	put16(b + 26, 0xffff);
	b[28] = 1; /* screens */
	b[29] = 1; /* formats */
	b[32] = b[33] = 32;
	b[34] = 8; /* keycodes */
	b[35] = 255;
	memcpy(b + 40, vendor, sizeof vendor);
	b[48] = 24; /* a format: depth, bits, pad */
	b[49] = b[50] = 32;
	screen = b + 56;
	put32(screen, 0x100);
	put16(screen + 20, 64);
	put16(screen + 22, 48);
	put32(screen + 32, 0x21); /* root visual */
	screen[38] = 24;
	screen[39] = 1; /* depths */
	screen[40] = 24;
	put16(screen + 42, 1); /* visuals */
	put32(screen + 48, 0x21);
	screen[52] = 4; /* TrueColor */
	screen[53] = 8;
	put32(screen + 56, 0xff0000);
	put32(screen + 60, 0xff00);
	put32(screen + 64, 0xff);
	out->size = 56 + 72;
	put16(b + 6, (unsigned)(out->size - 8) / 4);
}

static void answer_extension(const uint8_t *request, size_t size, uint8_t *b)
{
	static const struct {
		const char *name;
		uint8_t major, event;
	} known[] = { { "MIT-SHM", SHM, 90 }, { "DAMAGE", DAMAGE, DAMAGE_EVENT }, { "XFIXES", XFIXES, XFIXES_EVENT },
		          { "RANDR", RANDR, RANDR_EVENT }, { "XTEST", XTEST, 0 } };

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		size_t length = strlen(known[i].name);

		if (size < 8 + length || get(request + 4, 2) != length || memcmp(request + 8, known[i].name, length) != 0)
			continue;
		b[8] = 1;
		b[9] = known[i].major;
		b[10] = known[i].event;
	}
}

/* What a server would answer. */
static void make_answer(const uint8_t *request, size_t size, struct answer *out)
{
	uint8_t *b = out->bytes;
	int major = request[0], minor = request[1];

	memset(b, 0, 8192);
	b[0] = 1;
	out->size = 32;
	if (major == 98) { /* QueryExtension */
		answer_extension(request, size, b);
	} else if (major == 14) { /* GetGeometry */
		b[1] = 24;
		put16(b + 16, 64);
		put16(b + 18, 48);
	} else if (major == 101) { /* GetKeyboardMapping */
		b[1] = 2;
		out->size += 248 * 2 * 4;
	} else if (major == 119) { /* GetModifierMapping */
		b[1] = 2;
		out->size += 16;
	} else if (major == XFIXES && minor == 4) { /* GetCursorImage */
		put16(b + 12, 16);
		put16(b + 14, 16);
		put32(b + 20, 7);
		memset(b + 32, 0x80, 16 * 16 * 4);
		out->size += 16 * 16 * 4;
	} else if (major == XFIXES && minor == 19) { /* FetchRegion */
		for (int i = 0; i < 3; i++) {
			put16(b + 32 + i * 8, (unsigned)i * 10);
			put16(b + 36 + i * 8, 20);
			put16(b + 38 + i * 8, 5);
		}
		out->size += 24;
	} else if (major == RANDR && minor == 42) { /* GetMonitors: one, with one output */
		put32(b + 12, 1);
		put32(b + 16, 1);
		put32(b + 32, 0x77);
		b[38] = 1;
		put16(b + 40, 10);
		put16(b + 44, 40);
		put16(b + 46, 48);
		out->size += 28;
	} else if (major == 17) { /* GetAtomName */
		put16(b + 8, 1);
		b[32] = 'A';
		out->size += 4;
	} else if (minor == 0 && major >= SHM && major <= RANDR) { /* QueryVersion */
		put32(b + 8, major == SHM ? 1 | 2 << 16 : 4);
		put32(b + 12, 1);
		b[1] = 1;
		b[16] = 2; /* MIT-SHM: pixmaps may be shared */
	} else if (major == XTEST && minor == 0) { /* GetVersion */
		b[1] = 2;
		put16(b + 8, 2);
	} else if (!(major == 38 || major == 43 || (major == SHM && minor == 4))) { /* QueryPointer, GetInputFocus, GetImage */
		out->size = 0;
	}
	put32(b + 4, (uint32_t)(out->size > 32 ? (out->size - 32) / 4 : 0));
}

static void lie(struct answer *answer, uint8_t how)
{
	for (int i = 1 + how / 16 % 6; i > 0 && how % 4 == 0; i--) {
		size_t at = fuzz_byte(script);

		answer->bytes[at < answer->size ? at : at % 32] = fuzz_byte(script);
	}
	if (how % 32 == 1) { /* an error instead */
		answer->bytes[0] = 0;
		answer->bytes[1] = fuzz_byte(script);
		answer->size = 32;
	}
}

static bool send_event(int fd, unsigned sequence)
{
	static const uint8_t types[] = { DAMAGE_EVENT, XFIXES_EVENT + 1, RANDR_EVENT, 34, 0 };
	uint8_t event[32] = { types[fuzz_byte(script) % sizeof types] };

	if (event[0] == 0)
		event[0] = fuzz_byte(script) % 2 ? 0 : (uint8_t)(36 + fuzz_byte(script) % 90); /* an error, or any but a long one */
	for (int i = 4; i < 32; i += 5)
		event[i] = fuzz_byte(script);
	put16(event + 2, sequence);
	return send_all(fd, event, sizeof event);
}

/* As many bytes as it says it has, so that the client goes on; false if the connection is to end. */
static bool send_answer(int fd, struct answer *answer, size_t header, size_t claimed)
{
	if (claimed > ANSWER_MOST || claimed < header) {
		send_all(fd, answer->bytes, answer->size);
		return false;
	}
	if (claimed > answer->size)
		memset(answer->bytes + answer->size, 0x55, claimed - answer->size);
	return send_all(fd, answer->bytes, claimed);
}

static bool greet(int fd, struct answer *answer)
{
	uint8_t hello[12], rest[16384];
	size_t size;
	uint8_t how = fuzz_byte(script);

	if (!read_all(fd, hello, sizeof hello))
		return false;
	size = ((get(hello + 6, 2) + 3u) & ~3u) + ((get(hello + 8, 2) + 3u) & ~3u);
	CHECK(size <= sizeof rest, "an authorization of %zu bytes", size);
	if (!read_all(fd, rest, size))
		return false;
	make_setup(answer);
	lie(answer, how);
	/* libxcb 1.15 prints the reason of a refusal without a look at how much of it came: its affair, and found at once. */
	if (answer->bytes[0] != 1)
		answer->bytes[1] = 0;
	return send_answer(fd, answer, 8, 8 + 4 * (size_t)get(answer->bytes + 6, 2));
}

static void serve(int fd)
{
	static struct answer answer;
	static uint8_t request[4 * 65536];

	if (!greet(fd, &answer))
		return;
	for (unsigned sequence = 1; read_all(fd, request, 4); sequence++) {
		size_t size = 4 * (size_t)get(request + 2, 2);
		uint8_t how;

		if (size < 4 || !read_all(fd, request + 4, size - 4))
			return;
		how = fuzz_byte(script);
		if (how == 255 || (how % 8 == 3 && !send_event(fd, sequence)))
			return;
		make_answer(request, size, &answer);
		if (answer.size == 0)
			continue;
		put16(answer.bytes + 2, sequence);
		lie(&answer, how);
		if (!send_answer(fd, &answer, 32,
		                 answer.bytes[0] == 1 || answer.bytes[0] == 35 ? 32 + 4 * (size_t)get(answer.bytes + 4, 4) : 32))
			return;
	}
}

static void *main_of_server(void *unused)
{
	struct timeval patience = { 0, PATIENCE_US };
	int fd = accept(listener, NULL, NULL);

	(void)unused;
	if (fd < 0)
		return NULL;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	serve(fd);
	close(fd);
	return NULL;
}

void x11_liar_begin(struct fuzz_input *input)
{
	signal(SIGPIPE, SIG_IGN); /* as Python does: XCB writes to a server that has just hung up */
	x11_liar_socket();
	script = input;
	CHECK(pthread_create(&thread, NULL, main_of_server, NULL) == 0, "thread");
}

void x11_liar_end(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct pollfd waiting = { listener, POLLIN, 0 };

	/* Whoever has not connected leaves the thread in accept: one connection that says nothing ends it. Not taken, it is the
	 * next one's, so it is taken here. */
	memcpy(address.sun_path, path, strlen(path) + 1);
	CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "socket");
	shutdown(fd, SHUT_RDWR);
	pthread_join(thread, NULL);
	while (poll(&waiting, 1, 0) == 1) {
		int late = accept(listener, NULL, NULL);

		if (late >= 0)
			close(late);
	}
	close(fd);
}
