/* SPDX-License-Identifier: Apache-2.0 */
/* A byte that is another is noticed, and never yields wrong bytes. */
#include "test.h"

static const char kDamaged[] = "capi-damaged.qstore";

static void write_file(const unsigned char* content, size_t size) {
  FILE* const file = fopen(kDamaged, "wb");
  CHECK(file != NULL);
  CHECK(fwrite(content, 1, size, file) == size);
  CHECK(fclose(file) == 0);
}

static unsigned char* read_whole(const char* path, size_t* size) {
  FILE* const file = fopen(path, "rb");
  unsigned char* content;
  long end;
  CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0 && (end = ftell(file)) > 0);
  *size = (size_t)end;
  CHECK((content = malloc(*size)) != NULL && fseek(file, 0, SEEK_SET) == 0);
  CHECK(fread(content, 1, *size, file) == *size);
  fclose(file);
  return content;
}

/* Each tensor is refused or equal to that of the intact archive. Returns: how many were refused. */
static size_t compare_tensors(const qstore_archive* damaged, const qstore_archive* intact) {
  size_t refused = 0, v, i;
  for (v = 0; v < qstore_variant_count(damaged); ++v) {
    const qstore_variant_info variant = variant_of(damaged, v);
    for (i = variant.first_tensor; i < variant.first_tensor + variant.tensor_count; ++i) {
      const size_t size = (size_t)tensor_of(damaged, i).byte_size;
      unsigned char* const expected = content_of(intact, i);
      unsigned char* const out = malloc(size + 1);
      qstore_error* error = NULL;
      CHECK(out != NULL);
      if (qstore_read_tensor(damaged, i, out, size, 1, &error) == QSTORE_OK) {
        CHECK(memcmp(out, expected, size) == 0);
      } else {
        CHECK(qstore_error_code(error) == QSTORE_CORRUPT);
        CHECK(strstr(qstore_error_message(error), kDamaged) != NULL);
        ++refused;
      }
      qstore_error_free(error);
      free(out);
      free(expected);
    }
  }
  return refused;
}

void test_damage(void) {
  qstore_archive* const intact = open_golden("pair");
  size_t size = 0, at, refused = 0, opened = 0;
  unsigned char* const content = read_whole(golden("pair"), &size);
  for (at = 0; at < size; at += 1 + size / 200) {
    qstore_archive* archive = NULL;
    qstore_error* error = NULL;
    content[at] ^= 0x10;
    write_file(content, size);
    content[at] ^= 0x10;
    if (qstore_open(kDamaged, NULL, &archive, &error) != QSTORE_OK) {
      CHECK(archive == NULL && strstr(qstore_error_message(error), kDamaged) != NULL);
      qstore_error_free(error);
      continue;
    }
    ++opened;
    refused += compare_tensors(archive, intact);
    FAILS(QSTORE_CORRUPT, kDamaged, qstore_verify(archive, NULL, &error));
    qstore_close(archive);
  }
  /* Both kinds were seen. */
  CHECK(opened > 10 && opened < 200 && refused > 10);
  for (at = 0; at < size; at += 1 + size / 20) {
    qstore_archive* archive = NULL;
    write_file(content, at);
    FAILS(QSTORE_CORRUPT, kDamaged, qstore_open(kDamaged, NULL, &archive, &error));
  }
  free(content);
  qstore_close(intact);
  CHECK(remove(kDamaged) == 0);
}
