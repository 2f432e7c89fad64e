/* SPDX-License-Identifier: Apache-2.0 */
/* Many threads use one archive, names that are made when first asked for included. */
#include <pthread.h>

#include "test.h"

enum { kThreads = 8, kRounds = 5 };

static qstore_archive* archive;

static void* work(void* unused) {
  size_t round, v, i;
  (void)unused;
  for (round = 0; round < kRounds; ++round) {
    for (v = 0; v < qstore_variant_count(archive); ++v) {
      const qstore_variant_info variant = variant_of(archive, v);
      for (i = variant.first_tensor; i < variant.first_tensor + variant.tensor_count; ++i) {
        const qstore_tensor_info tensor = tensor_of(archive, i);
        size_t found = 0;
        OK(qstore_find_tensor(archive, v, tensor.name, &found, &error));
        CHECK(found == i);
        free(content_of(archive, i));
        FAILS(QSTORE_NOT_FOUND, "no.such",
              qstore_find_tensor(archive, v, "no.such", &found, &error));
      }
    }
  }
  return NULL;
}

void test_threads(void) {
  pthread_t threads[kThreads];
  size_t i;
  archive = open_golden("pair");
  for (i = 0; i < kThreads; ++i) CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
  for (i = 0; i < kThreads; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
  qstore_close(archive);
}
