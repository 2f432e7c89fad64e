// SPDX-License-Identifier: Apache-2.0
// Where there is no memory, every function says so by its code.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "qstore.h"
#include "unit/refused_memory.h"

namespace {

const std::string kPair = QSTORE_GOLDEN "/valid/pair.qstore";

// Success or QSTORE_LIMIT, an error then.
bool Done(qstore_code code, qstore_error* error) {
  EXPECT_TRUE(code == QSTORE_OK || code == QSTORE_LIMIT) << qstore_error_message(error);
  EXPECT_EQ(qstore_error_code(error), code);
  EXPECT_EQ(error == nullptr, code == QSTORE_OK);
  qstore_error_free(error);
  return code == QSTORE_OK;
}

bool Open(qstore_archive** archive) {
  qstore_error* error = nullptr;
  const qstore_code code = qstore_open(kPair.c_str(), nullptr, archive, &error);
  EXPECT_EQ(*archive != nullptr, code == QSTORE_OK);
  return Done(code, error);
}

bool NameOfTensor(const qstore_archive* archive) {
  qstore_error* error = nullptr;
  qstore_tensor_info info = {};
  info.size = sizeof(info);
  const qstore_code code = qstore_get_tensor(archive, 0, &info, &error);
  return Done(code, error);
}

bool PathOfFile(const qstore_archive* archive) {
  qstore_error* error = nullptr;
  qstore_file_info info = {};
  info.size = sizeof(info);
  const qstore_code code = qstore_get_file(archive, 0, &info, &error);
  return Done(code, error);
}

TEST(Memory, OpeningAndListing) {
  qstore::testing::RefuseEach(
      [] {
        qstore_archive* archive = nullptr;
        const bool done = Open(&archive) && NameOfTensor(archive) && PathOfFile(archive);
        qstore_close(archive);
        return done;
      },
      [](bool) {});
}

TEST(Memory, Reading) {
  qstore_archive* archive = nullptr;
  ASSERT_TRUE(Open(&archive));
  qstore_tensor_info info = {};
  info.size = sizeof(info);
  ASSERT_EQ(qstore_get_tensor(archive, 0, &info, nullptr), QSTORE_OK);
  std::vector<char> out(info.byte_size);
  qstore::testing::RefuseEach(
      [&] {
        qstore_error* error = nullptr;
        const qstore_code code = qstore_read_tensor(archive, 0, out.data(), out.size(), 1, &error);
        return Done(code, error);
      },
      [](bool) {});
  qstore_close(archive);
}

}  // namespace
