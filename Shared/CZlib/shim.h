#include <zlib.h>

// inflateInit2 is a macro, which Swift can't call.
static inline int martlet_inflate_init(z_stream *stream, int window_bits) {
    return inflateInit2(stream, window_bits);
}

// And so is deflateInit2.
static inline int martlet_deflate_init(z_stream *stream, int window_bits) {
    return deflateInit2(stream, Z_BEST_COMPRESSION, Z_DEFLATED, window_bits, 9, Z_DEFAULT_STRATEGY);
}
