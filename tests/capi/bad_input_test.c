/* SPDX-License-Identifier: Apache-2.0 */
/* NULL, numbers of nothing, and buffers of wrong sizes are errors, whatever the call. */
#include "test.h"

#define BAD QSTORE_INVALID_ARGUMENT

static void check_open(void) {
  qstore_archive* archive = (qstore_archive*)&archive;
  FAILS(BAD, "location is NULL", qstore_open(NULL, NULL, &archive, &error));
  CHECK(archive == NULL);
  FAILS(BAD, "archive is NULL", qstore_open(golden("pair"), NULL, NULL, &error));
  FAILS(QSTORE_NOT_FOUND, "nowhere.qstore", qstore_open("nowhere.qstore", NULL, &archive, &error));
  FAILS(BAD, golden_folder, qstore_open(golden_folder, NULL, &archive, &error));
  FAILS(QSTORE_CORRUPT, "corrupt.magic",
        qstore_open(golden("../invalid/corrupt.magic"), NULL, &archive, &error));
  FAILS(QSTORE_UNSUPPORTED_FEATURE, "ftp://host/m.qstore",
        qstore_open("ftp://host/m.qstore", NULL, &archive, &error));
  /* Without a place for the error there is the code. */
  CHECK(qstore_open("nowhere.qstore", NULL, &archive, NULL) == QSTORE_NOT_FOUND);
  CHECK(archive == NULL);
  qstore_close(NULL);
  qstore_error_free(NULL);
  CHECK(qstore_error_code(NULL) == QSTORE_OK && strcmp(qstore_error_message(NULL), "") == 0);
}

static void check_headers_of_http(void) {
  const char* const odd[] = {"Authorization", NULL};
  qstore_open_options options = QSTORE_OPEN_OPTIONS_INIT;
  qstore_archive* archive = NULL;
  options.http_headers = odd;
  FAILS(BAD, "a name and no value", qstore_open("http://host/m", &options, &archive, &error));
}

static void check_null_archive(void) {
  qstore_variant_info variant = {0};
  qstore_file_info file = {0};
  qstore_tensor_info tensor = {0};
  qstore_request request = {0};
  size_t number = 0;
  uint64_t bytes = 0;
  char out[1];
  CHECK(qstore_variant_count(NULL) == 0);
  FAILS(BAD, "archive is NULL", qstore_get_variant(NULL, 0, &variant, &error));
  FAILS(BAD, "archive is NULL", qstore_get_file(NULL, 0, &file, &error));
  FAILS(BAD, "archive is NULL", qstore_get_tensor(NULL, 0, &tensor, &error));
  FAILS(BAD, "archive is NULL", qstore_find_variant(NULL, "x", &number, &error));
  FAILS(BAD, "archive is NULL", qstore_find_file(NULL, 0, "x", &number, &error));
  FAILS(BAD, "archive is NULL", qstore_find_tensor(NULL, 0, "x", &number, &error));
  FAILS(BAD, "archive is NULL", qstore_read_tensor(NULL, 0, out, 1, 1, &error));
  FAILS(BAD, "archive is NULL", qstore_rows_byte_size(NULL, 0, 0, 1, &bytes, &error));
  FAILS(BAD, "archive is NULL", qstore_read_rows(NULL, 0, 0, 1, out, 1, 1, &error));
  FAILS(BAD, "archive is NULL", qstore_read(NULL, &request, 1, NULL, &error));
  FAILS(BAD, "archive is NULL", qstore_read_file(NULL, 0, 0, out, 1, 1, &error));
  FAILS(BAD, "archive is NULL", qstore_verify(NULL, NULL, &error));
}

static void check_numbers(const qstore_archive* archive) {
  qstore_variant_info variant = {0};
  qstore_file_info file = {0};
  qstore_tensor_info tensor = {0};
  size_t number = 0;
  uint64_t bytes = 0;
  char out[1];
  variant.size = sizeof(variant), file.size = sizeof(file), tensor.size = sizeof(tensor);
  FAILS(BAD, "no variant number 2 of 2", qstore_get_variant(archive, 2, &variant, &error));
  FAILS(BAD, "no file number 8 of 8", qstore_get_file(archive, 8, &file, &error));
  FAILS(BAD, "no tensor", qstore_get_tensor(archive, SIZE_MAX, &tensor, &error));
  FAILS(BAD, "no variant", qstore_find_file(archive, SIZE_MAX, "x", &number, &error));
  FAILS(BAD, "no variant", qstore_find_tensor(archive, 2, "x", &number, &error));
  FAILS(BAD, "no tensor", qstore_read_tensor(archive, SIZE_MAX, out, 1, 1, &error));
  FAILS(BAD, "no tensor", qstore_rows_byte_size(archive, SIZE_MAX, 0, 1, &bytes, &error));
  FAILS(BAD, "no file", qstore_read_file(archive, SIZE_MAX, 0, out, 1, 1, &error));
  FAILS(BAD, "rows", qstore_rows_byte_size(archive, 0, 5, 4, &bytes, &error));
  FAILS(BAD, "rows", qstore_read_rows(archive, 0, 0, UINT64_MAX - 1, out, 1, 1, &error));
}

static void check_names(const qstore_archive* archive) {
  size_t number = 7;
  FAILS(QSTORE_NOT_FOUND, "int4", qstore_find_variant(archive, "int4", &number, &error));
  FAILS(QSTORE_NOT_FOUND, "gone.json", qstore_find_file(archive, 0, "gone.json", &number, &error));
  FAILS(QSTORE_NOT_FOUND, "no.weight",
        qstore_find_tensor(archive, 0, "no.weight", &number, &error));
  CHECK(number == 7);
  FAILS(BAD, "name is NULL", qstore_find_variant(archive, NULL, &number, &error));
  FAILS(BAD, "is NULL", qstore_find_tensor(archive, 0, "x", NULL, &error));
}

static void check_buffers(const qstore_archive* archive) {
  const size_t size = (size_t)tensor_of(archive, 0).byte_size;
  qstore_request request = {0};
  char* const out = malloc(size + 1);
  CHECK(out != NULL && size > 0);
  FAILS(BAD, "out is NULL", qstore_read_tensor(archive, 0, NULL, size, 1, &error));
  FAILS(BAD, "", qstore_read_tensor(archive, 0, out, size - 1, 1, &error));
  FAILS(BAD, "", qstore_read_tensor(archive, 0, out, size + 1, 1, &error));
  FAILS(BAD, "requests is NULL", qstore_read(archive, NULL, 1, NULL, &error));
  OK(qstore_read(archive, NULL, 0, NULL, &error));
  request.out_size = size, request.row_end = QSTORE_ALL_ROWS;
  FAILS(BAD, "out is NULL", qstore_read(archive, &request, 1, NULL, &error));
  FAILS(BAD, "bytes", qstore_read_file(archive, 0, UINT64_MAX, out, 1, 1, &error));
  OK(qstore_read_file(archive, 0, 0, NULL, 0, 1, &error));
  free(out);
}

void test_bad_input(void) {
  qstore_archive* const archive = open_golden("pair");
  check_open();
  check_headers_of_http();
  check_null_archive();
  check_numbers(archive);
  check_names(archive);
  check_buffers(archive);
  qstore_close(archive);
}
