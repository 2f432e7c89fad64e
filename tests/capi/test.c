/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

const char* golden(const char* name) {
  static char path[4096];
  const int length = snprintf(path, sizeof(path), "%s/%s.qstore", golden_folder, name);
  CHECK(length > 0 && (size_t)length < sizeof(path));
  return path;
}

qstore_archive* open_golden(const char* name) {
  qstore_archive* archive = NULL;
  OK(qstore_open(golden(name), NULL, &archive, &error));
  CHECK(archive != NULL);
  return archive;
}

qstore_variant_info variant_of(const qstore_archive* archive, size_t variant) {
  qstore_variant_info info = {0};
  info.size = sizeof(info);
  OK(qstore_get_variant(archive, variant, &info, &error));
  return info;
}

qstore_tensor_info tensor_of(const qstore_archive* archive, size_t tensor) {
  qstore_tensor_info info = {0};
  info.size = sizeof(info);
  OK(qstore_get_tensor(archive, tensor, &info, &error));
  return info;
}

unsigned char* content_of(const qstore_archive* archive, size_t tensor) {
  const size_t size = (size_t)tensor_of(archive, tensor).byte_size;
  unsigned char* const content = malloc(size + 1);
  CHECK(content != NULL);
  OK(qstore_read_tensor(archive, tensor, content, size, 1, &error));
  return content;
}
