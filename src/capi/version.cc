// SPDX-License-Identifier: Apache-2.0
#include "qstore.h"
#include "qstore/archive.h"

const char* qstore_version(void) { return QSTORE_VERSION; }

const char* qstore_instruction_set(void) {
  return qstore::InstructionSet().data();  // A literal.
}
