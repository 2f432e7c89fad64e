/* SPDX-License-Identifier: Apache-2.0 */
/* Structures of a caller who knows more fields than the library, or fewer. */
#include "test.h"

/* As a later header might have them. */
typedef struct later_options {
  qstore_open_options known;
  uint64_t more;
} later_options;
typedef struct later_info {
  qstore_tensor_info known;
  uint64_t more;
} later_info;

/* What programs were compiled with does not change: sizes and places on 64-bit machines. */
static void check_layout(void) {
  CHECK(sizeof(void*) == 8 && sizeof(qstore_code) == 4);
  CHECK(sizeof(qstore_open_options) >= 56 &&
        offsetof(qstore_open_options, http_certificates) == 48);
  CHECK(sizeof(qstore_variant_info) >= 56 && offsetof(qstore_variant_info, tensor_count) == 48);
  CHECK(sizeof(qstore_file_info) >= 56 && offsetof(qstore_file_info, is_executable) == 49);
  CHECK(sizeof(qstore_tensor_info) >= 56 && offsetof(qstore_tensor_info, file) == 48);
  CHECK(sizeof(qstore_read_options) >= 32 && offsetof(qstore_read_options, context) == 24);
  CHECK(sizeof(qstore_verify_options) >= 40 && offsetof(qstore_verify_options, context) == 32);
  CHECK(sizeof(qstore_request) == 40 && offsetof(qstore_request, row_end) == 32);
}

static void check_options(void) {
  qstore_archive* archive = NULL;
  later_options later = {{0}, 0};
  later.known.size = sizeof(later);
  OK(qstore_open(golden("pair"), &later.known, &archive, &error));
  qstore_close(archive);
  later.more = 1;
  FAILS(QSTORE_INVALID_ARGUMENT, "does not know",
        qstore_open(golden("pair"), &later.known, &archive, &error));
  later.known.size = 0;
  FAILS(QSTORE_INVALID_ARGUMENT, "size",
        qstore_open(golden("pair"), &later.known, &archive, &error));
}

static void check_info(const qstore_archive* archive) {
  later_info later;
  memset(&later, 0xee, sizeof(later));
  later.known.size = sizeof(later);
  OK(qstore_get_tensor(archive, 0, &later.known, &error));
  CHECK(later.known.size == sizeof(later) && later.known.name_length > 0);
  CHECK(later.more == UINT64_C(0xeeeeeeeeeeeeeeee));
  later.known.size = sizeof(size_t);
  FAILS(QSTORE_INVALID_ARGUMENT, "size", qstore_get_tensor(archive, 0, &later.known, &error));
}

void test_growth(void) {
  qstore_archive* const archive = open_golden("pair");
  check_layout();
  check_options();
  check_info(archive);
  qstore_close(archive);
}
