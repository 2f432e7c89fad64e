// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <string>

#include "qstore/dtype.h"
#include "qstore/status.h"

int main() {
  const auto dtype = qstore::DTypeFromName("BF16");
  if (!dtype || qstore::DTypeBits(*dtype) != 16) return 1;
  const std::string text = qstore::NotFound("m.qstore: no such file").ToString();
  if (text != "not-found: m.qstore: no such file") return 1;
  std::puts("consumer: linked and ran");
  return 0;
}
