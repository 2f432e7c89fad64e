/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors, rows and files are the same bytes, whichever way they are read. */
#include "test.h"

/* Where the header of a safetensors file says that a tensor begins in it. */
static uint64_t offset_in(const unsigned char* file, const char* name) {
  char key[512];
  unsigned long long begin = 0;
  uint64_t header = 0;
  const char* at;
  int i;
  for (i = 7; i >= 0; --i) header = header << 8 | file[i];
  CHECK(snprintf(key, sizeof(key), "\"%s\":{", name) < (int)sizeof(key));
  at = strstr((const char*)file + 8, key);
  CHECK(at != NULL && (at = strstr(at, "\"data_offsets\":[")) != NULL);
  CHECK(sscanf(at, "\"data_offsets\":[%llu,", &begin) == 1);
  return 8 + header + begin;
}

static unsigned char* whole_file(const qstore_archive* archive, size_t number, uint64_t* size) {
  qstore_file_info file = {0};
  unsigned char* content;
  file.size = sizeof(file);
  OK(qstore_get_file(archive, number, &file, &error));
  *size = file.byte_size;
  CHECK((content = malloc((size_t)*size + 1)) != NULL);
  OK(qstore_read_file(archive, number, 0, content, (size_t)*size, 0, &error));
  content[*size] = '\0';
  return content;
}

static void check_rows(const qstore_archive* archive, size_t number, const unsigned char* content) {
  const qstore_tensor_info tensor = tensor_of(archive, number);
  const uint64_t rows = tensor.rank == 0 ? 0 : tensor.shape[0];
  uint64_t row, bytes = 0;
  if (rows == 0 || tensor.byte_size % rows != 0) return;
  OK(qstore_rows_byte_size(archive, number, 0, QSTORE_ALL_ROWS, &bytes, &error));
  CHECK(bytes == tensor.byte_size);
  for (row = 0; row < rows; row += 1 + rows / 3) {
    unsigned char* out;
    OK(qstore_rows_byte_size(archive, number, row, rows, &bytes, &error));
    CHECK(bytes == tensor.byte_size / rows * (rows - row));
    CHECK((out = malloc((size_t)bytes + 1)) != NULL);
    OK(qstore_read_rows(archive, number, row, rows, out, (size_t)bytes, 1, &error));
    CHECK(memcmp(out, content + tensor.byte_size - bytes, (size_t)bytes) == 0);
    free(out);
  }
}

static int count_calls(void* context, uint64_t done, uint64_t total) {
  CHECK(done <= total);
  ++*(size_t*)context;
  return 1;
}

static int stop(void* context, uint64_t done, uint64_t total) {
  (void)context, (void)done, (void)total;
  return 0;
}

/* All tensors of a variant by one call. */
static void check_at_once(const qstore_archive* archive, const qstore_variant_info* variant) {
  qstore_request* const requests = calloc(variant->tensor_count, sizeof(*requests));
  qstore_read_options options = {0};
  size_t calls = 0, i;
  CHECK(requests != NULL);
  options.size = sizeof(options);
  options.progress = count_calls;
  options.context = &calls;
  for (i = 0; i < variant->tensor_count; ++i) {
    requests[i].tensor = variant->first_tensor + i;
    requests[i].out_size = (size_t)tensor_of(archive, requests[i].tensor).byte_size;
    CHECK((requests[i].out = malloc(requests[i].out_size + 1)) != NULL);
    requests[i].row_end = QSTORE_ALL_ROWS;
  }
  OK(qstore_read(archive, requests, variant->tensor_count, &options, &error));
  CHECK(calls > 0);
  options.progress = stop;
  FAILS(QSTORE_CANCELLED, "",
        qstore_read(archive, requests, variant->tensor_count, &options, &error));
  OK(qstore_read(archive, requests, variant->tensor_count, NULL, &error));
  for (i = 0; i < variant->tensor_count; ++i) {
    unsigned char* const alone = content_of(archive, requests[i].tensor);
    CHECK(memcmp(requests[i].out, alone, requests[i].out_size) == 0);
    free(alone);
    free(requests[i].out);
  }
  free(requests);
}

static void check_variant(const qstore_archive* archive, size_t number) {
  const qstore_variant_info variant = variant_of(archive, number);
  uint64_t size = 0;
  size_t file = 0, i;
  unsigned char* content;
  OK(qstore_find_file(archive, number, "model.safetensors", &file, &error));
  content = whole_file(archive, file, &size);
  for (i = variant.first_tensor; i < variant.first_tensor + variant.tensor_count; ++i) {
    const qstore_tensor_info tensor = tensor_of(archive, i);
    unsigned char* const bytes = content_of(archive, i);
    const uint64_t begin = offset_in(content, tensor.name);
    CHECK(tensor.file == file && begin + tensor.byte_size <= size);
    CHECK(memcmp(bytes, content + begin, (size_t)tensor.byte_size) == 0);
    check_rows(archive, i, bytes);
    free(bytes);
  }
  for (i = 0; i < size; i += 1 + (size_t)size / 5) {
    unsigned char part[100];
    const size_t here = size - i < sizeof(part) ? (size_t)(size - i) : sizeof(part);
    OK(qstore_read_file(archive, file, i, part, here, 0, &error));
    CHECK(memcmp(part, content + i, here) == 0);
  }
  free(content);
  check_at_once(archive, &variant);
}

static void check_options(void) {
  qstore_open_options options = QSTORE_OPEN_OPTIONS_INIT;
  qstore_archive* archive = NULL;
  options.read_ahead = 2;
  options.read_size = 1 << 16;
  OK(qstore_open(golden("pair"), &options, &archive, &error));
  check_variant(archive, 1);
  qstore_close(archive);
  options.max_memory = 1000;
  FAILS(QSTORE_LIMIT, "pair.qstore", qstore_open(golden("pair"), &options, &archive, &error));
  CHECK(archive == NULL);
}

void test_read(void) {
  qstore_archive* const archive = open_golden("pair");
  qstore_verify_options options = {0};
  size_t calls = 0;
  check_variant(archive, 0);
  check_variant(archive, 1);
  OK(qstore_verify(archive, NULL, &error));
  options.size = sizeof(options);
  options.threads = 2;
  options.progress = count_calls;
  options.context = &calls;
  OK(qstore_verify(archive, &options, &error));
  CHECK(calls > 0);
  options.max_bytes = 1;
  FAILS(QSTORE_LIMIT, "max_bytes", qstore_verify(archive, &options, &error));
  options.max_bytes = 0;
  options.progress = stop;
  FAILS(QSTORE_CANCELLED, "", qstore_verify(archive, &options, &error));
  qstore_close(archive);
  check_options();
}
