/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists the tensors of a variant, or prints the first bytes of one.
 *
 * usage: print_tensor ARCHIVE|URL VARIANT [TENSOR]
 */
#include <qstore.h>
#include <stdio.h>
#include <stdlib.h>

static int print_list(const qstore_archive* archive, size_t number, qstore_error** error) {
  qstore_variant_info variant = {0};
  size_t i;
  variant.size = sizeof(variant);
  if (qstore_get_variant(archive, number, &variant, error) != QSTORE_OK) return 1;
  printf("%s: %zu tensors\n", variant.name, variant.tensor_count);
  for (i = 0; i < variant.tensor_count; ++i) {
    qstore_tensor_info tensor = {0};
    uint32_t d;
    tensor.size = sizeof(tensor);
    if (qstore_get_tensor(archive, variant.first_tensor + i, &tensor, error) != QSTORE_OK) return 1;
    printf("%-8s %12llu  %s [", qstore_dtype_name(tensor.dtype),
           (unsigned long long)tensor.byte_size, tensor.name);
    for (d = 0; d < tensor.rank; ++d) {
      printf("%s%llu", d == 0 ? "" : ", ", (unsigned long long)tensor.shape[d]);
    }
    printf("]\n");
  }
  return 0;
}

static int print_bytes(const qstore_archive* archive, size_t variant, const char* name,
                       qstore_error** error) {
  qstore_tensor_info tensor = {0};
  size_t number = 0, i;
  unsigned char* content;
  tensor.size = sizeof(tensor);
  if (qstore_find_tensor(archive, variant, name, &number, error) != QSTORE_OK ||
      qstore_get_tensor(archive, number, &tensor, error) != QSTORE_OK) {
    return 1;
  }
  content = malloc((size_t)tensor.byte_size + 1);
  if (content == NULL) return 1;
  if (qstore_read_tensor(archive, number, content, (size_t)tensor.byte_size, 0, error) !=
      QSTORE_OK) {
    free(content);
    return 1;
  }
  for (i = 0; i < tensor.byte_size && i < 16; ++i) printf("%02x ", content[i]);
  printf("\n");
  free(content);
  return 0;
}

int main(int argc, char** argv) {
  qstore_archive* archive = NULL;
  qstore_error* error = NULL;
  size_t variant = 0;
  int failed = 1;
  if (argc < 3) {
    fprintf(stderr, "usage: print_tensor ARCHIVE|URL VARIANT [TENSOR]\n");
    return 2;
  }
  if (qstore_open(argv[1], NULL, &archive, &error) == QSTORE_OK &&
      qstore_find_variant(archive, argv[2], &variant, &error) == QSTORE_OK) {
    failed = argc == 3 ? print_list(archive, variant, &error)
                       : print_bytes(archive, variant, argv[3], &error);
  }
  if (failed) fprintf(stderr, "print_tensor: %s\n", qstore_error_message(error));
  qstore_error_free(error);
  qstore_close(archive);
  return failed;
}
