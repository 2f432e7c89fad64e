/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads archives from C, C99 or later, and from whatever language calls C.
 *
 * Calls that may fail return a qstore_code, and give an error object to whoever passes a place for
 * one:
 *
 *     qstore_error* error = NULL;
 *     qstore_archive* archive = NULL;
 *     if (qstore_open("m.qstore", NULL, &archive, &error) != QSTORE_OK) {
 *       fprintf(stderr, "%s\n", qstore_error_message(error));
 *       qstore_error_free(error);
 *     }
 *
 * No call prints, ends the process, or lets a C++ exception out. A pointer that must not be NULL
 * and is, an index of nothing, a field this library does not know: all are QSTORE_INVALID_ARGUMENT.
 * Where memory runs out the code is QSTORE_LIMIT.
 *
 * Thread-safety: all functions may be called from many threads at once, with one archive too, but
 * for qstore_close and qstore_error_free, which are the last call with their object.
 *
 * Stability: a function, a value of an enum and a field of a structure keep their meaning for as
 * long as the soname of the library is the same. Structures grow at their end: their first field
 * says how much of one the caller knows.
 */
#ifndef QSTORE_H_
#define QSTORE_H_

#include <stddef.h>
#include <stdint.h>

#include "qstore/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The values of qstore::ErrorCode. */
typedef enum qstore_code {
  QSTORE_OK = 0,
  QSTORE_INVALID_ARGUMENT = 1,    /* The caller asked for something that has no meaning. */
  QSTORE_NOT_FOUND = 2,           /* A path, variant, file or tensor that is not there. */
  QSTORE_ALREADY_EXISTS = 3,      /* An output is there already. */
  QSTORE_IO = 4,                  /* The system or a server failed a read. */
  QSTORE_CORRUPT = 5,             /* Bytes that no writer of this format produces. */
  QSTORE_MISMATCH = 6,            /* Intact data that differs from what it was compared with. */
  QSTORE_UNSUPPORTED_VERSION = 7, /* An archive of a later format version. */
  QSTORE_UNSUPPORTED_FEATURE = 8, /* A codec, a flag or a kind of URL that is unknown here. */
  QSTORE_LIMIT = 9,               /* More than a limit allows, or than there is memory. */
  QSTORE_SOURCE_CHANGED = 10,     /* The file or URL is no longer what was opened. */
  QSTORE_CANCELLED = 11,          /* A callback asked to stop. */
  QSTORE_INTERNAL = 12            /* A defect in this library. */
} qstore_code;

/* Types of elements, those of safetensors. Values above are blocks of ggml. */
typedef enum qstore_dtype {
  QSTORE_BOOL = 0,
  QSTORE_F4 = 1,
  QSTORE_F6_E2M3 = 2,
  QSTORE_F6_E3M2 = 3,
  QSTORE_U8 = 4,
  QSTORE_I8 = 5,
  QSTORE_F8_E5M2 = 6,
  QSTORE_F8_E4M3 = 7,
  QSTORE_F8_E8M0 = 8,
  QSTORE_F8_E4M3FNUZ = 9,
  QSTORE_F8_E5M2FNUZ = 10,
  QSTORE_I16 = 11,
  QSTORE_U16 = 12,
  QSTORE_F16 = 13,
  QSTORE_BF16 = 14,
  QSTORE_I32 = 15,
  QSTORE_U32 = 16,
  QSTORE_F32 = 17,
  QSTORE_C64 = 18,
  QSTORE_F64 = 19,
  QSTORE_I64 = 20,
  QSTORE_U64 = 21
} qstore_dtype;

/* An open archive. What is in it was checked when it was opened, but for payloads, which are
 * checked whenever they are read. */
typedef struct qstore_archive qstore_archive;

/* What went wrong, for people. */
typedef struct qstore_error qstore_error;

/* Told about once in a MiB how far a call is, on one thread at a time, which need not be the
 * caller's. Returns: 0 to have the call end with QSTORE_CANCELLED. */
typedef int (*qstore_progress)(void* context, uint64_t done_bytes, uint64_t total_bytes);

/* ---- the library ---- */

/* Its version, such as "0.1.0". */
QSTORE_EXPORT const char* qstore_version(void);
/* What decodes: "scalar", "avx2" or "avx512". */
QSTORE_EXPORT const char* qstore_instruction_set(void);

/* The name of a code, such as "corrupt", or NULL for a value that is none. */
QSTORE_EXPORT const char* qstore_code_name(uint32_t code);
/* The name of a type, such as "BF16" or "Q4_K", or NULL for a value that is none. */
QSTORE_EXPORT const char* qstore_dtype_name(uint32_t dtype);
/* Bits of an element, or of a block; 0 for a value that is no type. */
QSTORE_EXPORT uint32_t qstore_dtype_bits(uint32_t dtype);
/* Weights in a block, 1 for types that are no blocks; 0 for a value that is no type. */
QSTORE_EXPORT uint32_t qstore_dtype_block(uint32_t dtype);

/* ---- errors ---- */

/* QSTORE_OK for NULL. */
QSTORE_EXPORT qstore_code qstore_error_code(const qstore_error* error);
/* Names file, tensor, offset and rule. Lives as long as the error. "" for NULL. */
QSTORE_EXPORT const char* qstore_error_message(const qstore_error* error);
/* NULL is allowed. */
QSTORE_EXPORT void qstore_error_free(qstore_error* error);

/* ---- opening ---- */

typedef struct qstore_open_options {
  size_t size; /* sizeof(qstore_open_options). A field that is 0 has its default. */
  /* Most bytes, more or less, that the index and a call take beside the caller's buffers. 640 MiB.
   */
  uint64_t max_memory;
  /* For what takes long to begin a read: how many reads run at once. 0 for files, 8 for URLs. */
  uint32_t read_ahead;
  /* Bytes of these reads. 4 MiB. */
  uint64_t read_size;
  /* Names and values in turn, ended by NULL, that go with requests to the server of a URL. */
  const char* const* http_headers;
  /* Seconds for which a server may be silent. 30. */
  double http_timeout;
  /* A file of certificates for where neither environment nor system names any. */
  const char* http_certificates;
} qstore_open_options;

#define QSTORE_OPEN_OPTIONS_INIT \
  { sizeof(qstore_open_options), 0, 0, 0, 0, 0, 0 }

/* Opens the archive at a path or at a URL of an HTTP server. `options` may be NULL. On an error
 * `*archive` is NULL. Errors: any but QSTORE_ALREADY_EXISTS and QSTORE_MISMATCH. */
QSTORE_EXPORT qstore_code qstore_open(const char* location, const qstore_open_options* options,
                                      qstore_archive** archive, qstore_error** error);
/* NULL is allowed. What was listed of the archive goes with it. */
QSTORE_EXPORT void qstore_close(qstore_archive* archive);

/* ---- listing: strings and shapes live as long as the archive ---- */

typedef struct qstore_variant_info {
  size_t size;           /* sizeof(qstore_variant_info), set by the caller */
  const char* name;      /* UTF-8 */
  uint64_t source_bytes; /* Of its files. */
  size_t first_file;     /* Its files are [first_file, first_file + file_count). */
  size_t file_count;
  size_t first_tensor; /* Its tensors are [first_tensor, first_tensor + tensor_count). */
  size_t tensor_count;
} qstore_variant_info;

typedef struct qstore_file_info {
  size_t size;           /* sizeof(qstore_file_info), set by the caller */
  const char* path;      /* Relative, '/' between its parts. */
  uint64_t byte_size;    /* Of its content. */
  const char* container; /* "safetensors", "gguf", "imatrix"; "" for other bytes. */
  uint8_t digest[16];    /* XXH3-128, as `xxhsum -H2` prints it. */
  uint8_t is_directory;  /* 1 for a directory without files. */
  uint8_t is_executable;
} qstore_file_info;

typedef struct qstore_tensor_info {
  size_t size;        /* sizeof(qstore_tensor_info), set by the caller */
  const char* name;   /* UTF-8; a NUL may be in it, which ends a string and not the name. */
  size_t name_length; /* Bytes. */
  uint32_t dtype;     /* A qstore_dtype, or the number of a type of ggml. */
  uint32_t rank;      /* Numbers in `shape`; 0 for a scalar. */
  const uint64_t* shape;
  uint64_t byte_size; /* Of its content. */
  size_t file;        /* The file that has it. */
} qstore_tensor_info;

/* 0 for NULL. */
QSTORE_EXPORT size_t qstore_variant_count(const qstore_archive* archive);
/* These fill `info` as far as its `size` says. Errors: QSTORE_INVALID_ARGUMENT, QSTORE_LIMIT. */
QSTORE_EXPORT qstore_code qstore_get_variant(const qstore_archive* archive, size_t variant,
                                             qstore_variant_info* info, qstore_error** error);
QSTORE_EXPORT qstore_code qstore_get_file(const qstore_archive* archive, size_t file,
                                          qstore_file_info* info, qstore_error** error);
/* The tensors of a file are ordered by name. */
QSTORE_EXPORT qstore_code qstore_get_tensor(const qstore_archive* archive, size_t tensor,
                                            qstore_tensor_info* info, qstore_error** error);

/* By name. Errors: QSTORE_NOT_FOUND, QSTORE_INVALID_ARGUMENT. */
QSTORE_EXPORT qstore_code qstore_find_variant(const qstore_archive* archive, const char* name,
                                              size_t* variant, qstore_error** error);
QSTORE_EXPORT qstore_code qstore_find_file(const qstore_archive* archive, size_t variant,
                                           const char* path, size_t* file, qstore_error** error);
QSTORE_EXPORT qstore_code qstore_find_tensor(const qstore_archive* archive, size_t variant,
                                             const char* name, size_t* tensor,
                                             qstore_error** error);

/* ---- reading: `threads` 0 means all processors this process may run on ---- */

/* Fills `out`, whose size is the tensor's byte_size. On an error its content is undefined. Errors:
 * QSTORE_INVALID_ARGUMENT, QSTORE_CORRUPT (naming tensor, chunk and offset), QSTORE_LIMIT,
 * QSTORE_IO, QSTORE_SOURCE_CHANGED. */
QSTORE_EXPORT qstore_code qstore_read_tensor(const qstore_archive* archive, size_t tensor,
                                             void* out, size_t out_size, uint32_t threads,
                                             qstore_error** error);

/* Bytes of rows [row_begin, row_end) in the leading dimension. Errors: QSTORE_INVALID_ARGUMENT (no
 * such rows, a scalar, rows that are no whole number of bytes). */
QSTORE_EXPORT qstore_code qstore_rows_byte_size(const qstore_archive* archive, size_t tensor,
                                                uint64_t row_begin, uint64_t row_end,
                                                uint64_t* byte_size, qstore_error** error);
/* Fills `out` with these rows; decodes the chunks that hold them and no others. Errors: those of
 * both calls above. */
QSTORE_EXPORT qstore_code qstore_read_rows(const qstore_archive* archive, size_t tensor,
                                           uint64_t row_begin, uint64_t row_end, void* out,
                                           size_t out_size, uint32_t threads, qstore_error** error);

/* `row_end` of a request for the rest of a tensor; with `row_begin` 0, for all of it. */
#define QSTORE_ALL_ROWS UINT64_MAX

typedef struct qstore_request {
  size_t tensor;
  void* out;
  size_t out_size; /* The size of the content exactly. */
  uint64_t row_begin;
  uint64_t row_end;
} qstore_request;

typedef struct qstore_read_options {
  size_t size; /* sizeof(qstore_read_options). A field that is 0 has its default. */
  uint32_t threads;
  qstore_progress progress; /* Bytes of the buffers that have been filled, more or less. */
  void* context;            /* Its first argument. */
} qstore_read_options;

/* Fills all requests at once, in the order of the archive: the fastest way to read many tensors.
 * `options` may be NULL. Errors: those above, QSTORE_CANCELLED. */
QSTORE_EXPORT qstore_code qstore_read(const qstore_archive* archive, const qstore_request* requests,
                                      size_t count, const qstore_read_options* options,
                                      qstore_error** error);

/* Fills `out` with bytes [begin, begin + out_size) of a file as it was packed. Errors:
 * QSTORE_INVALID_ARGUMENT (beyond its end), those of qstore_read_tensor. */
QSTORE_EXPORT qstore_code qstore_read_file(const qstore_archive* archive, size_t file,
                                           uint64_t begin, void* out, size_t out_size,
                                           uint32_t threads, qstore_error** error);

/* ---- verifying ---- */

typedef struct qstore_verify_options {
  size_t size; /* sizeof(qstore_verify_options). A field that is 0 has its default. */
  uint32_t threads;
  uint64_t max_bytes;       /* Most bytes that the files may have together. No limit. */
  qstore_progress progress; /* Bytes of the files. */
  void* context;            /* Its first argument. */
} qstore_verify_options;

/* Decodes the whole archive and compares the digest of every file. `options` may be NULL. Errors:
 * QSTORE_CORRUPT (the first damage), QSTORE_LIMIT, QSTORE_IO, QSTORE_SOURCE_CHANGED,
 * QSTORE_CANCELLED. */
QSTORE_EXPORT qstore_code qstore_verify(const qstore_archive* archive,
                                        const qstore_verify_options* options, qstore_error** error);

#ifdef __cplusplus
}
#endif

#endif /* QSTORE_H_ */
