/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QSTORE_TESTS_CAPI_TEST_H_
#define QSTORE_TESTS_CAPI_TEST_H_

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qstore.h"

/* Ends the program when `condition` does not hold, and says where. */
#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) {                                                       \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                                \
    }                                                                         \
  } while (0)

/* Checks that a call, whose last argument is &error, succeeds. */
#define OK(call)                                                                                  \
  do {                                                                                            \
    qstore_error* error = NULL;                                                                   \
    const qstore_code code = (call);                                                              \
    if (code != QSTORE_OK) {                                                                      \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, qstore_error_message(error)); \
      exit(1);                                                                                    \
    }                                                                                             \
    CHECK(error == NULL);                                                                         \
  } while (0)

/* Checks that a call, whose last argument is &error, fails with `wanted` and a message with `part`.
 */
#define FAILS(wanted, part, call)                                                  \
  do {                                                                             \
    qstore_error* error = NULL;                                                    \
    const qstore_code code = (call);                                               \
    if (code != (wanted) || strstr(qstore_error_message(error), (part)) == NULL) { \
      fprintf(stderr, "%s:%d: %s: %d, %s\n", __FILE__, __LINE__, #call, (int)code, \
              qstore_error_message(error));                                        \
      exit(1);                                                                     \
    }                                                                              \
    CHECK(qstore_error_code(error) == code);                                       \
    qstore_error_free(error);                                                      \
  } while (0)

/* The path of the golden archive of that name; of static memory. */
const char* golden(const char* name);
qstore_archive* open_golden(const char* name);
qstore_variant_info variant_of(const qstore_archive* archive, size_t variant);
qstore_tensor_info tensor_of(const qstore_archive* archive, size_t tensor);
/* The content of a tensor, to be freed. Where it has none: one byte. */
unsigned char* content_of(const qstore_archive* archive, size_t tensor);

void test_bad_input(void);
void test_damage(void);
void test_growth(void);
void test_list(void);
void test_read(void);
void test_threads(void);

/* Given to main. */
extern const char* golden_folder;

#endif /* QSTORE_TESTS_CAPI_TEST_H_ */
