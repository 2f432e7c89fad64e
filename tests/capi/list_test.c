/* SPDX-License-Identifier: Apache-2.0 */
/* What an archive lists, and that names find what they name. */
#include "test.h"

static void check_file(const qstore_archive* archive, size_t variant, size_t number) {
  qstore_file_info file = {0};
  size_t found = 0;
  file.size = sizeof(file);
  OK(qstore_get_file(archive, number, &file, &error));
  CHECK(file.path != NULL && file.path[0] != '\0' && file.container != NULL);
  OK(qstore_find_file(archive, variant, file.path, &found, &error));
  CHECK(found == number);
  if (strcmp(file.path, "model.safetensors") == 0) {
    CHECK(strcmp(file.container, "safetensors") == 0 && file.byte_size > 8);
  }
  if (strcmp(file.path, "config.json") == 0) CHECK(strcmp(file.container, "") == 0);
}

static void check_tensor(const qstore_archive* archive, size_t variant, size_t number) {
  const qstore_tensor_info tensor = tensor_of(archive, number);
  uint64_t bits = qstore_dtype_bits(tensor.dtype);
  size_t found = 0;
  uint32_t i;
  CHECK(strlen(tensor.name) == tensor.name_length);
  OK(qstore_find_tensor(archive, variant, tensor.name, &found, &error));
  CHECK(found == number);
  for (i = 0; i < tensor.rank; ++i) bits *= tensor.shape[i];
  CHECK(bits == tensor.byte_size * 8 * qstore_dtype_block(tensor.dtype));
  CHECK(tensor.file >= variant_of(archive, variant).first_file);
}

static void check_everything(const char* name) {
  qstore_archive* const archive = open_golden(name);
  const size_t variants = qstore_variant_count(archive);
  qstore_tensor_info beyond = {0};
  size_t files = 0, tensors = 0, v, i;
  CHECK(variants > 0);
  for (v = 0; v < variants; ++v) {
    const qstore_variant_info variant = variant_of(archive, v);
    size_t found = variants;
    OK(qstore_find_variant(archive, variant.name, &found, &error));
    CHECK(found == v);
    CHECK(variant.first_file == files && variant.first_tensor == tensors);
    files += variant.file_count;
    tensors += variant.tensor_count;
    for (i = variant.first_file; i < files; ++i) check_file(archive, v, i);
    for (i = variant.first_tensor; i < tensors; ++i) check_tensor(archive, v, i);
  }
  CHECK(tensors > 0);
  beyond.size = sizeof(beyond);
  FAILS(QSTORE_INVALID_ARGUMENT, "no tensor number",
        qstore_get_tensor(archive, tensors, &beyond, &error));
  qstore_close(archive);
}

static qstore_variant_info variant_named(const qstore_archive* archive, const char* name) {
  size_t number = 0;
  OK(qstore_find_variant(archive, name, &number, &error));
  return variant_of(archive, number);
}

static void check_pair(void) {
  qstore_archive* const archive = open_golden("pair");
  const qstore_variant_info high = variant_named(archive, "bf16");
  const qstore_variant_info low = variant_named(archive, "int8");
  CHECK(qstore_variant_count(archive) == 2);
  CHECK(strcmp(high.name, "bf16") == 0 && strcmp(low.name, "int8") == 0);
  CHECK(high.file_count == 4 && low.file_count == 4);
  CHECK(high.source_bytes > low.source_bytes);
  qstore_close(archive);
}

static void check_names_of_values(void) {
  CHECK(strcmp(qstore_code_name(QSTORE_OK), "ok") == 0);
  CHECK(strcmp(qstore_code_name(QSTORE_CORRUPT), "corrupt") == 0);
  CHECK(strcmp(qstore_code_name(QSTORE_INTERNAL), "internal") == 0);
  CHECK(qstore_code_name(QSTORE_INTERNAL + 1) == NULL);
  CHECK(strcmp(qstore_dtype_name(QSTORE_BF16), "BF16") == 0);
  CHECK(strcmp(qstore_dtype_name(QSTORE_F8_E4M3), "F8_E4M3") == 0);
  CHECK(qstore_dtype_bits(QSTORE_F4) == 4 && qstore_dtype_block(QSTORE_F4) == 1);
  CHECK(strcmp(qstore_dtype_name(30), "Q4_K") == 0 && qstore_dtype_block(30) == 256);
  CHECK(qstore_dtype_name(UINT32_MAX) == NULL);
  CHECK(qstore_dtype_bits(UINT32_MAX) == 0 && qstore_dtype_block(UINT32_MAX) == 0);
  CHECK(strchr(qstore_version(), '.') != NULL);
  CHECK(qstore_instruction_set()[0] != '\0');
}

void test_list(void) {
  check_pair();
  check_everything("pair");
  check_everything("dtypes");
  check_everything("gguf");
  check_everything("generations");
  check_names_of_values();
}
