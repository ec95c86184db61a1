/* encoder_jpeg.c - JPEG through libjpeg-turbo's TurboJPEG interface (2.1). */
#include "encoder_jpeg.h"

#include <pthread.h>
#include <turbojpeg.h>

static pthread_once_t prepared = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_error;

static void destroy(void *handle)
{
	tjDestroy(handle);
}

static void prepare(void)
{
	key_error = pthread_key_create(&key, destroy);
}

static tjhandle compressor(void)
{
	tjhandle handle;

	pthread_once(&prepared, prepare);
	if (key_error)
		return NULL;
	handle = pthread_getspecific(key);
	if (handle)
		return handle;
	handle = tjInitCompress();
	if (handle && pthread_setspecific(key, handle) != 0) {
		tjDestroy(handle);
		return NULL;
	}
	return handle;
}

int se_jpeg_encode(const uint8_t *bgrx, size_t stride, int w, int h, int chroma, int quality, struct se_buffer *out)
{
	int sampling = chroma == 444 ? TJSAMP_444 : TJSAMP_420, code;
	unsigned long bound = tjBufSize(w, h, sampling), size;
	tjhandle handle = compressor();

	if (!handle)
		return se_error_set(SE_E_NOMEM, "out of memory: a JPEG compressor");
	if (bound == (unsigned long)-1)
		return se_error_set(SE_E_ENCODER, "libjpeg-turbo refuses a picture of %dx%d pixels", w, h);
	code = se_buffer_reserve(out, bound);
	if (code < 0)
		return code;
	size = bound;
	if (tjCompress2(handle, bgrx, w, (int)stride, h, TJPF_BGRX, &out->data, &size, sampling, quality,
	                TJFLAG_NOREALLOC) != 0)
		return se_error_set(SE_E_ENCODER, "libjpeg-turbo failed: %s", tjGetErrorStr2(handle));
	out->size = size;
	return SE_OK;
}
