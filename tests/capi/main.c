/* SPDX-License-Identifier: Apache-2.0 */
/* usage: capi_program TEST FOLDER-OF-GOLDEN-ARCHIVES */
#include "test.h"

const char* golden_folder;

static const struct {
  const char* name;
  void (*run)(void);
} tests[] = {
    {"bad_input", test_bad_input}, {"damage", test_damage}, {"growth", test_growth},
    {"list", test_list},           {"read", test_read},     {"threads", test_threads},
};

int main(int argc, char** argv) {
  size_t i;
  CHECK(argc == 3);
  golden_folder = argv[2];
  for (i = 0; i < sizeof(tests) / sizeof(tests[0]); ++i) {
    if (strcmp(tests[i].name, argv[1]) != 0) continue;
    tests[i].run();
    return 0;
  }
  fprintf(stderr, "no such test: %s\n", argv[1]);
  return 1;
}
